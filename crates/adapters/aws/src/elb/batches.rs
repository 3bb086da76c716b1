//! Registrations and deregistrations: those of one group that come at about the same time, or while they wait for their turn, are one call. AWS takes few such
//! calls a second, and many targets in each.

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};
use wharf_domain::{Code, Failure};

use super::{api::Api, target::Target};
use crate::{gathering::Gathering, governor::Governor};

/// So long after a call others gather for the next one.
const WINDOW: Duration = Duration::from_millis(20);
/// Targets in one call.
const MOST: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Register,
    Deregister,
}

/// The targets of a call; none any more when it is sent.
type Open = Arc<Mutex<Option<Vec<Target>>>>;
/// How many targets were in it, and what came of it.
type Sent = Shared<BoxFuture<'static, (usize, Result<(), Failure>)>>;

pub(super) struct Batches {
    api: Arc<Api>,
    gathering: Arc<Gathering<(String, Change)>>,
    forming: Mutex<HashMap<(String, Change), (Open, Sent)>>,
}

impl Batches {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self {
            api,
            gathering: Arc::new(Gathering::new(WINDOW)),
            forming: Mutex::default(),
        }
    }

    pub(super) async fn apply(&self, change: Change, group: &str, target: &Target) -> Result<(), Failure> {
        match self.join(change, group, target).await {
            // AWS refuses all for one that it does not take: whose it is, each finds out alone.
            (2.., Err(failure)) if matches!(failure.code, Code::RouteMismatch | Code::RouteUnready) => {
                let alone = || vec![target.clone()];
                self.api.change(change, group, alone, Governor::deadline()).await
            }
            (_, done) => done,
        }
    }

    fn join(&self, change: Change, group: &str, target: &Target) -> Sent {
        let mut forming = self.forming.lock();
        let key = (group.to_owned(), change);
        if let Some((open, sent)) = forming.get(&key)
            && let Some(targets) = open.lock().as_mut().filter(|targets| targets.len() < MOST)
        {
            targets.push(target.clone());
            return sent.clone();
        }
        let open: Open = Arc::new(Mutex::new(Some(vec![target.clone()])));
        let sent = self.send(change, group.to_owned(), open.clone());
        forming.insert(key, (open, sent.clone()));
        sent
    }

    fn send(&self, change: Change, group: String, open: Open) -> Sent {
        let (api, gathering) = (self.api.clone(), self.gathering.clone());
        async move {
            gathering.wait(&(group.clone(), change)).await;
            // It is closed when its turn has come, and said again with the same targets.
            let closed = OnceLock::new();
            let close = || closed.get_or_init(|| open.lock().take().unwrap_or_default());
            let done = api
                .change(change, &group, || close().clone(), Governor::deadline())
                .await;
            (close().len(), done)
        }
        .boxed()
        .shared()
    }
}
