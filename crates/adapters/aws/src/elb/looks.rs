//! Looks at targets' health: who asks for the same group at about the same time shares one call, however many instances wait there.

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use wharf_domain::{Code, Failure};

use super::{api::Api, target::Target};
use crate::{gathering::Gathering, governor::Governor};

/// So long after a call others gather for the next one. Health checks take seconds.
const WINDOW: Duration = Duration::from_millis(30);

/// A target as ELB sees it, in ELB's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) target: Target,
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) description: String,
}

impl Seen {
    /// On its way out, and no more given requests.
    pub(super) fn is_draining(&self) -> bool {
        self.state == "draining"
    }
}

/// All targets of one group. One that is not among them is not registered.
pub(super) type Targets = Arc<Vec<Seen>>;
type Look = Shared<BoxFuture<'static, Result<Targets, Failure>>>;

pub(super) struct Looks {
    api: Arc<Api>,
    gathering: Arc<Gathering<String>>,
    /// Those that are not sent yet, by the group's ARN.
    forming: Arc<Mutex<HashMap<String, Look>>>,
}

impl Looks {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self {
            api,
            gathering: Arc::new(Gathering::new(WINDOW)),
            forming: Arc::default(),
        }
    }

    /// As [`targets`](Self::targets); none where the group does not exist (any more).
    pub(super) async fn targets_if_any(&self, group: &str) -> Result<Targets, Failure> {
        match self.targets(group).await {
            Err(failure) if failure.code == Code::RouteMismatch => Ok(Targets::default()),
            targets => targets,
        }
    }

    /// Every target of the group, as of now. A group that does not exist is `route.mismatch`.
    pub(super) async fn targets(&self, group: &str) -> Result<Targets, Failure> {
        let look = self
            .forming
            .lock()
            .entry(group.to_owned())
            .or_insert_with(|| self.look(group.to_owned()))
            .clone();
        look.await
    }

    fn look(&self, group: String) -> Look {
        let (api, gathering, forming) = (self.api.clone(), self.gathering.clone(), self.forming.clone());
        async move {
            gathering.wait(&group).await;
            // Who comes from now on wants a later answer than this one will be.
            forming.lock().remove(&group);
            api.target_health(&group, Governor::deadline()).await.map(Arc::new)
        }
        .boxed()
        .shared()
    }
}

/// The one target among all of a group's.
pub(super) fn seen<'a>(targets: &'a Targets, target: &Target) -> Option<&'a Seen> {
    targets.iter().find(|seen| seen.target == *target)
}
