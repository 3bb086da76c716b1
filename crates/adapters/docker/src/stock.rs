//! What waits of each service, and how often one that waited was claimed or missed, for those who watch.
//!
//! What must not be here: which container is whose (`pool`), and how figures are shown.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use wharf_domain::ServiceName;

/// Containers of one service that are started ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmStock {
    pub service: ServiceName,
    /// So many are to wait.
    pub wanted: usize,
    /// So many do.
    pub waiting: usize,
    /// Starts that got one that waited, since this Wharf began.
    pub claims: u64,
    /// Starts that could have had one, and found none.
    pub misses: u64,
}

/// How starts fared, by service: those that got one, and those that found none.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<ServiceName, (u64, u64)>>);

impl Tally {
    pub(crate) fn claimed(&self, service: &ServiceName) {
        self.0.lock().entry(service.clone()).or_default().0 += 1;
    }

    pub(crate) fn missed(&self, service: &ServiceName) {
        self.0.lock().entry(service.clone()).or_default().1 += 1;
    }

    /// Claims and misses.
    pub(crate) fn of(&self, service: &ServiceName) -> (u64, u64) {
        self.0.lock().get(service).copied().unwrap_or_default()
    }
}
