//! Who drives what, and when: pokes, wakes, the sweep, and the bounds on all of them.

use futures::FutureExt;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharf_domain::{Failure, InstanceId, Timestamp};

use crate::{
    drive::{Drive, panic_text},
    limits,
    record::Record,
    store::{
        Batch, CommitError, Committed, Expect, Happening, HistoryEntry, Lease, LeaseChange, RecordWrite, Store, Wake,
    },
    workflow::{Plan, Workflow},
    world::{Clock, Ids, Seen, Waker},
};

pub use crate::drive::Drove;

/// Told of every commit, after it. Must not wait.
pub trait Observer<D>: Send + Sync + 'static {
    fn committed(&self, id: &InstanceId, data: &D, state: &'static str, history: &[HistoryEntry]);
}

/// An observer that looks away.
impl<D> Observer<D> for () {
    fn committed(&self, _: &InstanceId, _: &D, _: &'static str, _: &[HistoryEntry]) {}
}

/// Where sagas are driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driving {
    /// In this process.
    #[default]
    Here,
    /// By whoever gets the wakes: where an answer must not wait for a saga, and the process is frozen after it.
    Elsewhere,
}

/// What an engine is made of.
pub struct Parts<W: Workflow> {
    pub store: Arc<dyn Store>,
    pub workflow: W,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub waker: Arc<dyn Waker>,
    pub observer: Arc<dyn Observer<W::Data>>,
    /// How many instances are driven at once.
    pub drivers: usize,
    /// Waits up to this long are waited out by the driver; [`limits::LINGER`] on a server, nothing where waiting is billed.
    pub linger: Duration,
    pub driving: Driving,
}

pub(crate) struct Inner<W: Workflow> {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) workflow: W,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) waker: Arc<dyn Waker>,
    pub(crate) observer: Arc<dyn Observer<W::Data>>,
    pub(crate) linger: Duration,
    driving: Driving,
    /// When this process is stopped from outside, if that is known.
    deadline: Mutex<Option<Instant>>,
    /// Names this engine, and no other, in leases.
    pub(crate) holder: String,
    pub(crate) stopping: CancellationToken,
    permits: Semaphore,
    slots: Mutex<HashMap<InstanceId, Arc<Slot>>>,
    /// Leases of others, and since when they have not changed by our own clock; `None`: for long enough.
    seen: Mutex<HashMap<InstanceId, (Seen, Option<Instant>)>>,
    /// Due, and nothing that the sweep could do about it for now.
    aside: Mutex<HashMap<InstanceId, Aside>>,
    /// A commit of theirs had no answer, so that the observer does not know how they are.
    pub(crate) untold: Mutex<BTreeSet<InstanceId>>,
    tasks: TaskTracker,
}

fn seen(lease: &Lease) -> Seen {
    Seen {
        epoch: lease.epoch,
        renewals: lease.renewals,
    }
}

impl<W: Workflow> Inner<W> {
    /// Whether this process may be gone before a call of this length is over.
    pub(crate) fn is_nearly_over(&self, timeout: Duration) -> bool {
        self.deadline
            .lock()
            .is_some_and(|deadline| deadline.saturating_duration_since(Instant::now()) < timeout + limits::LEASE_MARGIN)
    }

    /// A lease is taken over when it was seen unchanged twice, a lease and a margin apart, by our own clock.
    pub(crate) fn may_take(&self, id: &InstanceId, lease: &Lease) -> bool {
        let now = self::seen(lease);
        let mut seen = self.seen.lock();
        if lease.holder.as_ref().is_none_or(|holder| *holder == self.holder) {
            seen.remove(id);
            return true;
        }
        match seen.get(id) {
            Some((before, since)) if *before == now => {
                let over = since.is_none_or(|since| since.elapsed() >= limits::LEASE + limits::LEASE_MARGIN);
                if over {
                    seen.remove(id);
                }
                over
            }
            _ => {
                seen.insert(id.clone(), (now, Some(Instant::now())));
                false
            }
        }
    }

