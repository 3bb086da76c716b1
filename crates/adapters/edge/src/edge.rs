//! The edge as its owner holds it: taken, opened, asked, and shut down.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{broadcast, mpsc},
    task::JoinHandle,
    time::timeout,
};
use wharf_domain::{Code, Endpoint, Failure, InstanceId};
use wharf_platform::{Backend, Owner, Registered, RouteKey, Routes, Standing, Unused};

use crate::{
    config::EdgeConfig,
    control::{Control, ControlService},
    core::{Core, References, Shared},
    crowd::Crowd,
    health,
    host::Hosts,
    listener,
    metrics::Metrics,
    registry::{HealthChange, Registry},
    worker::Worker,
};

/// After the grace, how long the threads have to notice.
const CUT_OFF: Duration = Duration::from_secs(1);

/// The embedded load balancer.
///
/// Expected flow: [`Edge::reserve`] takes the address, so that a second server is refused before anything else happens; what is
/// known of the instances is announced; [`Edge::serve`] begins to serve; [`Edge::shutdown`] ends it. Connections that come
/// between the first and the third wait in the kernel. Dropping it ends it at once.
///
/// As [`Routes`]: an endpoint gets visitors from [`Routes::open`] on. Until then they are told what they are told of something
/// that starts. [`Routes::health`] is always `None`: a [`Prober`](wharf_platform::Prober) decides on the first answer, and later changes are told
/// by [`Edge::health_changes`].
#[derive(Debug)]
pub struct Edge {
    shared: Arc<Shared>,
    address: SocketAddr,
    control_runtime: Handle,
    wanted: Mutex<Option<mpsc::Receiver<InstanceId>>>,
    /// Until it serves.
    listeners: Mutex<Vec<TcpListener>>,
    workers: Mutex<Vec<Worker>>,
    cores: Mutex<Vec<Arc<Core>>>,
    health: Mutex<Option<JoinHandle<()>>>,
}

impl Edge {
    /// Takes the address and serves it: [`Edge::reserve`] and [`Edge::serve`].
    pub fn bind(config: EdgeConfig, control: ControlService, control_runtime: Handle) -> Result<Self, Failure> {
        let edge = Self::reserve(config, control_runtime)?;
        edge.serve(control)?;
        Ok(edge)
    }

    /// Takes the listening address, for this process alone: `listen.busy` if somebody has it.
    ///
    /// The health checks and the control service run on `control_runtime`.
    pub fn reserve(config: EdgeConfig, control_runtime: Handle) -> Result<Self, Failure> {
        let cores = config
            .cores
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        let (listeners, address) = listener::listen(config.listen, cores)?;
        let (registry, wanted) = Registry::new();
        let shared = Arc::new(Shared {
            hosts: Hosts::new(&config),
            crowd: Crowd::new(config.limits.connections_per_address, &config.trusted_proxies),
            config,
            registry: Arc::new(registry),
            references: References::new(),
            held: Arc::default(),
            staying: Arc::default(),
        });
        Ok(Self {
            shared,
            address,
            control_runtime,
            wanted: Mutex::new(Some(wanted)),
            listeners: Mutex::new(listeners),
            workers: Mutex::default(),
            cores: Mutex::default(),
            health: Mutex::default(),
        })
    }

    /// Begins to serve. A second call does nothing.
    pub fn serve(&self, control: ControlService) -> Result<(), Failure> {
        let listeners = std::mem::take(&mut *self.listeners.lock());
        if listeners.is_empty() {
            return Ok(());
        }
        let control = Control::new(control, self.control_runtime.clone(), &self.shared.config);
        let cores = listeners.len();
        for (index, listener) in listeners.into_iter().enumerate() {
            let core = Arc::new(Core::new(index, cores, Arc::clone(&self.shared), control.clone()));
            let worker = Worker::start(Arc::clone(&core), listener).map_err(|error| {
                Failure::new(
                    Code::ListenRefused,
                    format!("no thread can be started for the edge: {error}"),
                )
            })?;
            self.workers.lock().push(worker);
            self.cores.lock().push(core);
        }
        let health = self.control_runtime.spawn(health::watch(Arc::clone(&self.shared)));
        *self.health.lock() = Some(health);
        Ok(())
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Instances that somebody asked for while they were `Starting`: those to be restored first. There is one receiver; the
    /// first call has it.
    pub fn wanted(&self) -> Option<mpsc::Receiver<InstanceId>> {
        self.wanted.lock().take()
    }

    /// What becomes of endpoints' health from now on. Who reads too slowly loses the oldest.
    pub fn health_changes(&self) -> broadcast::Receiver<HealthChange> {
        self.shared.registry.health_changes()
    }

    /// The counters of all cores.
    pub fn metrics(&self) -> Metrics {
        let mut sum = Metrics {
            held: self.shared.held.load(std::sync::atomic::Ordering::Relaxed),
            ..Metrics::default()
        };
        for core in &*self.cores.lock() {
            core.counters.add_to(&mut sum);
        }
        sum
    }

    /// Takes no new connections, lets requests under way finish for as long as `grace`, closes connections that no request
    /// uses, and then whatever is left.
    pub async fn shutdown(&self, grace: Duration) {
        self.listeners.lock().clear();
        let workers = std::mem::take(&mut *self.workers.lock());
        for worker in &workers {
            worker.core.stop.give();
        }
        let mut stopped: Vec<_> = workers.into_iter().map(|worker| worker.stopped).collect();
        let all = futures::future::join_all(stopped.iter_mut());
        if timeout(grace, all).await.is_err() {
            self.cut_off();
            // An error: the thread is gone already.
            let late = stopped.iter_mut().filter(|stopped| !stopped.is_terminated());
            let _ = timeout(CUT_OFF, futures::future::join_all(late)).await;
        }
        self.end_health();
    }

    fn cut_off(&self) {
        for core in &*self.cores.lock() {
            core.stop.give();
            core.cut_off.give();
        }
    }

    fn end_health(&self) {
        if let Some(health) = self.health.lock().take() {
            health.abort();
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.cut_off();
        self.end_health();
    }
}

#[async_trait]
impl Routes for Edge {
    async fn register(&self, backend: Backend) -> Result<(), Failure> {
        self.shared.registry.register(backend)
    }

    async fn open(&self, owner: &Owner, key: &RouteKey) -> Result<(), Failure> {
        self.shared.registry.open(owner, key)
    }

    async fn withdraw(
        &self,
        owner: &Owner,
        key: &RouteKey,
        _endpoint: Option<&Endpoint>,
        drain: Duration,
    ) -> Result<bool, Failure> {
        self.shared.registry.withdraw(owner, key, drain)
    }

    async fn unused(&self, longer_than: Duration) -> Result<Option<Vec<Unused>>, Failure> {
        Ok(Some(self.shared.registry.unused(longer_than)))
    }

    async fn withdraw_unused(&self, owner: &Owner, key: &RouteKey, longer_than: Duration) -> Result<bool, Failure> {
        self.shared.registry.withdraw_unused(owner, key, longer_than)
    }

    fn announce(&self, instance: &InstanceId, key: &RouteKey, standing: Standing) {
        self.shared.registry.announce(instance, key, standing);
    }

    fn forget(&self, instance: &InstanceId, key: &RouteKey) {
        self.shared.registry.forget(instance, key);
    }

    async fn all(&self, _keys: &[RouteKey]) -> Result<Vec<Registered>, Failure> {
        Ok(self.shared.registry.all())
    }
}
