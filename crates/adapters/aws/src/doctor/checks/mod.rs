//! The judgement: what was found, held against the configuration and against what Wharf does with it. Data in, findings out; nothing
//! is called here.

pub(super) mod account;
mod cluster;
mod definition;
mod network;
mod ports;
pub(super) mod registry;
pub(super) mod targets;

use super::{case::Case, finding::Notes, world::World};

/// Everything about one service.
pub(super) fn service(case: &Case<'_>, world: &World) -> Notes {
    let mut notes = Notes::new(case.service.name.to_string());
    cluster::check(case, world, &mut notes);
    definition::check(case, world, &mut notes);
    targets::check(case, world, &mut notes);
    network::check(case, world, &mut notes);
    ports::check(case, world, &mut notes);
    notes
}

/// `2 subnets`, `1 subnet`.
pub(super) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// Texts, one after the other.
fn list<T: ToString>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| text.to_string()).collect();
    texts.join(", ")
}
