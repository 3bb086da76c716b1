//! The way in: everything that can be asked of Wharf. Entrypoints parse and render; what happens is decided behind here.

use futures::stream::BoxStream;
use std::{sync::Arc, time::Duration};
use wharf_domain::{Attempt, Code, Failure, Instance, InstanceId, Service, ServiceName, State, StatusToken, Subdomain};
use wharf_platform::{LogLine, Owner, Platform, Printer};
use wharf_saga::{
    Clock, Driving, Engine, Ids, Record, Step, Store,
    engine::Parts,
    store::{Count, Kind, Numbered, Query, Stored, Wake},
    world::Waker,
};

use crate::{
    gate::Gate,
    message::Message,
    recovery::RestoreQueue,
    repair::Ledger,
    settings::Settings,
    sleep::MadeToSleep,
    tokens::TokenKey,
    view::{InstanceView, Queue},
    watch::{Reporter, Watch, Watchers},
    workflow::Provisioning,
};

/// How many instances are driven at once.
const DRIVERS: usize = 512;
/// A wake that is so late does not come any more.
const OVERDUE: Duration = Duration::from_secs(2);

/// One deployment of Wharf. Cheap to clone.
#[derive(Clone)]
pub struct Wharf {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    engine: Engine<Provisioning>,
    platform: Platform,
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    tokens: TokenKey,
    watchers: Arc<Watchers>,
    /// Rung when a mail may have been put into the outbox.
    mail: Arc<tokio::sync::Notify>,
    restoring: Arc<RestoreQueue>,
    ledger: Ledger,
    gate: Arc<Gate>,
    made_to_sleep: MadeToSleep,
}

impl std::fmt::Debug for Wharf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wharf")
            .field("engine", &self.inner.engine)
            .finish_non_exhaustive()
    }
}

/// What a deployment is put together from.
pub struct Deployment {
    pub store: Arc<dyn Store>,
    pub platform: Platform,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub waker: Arc<dyn Waker>,
    pub tokens: TokenKey,
    pub reporter: Arc<dyn Reporter>,
    /// Whether sagas are driven in this process. Where they are not, whoever gets the wakes does it.
    pub driving: Driving,
    /// Waits up to this long are waited out by the driver; `limits::LINGER` on a server, nothing where waiting is billed.
    pub linger: Duration,
}

/// A page of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    pub instances: Vec<InstanceView>,
    /// To be given as `before` for the next page; `None` on the last one.
    pub next: Option<InstanceId>,
}

impl Wharf {
    #[must_use]
    pub fn new(deployment: Deployment) -> Self {
        Self::with_steps(deployment, |step| step)
    }

