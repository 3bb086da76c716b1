//! The simulated world is held to the same contracts as the adapters that it stands in for.

use futures::FutureExt;
use std::{sync::Arc, time::Duration};
use wharf_domain::{Code, DeploymentId, Endpoint, Failure, service::RunSpec};
use wharf_platform::{Owner, RouteKey};
use wharf_testkit::{
    contracts::{databases, logs, mailer, prober, routes, secrets, store, tasks, waker},
    sim::{Answers, Behaviour, SimStore, SimWaker, SimWorld, routes::Visit, services},
};

mod registry {
    use super::*;

    async fn make() -> store::Fixture {
        store::Fixture::new(Arc::new(SimStore::new()), ())
    }

    wharf_testkit::store_contract!(make);
    wharf_testkit::store_tidying_contract!(make);
}

mod registry_of_a_process {
    use super::*;

    async fn make() -> store::Fixture {
        let world = SimWorld::new(1);
        let registry = world.process("one").registry(Arc::new(SimStore::new()));
        store::Fixture::new(registry, world)
    }

    wharf_testkit::store_contract!(make);
    wharf_testkit::store_tidying_contract!(make);
}

fn program(name: &str) -> RunSpec {
    RunSpec::Process {
        command: vec![name.to_owned()],
        memory: None,
        directory: None,
    }
}

mod simulated_tasks {
    use super::*;

    async fn make() -> tasks::Fixture {
        let world = SimWorld::new(1);
        let second = Duration::from_secs(1);
        world.behave(
            "lasting",
            Behaviour {
                runs_after: second,
                ends_after: second,
                ..Behaviour::default()
            },
        );
        world.behave(
            "crashing",
            Behaviour {
                exits_after: Some(second),
                exit_code: tasks::EXIT_CODE,
                last_words: Some(tasks::LAST_WORDS.to_owned()),
                ..Behaviour::default()
            },
        );
        world.behave(
            "stubborn",
            Behaviour {
                ends_after: Duration::from_hours(1),
                ..Behaviour::default()
            },
        );
        let missing = Failure::new(Code::TaskCommand, "there is no such program").hint("install it");
        world.behave(
            "impossible",
            Behaviour {
                refused: Some(missing),
                ..Behaviour::default()
            },
        );
        let platform = world.platform();
        tasks::Fixture {
            tasks: platform.tasks,
            events: platform.events,
            deployment: world.deployment_id().clone(),
            programs: tasks::Programs {
                lasting: program("lasting"),
                crashing: program("crashing"),
                stubborn: program("stubborn"),
                impossible: program("impossible"),
            },
            tells_output: true,
            keeps: Box::new(world),
        }
    }

    wharf_testkit::tasks_contract!(paused make);
}

mod simulated_routes {
    use super::*;

    async fn make() -> routes::Fixture {
        let world = SimWorld::new(1);
        let (upstreams, visited, lingering) = (world.clone(), world.clone(), world.clone());
        let service = services::plain("upstream").name;
        routes::Fixture {
            routes: world.platform().routes,
            deployment: world.deployment_id().clone(),
            upstream: Box::new(move |owner: Owner| {
                let task = upstreams.plant_task(owner.clone(), &service);
                let started = upstreams.tasks(&owner.instance);
                let found = started.into_iter().find(|started| started.reference == task);
                let endpoint = found.expect("it was started").endpoint;
                async move { endpoint }.boxed()
            }),
            visit: Box::new(move |key: RouteKey| {
                let answered = match visited.visit(&key) {
                    Visit::Answered(instance) => Some(instance),
                    _ => None,
                };
                async move { answered }.boxed()
            }),
            linger: Box::new(move |key: RouteKey| {
                let world = lingering.clone();
                async move {
                    let request = world.begin_request(&key).expect("somebody answers");
                    let end: routes::EndRequest = Box::new(move || world.end_request(request));
                    end
                }
                .boxed()
            }),
            keeps: Box::new(world),
        }
    }

    wharf_testkit::routes_contract!(paused make);
}

mod simulated_prober {
    use super::*;

