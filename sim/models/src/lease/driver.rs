//! One driver's memory, and what it does next with it: `saga/src/drive.rs`, from one wait for an answer to the next. Nothing of the registry and
//! of the world is touched from here.

use wharf_saga::Way;

use super::{
    LEASE, LEASE_MARGIN, Mistake, STEP_TIMEOUT,
    record::{Message, Next, Record, Step},
};

/// What an engine keeps of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Engine {
    /// Another's lease, and for how long it has not changed by our own clock: `Inner::seen`.
    pub seen: Option<(Seen, u8)>,
    pub drive: Option<Drive>,
}

/// `world::Seen`: a lease as somebody saw it. Whatever stands in the registry is counted from zero; see `World::forget_numbers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    pub epoch: u8,
    pub renewals: u8,
}

/// A number that the registry had once, and never has again.
const PAST: u8 = u8::MAX;

impl Seen {
    /// What of it can still matter, when this stands in the registry.
    pub(super) const fn against(self, now: Self) -> Self {
        if self.epoch != now.epoch {
            Self {
                epoch: PAST,
                renewals: PAST,
            }
        } else if self.renewals != now.renewals {
            Self {
                epoch: 0,
                renewals: PAST,
            }
        } else {
            Self { epoch: 0, renewals: 0 }
        }
    }
}

/// `Drive`: a driver with the instance in its hands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drive {
    pub record: Record,
    pub lease: Seen,
    /// How long ago our lease was taken or renewed; `None`: it is not ours yet.
    pub held_since: Option<u8>,
    /// A wake stands in the registry.
    pub wake: bool,
    pub inbox_head: u8,
    pub inbox_read: u8,
    pub inbox_settled: u8,
    /// `Pending::dirty`.
    pub dirty: bool,
    pub waits_for: WaitsFor,
    /// Not the driver's to know: somebody has written since this was read.
    pub stale: bool,
}

/// `LeaseChange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseChange {
    Keep,
    Take,
    Renew,
    Release,
}

/// What the registry said of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Committed { lease: Seen, inbox_head: u8 },
    Fenced,
    InboxMoved,
}

/// A commit that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    pub lease: LeaseChange,
    /// A wait, or rest: conditional on the inbox (`inbox_at`), and the drive is over after it.
    pub rest: bool,
    /// A wake is written.
    pub wake: bool,
    /// How long ago it was asked for.
    pub asked: u8,
    /// It was made because too little of the lease was left for a call.
    pub renews: bool,
}

/// What a drive waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitsFor {
    /// A page of the inbox.
    Inbox,
    Commit(Commit),
    Answer(Commit, Answer),
    /// The record: what is in memory may not be what is stored.
    Reload,
    /// Nothing: it has found enough of its lease left so long ago, and is about to call the task step.
    ToCall {
        undo: bool,
        since_check: u8,
        late: bool,
    },
    /// The answer of the task step's call.
    Call {
        undo: bool,
        since_check: u8,
    },
    /// Whether the task runs.
    Look,
}

/// Whether a drive goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    On,
    Away,
}

impl Drive {
    /// `Drive::stored`.
    pub(super) const fn stored(record: Record, lease: Seen, wake: bool, inbox_head: u8, inbox_read: u8) -> Self {
        Self {
            record,
            lease,
            held_since: None,
            wake,
            inbox_head,
            inbox_read,
            inbox_settled: inbox_read,
            dirty: false,
            waits_for: WaitsFor::Reload,
            stale: false,
        }
    }

    /// `Drive::advance`: until something has to be waited for. `renewed`: the last thing was a renewal of the lease.
    pub(super) fn advance(&mut self, mistake: Option<Mistake>, renewed: bool) -> Goes {
        loop {
            if self.inbox_head > self.inbox_read {
                self.waits_for = WaitsFor::Inbox;
                return Goes::On;
            }
            let Some(saga) = self.record.saga else {
                return self.rest(false);
            };
            match saga.action() {
                Next::Call(step, way) => {
                    if let Some(goes) = self.call(step, way, mistake, renewed) {
                        return goes;
                    }
                }
                end @ (Next::Done | Next::Undone) => {
                    self.record.end(end == Next::Undone);
                    self.dirty = true;
                }
            }
        }
    }

