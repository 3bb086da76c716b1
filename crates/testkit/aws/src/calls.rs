//! Every call that was made: for a test to hold against a policy, or to count.

use crate::access::Permission;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::Duration;

/// Calls that are kept; beyond that the oldest are forgotten.
const MOST_CALLS: usize = 200_000;

/// One call, as it arrived and as it was answered.
#[derive(Clone, Debug)]
pub struct Call {
    /// Simulated time since 1970.
    pub at: Duration,
    /// `ecs:RunTask`.
    pub action: String,
    /// What a policy has to allow for it: the action on each of its resources, then what AWS asks for besides (`iam:PassRole`).
    pub permissions: Vec<Permission>,
    /// The HTTP status; 0 where no answer went out.
    pub status: u16,
    /// The error's code, where it was refused.
    pub error: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Calls {
    made: Mutex<VecDeque<Call>>,
}

impl Calls {
    pub(crate) fn record(&self, call: Call) {
        let mut made = self.made.lock();
        if made.len() >= MOST_CALLS {
            made.pop_front();
        }
        made.push_back(call);
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.made.lock().iter().cloned().collect()
    }
}
