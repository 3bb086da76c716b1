//! After a start: what was under way goes on, and what was Ready comes back, a few at a time, those first that somebody asks for.

use futures::{StreamExt, stream};
use parking_lot::Mutex;
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;
use wharf_domain::{Attempt, Code, Failure, Instance, InstanceId, State, Timestamp};
use wharf_platform::{Backend, Owner, RouteKey};
use wharf_saga::{
    Progress, Record, Way,
    store::{PAGE_MAX, Query},
};

use crate::{
    line,
    message::Message,
    wharf::{Wharf, read},
};

/// How long the output of a failed instance can be looked at.
const KEEP_OUTPUT: Duration = Duration::from_hours(7 * 24);
/// How many instances are told at once that their tasks are lost.
const TOLD_AT_ONCE: usize = 256;
/// How long one instance may take of a slot; after that the next one is begun beside it.
const SLOT: Duration = Duration::from_mins(1);

/// The pause before a registry that could not be written is asked again; each later one is twice as long.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LONGEST: Duration = Duration::from_secs(30);

/// Instances that wait to be brought back.
#[derive(Debug, Default)]
pub struct RestoreQueue {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    asked_for: VecDeque<InstanceId>,
    others: VecDeque<InstanceId>,
    waiting: HashSet<InstanceId>,
}

impl RestoreQueue {
    fn push(&self, id: InstanceId) {
        let mut lists = self.lists.lock();
        if lists.waiting.insert(id.clone()) {
            lists.others.push_back(id);
        }
    }

    /// Somebody asks for this instance: it comes next, if it waits at all.
    pub fn ask_for(&self, id: &InstanceId) {
        let mut lists = self.lists.lock();
        if lists.waiting.contains(id) && !lists.asked_for.contains(id) {
            lists.asked_for.push_back(id.clone());
        }
    }

    fn pop(&self) -> Option<InstanceId> {
        let mut lists = self.lists.lock();
        loop {
            let id = lists.asked_for.pop_front().or_else(|| lists.others.pop_front())?;
            if lists.waiting.remove(&id) {
                return Some(id);
            }
        }
    }

