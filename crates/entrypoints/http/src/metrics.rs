//! What a scrape shows: requests and streams of this entrance, instances as the registry counts them, and what others register.

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeLabelSet, EncodeMetric,
        text::{encode_eof, encode_registry},
    },
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use wharf_domain::Failure;
use wharf_provisioning::gate::Crowd;

use crate::state::{Inner, MetricsHook};

pub(crate) const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Family<Route, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    /// The operation's path, with its braces: there are only so many.
    path: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Instances {
    service: String,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Findings {
    subject: &'static str,
}

impl Metrics {
    pub(crate) fn new(hook: MetricsHook, streams: Arc<AtomicU64>) -> Self {
        let mut registry = Registry::default();
        registry.register(
            "wharf_build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let requests = Family::<Request, Counter>::default();
        registry.register("wharf_http_requests", "Control requests answered", requests.clone());
        let seconds =
            Family::<Route, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_5, 4.0, 8)));
        registry.register_with_unit(
            "wharf_http_request",
            "Until the head of a control request's answer",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register_collector(Box::new(StreamCount(streams)));
        hook(&mut registry);
        Self {
            registry,
            requests,
            seconds,
        }
    }

    pub(crate) fn answered(&self, method: &axum::http::Method, path: &str, status: u16, took: Duration) {
        let method = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"]
            .into_iter()
            .find(|known| *known == method.as_str())
            .unwrap_or("other");
        let request = Request {
            method,
            path: path.to_owned(),
            status,
        };
        self.requests.get_or_create(&request).inc();
        let route = Route { path: path.to_owned() };
        self.seconds.get_or_create(&route).observe(took.as_secs_f64());
    }
}

impl Inner {
    /// Everything, as a scraper reads it.
    pub(crate) async fn scrape(&self) -> Result<String, Failure> {
        let mut now = Registry::default();
        let instances = Family::<Instances, Gauge>::default();
        for count in self.wharf.counts().await? {
            let labels = Instances {
                service: count.service,
                state: count.state,
            };
            instances
                .get_or_create(&labels)
                .set(i64::try_from(count.count).unwrap_or(i64::MAX));
        }
        now.register("wharf_instances", "Instances in the registry", instances);
        if let Some(run) = self.wharf.last_repair() {
            let findings = Family::<Findings, Gauge>::default();
            for (subject, count) in run.counts() {
                let labels = Findings {
                    subject: subject.as_str(),
                };
                findings
                    .get_or_create(&labels)
                    .set(i64::try_from(count).unwrap_or(i64::MAX));
            }
            now.register(
                "wharf_repair_findings",
                "Differences between registry and world that the last repair found and left",
                findings,
            );
        }
        register_crowd(&mut now, self.wharf.crowd());
        let freed: Gauge = Gauge::default();
        freed.set(i64::try_from(self.wharf.freed_by_sleep().await?).unwrap_or(i64::MAX));
        now.register_with_unit(
            "wharf_sleep_freed",
            "Memory that is free because instances sleep",
            Unit::Bytes,
            freed,
        );
        let restoring: Gauge = Gauge::default();
        restoring.set(i64::try_from((self.restoring)()).unwrap_or(i64::MAX));
        now.register("wharf_restoring", "Instances that wait to be brought back", restoring);

        let mut text = String::new();
        encode_registry(&mut text, &self.metrics.registry)
            .and_then(|()| encode_registry(&mut text, &now))
            .and_then(|()| encode_eof(&mut text))
            .map_err(|error| Failure::internal(format!("metrics cannot be written: {error}")))?;
        Ok(text)
    }
}

/// Who is being started and who waits, and what is booked; each limit only where there is one.
fn register_crowd(registry: &mut Registry, crowd: Crowd) {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let limits = crowd.limits;
    let figures = [
        (
            "wharf_starting",
            "Tasks on their way to Ready that have a place",
            Some(count(crowd.starting)),
        ),
        ("wharf_starting_limit", "Such places", limits.starts_at_once.map(count)),
        (
            "wharf_queue_length",
            "Instances that wait for their turn",
            Some(count(crowd.waiting)),
        ),
        (
            "wharf_booked_memory_bytes",
            "Memory that tasks have booked",
            Some(crowd.booked.memory),
        ),
        (
            "wharf_booked_memory_limit_bytes",
            "Memory that may be booked",
            limits.memory,
        ),
        (
            "wharf_booked_cpu_units",
            "CPU units that tasks have booked, 1024 for each processor",
            Some(crowd.booked.cpu_units),
        ),
        (
            "wharf_booked_cpu_units_limit",
            "CPU units that may be booked",
            limits.cpu_units,
        ),
    ];
    for (name, help, figure) in figures {
        if let Some(figure) = figure {
            let gauge: Gauge = Gauge::default();
            gauge.set(i64::try_from(figure).unwrap_or(i64::MAX));
            registry.register(name, help, gauge);
        }
    }
}

/// Counted where streams are let in.
#[derive(Debug)]
struct StreamCount(Arc<AtomicU64>);

impl Collector for StreamCount {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let count = ConstGauge::new(i64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        let metric =
            encoder.encode_descriptor("wharf_http_streams", "Streams that are open", None, count.metric_type())?;
        count.encode(metric)
    }
}