    /// Another driver has the instance: somebody looks again when its lease is over.
    pub(crate) async fn leave_to(&self, id: &InstanceId, lease: &Lease) -> Drove {
        let after = limits::LEASE + limits::LEASE_MARGIN;
        self.waker.recheck(id, seen(lease), after).await;
        Drove::Held
    }

    pub(crate) fn chance(&self) -> u8 {
        let mut byte = [0];
        self.ids.fill(&mut byte);
        byte[0]
    }

    /// What a drive could do nothing about stays due. The sweep passes it over for a while, so that it neither turns in circles
    /// nor keeps others from their turn.
    fn put_aside(&self, id: &InstanceId, drove: &Drove) {
        let now = Instant::now();
        let taken_over = limits::LEASE + limits::LEASE_MARGIN;
        let seen = self
            .seen
            .lock()
            .get(id)
            .map(|(_, since)| since.map_or(now, |since| since + taken_over));
        let mut aside = self.aside.lock();
        let before = aside.remove(id);
        let pause = match drove {
            Drove::Held => seen.map_or(limits::SWEEP, |until| until.saturating_duration_since(now)),
            Drove::Broken(failure) if failure.code.is_passing() => limits::SWEEP,
            Drove::Broken(_) | Drove::Lacks { .. } => {
                before.map_or(limits::SWEEP, |aside| (aside.pause * 2).min(limits::ASIDE_LONGEST))
            }
            Drove::Rests | Drove::Sleeps(_) | Drove::Unknown => return,
        };
        if aside.len() < limits::ASIDE_MOST {
            let until = now + pause;
            aside.insert(id.clone(), Aside { until, pause });
        }
    }

    /// Whether the sweep looks past a due instance: it is being driven, or was put aside.
    fn is_passed_over(&self, id: &InstanceId) -> bool {
        self.slots.lock().contains_key(id)
            || self
                .aside
                .lock()
                .get(id)
                .is_some_and(|aside| aside.until > Instant::now())
    }
}

/// How long the sweep leaves an instance alone. A poke does not care.
#[derive(Debug)]
struct Aside {
    until: Instant,
    pause: Duration,
}

/// An instance that was claimed a moment ago, as its first driver needs it.
pub(crate) struct Claimed<D> {
    pub(crate) record: Record<D>,
    pub(crate) committed: Committed,
    pub(crate) wake: Wake,
    /// When the claim's commit was asked for: from then on the lease is counted.
    pub(crate) asked_at: Instant,
}

/// One instance that is driven in this process: at most one drive each.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    notify: Notify,
    /// Somebody poked since the drive last looked: look once more before leaving.
    again: Mutex<bool>,
    /// The wait whose wake has come.
    woken: Mutex<Option<u64>>,
}

impl Slot {
    pub(crate) async fn notified(&self) {
        self.notify.notified().await;
    }
}

/// The engine of one process. Cheap to clone.
pub struct Engine<W: Workflow> {
    inner: Arc<Inner<W>>,
}

impl<W: Workflow> Clone for Engine<W> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<W: Workflow> std::fmt::Debug for Engine<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("holder", &self.inner.holder)
            .finish_non_exhaustive()
    }
}

impl<W: Workflow> Engine<W> {
    #[must_use]
    pub fn new(parts: Parts<W>) -> Self {
        let Parts {
            store,
            workflow,
            clock,
            ids,
            waker,
            observer,
            drivers,
            linger,
            driving,
        } = parts;
        let now = clock.now();
        let holder = format!("driver_{}", &ids.instance_id(now).as_str()["inst_".len()..]);
        Self {
            inner: Arc::new(Inner {
                store,
                workflow,
                clock,
                ids,
                waker,
                observer,
                linger,
                driving,
                deadline: Mutex::default(),
                holder,
                stopping: CancellationToken::new(),
                permits: Semaphore::new(drivers),
                slots: Mutex::default(),
                seen: Mutex::default(),
                aside: Mutex::default(),
                untold: Mutex::default(),
                tasks: {
                    let tasks = TaskTracker::new();
                    // It is waited for more than once, and things are spawned in between.
                    tasks.close();
                    tasks
                },
            }),
        }
    }

