//! What must hold of those who sleep and of those on trial.

use std::time::Duration;
use wharf_domain::{
    InstanceId, State, Timestamp,
    service::{AfterTrial, Trial},
};
use wharf_saga::store::{Batch, Happening};
use wharf_testkit::sim::View;

use super::{Book, Rules, ledger::Ledger};

/// How the note begins by which a trial ends or stops its instance.
const OVER: &str = "its time was up at";
/// So much later may be written what was decided: by calls that are slow, and by a machine that was paused in between.
const WRITTEN_WITHIN: Duration = Duration::from_mins(1);
const WRITTEN_AFTER_A_PAUSE: Duration = Duration::from_mins(6);
/// So long after its end a trial may still be there while nothing goes wrong: Wharf's own rounds, and a clock that is behind.
const LATE: Duration = Duration::from_mins(5);

impl Rules {
    /// A visitor was answered.
    pub(crate) fn was_used(&self, id: &InstanceId) {
        if let Some(ledger) = self.book.lock().instances.get_mut(id) {
            ledger.life.used_at = Some(self.world.now());
        }
    }

    /// A record was written, of one who may sleep or be on trial.
    pub(super) fn hold_life(
        &self,
        before: Option<&Ledger>,
        ledger: &mut Ledger,
        batch: &Batch,
    ) -> Vec<(&'static str, String)> {
        let now = self.world.now();
        let instance = &ledger.instance;
        let mut broken = Vec::new();
        let prefix = format!("trial-{}-", instance.id);
        for mail in &batch.outbox {
            let end = mail.id.strip_prefix(&prefix).and_then(|end| end.parse().ok());
            if let Some(end) = end {
                ledger.life.told.entry(Timestamp(end)).or_insert(now);
            }
        }
        let had_route = before.is_some_and(|before| before.instance.held.route);
        if had_route
            && !instance.held.route
            && let State::Sleeping { .. } = instance.state
            && let Some(what) = used_too_lately(ledger, now)
        {
            broken.push(("asleep", what));
        }
        let is_over = |happening: &Happening| matches!(happening, Happening::Note { text } if text.starts_with(OVER));
        if batch.history.iter().any(|entry| is_over(&entry.what))
            && let Some(trial) = self.promised(ledger)
        {
            if let Err(what) = self.may_be_over(ledger, trial, now) {
                broken.push(("trials", what));
            }
            match trial.then {
                AfterTrial::End => ledger.is_to_end = true,
                AfterTrial::Stop => ledger.life.is_over = true,
            }
        }
        broken
    }

    /// The trial as it is offered, whatever its record says.
    fn promised(&self, ledger: &Ledger) -> Option<&Trial> {
        self.settings
            .services
            .get(&ledger.instance.service.name)?
            .trial
            .as_ref()
    }

    /// How long a decision may have waited for its commit.
    fn unwritten(&self) -> Duration {
        if self.world.faults().tally().contains_key("machine paused") {
            WRITTEN_AFTER_A_PAUSE
        } else {
            WRITTEN_WITHIN
        }
    }

    /// Its trial ends or stops it: it had all the time that it was promised, by the clock of whoever promised it.
    fn may_be_over(&self, ledger: &Ledger, trial: &Trial, now: Timestamp) -> Result<(), String> {
        let id = &ledger.instance.id;
        let unwritten = self.unwritten();
        let end = ledger.instance.expires_at.ok_or("it ends, and has no end")?;
        if now + self.wrong < end {
            return Err(format!("{id} is over {:?} too early", end.since(now)));
        }
        let wished = match ledger.life.wished {
            Some((until, at)) if now.since(at) > unwritten && until.is_none_or(|until| until > end) => {
                return Err(format!(
                    "{id} is over, and {:?} before that it was promised another end: {until:?}",
                    now.since(at)
                ));
            }
            wished => wished.and_then(|(until, _)| until),
        };
        let ready_at = ledger.instance.first_ready_at.ok_or("it ends, and was never ready")?;
        if wished.is_none() && end < ready_at + trial.length {
            return Err(format!("{id} is over after {:?}", end.since(ready_at)));
        }
        let told_at = ledger
            .life
            .told
            .get(&end)
            .ok_or_else(|| format!("{id} is over, and its tenant was not told"))?;
        // An end that somebody wished may be nearer than the notice.
        if wished != Some(end) && now + self.apart + unwritten < *told_at + trial.notice {
            return Err(format!(
                "{id} is over {:?} after its tenant was told",
                now.since(*told_at)
            ));
        }
        Ok(())
    }

    /// Whether a trial has an end before it that is to be waited for.
    pub(super) fn has_an_end_before_it(&self, ledger: &Ledger) -> bool {
        running(ledger).is_some_and(|end| self.world.now() < end + LATE)
    }

    /// The names of those who sleep.
    pub(crate) fn sleepers(&self) -> Vec<String> {
        let book = self.book.lock();
        let sleepers = book
            .instances
            .values()
            .filter(|ledger| matches!(ledger.instance.state, State::Sleeping { .. }));
        sleepers.map(|ledger| ledger.instance.name().to_owned()).collect()
    }

    /// All is quiet: nobody sleeps who was asked for, and nobody is there whose trial is over.
    pub(crate) fn hold_lives(&self) {
        let now = self.world.now();
        let mut broken = Vec::new();
        for (id, ledger) in &self.book.lock().instances {
            if ledger.life.is_wanted {
                broken.push(("asleep", format!("{id} was asked for, and sleeps")));
            }
            if let Some(end) = running(ledger)
                && now >= end + LATE
            {
                let (is, late) = (ledger.instance.state.name(), now.since(end));
                broken.push(("trials", format!("{id} is {is} {late:?} after its trial was over")));
            }
        }
        for (rule, what) in broken {
            self.broken(rule, what);
        }
    }
}

/// Nobody is cut off by an instance that falls asleep.
pub(super) fn users_are_served(book: &Book, view: View<'_>, broken: &mut Vec<(&'static str, String)>) {
    for owner in view.requests() {
        let Some(ledger) = book.instances.get(&owner.instance) else {
            continue;
        };
        let sleeps = matches!(ledger.instance.state, State::Sleeping { .. });
        let is_its = ledger.instance.attempt == owner.attempt;
        if sleeps && is_its && !view.routes().any(|(_, route)| route.backend.owner == *owner) {
            broken.push(("asleep", format!("{} sleeps while somebody uses it", owner.instance)));
        }
    }
}

/// When its trial ends or stops it, if it does.
fn running(ledger: &Ledger) -> Option<Timestamp> {
    let instance = &ledger.instance;
    let trial = instance.service.trial.as_ref()?;
    let is_running = match instance.state {
        State::Stopped { .. } => trial.then == AfterTrial::End,
        State::Stuck { .. } => false,
        ref state => !state.is_final(),
    };
    instance.expires_at.filter(|_| is_running)
}

/// Somebody who is asleep was used within the time after which it may sleep.
fn used_too_lately(ledger: &Ledger, now: Timestamp) -> Option<String> {
    let after = ledger.instance.service.sleep?.after;
    let used_at = ledger.life.used_at.filter(|at| now.since(*at) < after)?;
    Some(format!(
        "{} sleeps {:?} after somebody used it",
        ledger.instance.id,
        now.since(used_at)
    ))
}