    async fn make() -> prober::Fixture {
        let world = SimWorld::new(1);
        let tasks = world.clone();
        let service = services::plain("asked").name;
        prober::Fixture {
            prober: world.platform().prober,
            start: Box::new(move |owner: Owner, answer| {
                let answers = match answer {
                    prober::Answer::Whole { status, names } if names == owner.instance => Answers::Status(status),
                    prober::Answer::Whole { names, .. } => Answers::As(names.to_string()),
                    prober::Answer::Half { .. } | prober::Answer::Silence | prober::Answer::Nobody => Answers::Never,
                };
                tasks.behave_next(
                    "planted",
                    Behaviour {
                        answers,
                        ..Behaviour::default()
                    },
                );
                let task = tasks.plant_task(owner.clone(), &service);
                let endpoint: Endpoint = tasks.live_tasks(&owner.instance)[0].endpoint.clone();
                async move { (task, endpoint) }.boxed()
            }),
            keeps: Box::new(world),
        }
    }

    wharf_testkit::prober_contract!(paused make);
}

mod simulated_databases {
    use super::*;

    async fn make() -> databases::Fixture {
        let world = SimWorld::new(1);
        databases::Fixture {
            databases: world.platform().databases,
            keeps: Box::new(world),
        }
    }

    wharf_testkit::databases_contract!(paused make);

    #[tokio::test(start_paused = true)]
    async fn another_deployments_database_is_neither_listed_nor_touched() {
        let world = SimWorld::new(1);
        let foreign = DeploymentId::new([99; 10]);
        let owner = wharf_testkit::contracts::harness::some_owner(&foreign);
        world.plant_database(owner.clone(), "user_acme");
        let databases = world.platform().databases;
        let instance = wharf_testkit::contracts::harness::some_instance();
        let refused = databases.create(&instance, "user_acme", &"secret".into()).await;
        assert_eq!(refused.expect_err("it is another's").code, Code::ResourceForeign);
        databases
            .remove(&instance, "user_acme")
            .await
            .expect("of its own there is nothing");
        assert_eq!(databases.all().await, Ok(Vec::new()));
        assert!(world.database("user_acme").is_some());
    }
}

mod simulated_secrets {
    use super::*;

    async fn make() -> secrets::Fixture {
        let world = SimWorld::new(1);
        secrets::Fixture {
            secrets: world.platform().secrets,
            keeps: Box::new(world),
        }
    }

    wharf_testkit::secrets_contract!(paused make);
}

mod simulated_logs {
    use super::*;

    async fn make() -> logs::Fixture {
        let world = SimWorld::new(1);
        let printer = world.clone();
        logs::Fixture {
            logs: world.platform().logs,
            print: Box::new(move |instance, text| {
                printer.print(&instance, &text);
                async {}.boxed()
            }),
            keeps: Box::new(world),
        }
    }

    wharf_testkit::logs_contract!(paused make);
}

mod simulated_mailer {
    use super::*;

    async fn make() -> mailer::Fixture {
        let world = SimWorld::new(1);
        let mailbox = world.clone();
        mailer::Fixture {
            mailer: world.platform().mailer,
            mailbox: Box::new(move || {
                let arrived = mailbox.mails().into_iter().map(|mail| mailer::Arrived {
                    to: vec![mail.to.to_string()],
                    from: mail.from,
                    subject: mail.subject,
                    text: mail.text,
                    html: mail.html,
                });
                let arrived = arrived.collect();
                async move { arrived }.boxed()
            }),
            keeps: Box::new(world),
        }
    }

    wharf_testkit::mailer_contract!(paused make);
}

mod simulated_waker {
    use super::*;

    async fn make() -> waker::Fixture {
        let world = SimWorld::new(1);
        let clock = Arc::new(world.clock());
        let waker = SimWaker::new(clock.clone());
        let (sender, wakes) = tokio::sync::mpsc::unbounded_channel();
        waker.connect(move |id, seq| {
            let _ = sender.send((id.clone(), seq));
        });
        waker::Fixture {
            waker: Arc::new(waker),
            clock,
            wakes,
            keeps: Box::new(world),
        }
    }

    wharf_testkit::waker_contract!(paused make);
}
