//! The contract suites, run against every adapter of this crate.

use crate::site::{Site, run, spec};
use futures::{FutureExt, StreamExt};
use std::{
    collections::HashMap,
    fs,
    sync::{Arc, Mutex},
};
use wharf_domain::{Attempt, InstanceId, Timestamp};
use wharf_local::{FileDatabases, FileSecrets, TimerWaker};
use wharf_platform::{Owner, TaskEvent, TaskEvents, TaskStatus, Tasks};
use wharf_saga::Clock;
use wharf_testkit::contracts::{self, harness::soon};

mod tasks {
    use super::*;

    async fn make() -> contracts::tasks::Fixture {
        let site = Site::new();
        contracts::tasks::Fixture {
            tasks: site.tasks.clone(),
            events: site.tasks.clone(),
            deployment: site.deployment.clone(),
            programs: contracts::tasks::Programs {
                lasting: run(&["wharf", "rest"]),
                crashing: run(&["sh", "-c", "echo cannot go on; exit 3"]),
                stubborn: run(&["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]),
                impossible: run(&["./not-there"]),
            },
            tells_output: true,
            keeps: Box::new(site),
        }
    }

    wharf_testkit::tasks_contract!(real make);
}

mod databases {
    use super::*;

    async fn make() -> contracts::databases::Fixture {
        let data = tempfile::tempdir().unwrap();
        contracts::databases::Fixture {
            databases: Arc::new(FileDatabases::new(data.path(), crate::databases::deployment()).unwrap()),
            keeps: Box::new(data),
        }
    }

    wharf_testkit::databases_contract!(real make);
}

mod secrets {
    use super::*;

    async fn make() -> contracts::secrets::Fixture {
        let data = tempfile::tempdir().unwrap();
        contracts::secrets::Fixture {
            secrets: Arc::new(FileSecrets::new(data.path()).unwrap()),
            keeps: Box::new(data),
        }
    }

    wharf_testkit::secrets_contract!(real make);
}

mod logs {
    use super::*;

    /// Each text is printed by a task of its own, the instance's next attempt, from a file.
    async fn make() -> contracts::logs::Fixture {
        let site = Arc::new(Site::new());
        let attempts: Arc<Mutex<HashMap<InstanceId, u32>>> = Arc::default();
        let printer = site.clone();
        contracts::logs::Fixture {
            logs: site.logs.clone(),
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
        let file = site.data().join(format!("{instance}-{attempt}"));
        fs::write(&file, text).unwrap();
        let owner = Owner {
            deployment: site.deployment.clone(),
            instance,
            attempt,
        };
        let mut events = site.subscribe();
        let cat = run(&["cat", file.to_str().unwrap()]);
        let task = site.start(spec(&owner, cat)).await.unwrap();
        // The end of a task is told when all of its output has been read.
        let is_over = |event: TaskEvent| event.task == task && matches!(event.status, TaskStatus::Stopped { .. });
        soon("the end of printing", async {
            while !is_over(events.next().await.unwrap()) {}
        })
        .await;
    }

    wharf_testkit::logs_contract!(real make);
}

mod waker {
    use super::*;

    /// Goes with the runtime's time, which a test can simulate.
    struct RuntimeClock(tokio::time::Instant);

    impl Clock for RuntimeClock {
        fn now(&self) -> Timestamp {
            Timestamp(1_760_000_000_000) + self.0.elapsed()
        }
    }

    async fn make() -> contracts::waker::Fixture {
        let clock = Arc::new(RuntimeClock(tokio::time::Instant::now()));
        let (woken, wakes) = tokio::sync::mpsc::unbounded_channel();
        let waker = TimerWaker::new(clock.clone(), move |id, seq| {
            let _ = woken.send((id, seq));
        });
        contracts::waker::Fixture {
            waker: Arc::new(waker),
            clock,
            wakes,
            keeps: Box::new(()),
        }
    }

    wharf_testkit::waker_contract!(paused make);
}
