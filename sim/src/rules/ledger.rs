//! What the rules know of one instance: what its record has said so far, and what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use wharf_domain::{Attempt, Instance, State, Timestamp};
use wharf_provisioning::Message;
use wharf_saga::{Progress, Record, Way, store::Lease};

/// One instance, as its commits have told it.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) instance: Instance,
    pub(super) lease: Lease,
    /// When its holder last wrote.
    pub(super) written_at: Timestamp,
    /// Steps whose intent was ever written, with the attempt they were written for.
    pub(super) begun: BTreeSet<(Attempt, String)>,
    /// What its tenant has from the first Ready on, until an end is asked for.
    pub(super) kept: Option<Kept>,
    /// Somebody has asked for its end, or given it up.
    pub(super) is_to_end: bool,
    /// Of stop and start, what was asked for last, and how often anything was.
    pub(super) last_order: Option<Message>,
    pub(super) orders: u32,
    pub(super) moving: bool,
    /// Its saga has started a task, or is about to, and goes on from there.
    pub(super) starts: bool,
    pub(super) life: Life,
}

/// What is known of one who sleeps, or is on trial.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    /// When a visitor was last answered.
    pub(super) used_at: Option<Timestamp>,
    /// Somebody asked for it while it slept, that was accepted, and it still sleeps.
    pub(super) is_wanted: bool,
    /// By the end of its trial that its tenant was told: when that was written.
    pub(super) told: BTreeMap<Timestamp, Timestamp>,
    /// The last end of its trial that somebody wished and was promised, and when.
    pub(super) wished: Option<(Option<Timestamp>, Timestamp)>,
    /// Its trial has stopped it.
    pub(super) is_over: bool,
}

/// What nothing but an explicit end may take away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) secrets: BTreeMap<String, String>,
    /// Its database's name, and the how-manieth database it is that the world has seen.
    pub(super) database: Option<(String, u64)>,
}

impl Ledger {
    pub(super) fn new(instance: Instance, now: Timestamp) -> Self {
        Self {
            instance,
            lease: Lease::default(),
            written_at: now,
            begun: BTreeSet::new(),
            kept: None,
            is_to_end: false,
            last_order: None,
            orders: 0,
            moving: true,
            starts: false,
            life: Life::default(),
        }
    }

    /// A record was written.
    pub(super) fn write(&mut self, record: Record<Instance>) {
        self.moving = record
            .progress
            .as_ref()
            .is_some_and(|progress| progress.halted.is_none());
        self.starts = record.progress.as_ref().is_some_and(starts);
        if let Some(progress) = record.progress.filter(|progress| progress.begun)
            && let Some(planned) = progress.current()
        {
            self.begun.insert((record.data.attempt, planned.step.clone()));
        }
        self.instance = record.data;
        self.life.is_wanted &= matches!(self.instance.state, State::Sleeping { .. });
    }

    pub(super) fn has_begun(&self, attempt: Attempt, step: &str) -> bool {
        self.begun.contains(&(attempt, step.to_owned()))
    }

    pub(super) fn has_ever_begun(&self, step: &str) -> bool {
        self.begun.iter().any(|(_, begun)| begun == step)
    }

    /// A message was put into its inbox.
    pub(super) fn told(&mut self, body: &str, now: Timestamp) {
        let Ok(message) = serde_json::from_str::<Message>(body) else {
            return;
        };
        match message {
            Message::End | Message::Abandon { .. } => self.is_to_end = true,
            // Without a tenant to come back for a stop is an end. Before the first Ready it is one if it is read by then.
            Message::Stop | Message::StopKeepingTargets if self.instance.tenant.is_none() => self.is_to_end = true,
            Message::Stop | Message::StopKeepingTargets | Message::Start => {
                self.orders += 1;
                self.last_order = Some(message);
                self.life.is_over = false;
            }
            Message::Wake => self.life.is_wanted |= matches!(self.instance.state, State::Sleeping { .. }),
            Message::Extend { until } => self.life.wished = Some((until, now)),
            _ => {}
        }
    }
}

/// Whether a saga is from the start of its task on to Ready. One that waits at that step has not started it, as far as it knows.
fn starts(progress: &Progress) -> bool {
    let task = progress
        .steps
        .iter()
        .position(|planned| planned.step == "task" && planned.way == Way::Run);
    let Some(task) = task.filter(|_| progress.unwinding.is_none()) else {
        return false;
    };
    progress.at > task || (progress.at == task && progress.begun && progress.waits_for.is_none())
}
