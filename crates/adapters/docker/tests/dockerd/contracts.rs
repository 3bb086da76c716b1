//! The contract suites, run against containers.

use crate::site::{Site, spec, task};
use futures::{FutureExt, StreamExt};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{io::AsyncWriteExt, net::TcpListener};
use wharf_domain::{
    Attempt, InstanceId,
    service::{DockerTask, RunSpec},
};
use wharf_platform::{Owner, TaskEvent, TaskEvents, TaskStatus, Tasks};
use wharf_testkit::contracts::{self, harness::soon};

mod tasks {
    use super::*;

    async fn make() -> contracts::tasks::Fixture {
        let site = Site::new().await;
        let run = |command: &[&str]| RunSpec::Docker(site.task(command));
        contracts::tasks::Fixture {
            tasks: site.tasks.clone(),
            events: site.tasks.clone(),
            deployment: site.deployment.clone(),
            programs: contracts::tasks::Programs {
                lasting: run(&["rest"]),
                crashing: run(&["crash"]),
                stubborn: run(&["ignore"]),
                impossible: RunSpec::Docker(task("wharf-nothing-like-this:none", &["rest"])),
            },
            tells_output: true,
            keeps: Box::new(site),
        }
    }

    wharf_testkit::tasks_contract!(real make);
}

mod logs {
    use super::*;

    /// Each text is printed by a container of its own, the instance's next attempt, which fetches it from here.
    async fn make() -> contracts::logs::Fixture {
        let site = Arc::new(Site::new().await);
        let attempts: Arc<Mutex<HashMap<InstanceId, u32>>> = Arc::default();
        let printer = site.clone();
        contracts::logs::Fixture {
            logs: Arc::new(site.tasks.logs()),
            print: Box::new(move |instance, text| {
                let attempt = {
                    let mut attempts = attempts.lock().unwrap();
                    let attempt = attempts.entry(instance.clone()).or_default();
                    *attempt += 1;
                    *attempt
                };
                print(printer.clone(), instance, Attempt(attempt), text).boxed()
            }),
            keeps: Box::new(site),
        }
    }

    async fn print(site: Arc<Site>, instance: InstanceId, attempt: Attempt, text: String) {
        let listener = TcpListener::bind(SocketAddr::new(site.gateway().into(), 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let owner = Owner {
            deployment: site.deployment.clone(),
            instance,
            attempt,
        };
        let mut events = site.subscribe();
        let fetch: DockerTask = site.task(&["fetch", &address]);
        let started = site.start(spec(&owner, RunSpec::Docker(fetch))).await.unwrap();
        let (mut stream, _) = soon("the container asks for its text", listener.accept())
            .await
            .unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        drop(stream);
        let is_over = |event: TaskEvent| event.task == started && matches!(event.status, TaskStatus::Stopped { .. });
        soon("the end of printing", async {
            while !is_over(events.next().await.unwrap()) {}
        })
        .await;
    }

    wharf_testkit::logs_contract!(real make);
}