    /// The same, with something put around each step: how tests make a step fail, or be called twice.
    #[must_use]
    pub fn with_steps(
        deployment: Deployment,
        around: impl Fn(Box<dyn Step<Instance>>) -> Box<dyn Step<Instance>>,
    ) -> Self {
        let Deployment {
            store,
            platform,
            settings,
            clock,
            ids,
            waker,
            tokens,
            reporter,
            driving,
            linger,
        } = deployment;
        let settings = Arc::new(settings);
        let mail = Arc::new(tokio::sync::Notify::new());
        let gate = Arc::new(Gate::new(settings.limits));
        let watchers = Arc::new(Watchers::new(
            settings.clone(),
            platform.routes.clone(),
            mail.clone(),
            reporter,
            gate.clone(),
        ));
        let workflow = Provisioning::new(
            platform.clone(),
            settings.clone(),
            ids.clone(),
            tokens.clone(),
            gate.clone(),
            around,
        );
        let engine = Engine::new(Parts {
            store: store.clone(),
            workflow,
            clock: clock.clone(),
            ids: ids.clone(),
            waker,
            observer: watchers.clone(),
            drivers: DRIVERS,
            linger,
            driving,
        });
        Self {
            inner: Arc::new(Inner {
                store,
                engine,
                platform,
                settings,
                clock,
                ids,
                tokens,
                watchers,
                mail,
                restoring: Arc::default(),
                ledger: Ledger::default(),
                gate,
                made_to_sleep: MadeToSleep::default(),
            }),
        }
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    #[must_use]
    pub fn engine(&self) -> &Engine<Provisioning> {
        &self.inner.engine
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    pub(crate) fn platform(&self) -> &Platform {
        &self.inner.platform
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.inner.clock.as_ref()
    }

    pub(crate) fn ids(&self) -> &dyn Ids {
        self.inner.ids.as_ref()
    }

    pub(crate) fn tokens(&self) -> &TokenKey {
        &self.inner.tokens
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.inner.watchers
    }

    pub(crate) fn restore_queue(&self) -> &Arc<RestoreQueue> {
        &self.inner.restoring
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.inner.gate
    }

    pub(crate) fn made_to_sleep(&self) -> &MadeToSleep {
        &self.inner.made_to_sleep
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub(crate) fn mail_bell(&self) -> &tokio::sync::Notify {
        &self.inner.mail
    }

    /// Whose something is that this deployment makes for an attempt.
    pub(crate) fn owner(&self, id: &InstanceId, attempt: Attempt) -> Owner {
        Owner {
            deployment: self.settings().deployment.clone(),
            instance: id.clone(),
            attempt,
        }
    }

    /// The record of an instance.
    pub(crate) async fn record(&self, id: &InstanceId) -> Result<Record<Instance>, Failure> {
        let stored = self.store().load(id).await?.ok_or_else(|| unknown(id.as_str()))?;
        read(&stored)
    }

    pub(crate) async fn instance(&self, id: &InstanceId) -> Result<Instance, Failure> {
        Ok(self.record(id).await?.data)
    }

    /// The id of an instance by what people call it: its id, or its tenant's name.
    pub async fn find(&self, text: &str) -> Result<InstanceId, Failure> {
        if let Ok(id) = text.parse::<InstanceId>() {
            return Ok(id);
        }
        if Subdomain::check(text).is_ok()
            && let Some(reservation) = self.store().reservation(Kind::Name, text).await?
            && !reservation.resting
        {
            return Ok(reservation.owner);
        }
        Err(unknown(text))
    }

    pub async fn show(&self, id: &InstanceId) -> Result<InstanceView, Failure> {
        let stored = self.store().load(id).await?.ok_or_else(|| unknown(id.as_str()))?;
        self.with_position(self.view(&stored)?).await
    }

    fn view(&self, stored: &Stored) -> Result<InstanceView, Failure> {
        let mut view = InstanceView::new(&read(stored)?, self.settings(), self.clock().now());
        view.moving |= stored.inbox_head > stored.inbox_read;
        Ok(view)
    }

    /// The instance that a status token lets its bearer watch.
    pub async fn by_token(&self, token: &str) -> Result<InstanceId, Failure> {
        let none = || {
            Failure::new(Code::InstanceUnknown, "this status link leads to no instance")
                .hint("check that the link is complete")
        };
        let token = StatusToken::parse(token).ok_or_else(none)?;
        let reservation = self
            .store()
            .reservation(Kind::Token, &token.hash())
            .await?
            .ok_or_else(none)?;
        Ok(reservation.owner)
    }

    /// The token that lets its bearer watch this instance: for the operator's own tools.
    #[must_use]
    pub fn status_token(&self, id: &InstanceId) -> StatusToken {
        self.tokens().status(id)
    }

    pub async fn list(&self, query: Query) -> Result<Page, Failure> {
        // One more is asked for than is given: it says whether there is a next page.
        let limit = query.limit.clamp(1, wharf_saga::store::PAGE_MAX - 1);
        let mut stored = self
            .store()
            .list(Query {
                limit: limit + 1,
                ..query
            })
            .await?;
        let more = stored.len() > limit;
        stored.truncate(limit);
        let next = if more {
            stored.last().map(|last| last.id.clone())
        } else {
            None
        };
        let mut places = self.places();
        let instances = stored
            .iter()
            // One record that cannot be read must not hide the others; `repair` names it.
            .filter_map(|stored| match self.view(stored) {
                Ok(view) => Some(InstanceView {
                    queue: places.remove(&view.id).map(Queue::from),
                    ..view
                }),
                Err(failure) => {
                    tracing::error!(instance = %stored.id, error = %failure.message, "left out of a listing");
                    None
                }
            })
            .collect();
        Ok(Page { instances, next })
    }

    pub async fn counts(&self) -> Result<Vec<Count>, Failure> {
        Ok(self.store().counts().await?)
    }

    pub async fn history(&self, id: &InstanceId, after: u64, limit: usize) -> Result<Vec<Numbered>, Failure> {
        Ok(self.store().history(id, after, limit).await?)
    }

    /// News of an instance. Take it before reading what is there already.
    #[must_use]
    pub fn watch(&self, id: &InstanceId) -> Watch {
        self.watchers().watch(id)
    }

    /// Waits until the instance is in a state that `done` takes, or `patience` is over; gives it as it is then.
    pub async fn wait_until(
        &self,
        id: &InstanceId,
        patience: Duration,
        done: impl Fn(&State) -> bool,
    ) -> Result<InstanceView, Failure> {
        self.watch_until(id, patience, |view| done(&view.state)).await
    }

    /// The same by all that can be seen of it.
    pub(crate) async fn watch_until(
        &self,
        id: &InstanceId,
        patience: Duration,
        done: impl Fn(&InstanceView) -> bool,
    ) -> Result<InstanceView, Failure> {
        let pace = &self.settings().pace;
        let patience = pace.answer_within.map_or(patience, |most| patience.min(most));
        let watch = self.watch(id);
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let changed = watch.changed();
            let stored = self.store().load(id).await?.ok_or_else(|| unknown(id.as_str()))?;
            let view = self.view(&stored)?;
            if done(&view) {
                return self.with_position(view).await;
            }
            // Its wake goes to others, and is lost: whoever waits for the instance need not wait for the sweep.
            let is_overdue = |wake: Wake| wake.at + OVERDUE < self.clock().now();
            let is_others = pace.look_for_news.is_some() && !self.engine().is_driving(id);
            if is_others && stored.wake.is_some_and(is_overdue) {
                self.engine().poke(id);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return self.with_position(view).await;
            }
        }
    }

    /// Brings a stopped instance, or one that is down, back.
    pub async fn start(&self, id: &InstanceId) -> Result<(), Failure> {
        let instance = self.instance(id).await?;
        match instance.state {
            State::Stopped { .. } | State::Down { .. } | State::Sleeping { .. } => {
                self.only_in_time(&instance)?;
                self.send(id, Message::Start).await
            }
            State::Ready { .. } if !self.show(id).await?.moving => Ok(()),
            // A stop may have been asked for that the state does not show yet. Of the two the later one counts: whoever reads the inbox sees both.
            State::Ready { .. } => self.send(id, Message::Start).await,
            ref state if state.is_coming() => self.send(id, Message::Start).await,
            _ => Err(wrong_state(&instance, "started")),
        }
    }

    /// Stops an instance. Its tenant's name, port, database and secrets are kept; one without a tenant ends.
    pub async fn stop(&self, id: &InstanceId) -> Result<(), Failure> {
        self.stop_with(id, Message::Stop).await
    }

    pub(crate) async fn stop_with(&self, id: &InstanceId, message: Message) -> Result<(), Failure> {
        let instance = self.instance(id).await?;
        if instance.state.is_final() {
            return Err(wrong_state(&instance, "stopped"));
        }
        self.send(id, message).await
    }

    /// Ends an instance for good.
    pub async fn end(&self, id: &InstanceId) -> Result<(), Failure> {
        let instance = self.instance(id).await?;
        match instance.state {
            State::Ended { .. } | State::Failed { .. } => Ok(()),
            _ => self.send(id, Message::End).await,
        }
    }

    /// Takes up what is stuck, where it stands.
    pub async fn resume(&self, id: &InstanceId) -> Result<(), Failure> {
        self.only_stuck(id, "resumed").await?;
        self.send(id, Message::Resume).await
    }

    /// Gives up what is stuck: name and port go free, and what is left in the world is the operator's.
    pub async fn abandon(&self, id: &InstanceId, reason: &str) -> Result<(), Failure> {
        self.only_stuck(id, "abandoned").await?;
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(500).collect();
        self.send(id, Message::Abandon { reason }).await
    }

    async fn only_stuck(&self, id: &InstanceId, what: &str) -> Result<(), Failure> {
        let instance = self.instance(id).await?;
        if matches!(instance.state, State::Stuck { .. }) {
            Ok(())
        } else {
            Err(wrong_state(&instance, what))
        }
    }

    /// The live instances of a service, or of all services without tenants.
    pub async fn instances_of(&self, service: Option<&ServiceName>) -> Result<Vec<InstanceId>, Failure> {
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let query = Query {
                service: service.map(ToString::to_string),
                named: service.is_none().then_some(false),
                live: Some(true),
                before,
                limit: wharf_saga::store::PAGE_MAX,
                ..Query::default()
            };
            let page = self.store().list(query).await?;
            let full = page.len() == wharf_saga::store::PAGE_MAX;
            before = page.last().map(|last| last.id.clone());
            found.extend(page.into_iter().map(|stored| stored.id));
            if !full {
                return Ok(found);
            }
        }
    }

    /// Stops every live instance of a service. Gives their ids.
    pub async fn stop_service(&self, name: &ServiceName) -> Result<Vec<InstanceId>, Failure> {
        self.settings().service(name)?;
        let ids = self.instances_of(Some(name)).await?;
        for id in &ids {
            self.send(id, Message::Stop).await?;
        }
        Ok(ids)
    }

    pub(crate) async fn send(&self, id: &InstanceId, message: Message) -> Result<(), Failure> {
        self.engine()
            .send(id, &message, None)
            .await?
            .map(|_| ())
            .ok_or_else(|| unknown(id.as_str()))
    }

    pub async fn logs(
        &self,
        id: &InstanceId,
        lines: usize,
        follow: bool,
    ) -> Result<BoxStream<'static, LogLine>, Failure> {
        let instance = self.instance(id).await?;
        let printer = Printer {
            instance: instance.id,
            task: instance.held.task,
            run: instance.service.run,
        };
        self.platform().logs.read(&printer, lines, follow).await
    }

    /// The service that a sign-up gets.
    #[must_use]
    pub fn tenant_service(&self) -> Option<&Service> {
        let settings = self.settings();
        settings.services.get(settings.tenant_service.as_ref()?)
    }
}

pub(crate) fn read(stored: &Stored) -> Result<Record<Instance>, Failure> {
    serde_json::from_str(&stored.body).map_err(|error| {
        Failure::new(
            Code::StoreDamaged,
            format!("the record of {} cannot be read: {error}", stored.id),
        )
    })
}

fn unknown(text: &str) -> Failure {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    Failure::new(Code::InstanceUnknown, format!("there is no instance {shown:?}"))
        .hint("`wharf list` shows those that there are")
}

pub(crate) fn wrong_state(instance: &Instance, what: &str) -> Failure {
    let name = instance.name();
    let hint = match instance.state {
        State::Provisioning { .. } | State::Queued { .. } | State::Restoring { .. } | State::Stopping { .. } => {
            format!("`wharf show {name}` tells how far it is: try again when it is there")
        }
        _ => format!("`wharf show {name}` tells what happened to it"),
    };
    Failure::new(
        Code::InstanceState,
        format!("{name} is {} and cannot be {what}", instance.state.name()),
    )
    .hint(hint)
}
