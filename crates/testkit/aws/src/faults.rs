//! What goes wrong on demand: which call, when, and how. [`crate::server`] makes it happen.

use parking_lot::Mutex;
use std::time::Duration;

/// How a call goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// AWS says that the caller may not: 400 `AccessDeniedException` in JSON, 403 `AccessDenied` in XML.
    Denied,
    /// It is done, and the connection ends without an answer.
    AnswerLost,
    /// The connection ends before anything is done.
    Refused,
    /// It takes this long (tokio's time), then is done.
    Delayed(Duration),
    /// It is done twice, as by somebody on the way who tries again; the second answer goes out.
    Twice,
    /// The connection ends without an answer, and it is done so much later (tokio's time) all the same.
    Late(Duration),
    /// 500, and nothing is done.
    ServerError,
    /// `ThrottlingException` or `Throttling`, and nothing is done.
    Throttled,
    /// This error, and nothing is done.
    Error { status: u16, code: String, message: String },
}

/// An order for something to go wrong. Orders are looked at in their order; the first that fits decides, delays aside, which add up.
#[derive(Clone, Debug)]
pub struct Fault {
    call: String,
    about: Option<String>,
    mishap: Mishap,
    /// How many that fit are let pass first.
    passing: u64,
    /// How many go wrong after that; none is all of them.
    times: Option<u64>,
}

impl Fault {
    /// Every call of this name goes wrong: `RunTask`, or `ecs:RunTask`, or `*`. What a call needs besides, such as `iam:PassRole`
    /// or `ecs:TagResource`, can be denied too.
    pub fn on(call: impl Into<String>, mishap: Mishap) -> Self {
        Self {
            call: call.into(),
            about: None,
            mishap,
            passing: 0,
            times: None,
        }
    }

    /// Only the next one goes wrong.
    #[must_use]
    pub const fn once(self) -> Self {
        self.times(1)
    }

    /// Only so many go wrong.
    #[must_use]
    pub const fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Only the n-th from now on goes wrong; 1 is the next one.
    #[must_use]
    pub const fn nth(mut self, n: u64) -> Self {
        self.passing = n.saturating_sub(1);
        self.times = Some(1);
        self
    }

    /// Only calls whose body has this text in it: an ARN, a client token, a name.
    #[must_use]
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = Some(text.into());
        self
    }

    fn is_named(&self, action: &str) -> bool {
        self.call == "*" || self.call == action || action.split_once(':').is_some_and(|(_, name)| name == self.call)
    }
}

/// What is going to happen to one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) delay: Duration,
    /// From what is done until its answer is there.
    pub(crate) answer_delay: Duration,
    pub(crate) mishap: Option<Mishap>,
    /// Which action is denied, where that is not the call's own: its place among those that were asked for.
    pub(crate) denied: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    orders: Mutex<Vec<Fault>>,
}

impl Faults {
    pub(crate) fn order(&self, fault: Fault) {
        self.orders.lock().push(fault);
    }

    pub(crate) fn mend(&self) {
        self.orders.lock().clear();
    }

    /// Whether the action is denied whatever it is about.
    pub(crate) fn denies(&self, action: &str) -> bool {
        let orders = self.orders.lock();
        orders
            .iter()
            .any(|order| order.mishap == Mishap::Denied && order.times.is_none() && order.is_named(action))
    }

    /// `actions`: the call's own first, then what it needs besides. Counts it where an order does.
    pub(crate) fn fate(&self, actions: &[&str], body: &str) -> Fate {
        let mut fate = Fate::default();
        let mut orders = self.orders.lock();
        for order in orders.iter_mut() {
            let may_be = if order.mishap == Mishap::Denied {
                actions
            } else {
                &actions[..actions.len().min(1)]
            };
            let Some(named) = may_be.iter().position(|action| order.is_named(action)) else {
                continue;
            };
            if order.about.as_ref().is_some_and(|text| !body.contains(text.as_str())) || order.times == Some(0) {
                continue;
            }
            if order.passing > 0 {
                order.passing -= 1;
                continue;
            }
            let delays = matches!(order.mishap, Mishap::Delayed(_));
            if !delays && fate.mishap.is_some() {
                continue;
            }
            if let Some(times) = &mut order.times {
                *times -= 1;
            }
            match &order.mishap {
                Mishap::Delayed(by) => fate.delay += *by,
                mishap => {
                    fate.mishap = Some(mishap.clone());
                    fate.denied = named;
                }
            }
        }
        orders.retain(|order| order.times != Some(0));
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_call_goes_wrong_and_no_other() {
        let faults = Faults::default();
        faults.order(Fault::on("RunTask", Mishap::AnswerLost).nth(2));
        let fates: Vec<_> = (0..3).map(|_| faults.fate(&["ecs:RunTask"], "").mishap).collect();
        assert_eq!(fates, [None, Some(Mishap::AnswerLost), None]);
    }

    #[test]
    fn only_what_the_call_is_about_counts() {
        let faults = Faults::default();
        faults.order(Fault::on("ecs:StopTask", Mishap::ServerError).about("task-1").once());
        assert_eq!(faults.fate(&["ecs:StopTask"], "task-2").mishap, None);
        assert_eq!(
            faults.fate(&["ecs:StopTask"], "task-1").mishap,
            Some(Mishap::ServerError)
        );
        assert_eq!(faults.fate(&["ecs:StopTask"], "task-1").mishap, None);
    }

    #[test]
    fn what_a_call_needs_besides_can_be_denied() {
        let faults = Faults::default();
        faults.order(Fault::on("iam:PassRole", Mishap::Denied));
        let fate = faults.fate(&["ecs:RunTask", "iam:PassRole"], "");
        assert_eq!((fate.mishap, fate.denied), (Some(Mishap::Denied), 1));
        assert!(faults.denies("iam:PassRole"));
        assert!(!faults.denies("ecs:RunTask"));
    }

    #[test]
    fn delays_add_to_what_else_goes_wrong() {
        let faults = Faults::default();
        faults.order(Fault::on("*", Mishap::Delayed(Duration::from_millis(5))));
        faults.order(Fault::on("*", Mishap::Throttled));
        let fate = faults.fate(&["ecs:ListTasks"], "");
        assert_eq!(
            (fate.delay, fate.mishap),
            (Duration::from_millis(5), Some(Mishap::Throttled))
        );
    }
}
