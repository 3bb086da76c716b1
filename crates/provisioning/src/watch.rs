//! Who waits for news of an instance: status streams, `--wait`, inline answers. And what the load balancer tells visitors.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::Notify;
use wharf_domain::{Instance, InstanceId, State};
use wharf_platform::{Routes, Standing};
use wharf_saga::{
    Observer,
    store::{Happening, HistoryEntry},
};

use crate::{gate::Gate, repair::RepairRun, settings::Settings};

/// Told of every commit; wakes those who wait for it, and keeps the load balancer's pages true.
pub struct Watchers {
    settings: Arc<Settings>,
    routes: Arc<dyn Routes>,
    /// Only instances that somebody waits for are in here.
    waiting: Mutex<HashMap<InstanceId, Weak<Notify>>>,
    /// Rung when a mail was put into the outbox.
    mail: Arc<Notify>,
    reporter: Arc<dyn Reporter>,
    gate: Arc<Gate>,
}

/// Told of everything that is written into instances' histories, after it is: logs and metrics are made of it. Must not wait.
pub trait Reporter: Send + Sync + 'static {
    fn happened(&self, instance: &Instance, entry: &HistoryEntry);

    /// Registry and world were compared.
    fn repaired(&self, run: &RepairRun) {
        let _ = run;
    }
}

/// A reporter that tells nobody.
impl Reporter for () {
    fn happened(&self, _: &Instance, _: &HistoryEntry) {}
}

impl Watchers {
    /// Tells the reporter of a comparison.
    pub(crate) fn repaired(&self, run: &RepairRun) {
        self.reporter.repaired(run);
    }

    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        routes: Arc<dyn Routes>,
        mail: Arc<Notify>,
        reporter: Arc<dyn Reporter>,
        gate: Arc<Gate>,
    ) -> Self {
        Self {
            reporter,
            gate,
            settings,
            routes,
            waiting: Mutex::default(),
            mail,
        }
    }

    /// News of one instance from now on. Take it before reading what is there already, and nothing is missed.
    #[must_use]
    pub fn watch(&self, id: &InstanceId) -> Watch {
        let mut waiting = self.waiting.lock();
        let notify = waiting.get(id).and_then(Weak::upgrade).unwrap_or_else(|| {
            waiting.retain(|_, notify| notify.strong_count() > 0);
            let notify = Arc::new(Notify::new());
            waiting.insert(id.clone(), Arc::downgrade(&notify));
            notify
        });
        Watch {
            notify,
            look_every: self.settings.pace.look_for_news,
        }
    }

    /// Tells the load balancer what an instance's visitors are to be told.
    pub fn announce(&self, instance: &Instance) {
        let Some(key) = self.settings.route_key(instance) else {
            return;
        };
        match &instance.state {
            State::Queued { .. } => self.routes.announce(&instance.id, &key, Standing::Queued),
            State::Restoring { .. } if self.gate.waits(&instance.id) => {
                self.routes.announce(&instance.id, &key, Standing::Queued);
            }
            // Whoever asks for one that sleeps wakes it, and waits like for one that starts.
            State::Provisioning { .. } | State::Restoring { .. } | State::Sleeping { .. } => {
                self.routes.announce(&instance.id, &key, Standing::Starting);
            }
            State::Down { .. } | State::Stuck { .. } => self.routes.announce(&instance.id, &key, Standing::Down),
            State::Stopping { .. } | State::Stopped { .. } => {
                self.routes.announce(&instance.id, &key, Standing::Stopped);
            }
            State::Failed { .. } | State::Ended { .. } => self.routes.forget(&instance.id, &key),
            State::Ready { .. } => {}
        }
    }
}

impl Observer<Instance> for Watchers {
    fn committed(&self, id: &InstanceId, instance: &Instance, _state: &'static str, history: &[HistoryEntry]) {
        for entry in history {
            self.reporter.happened(instance, entry);
        }
        self.announce(instance);
        self.gate.saw(instance);
        // The mail goes out with the first Ready, in the same commit; what others are told, with each change that they want to know of.
        let is_first = matches!(instance.state, State::Ready { since, .. } if instance.first_ready_at == Some(since));
        let has_changed = history
            .iter()
            .any(|entry| matches!(entry.what, Happening::State { .. }));
        if is_first || (has_changed && !self.settings.notify.is_empty()) {
            self.mail.notify_one();
        }
        if let Some(notify) = self.waiting.lock().get(id).and_then(Weak::upgrade) {
            notify.notify_waiters();
        }
    }
}

/// Waits for the next news of one instance.
#[derive(Clone, Debug)]
pub struct Watch {
    notify: Arc<Notify>,
    /// Others may have news that nobody tells us.
    look_every: Option<Duration>,
}

impl Watch {
    /// Resolves at the next commit from now on, or when it is time to look whether others made one: call it, read what is there, then await it.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut notified = Box::pin(self.notify.clone().notified_owned());
        // Registered from here on, not from the first poll.
        notified.as_mut().enable();
        let look_every = self.look_every;
        async move {
            match look_every {
                Some(pause) => {
                    let _ = tokio::time::timeout(pause, notified).await;
                }
                None => notified.await,
            }
        }
    }
}
