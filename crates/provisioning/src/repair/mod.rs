//! Repair: registry and world compared, both ways; the plan shown; applied only when asked for. It touches nothing but what
//! carries this deployment's own mark, and passes over whatever a live saga has in its hands.
//!
//! | file | what it is for |
//! |---|---|
//! | `finding` | findings, mends and their classes, as they are shown and sent |
//! | `known` | what the registry says of an instance, and what that means for a thing that is there: pure |
//! | `world` | what is there, read |
//! | `compare` | the comparison |
//! | `differences`, `mails` | what it finds of each instance, and of each mail |
//! | `suspect`, `causes` | what does not fit, in words; how it came about |
//! | `apply` | the mends, each after one more look |
//! | `periodic` | runs that come by themselves, and what the last one left |

mod apply;
mod causes;
mod compare;
mod differences;
mod finding;
mod known;
mod mails;
mod periodic;
mod suspect;
mod world;

use wharf_domain::{Instance, Service, service::RunSpec};

pub use finding::{Class, Finding, Mend, Mended, Outcome, Subject};
pub(crate) use periodic::Ledger;
pub use periodic::RepairRun;

/// What tasks may have been started from: as it is configured now, and as instances have it frozen.
pub(crate) fn runs<'a>(
    configured: impl Iterator<Item = &'a Service>,
    live: impl Iterator<Item = &'a Instance>,
) -> Vec<RunSpec> {
    let mut runs = Vec::new();
    for run in configured
        .map(|service| &service.run)
        .chain(live.map(|instance| &instance.service.run))
    {
        if !runs.contains(run) {
            runs.push(run.clone());
        }
    }
    runs
}
