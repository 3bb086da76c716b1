//! Trials: instances that are there for a time only. Its tenant is told by mail before the end, and has the time that was promised after that mail,
//! however late it was written: a server that was off over the end makes nobody lose their data unwarned.
//!
//! Pure: the appointment is data of the record, and the engine keeps it.

use wharf_domain::{
    Instance, State, Timestamp,
    service::{AfterTrial, Trial},
};
use wharf_saga::step::Writes;

use crate::{mail, settings::Settings, webhooks};

/// It is Ready for the first time: from now on its time runs.
pub(crate) fn begin(instance: &mut Instance, now: Timestamp) {
    instance.expires_at = instance.service.trial.as_ref().map(|trial| now + trial.length);
}

/// When there is something to do about the instance's trial.
pub(crate) fn appointment(instance: &Instance) -> Option<Timestamp> {
    let (trial, end) = running(instance)?;
    Some(if is_to_be_told(instance, trial, end) {
        end.before(trial.notice)
    } else {
        end
    })
}

/// Does what is due: tells the tenant, or says what comes now that the time is up.
pub(crate) fn due(
    settings: &Settings,
    instance: &mut Instance,
    now: Timestamp,
    writes: &mut Writes,
) -> Option<AfterTrial> {
    let (trial, end) = running(instance)?;
    let (notice, then) = (trial.notice, trial.then);
    if is_to_be_told(instance, trial, end) && end.before(notice) <= now {
        tell(settings, instance, end.max(now + notice), now, writes);
        return None;
    }
    if end > now {
        return None;
    }
    writes.notes.push(format!("its time was up at {}", end.in_words()));
    Some(then)
}

/// Gives it another end, or none. Where that is nearer than the notice, its tenant is told at once, and that it is near was somebody's wish.
pub(crate) fn extend(
    settings: &Settings,
    instance: &mut Instance,
    until: Option<Timestamp>,
    now: Timestamp,
    writes: &mut Writes,
) {
    let Some(trial) = instance.service.trial.clone() else {
        return;
    };
    instance.expires_at = until;
    writes.notes.push(match until {
        Some(until) => format!("its time is up at {}", until.in_words()),
        None => "it has no end any more".to_owned(),
    });
    if let Some(end) = until
        && is_to_be_told(instance, &trial, end)
        && end.before(trial.notice) <= now
    {
        tell(settings, instance, end, now, writes);
    }
}

/// The trial of an instance that is at rest, and its end; none where nothing would come of it.
fn running(instance: &Instance) -> Option<(&Trial, Timestamp)> {
    let (trial, end) = (instance.service.trial.as_ref()?, instance.expires_at?);
    let is_wanted = match instance.state {
        State::Stopped { .. } => trial.then == AfterTrial::End,
        State::Stuck { .. } => false,
        ref state => !state.is_final(),
    };
    is_wanted.then_some((trial, end))
}

fn is_to_be_told(instance: &Instance, trial: &Trial, end: Timestamp) -> bool {
    instance.tenant.is_some() && !trial.notice.is_zero() && instance.told_of_end != Some(end)
}

fn tell(settings: &Settings, instance: &mut Instance, end: Timestamp, now: Timestamp, writes: &mut Writes) {
    instance.expires_at = Some(end);
    instance.told_of_end = Some(end);
    writes.outbox.push(mail::trial(&instance.id, end));
    writes
        .outbox
        .extend(webhooks::announce_end(settings, instance, end, now));
}
