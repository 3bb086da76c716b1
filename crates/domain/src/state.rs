//! The states of an instance and the legal ways between them. A variant holds exactly its data; a transition consumes the
//! state, and an illegal one is an error, not a surprise.
//!
//! ```text
//! Provisioning ─► Ready ─► Restoring ─► Ready
//!   ▲  │            ├────► Stopping ──► Stopped ─► Restoring
//!   │  │            ├────► Sleeping ──► Restoring
//!   ▼  │            └────► Restoring ─► Down ────► Restoring
//! Queued
//!   └──┴─► Failed | Stuck              (any) ─► Stopping ─► Ended | Stuck
//! ```
//!
//! A start that was granted just after a stop turns `Stopping` to `Restoring`. What somebody used in the moment in which it went to sleep goes straight from
//! `Sleeping` to `Ready`; what was woken and found no room goes back from `Restoring` to `Sleeping`.

use serde::{Deserialize, Serialize};

use crate::{Failure, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// On its way to its first Ready. A failure takes everything back.
    Provisioning { since: Timestamp },
    /// The same, and there is no room for its task just now: it waits for its turn.
    Queued { since: Timestamp },
    /// Proven to answer at `url`.
    Ready { since: Timestamp, url: String },
    /// Was Ready, and is being brought back with a new attempt. Name, database and secrets stay.
    Restoring { since: Timestamp, cause: Failure },
    /// Nobody used it for as long as its service says. It is paused or stopped, and the next request wakes it.
    Sleeping { since: Timestamp, url: String },
    /// Given up for now: no route, no task; name, database and secrets are kept. `start` tries again.
    Down { since: Timestamp, cause: Failure },
    /// Being stopped (to come back) or ended (for good).
    Stopping { since: Timestamp, end: bool },
    /// Stopped on request: name, port lease, database and secrets are kept.
    Stopped { since: Timestamp },
    /// Never became Ready. Nothing of it is left.
    Failed { at: Timestamp, cause: Failure },
    /// Something could not be undone, and waits for a person.
    Stuck {
        at: Timestamp,
        step: String,
        cause: Failure,
    },
    /// Ended on request. Nothing of it runs or is held.
    Ended { at: Timestamp },
}

/// A transition that the rules do not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an instance cannot go from {from} to {to}")]
pub struct IllegalTransition {
    pub from: &'static str,
    pub to: &'static str,
}

impl State {
    /// The state's name in answers and in the registry.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Provisioning { .. } => "provisioning",
            Self::Queued { .. } => "queued",
            Self::Ready { .. } => "ready",
            Self::Restoring { .. } => "restoring",
            Self::Sleeping { .. } => "sleeping",
            Self::Down { .. } => "down",
            Self::Stopping { .. } => "stopping",
            Self::Stopped { .. } => "stopped",
            Self::Failed { .. } => "failed",
            Self::Stuck { .. } => "stuck",
            Self::Ended { .. } => "ended",
        }
    }

    /// All names, for filters.
    pub const NAMES: &[&str] = &[
        "provisioning",
        "queued",
        "ready",
        "restoring",
        "sleeping",
        "down",
        "stopping",
        "stopped",
        "failed",
        "stuck",
        "ended",
    ];

    /// Nothing of the instance is left, and nothing will happen to it any more.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Ended { .. })
    }

    /// On its way to its first Ready.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        matches!(self, Self::Provisioning { .. } | Self::Queued { .. })
    }

    /// On its way to Ready, for the first time or again.
    #[must_use]
    pub const fn is_coming(&self) -> bool {
        self.is_new() || matches!(self, Self::Restoring { .. })
    }

    /// Why it is not Ready, where something went wrong.
    #[must_use]
    pub const fn cause(&self) -> Option<&Failure> {
        match self {
            Self::Restoring { cause, .. }
            | Self::Down { cause, .. }
            | Self::Failed { cause, .. }
            | Self::Stuck { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// When the instance came into this state.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        match self {
            Self::Provisioning { since }
            | Self::Queued { since }
            | Self::Ready { since, .. }
            | Self::Restoring { since, .. }
            | Self::Sleeping { since, .. }
            | Self::Down { since, .. }
            | Self::Stopping { since, .. }
            | Self::Stopped { since } => *since,
            Self::Failed { at, .. } | Self::Stuck { at, .. } | Self::Ended { at } => *at,
        }
    }

    /// The state after this one, if the rules have such a step.
    pub fn to(self, next: Self) -> Result<Self, IllegalTransition> {
        use State::{Down, Ended, Failed, Provisioning, Queued, Ready, Restoring, Sleeping, Stopped, Stopping, Stuck};
        let legal = match (&self, &next) {
            (Provisioning { .. }, Queued { .. } | Ready { .. } | Failed { .. } | Stuck { .. }) => true,
            (Queued { .. }, Provisioning { .. } | Failed { .. } | Stuck { .. }) => true,
            (Ready { .. }, Restoring { .. } | Sleeping { .. } | Stopping { .. }) => true,
            (Sleeping { .. }, Ready { .. } | Restoring { .. } | Stopping { .. } | Stuck { .. }) => true,
            (
                Restoring { .. },
                Ready { .. } | Restoring { .. } | Sleeping { .. } | Down { .. } | Stopping { .. } | Stuck { .. },
            ) => true,
            (Down { .. } | Stopped { .. }, Restoring { .. } | Stopping { .. }) => true,
            (Stopping { .. }, Stopping { .. } | Stuck { .. }) => true,
            (Stopping { end: false, .. }, Stopped { .. } | Restoring { .. }) => true,
            (Stopping { end: true, .. }, Ended { .. }) => true,
            // A person decides: take the step again, whichever saga it was of, or give it up.
            (
                Stuck { .. },
                Provisioning { .. } | Restoring { .. } | Sleeping { .. } | Stopping { .. } | Failed { .. },
            ) => true,
            _ => false,
        };
        if legal {
            Ok(next)
        } else {
            Err(IllegalTransition {
                from: self.name(),
                to: next.name(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn all() -> Vec<State> {
        let at = Timestamp(1);
        let cause = Failure::new(Code::TaskCrashed, "it ended");
        vec![
            State::Provisioning { since: at },
            State::Queued { since: at },
            State::Ready {
                since: at,
                url: "http://a.localhost".into(),
            },
            State::Restoring {
                since: at,
                cause: cause.clone(),
            },
            State::Sleeping {
                since: at,
                url: "http://a.localhost".into(),
            },
            State::Down {
                since: at,
                cause: cause.clone(),
            },
            State::Stopping { since: at, end: true },
            State::Stopped { since: at },
            State::Failed {
                at,
                cause: cause.clone(),
            },
            State::Stuck {
                at,
                step: "task".into(),
                cause,
            },
            State::Ended { at },
        ]
    }

    #[test]
    fn nothing_leaves_a_final_state() {
        for from in all().into_iter().filter(State::is_final) {
            for to in all() {
                assert!(from.clone().to(to).is_err());
            }
        }
    }

    #[test]
    fn ready_never_goes_straight_to_failed_or_ended() {
        let ready = all().remove(2);
        for to in all() {
            let legal = ready.clone().to(to.clone()).is_ok();
            assert_eq!(
                legal,
                matches!(
                    to,
                    State::Restoring { .. } | State::Sleeping { .. } | State::Stopping { .. }
                ),
                "{}",
                to.name()
            );
        }
    }

    #[test]
    fn names_are_complete() {
        let names: Vec<_> = all().iter().map(State::name).collect();
        assert_eq!(names, State::NAMES);
    }
}
