//! Idle sleep: who has been unused for as long as its service says is told to sleep, and who is asked for while it sleeps is told to wake. What that means is decided by the
//! workflow; how a sleeping instance rests is said by its sagas.

use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use wharf_domain::{Code, Failure, Instance, InstanceId, State};

use crate::{message::Message, wharf::Wharf};

/// Between two looks at what nobody uses: a small part of the shortest time after which something sleeps, within these.
const LOOK_SHORTEST: Duration = Duration::from_millis(100);
const LOOK_LONGEST: Duration = Duration::from_secs(30);
const LOOKS: u32 = 10;

/// The pause before a registry that could not be written is told again that somebody waits; each later one is twice as long.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
/// How often that is tried. Whoever waits asks again by himself.
const TRIES: u32 = 6;

/// The shortest time after which one of the instances sleeps that were there at the start: a claim freezes it, and what is configured now may be longer, or nothing.
#[derive(Debug, Default)]
pub(crate) struct MadeToSleep(Mutex<Option<Duration>>);

impl MadeToSleep {
    pub(crate) fn note(&self, instance: &Instance) {
        if let Some(sleep) = instance.service.sleep {
            let mut shortest = self.0.lock();
            *shortest = Some(shortest.map_or(sleep.after, |shortest| shortest.min(sleep.after)));
        }
    }

    fn shortest(&self) -> Option<Duration> {
        *self.0.lock()
    }
}

/// After how long without a request those sleep that were looked at; `None`: never. A claim freezes it.
type Known = HashMap<InstanceId, Option<Duration>>;

impl Wharf {
    /// Puts to sleep what nobody uses, until the returned future is dropped. Where neither a service is configured to sleep nor an instance was made when
    /// its service was, it ends at once. To be begun after [`Wharf::recover`].
    pub async fn let_sleep(&self) {
        let services = self.settings().services.values();
        let configured = services.filter_map(|service| Some(service.sleep?.after));
        let Some(shortest) = configured.chain(self.made_to_sleep().shortest()).min() else {
            return;
        };
        let mut known = Known::new();
        loop {
            tokio::time::sleep((shortest / LOOKS).clamp(LOOK_SHORTEST, LOOK_LONGEST)).await;
            if let Err(failure) = self.look_for_unused(shortest, &mut known).await {
                tracing::warn!(error = %failure.message, "what nobody uses cannot be put to sleep now");
            }
        }
    }

    async fn look_for_unused(&self, shortest: Duration, known: &mut Known) -> Result<(), Failure> {
        let Some(unused) = self.platform().routes.unused(shortest).await? else {
            return Ok(());
        };
        let mut seen = Known::with_capacity(unused.len());
        for unused in unused {
            let after = match known.remove(&unused.instance) {
                Some(after) => after,
                None => self.sleeps_after(&unused.instance).await?,
            };
            if after.is_some_and(|after| unused.idle >= after)
                && let State::Ready { .. } = self.instance(&unused.instance).await?.state
            {
                let attempt = unused.attempt;
                self.send(&unused.instance, Message::Sleep { attempt }).await?;
            }
            seen.insert(unused.instance, after);
        }
        *known = seen;
        Ok(())
    }

    async fn sleeps_after(&self, id: &InstanceId) -> Result<Option<Duration>, Failure> {
        match self.instance(id).await {
            Ok(instance) => Ok(instance.service.sleep.map(|sleep| sleep.after)),
            Err(failure) if failure.code == Code::InstanceUnknown => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Somebody waits for an instance that has no task to answer: if it sleeps it wakes, and if it waits for its turn to be brought back that is next.
    pub async fn asked_for(&self, id: &InstanceId) {
        self.restore_queue().ask_for(id);
        let mut pause = AGAIN_FIRST;
        for tried in 1..=TRIES {
            match self.wake(id).await {
                Ok(()) => return,
                Err(failure) if tried == TRIES || !failure.code.is_passing() => {
                    tracing::error!(instance = %id, code = %failure.code, error = %failure.message, "it cannot be woken now");
                    return;
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
    }

    /// Bytes of memory that are free because instances sleep.
    pub async fn freed_by_sleep(&self) -> Result<u64, Failure> {
        let sleepers = self.in_state("sleeping").await?;
        Ok(sleepers.iter().map(|instance| instance.slept.freed).sum())
    }

    /// Wakes an instance that sleeps; any other is left as it is.
    pub async fn wake(&self, id: &InstanceId) -> Result<(), Failure> {
        match self.instance(id).await?.state {
            State::Sleeping { .. } => self.send(id, Message::Wake).await,
            _ => Ok(()),
        }
    }
}