    /// After this instant the process may be frozen or killed: what could not be finished before is handed to another driver.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        *self.inner.deadline.lock() = deadline;
    }

    /// Waits until nothing is driven in this process any more: every saga has come to a wait that is written down, to rest, or is another's.
    pub async fn settled(&self) {
        self.inner.tasks.wait().await;
    }

    /// Makes a record and begins a saga on it, in one commit with whatever `batch` reserves and sends; then drives it.
    ///
    /// The saga's first `done` steps are what the commit itself does; the intent of the step after them is written with it.
    /// `batch.record`, `expect` and `lease` are filled in here.
    pub async fn claim(&self, mut batch: Batch, data: W::Data, plan: &Plan, done: usize) -> Result<(), CommitError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let id = batch.instance.clone();
        let attempt = inner.workflow.attempt(&data);
        let note = |what| HistoryEntry { at: now, attempt, what };
        let mut record = Record::new(data);
        let mut progress = plan.begin(now);
        progress.at = done;
        progress.begun = true;
        let index = inner.workflow.index(&record.data);
        batch.history.push(note(Happening::Began {
            saga: plan.saga.to_owned(),
        }));
        batch.history.push(note(Happening::State {
            state: index.state.to_owned(),
            cause: None,
        }));
        for (step, _) in plan.steps.iter().take(done) {
            batch.history.push(note(Happening::Done {
                step: (*step).to_owned(),
                undo: false,
                millis: 0,
            }));
        }
        if let Some((step, _)) = plan.steps.get(done) {
            batch.history.push(note(Happening::Started {
                step: (*step).to_owned(),
                undo: false,
            }));
        }
        record.progress = Some(progress);
        let wake = Wake {
            at: match inner.driving {
                Driving::Here => now + limits::LEASE + limits::LEASE_MARGIN,
                Driving::Elsewhere => now,
            },
            seq: 0,
        };
        batch.expect = Expect::Absent;
        batch.lease = match inner.driving {
            Driving::Here => LeaseChange::Take {
                holder: inner.holder.clone(),
            },
            Driving::Elsewhere => LeaseChange::Keep,
        };
        let state = index.state;
        batch.documented = inner.workflow.documented(&record.data);
        batch.record = Some(RecordWrite {
            body: serde_json::to_string(&record)
                .map_err(|error| CommitError::Unknown(Failure::internal(error.to_string())))?,
            index,
            wake: Some(wake),
        });
        let history = batch.history.clone();
        let asked_at = Instant::now();
        let committed = match inner.store.commit(batch).await {
            Ok(committed) => committed,
            Err(CommitError::Unknown(failure)) => self.find_claim(&id).await.ok_or(CommitError::Unknown(failure))?,
            Err(error) => return Err(error),
        };
        inner.observer.committed(&id, &record.data, state, &history);
        if inner.driving == Driving::Elsewhere {
            inner.waker.wake(&id, wake.at, wake.seq).await;
            return Ok(());
        }
        let claimed = Claimed {
            record,
            committed,
            wake,
            asked_at,
        };
        self.spawn(id, Some(Box::new(claimed)), None);
        Ok(())
    }

    /// The answer to a claim was lost: whether it was written, and nobody has taken it up meanwhile.
    async fn find_claim(&self, id: &InstanceId) -> Option<Committed> {
        let stored = self.inner.store.load(id).await.ok()??;
        let holder = match self.inner.driving {
            Driving::Here => Some(&self.inner.holder),
            Driving::Elsewhere => None,
        };
        let is_ours = stored.lease.holder.as_ref() == holder;
        is_ours.then_some(Committed {
            inbox_head: stored.inbox_head,
            lease: stored.lease,
        })
    }

    /// Appends a message to an instance's inbox and sees that somebody reads it. `None`: there is no such instance.
    pub async fn send(
        &self,
        id: &InstanceId,
        message: &W::Message,
        key: Option<String>,
    ) -> Result<Option<u64>, Failure> {
        let body = serde_json::to_string(message).map_err(|error| Failure::internal(error.to_string()))?;
        let seq = self.inner.store.append(id, body, key, self.inner.clock.now()).await?;
        if seq.is_some() {
            self.poke(id);
        }
        Ok(seq)
    }

    /// Sees that somebody looks at the instance now.
    pub fn poke(&self, id: &InstanceId) {
        self.spawn(id.clone(), None, None);
    }

    /// A wake has come. One that is stale finds nothing to do. One that comes early, by our own clock, comes again: whoever wrote the wait has
    /// another clock, or nobody could be told to wake it so late.
    pub fn wake(&self, id: &InstanceId, seq: u64) {
        self.spawn(id.clone(), None, Some(seq));
    }

    /// Whether the instance is being driven in this process.
    #[must_use]
    pub fn is_driving(&self, id: &InstanceId) -> bool {
        self.inner.slots.lock().contains_key(id)
    }

    /// A lease that was seen a lease and a margin ago is looked at again: if it has not changed, its holder is dead.
    pub fn recheck(&self, id: &InstanceId, seen: Seen) {
        self.inner.seen.lock().insert(id.clone(), (seen, None));
        self.poke(id);
    }

    fn spawn(&self, id: InstanceId, claimed: Option<Box<Claimed<W::Data>>>, woken: Option<u64>) {
        if self.inner.driving == Driving::Elsewhere {
            let (waker, now) = (self.inner.waker.clone(), self.inner.clock.now());
            self.inner
                .tasks
                .spawn(async move { waker.wake(&id, now, woken.unwrap_or_default()).await });
            return;
        }
        let slot = {
            let mut slots = self.inner.slots.lock();
            if let Some(slot) = slots.get(&id) {
                *slot.again.lock() = true;
                slot.notify.notify_one();
                return;
            }
            if self.inner.stopping.is_cancelled() {
                return;
            }
            let slot = Arc::new(Slot {
                woken: Mutex::new(woken),
                ..Slot::default()
            });
            slots.insert(id.clone(), slot.clone());
            slot
        };
        let engine = self.clone();
        self.inner
            .tasks
            .spawn(async move { engine.occupy(id, slot, claimed).await });
    }

    /// Drives the instance as long as somebody pokes it, then leaves its slot.
    async fn occupy(self, id: InstanceId, slot: Arc<Slot>, mut claimed: Option<Box<Claimed<W::Data>>>) {
        let inner = &self.inner;
        loop {
            *slot.again.lock() = false;
            let drove = match inner.permits.acquire().await {
                // Boxed: of thousands that wait for their turn only those that have it are as large as a drive.
                Ok(_permit) => AssertUnwindSafe(Box::pin(self.drive(&id, &slot, claimed.take())))
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|panic| {
                        let text = panic_text(panic.as_ref());
                        Drove::Broken(Failure::internal(format!("its driver panicked: {text}")))
                    }),
                Err(_) => Drove::Held,
            };
            match &drove {
                Drove::Broken(failure) => {
                    tracing::error!(instance = %id, code = %failure.code, error = %failure.message, "the saga cannot go on now");
                }
                Drove::Lacks { step } => {
                    tracing::error!(instance = %id, step, "this version has no such step, and leaves the saga alone");
                }
                _ => {}
            }
            inner.put_aside(&id, &drove);
            let mut slots = inner.slots.lock();
            let again = *slot.again.lock()
                && !inner.stopping.is_cancelled()
                && !matches!(drove, Drove::Broken(_) | Drove::Lacks { .. } | Drove::Held);
            if !again {
                slots.remove(&id);
                return;
            }
        }
    }

    async fn drive(&self, id: &InstanceId, slot: &Arc<Slot>, claimed: Option<Box<Claimed<W::Data>>>) -> Drove {
        let inner = &self.inner;
        if let Some(claimed) = claimed {
            return Drive::claimed(inner.clone(), slot.clone(), id.clone(), *claimed)
                .run()
                .await;
        }
        let stored = match inner.store.load(id).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Drove::Unknown,
            Err(error) => return Drove::Broken(error.failure),
        };
        let nothing_to_do =
            stored.inbox_head == stored.inbox_read && stored.wake.is_none_or(|wake| wake.at > inner.clock.now());
        if nothing_to_do {
            let woken = slot.woken.lock().take();
            let early = stored.wake.filter(|wake| woken == Some(wake.seq));
            if let Some(wake) = early.filter(|_| stored.lease.holder.is_none()) {
                inner.waker.wake(id, wake.at, wake.seq).await;
            }
            let is_untold = inner.untold.lock().contains(id);
            if is_untold && let Ok(drive) = Drive::stored(inner.clone(), slot.clone(), stored) {
                drive.tell();
            }
            return Drove::Rests;
        }
        if !inner.may_take(id, &stored.lease) {
            return inner.leave_to(id, &stored.lease).await;
        }
        match Drive::stored(inner.clone(), slot.clone(), stored) {
            Ok(drive) => drive.run().await,
            Err(failure) => Drove::Broken(failure),
        }
    }

    /// Takes up whatever is due, once. Gives how many that were.
    pub async fn sweep(&self) -> Result<usize, Failure> {
        let inner = &self.inner;
        let now = Instant::now();
        inner
            .seen
            .lock()
            .retain(|_, (_, since)| since.is_some_and(|since| now.duration_since(since) < limits::SEEN_KEPT));
        let passed_over = inner.slots.lock().len() + inner.aside.lock().len();
        let due = inner
            .store
            .due(inner.clock.now(), limits::SWEEP_BATCH + passed_over)
            .await?;
        let mut taken = 0;
        for due in due.into_iter().filter(|due| !inner.is_passed_over(&due.id)) {
            self.poke(&due.id);
            taken += 1;
        }
        let mut untold: Vec<_> = inner.untold.lock().iter().cloned().collect();
        untold.retain(|id| !inner.is_passed_over(id));
        for id in untold.iter().take(limits::SWEEP_BATCH) {
            self.poke(id);
        }
        Ok(taken)
    }

    /// Sweeps until the engine stops. It is always on: a wake can be lost.
    pub async fn sweep_forever(&self) {
        let mut hands_full = false;
        loop {
            let pause = if hands_full { limits::SWEEP / 50 } else { limits::SWEEP };
            tokio::select! {
                biased;
                () = self.inner.stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            match self.sweep().await {
                Ok(taken) => hands_full = taken >= limits::SWEEP_BATCH,
                Err(failure) => {
                    tracing::error!(code = %failure.code, error = %failure.message, "the sweep cannot read the registry");
                }
            }
        }
    }

    /// Takes up everything that was under way when the process before this one ended. Gives how many that were.
    pub async fn resume(&self) -> Result<usize, Failure> {
        let now = self.inner.clock.now();
        let mut taken = 0;
        for due in self.inner.store.due(Timestamp::MAX, usize::MAX).await? {
            if due.wake.at <= now {
                self.poke(&due.id);
                taken += 1;
            } else {
                self.inner.waker.wake(&due.id, due.wake.at, due.wake.seq).await;
            }
        }
        Ok(taken)
    }

    /// Takes up nothing more, and waits until every drive has come to a wait or to rest, at most `grace`. What is not through by then goes on at the next start.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.stopping.cancel();
        let mut slots: Vec<_> = self.inner.slots.lock().clone().into_iter().collect();
        slots.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (_, slot) in slots {
            slot.notify.notify_one();
        }
        if tokio::time::timeout(grace, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("some sagas are in the middle of a step; they go on at the next start");
        }
    }
}
