//! The line before the gate: who is told that his turn has come, what others see of it, and how it is formed anew after a restart.

use futures::{StreamExt, stream};
use std::collections::{HashMap, HashSet};
use wharf_domain::{Code, Failure, Instance, InstanceId, State};
use wharf_saga::{Record, Way, store::Query};

use crate::{
    gate::{Crowd, Place, Stock, is_turn},
    message::Message,
    view::{InstanceView, Queue},
    wharf::Wharf,
};

/// How many are told at once that their turn has come.
const TOLD_AT_ONCE: usize = 64;

impl Wharf {
    /// How many are being started and how many wait, and what is booked.
    #[must_use]
    pub fn crowd(&self) -> Crowd {
        self.gate().crowd()
    }

    /// Tells those whose turn has come, until the returned future is dropped.
    pub async fn call_up_forever(&self) {
        loop {
            let called = self.gate().called().await;
            let tell = |id: InstanceId| async move {
                if let Err(failure) = self.send(&id, Message::Look).await {
                    tracing::warn!(instance = %id, error = %failure.message, "it has to find out by itself that its turn has come");
                }
            };
            stream::iter(called).for_each_concurrent(TOLD_AT_ONCE, tell).await;
        }
    }

    /// The places of all who wait at this machine's gate.
    pub(crate) fn places(&self) -> HashMap<InstanceId, Place> {
        self.gate().places().into_iter().collect()
    }

    pub(crate) async fn with_position(&self, mut view: InstanceView) -> Result<InstanceView, Failure> {
        view.queue = self.gate().place(&view.id).map(Queue::from);
        if view.queue.is_none() && matches!(view.state, State::Queued { .. }) {
            view.queue = Some(self.waits_for_platform(&view).await?);
        }
        Ok(view)
    }

    /// The place of one that the platform has no room for: who asked first comes first in this count.
    async fn waits_for_platform(&self, view: &InstanceView) -> Result<Queue, Failure> {
        let query = Query {
            state: Some("queued".to_owned()),
            limit: wharf_saga::store::PAGE_MAX,
            ..Query::default()
        };
        let queued = self.store().list(query).await?;
        Ok(Queue {
            position: queued.iter().filter(|stored| stored.id <= view.id).count().max(1),
            of: queued.len().max(1),
            why: view.waits_for.clone().unwrap_or_else(|| "room".to_owned()),
        })
    }

    /// Whose tasks have outlived the last run. A start whose answer was never written down is known by nothing else.
    pub(crate) async fn survivors(&self) -> HashSet<InstanceId> {
        let tasks = &self.platform().tasks;
        if !self.gate().is_kept() || !tasks.survives_restart() {
            return HashSet::new();
        }
        let runs = crate::repair::runs(self.settings().services.values(), std::iter::empty());
        match tasks.all(&runs).await {
            Ok(all) => all.into_iter().map(|(owner, _)| owner.instance).collect(),
            Err(failure) => {
                tracing::warn!(error = %failure.message, "which tasks are there is not known now: one that was being started may be counted late");
                HashSet::new()
            }
        }
    }
}

/// What of an instance the last run has left to be counted. `lost`: what it ran has ended with it.
pub(crate) fn stock(record: &Record<Instance>, lost: bool, survivors: &HashSet<InstanceId>) -> Option<Stock> {
    let instance = &record.data;
    let is_there = survivors.contains(&instance.id) || (!lost && instance.held.task.is_some());
    match &instance.state {
        State::Ready { .. } => Some(Stock::Held),
        state if state.is_coming() => {
            let asks = record.progress.as_ref().filter(|progress| {
                let is_at_task = |planned: &wharf_saga::record::Planned| {
                    planned.step == "task" && planned.way == Way::Run && progress.unwinding.is_none()
                };
                progress.begun && progress.current().is_some_and(is_at_task)
            });
            let waits = asks.filter(|progress| progress.waits_for.as_deref().is_some_and(is_turn));
            match waits {
                _ if is_there => Some(Stock::Starting),
                Some(progress) => Some(Stock::Waiting(progress.since)),
                None => keeps_room(instance).then_some(Stock::Held),
            }
        }
        state if state.is_final() => None,
        _ => is_there.then_some(Stock::Held),
    }
}

/// It ran until now, and its room is kept for its next task. Whoever starts it from rest asks for room anew.
fn keeps_room(instance: &Instance) -> bool {
    let has_died = !instance.crashes.is_empty() || !instance.losses.is_empty();
    has_died || matches!(&instance.state, State::Restoring { cause, .. } if cause.code == Code::TaskLost)
}
