//! Another end for a trial, on somebody's wish. What comes of it is decided next door (`trial`).

use std::time::Duration;
use wharf_domain::{Code, Failure, Instance, InstanceId, State, Timestamp};

use crate::{
    message::Message,
    view::InstanceView,
    wharf::{Wharf, wrong_state},
};

/// How long whoever asked for another end waits until it stands in the record.
const TAKEN_UP: Duration = Duration::from_secs(5);

impl Wharf {
    /// Gives a trial another end, or none.
    pub async fn extend(&self, id: &InstanceId, until: Option<Timestamp>) -> Result<(), Failure> {
        const WHAT: &str = "given another end";
        let instance = self.instance(id).await?;
        if is_going(&instance.state) || instance.first_ready_at.is_none() {
            return Err(wrong_state(&instance, WHAT));
        }
        if instance.service.trial.is_none() {
            let why = format!("{} has no end: it was made without a `ttl`", instance.name());
            return Err(Failure::new(Code::InstanceState, why).hint("`wharf delete` ends it when you want"));
        }
        if let Some(until) = until
            && until <= self.clock().now()
        {
            let why = format!("{} is over already", until.in_words());
            return Err(Failure::new(Code::RequestInvalid, why).hint("`wharf delete` ends an instance now"));
        }
        self.send(id, Message::Extend { until }).await?;
        // Whoever starts it next is measured by the new end. Where a long step is at hand, it is taken up after that.
        let is_taken_up = |view: &InstanceView| view.expires_at == until || is_going(&view.state);
        let view = self.watch_until(id, TAKEN_UP, is_taken_up).await?;
        if is_going(&view.state) {
            // Its end, or somebody's wish for it, was quicker.
            return Err(wrong_state(&self.instance(id).await?, WHAT));
        }
        Ok(())
    }

    /// What is over is not started.
    pub(crate) fn only_in_time(&self, instance: &Instance) -> Result<(), Failure> {
        match instance.expires_at {
            Some(end) if end <= self.clock().now() => {
                let name = instance.name();
                let why = format!("the time of {name} was up at {}", end.in_words());
                let hint = format!("`wharf extend {name} --for 30d` gives it more");
                Err(Failure::new(Code::InstanceExpired, why).hint(hint))
            }
            _ => Ok(()),
        }
    }
}

/// Whether it has ended, or is on its way there: nothing keeps it any more.
const fn is_going(state: &State) -> bool {
    state.is_final() || matches!(state, State::Stopping { end: true, .. })
}
