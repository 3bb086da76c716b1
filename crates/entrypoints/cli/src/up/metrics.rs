//! What the adapters count, for `/metrics`.

use std::{fmt, sync::Arc};
use wharf_docker::{DockerTasks, WarmStock};
use wharf_edge::Edge;
use wharf_http::prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use wharf_sqlite::SqliteStore;

pub(crate) fn register(
    registry: &mut Registry,
    edge: Arc<Edge>,
    store: Option<Arc<SqliteStore>>,
    docker: Option<Arc<DockerTasks>>,
) {
    registry.register_collector(Box::new(Adapters { edge, store, docker }));
}

/// Reads the counters when somebody asks for them.
struct Adapters {
    edge: Arc<Edge>,
    store: Option<Arc<SqliteStore>>,
    docker: Option<Arc<DockerTasks>>,
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
        let stock = self.docker.as_ref().map(|docker| docker.stock());
        encode_stock(&mut encoder, &stock.unwrap_or_default())
    }
}

/// What waits for its owner, by service; nothing where nothing is to wait.
fn encode_stock(encoder: &mut DescriptorEncoder<'_>, stock: &[WarmStock]) -> fmt::Result {
    if stock.is_empty() {
        return Ok(());
    }
    type Figure = fn(&WarmStock) -> u64;
    let gauges: [(_, _, Figure); 2] = [
        (
            "wharf_warm_wanted",
            "Containers that are to wait for their owners",
            |stock| stock.wanted as u64,
        ),
        ("wharf_warm_waiting", "Containers that wait for their owners", |stock| {
            stock.waiting as u64
        }),
    ];
    for (name, help, figure) in gauges {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for stock in stock {
            let gauge = ConstGauge::new(i64::try_from(figure(stock)).unwrap_or(i64::MAX));
            gauge.encode(family.encode_family(&[("service", stock.service.as_str())])?)?;
        }
    }
    let counters: [(_, _, Figure); 2] = [
        (
            "wharf_warm_claims",
            "Starts that got a container that waited",
            |stock| stock.claims,
        ),
        (
            "wharf_warm_misses",
            "Starts for which a container might have waited, and none did",
            |stock| stock.misses,
        ),
    ];
    for (name, help, figure) in counters {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for stock in stock {
            let counter = ConstCounter::new(figure(stock));
            counter.encode(family.encode_family(&[("service", stock.service.as_str())])?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_http::prometheus_client::encoding::text::encode_registry;

    #[derive(Debug)]
    struct Shown(Vec<WarmStock>);

    impl Collector for Shown {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            encode_stock(&mut encoder, &self.0)
        }
    }

    fn shown(stock: Vec<WarmStock>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Shown(stock)));
        let mut text = String::new();
        encode_registry(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn what_waits_is_shown_by_service_and_nothing_where_nothing_is_to_wait() {
        assert_eq!(shown(Vec::new()), "");
        let of = |service: &str, waiting| WarmStock {
            service: service.parse().unwrap(),
            wanted: 2,
            waiting,
            claims: 7,
            misses: 3,
        };
        let text = shown(vec![of("shop", 1), of("site", 2)]);
        for line in [
            "wharf_warm_wanted{service=\"shop\"} 2",
            "wharf_warm_waiting{service=\"shop\"} 1",
            "wharf_warm_waiting{service=\"site\"} 2",
            "wharf_warm_claims_total{service=\"shop\"} 7",
            "wharf_warm_misses_total{service=\"site\"} 3",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