    /// Whether the instance's turn has not come yet.
    pub(crate) fn waits(&self, id: &InstanceId) -> bool {
        self.lists.lock().waiting.contains(id)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.lock().waiting.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What an instance is told whose task ended with the last run.
fn ended_with_us(attempt: Attempt) -> Message {
    let cause = Failure::new(Code::TaskLost, "Wharf was restarted, and its task or its route with it");
    Message::Restarted { attempt, cause }
}

/// Whether its task has answered through its route: it is Ready, or its saga has nothing left to do but to say so.
fn is_proven(record: &Record<Instance>) -> bool {
    let says_so_next = |progress: &Progress| {
        let next = progress.current().filter(|_| progress.unwinding.is_none());
        next.is_some_and(|planned| planned.way == Way::Run && planned.step == "ready")
    };
    matches!(record.data.state, State::Ready { .. }) || record.progress.as_ref().is_some_and(says_so_next)
}

impl Wharf {
    /// Reads the registry once: tells the load balancer of every host, takes up what was under way, and gives the queue of
    /// those that have to be brought back.
    pub async fn recover(&self) -> Result<Arc<RestoreQueue>, Failure> {
        let queue = self.restore_queue().clone();
        let lost = !self.platform().tasks.survives_restart();
        let survivors = self.survivors().await;
        let mut stock = Vec::new();
        let mut before = None;
        loop {
            let page = self
                .store()
                .list(Query {
                    live: Some(true),
                    before,
                    limit: PAGE_MAX,
                    ..Query::default()
                })
                .await?;
            let full = page.len() == PAGE_MAX;
            before = page.last().map(|last| last.id.clone());
            let mut lost_tasks = Vec::new();
            for stored in &page {
                let record = match read(stored) {
                    Ok(record) => record,
                    Err(failure) => {
                        tracing::error!(instance = %stored.id, error = %failure.message, "left alone");
                        continue;
                    }
                };
                let is_proven = is_proven(&record);
                let counts = line::stock(&record, lost, &survivors).filter(|_| self.gate().is_kept());
                let instance = record.data;
                self.made_to_sleep().note(&instance);
                stock.extend(counts.map(|kind| (instance.clone(), kind)));
                self.watchers().announce(&instance);
                match &instance.state {
                    State::Ready { .. } if lost => {
                        self.announce_restoring(&instance);
                        queue.push(instance.id);
                    }
                    State::Ready { .. } if !self.route_again(&instance, is_proven).await => {
                        self.announce_restoring(&instance);
                        queue.push(instance.id);
                    }
                    State::Ready { .. } => {}
                    // It sleeps on without the task that ended with the last run.
                    State::Sleeping { .. } if lost && instance.held.task.is_some() => {
                        lost_tasks.push((instance.id, instance.attempt));
                    }
                    // Its saga goes on after the route, and opens it with the proof, unless it had that already.
                    state
                        if state.is_coming()
                            && !lost
                            && instance.held.route
                            && !self.route_again(&instance, is_proven).await =>
                    {
                        lost_tasks.push((instance.id, instance.attempt));
                    }
                    // It goes on at once, and has to know before it looks for its task.
                    state if state.is_coming() && lost && instance.held.task.is_some() => {
                        lost_tasks.push((instance.id, instance.attempt));
                    }
                    _ => {}
                }
            }
            self.tell_of_lost_tasks(lost_tasks).await;
            if !full {
                break;
            }
        }
        // Before anybody asks for a turn.
        self.gate().take_stock(&stock);
        let resumed = self.engine().resume().await?;
        if resumed > 0 || !queue.is_empty() {
            tracing::info!(resumed, restoring = queue.len(), "going on where the last run ended");
        }
        Ok(queue)
    }

    /// Many at once, for a registry writes many together: one after the other, whoever asks for anything would wait for thousands of them.
    async fn tell_of_lost_tasks(&self, lost: Vec<(InstanceId, Attempt)>) {
        let tell = |(id, attempt): (InstanceId, Attempt)| async move {
            if let Err(failure) = self.send(&id, ended_with_us(attempt)).await {
                tracing::warn!(instance = %id, error = %failure.message, "it has to find out by itself that its task or its route is lost");
            }
        };
        stream::iter(lost)
            .map(tell)
            .buffer_unordered(TOLD_AT_ONCE)
            .collect::<()>()
            .await;
    }

    /// The task has outlived us, and the embedded load balancer's routes have not. Gives whether one leads to it again; visitors are let through if it has answered for itself.
    async fn route_again(&self, instance: &Instance, is_proven: bool) -> bool {
        let (Some(key), Some(endpoint)) = (self.settings().route_key(instance), &instance.held.endpoint) else {
            return true;
        };
        // Target groups are not ours to forget.
        if matches!(key, RouteKey::TargetGroups { .. }) {
            return true;
        }
        let backend = Backend {
            owner: Owner {
                deployment: self.settings().deployment.clone(),
                instance: instance.id.clone(),
                attempt: instance.attempt,
            },
            key,
            endpoint: endpoint.clone(),
            identity_header: instance.service.identity_header.clone(),
            health: instance.service.health.clone(),
        };
        let (owner, key) = (backend.owner.clone(), backend.key.clone());
        let routes = &self.platform().routes;
        let routed = match routes.register(backend).await {
            Ok(()) if is_proven => routes.open(&owner, &key).await,
            registered => registered,
        };
        if let Err(failure) = &routed {
            tracing::error!(instance = %instance.id, error = %failure.message, "it runs, and no route leads to it: it is brought back");
        }
        // Another driver may have taken it down since it was read. Whoever does so writes that down first: what it withdrew before we registered is seen here.
        let is_there = match self.instance(&instance.id).await {
            Ok(now) => now.state == instance.state && now.attempt == instance.attempt,
            Err(_) => true,
        };
        if !is_there && let Err(failure) = routes.withdraw(&owner, &key, Some(endpoint), Duration::ZERO).await {
            tracing::error!(instance = %instance.id, error = %failure.message, "a route leads to it, which is not there; repair will find it");
        }
        routed.is_ok()
    }

    /// It says Ready and is not there: until its turn comes, its visitors are told to wait.
    fn announce_restoring(&self, instance: &Instance) {
        if let Some(key) = self.settings().route_key(instance) {
            self.platform()
                .routes
                .announce(&instance.id, &key, wharf_platform::Standing::Starting);
        }
    }

    /// Brings back what waits in the queue, `restore_parallel` at a time, until it is empty.
    pub async fn restore(&self, queue: Arc<RestoreQueue>) {
        let slots = Arc::new(Semaphore::new(self.settings().restore_parallel.max(1)));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let Some(id) = queue.pop() else { return };
            let wharf = self.clone();
            tokio::spawn(async move {
                let _slot = slot;
                let mut pause = AGAIN_FIRST;
                // It is called Ready and is not there: nobody else may come to look for it.
                while let Err(failure) = wharf.bring_back(&id).await {
                    tracing::error!(instance = %id, code = %failure.code, error = %failure.message, "it could not be brought back");
                    if !failure.code.is_passing() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(AGAIN_LONGEST);
                }
            });
        }
    }

    /// Removes from the registry what is over, now and then, until the returned future is dropped.
    pub async fn tidy_forever(&self, every: Duration) {
        let mut forgotten_at = None;
        loop {
            tokio::time::sleep(every).await;
            loop {
                match self.store().tidy(self.clock().now()).await {
                    Ok(0) => break,
                    Ok(removed) => tracing::debug!(removed, "tidied"),
                    Err(error) => {
                        tracing::warn!(error = %error, "the registry cannot be tidied now");
                        break;
                    }
                }
            }
            let now = self.clock().now();
            match self.forget_output(forgotten_at, now).await {
                Ok(()) => forgotten_at = Some(now),
                Err(failure) => tracing::warn!(error = %failure.message, "old output cannot be removed now"),
            }
        }
    }

    /// Removes what instances printed that are over since long; of those alone for which that was not so at the last time, or nobody would ever be
    /// through with them.
    async fn forget_output(&self, last: Option<Timestamp>, now: Timestamp) -> Result<(), Failure> {
        let was_old = |at: Timestamp, since: Timestamp| at.since(since) > KEEP_OUTPUT;
        let mut before = None;
        loop {
            let query = Query {
                live: Some(false),
                before,
                limit: PAGE_MAX,
                ..Query::default()
            };
            let page = self.store().list(query).await?;
            for instance in page.iter().filter_map(|stored| Some(read(stored).ok()?.data)) {
                let since = instance.state.since();
                if was_old(now, since) && !last.is_some_and(|last| was_old(last, since)) {
                    self.platform().logs.remove(&instance.id).await?;
                }
            }
            if page.len() < PAGE_MAX {
                return Ok(());
            }
            before = page.last().map(|last| last.id.clone());
        }
    }

    async fn bring_back(&self, id: &InstanceId) -> Result<(), Failure> {
        let instance = self.instance(id).await?;
        if !matches!(instance.state, State::Ready { .. }) {
            return Ok(());
        }
        self.send(id, ended_with_us(instance.attempt)).await?;
        let attempt = instance.attempt;
        let watch = self.watch(id);
        let settled = async {
            loop {
                let changed = watch.changed();
                let instance = self.instance(id).await?;
                let is_on_its_way = match &instance.state {
                    State::Ready { .. } => instance.attempt == attempt,
                    // With another cause the new attempt has failed: its instance heals, or is given up, in its own time.
                    State::Restoring { cause, .. } => cause.code == Code::TaskLost,
                    _ => false,
                };
                if !is_on_its_way {
                    return Ok(());
                }
                changed.await;
            }
        };
        tokio::time::timeout(SLOT, settled).await.unwrap_or(Ok(()))
    }
}