    /// `Drive::call`. `None`: the step is done, with nothing to wait for.
    fn call(&mut self, step: Step, way: Way, mistake: Option<Mistake>, renewed: bool) -> Option<Goes> {
        let saga = self.record.saga.as_mut()?;
        let is_first = !saga.begun;
        saga.begun = true;
        let journals = is_first && step.has_effect() && mistake != Some(Mistake::EffectBeforeIntent);
        if journals || self.held_since.is_none() {
            return Some(self.commit(self.working_lease(mistake), false));
        }
        if self.lease_left() < STEP_TIMEOUT + LEASE_MARGIN && mistake != Some(Mistake::NoMargin) {
            // The registry takes so long that a lease is over before it can be used: `Broken`, and the sweep takes it up again.
            return Some(if renewed {
                Goes::Away
            } else {
                self.commit(LeaseChange::Renew, true)
            });
        }
        match (step, way) {
            (Step::Task, way) => {
                let undo = way == Way::Undo;
                self.waits_for = WaitsFor::ToCall {
                    undo,
                    since_check: 0,
                    late: false,
                };
                Some(Goes::On)
            }
            (Step::Running, Way::Run) => {
                self.waits_for = WaitsFor::Look;
                Some(Goes::On)
            }
            (Step::Attempt, Way::Run) => {
                self.record.attempt += 1;
                self.record.held = false;
                self.is_done();
                None
            }
            (Step::Running | Step::Attempt, Way::Undo) => {
                self.is_done();
                None
            }
        }
    }

    /// `Drive::take_outcome` of `Outcome::Done`.
    pub(super) fn is_done(&mut self) {
        if let Some(saga) = &mut self.record.saga {
            *saga = saga.apply_done();
        }
        self.dirty = true;
    }

    /// The task step's call was answered.
    pub(super) fn called(&mut self, undo: bool) {
        self.record.held = !undo;
        self.is_done();
    }

    /// `Drive::read_inbox`.
    pub(super) fn read_inbox(&mut self, inbox: &[Message], mistake: Option<Mistake>) {
        let page = &inbox[usize::from(self.inbox_read)..];
        self.inbox_read = inbox.len() as u8;
        self.inbox_head = self.inbox_read;
        self.dirty |= self.record.decide(page, mistake == Some(Mistake::BegunForgotten));
    }

    /// `Drive::rest`. With a wake, or without one.
    pub(super) fn rest(&mut self, wake: bool) -> Goes {
        let has_news = self.dirty || self.inbox_read > self.inbox_settled;
        if !(has_news || self.held_since.is_some() || wake || self.wake) {
            return Goes::Away;
        }
        self.waits_for = WaitsFor::Commit(Commit {
            lease: LeaseChange::Release,
            rest: true,
            wake,
            asked: 0,
            renews: false,
        });
        Goes::On
    }

    fn commit(&mut self, lease: LeaseChange, renews: bool) -> Goes {
        self.waits_for = WaitsFor::Commit(Commit {
            lease,
            rest: false,
            wake: true,
            asked: 0,
            renews,
        });
        Goes::On
    }

    /// `Drive::working_lease`.
    fn working_lease(&self, mistake: Option<Mistake>) -> LeaseChange {
        match self.held_since {
            None => LeaseChange::Take,
            Some(_)
                if self.lease_left() >= STEP_TIMEOUT + LEASE_MARGIN && mistake == Some(Mistake::WriteUnnumbered) =>
            {
                LeaseChange::Keep
            }
            Some(_) => LeaseChange::Renew,
        }
    }

    /// `Drive::lease_left`.
    pub(super) fn lease_left(&self) -> u8 {
        self.held_since.map_or(0, |since| LEASE.saturating_sub(since))
    }

    /// `Drive::write_once`, after a commit.
    pub(super) fn committed(&mut self, commit: Commit, lease: Seen, inbox_head: u8, mistake: Option<Mistake>) {
        self.lease = lease;
        self.wake = commit.wake;
        self.inbox_head = self.inbox_head.max(inbox_head);
        self.inbox_settled = self.inbox_read;
        self.dirty = false;
        match commit.lease {
            LeaseChange::Take | LeaseChange::Renew => {
                let counted = if mistake == Some(Mistake::LeaseCountedFromAnswer) {
                    0
                } else {
                    commit.asked
                };
                self.held_since = Some(counted);
            }
            LeaseChange::Release => self.held_since = None,
            LeaseChange::Keep => {}
        }
    }

    /// One tick of its own clock.
    pub(super) fn tick(&mut self) {
        if let Some(since) = &mut self.held_since {
            *since = LEASE.min(*since + 1);
        }
        match &mut self.waits_for {
            // From what lets the lease go nothing is counted.
            WaitsFor::Commit(commit) | WaitsFor::Answer(commit, _) if !commit.rest => {
                commit.asked = LEASE.min(commit.asked + 1);
            }
            WaitsFor::ToCall { since_check, .. } | WaitsFor::Call { since_check, .. } => {
                *since_check = super::LATE.min(*since_check + 1);
            }
            _ => {}
        }
    }
}
