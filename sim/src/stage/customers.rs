//! The customers: they ask, wait a while for the answer, and ask again.

use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use wharf_domain::Failure;
use wharf_provisioning::{Caller, Wharf};
use wharf_testkit::sim::wharf::{sign_up, start};

use super::machines::Machines;
use crate::{
    rules::Client,
    script::{Order, What},
};

/// How long a customer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause before he asks again; each later one is three times as long.
const AGAIN: Duration = Duration::from_secs(1);

/// Somebody asks. Nobody waits here for what becomes of it.
pub(super) fn ask(machines: &Machines, client: &Arc<Mutex<Client>>, what: &What) {
    let (machines, client, what) = (machines.clone(), client.clone(), what.clone());
    tokio::spawn(async move {
        match what {
            What::SignUp {
                name,
                service,
                key,
                machine,
                again,
            } => {
                let ask = move |wharf: Wharf| {
                    let (request, key) = (sign_up(name, Some(service)), text(key));
                    async move { wharf.provision(request, Caller::Visitor, key.as_deref()).await }.boxed()
                };
                if let Some(accepted) = insist(&machines, machine, again, ask).await {
                    client.lock().accept("sign-ups", key, accepted.id, accepted.replayed);
                }
            }
            What::StartService {
                service,
                key,
                machine,
                again,
            } => {
                let ask = move |wharf: Wharf| {
                    let key = text(key).map(|key| Wharf::start_key(Caller::Admin, &key));
                    async move {
                        wharf
                            .start_service(start(service), Caller::Admin, key.transpose()?)
                            .await
                    }
                    .boxed()
                };
                if let Some(accepted) = insist(&machines, machine, again, ask).await {
                    client.lock().accept("starts", key, accepted.id, accepted.replayed);
                }
            }
            What::Event {
                service,
                key,
                machine,
                times,
            } => {
                let ask = move |wharf: Wharf| {
                    let key = format!("event-{key}");
                    let event = json!({
                        "detail-type": "Start ECS Task",
                        "source": "custom.app",
                        "detail": {"service": service},
                    });
                    async move { wharf.begin_event(&event, Some(&key)).await }.boxed()
                };
                for nth in 0..usize::from(times) {
                    for id in insist(&machines, machine + nth, 0, ask).await.unwrap_or_default() {
                        client.lock().accept("events", Some(key), id, false);
                    }
                }
            }
            What::Ask { name, order, machine } => {
                let ask = move |wharf: Wharf| async move { tell(&wharf, name, order).await }.boxed();
                insist(&machines, machine, 0, ask).await;
            }
            What::Extend { name, by, machine } => {
                let until = by.map(|by| machines.now() + by);
                let ask = move |wharf: Wharf| {
                    async move {
                        let id = wharf.find(name).await?;
                        wharf.extend(&id, until).await
                    }
                    .boxed()
                };
                insist(&machines, machine, 0, ask).await;
            }
            What::StopService { service, machine } => {
                let ask = move |wharf: Wharf| {
                    async move {
                        let name = service.parse().map_err(|_| Failure::internal("no service's name"))?;
                        wharf.stop_service(&name).await
                    }
                    .boxed()
                };
                insist(&machines, machine, 0, ask).await;
            }
            _ => {}
        }
    });
}

fn text(key: Option<u32>) -> Option<String> {
    key.map(|key| format!("key-{key}"))
}

async fn tell(wharf: &Wharf, name: &str, order: Order) -> Result<(), Failure> {
    let id = wharf.find(name).await?;
    match order {
        Order::Stop => wharf.stop(&id).await,
        Order::Start => wharf.start(&id).await,
        Order::End => wharf.end(&id).await,
    }
}

/// Asks, and asks again while there is no answer or one that may be another later.
async fn insist<T>(
    machines: &Machines,
    machine: usize,
    again: u8,
    ask: impl Fn(Wharf) -> BoxFuture<'static, Result<T, Failure>>,
) -> Option<T> {
    let mut pause = AGAIN;
    for nth in 0..=usize::from(again) {
        if nth > 0 {
            tokio::time::sleep(pause).await;
            pause *= 3;
        }
        let Some(wharf) = machines.wharf(machine + nth) else {
            continue;
        };
        match tokio::time::timeout(PATIENCE, ask(wharf)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(failure)) if !failure.code.is_passing() => return None,
            Ok(Err(_)) | Err(_) => {}
        }
    }
    None
}
