//! What the adapters count, for `/metrics`.

use std::{fmt, sync::Arc};
use wharf_edge::Edge;
use wharf_http::prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use wharf_sqlite::SqliteStore;

pub(crate) fn register(registry: &mut Registry, edge: Arc<Edge>, store: Option<Arc<SqliteStore>>) {
    registry.register_collector(Box::new(Adapters { edge, store }));
}

/// Reads the counters when somebody asks for them.
struct Adapters {
    edge: Arc<Edge>,
    store: Option<Arc<SqliteStore>>,
}

impl fmt::Debug for Adapters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adapters")
    }
}

impl Collector for Adapters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let edge = self.edge.metrics();
        let store = self.store.as_ref().map(|store| store.counters()).unwrap_or_default();
        let counters = [
            (
                "wharf_edge_answers",
                "Requests that the edge has answered or passed on",
                edge.answers.iter().sum(),
            ),
            (
                "wharf_edge_backend_errors",
                "Requests that an instance did not answer properly",
                edge.backend_errors,
            ),
            (
                "wharf_edge_backend_connections",
                "Connections opened to instances",
                edge.backend_connections,
            ),
            ("wharf_edge_refusals", "Requests refused for their form", edge.refusals),
            (
                "wharf_edge_turned_away",
                "Connections closed because their client had as many as it may",
                edge.turned_away,
            ),
            (
                "wharf_store_writes",
                "Batches, messages and mails' fates written to the registry",
                store.writes,
            ),
            (
                "wharf_store_commits",
                "Transactions in which they were written: one fsync each",
                store.commits,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let gauges = [
            ("wharf_edge_in_flight", "Requests under way", edge.in_flight),
            ("wharf_edge_connections", "Open client connections", edge.connections),
            (
                "wharf_edge_held",
                "Requests held until their instance has started",
                edge.held,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
