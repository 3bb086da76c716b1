//! An instance's history within bounds: the newest of it, and the part of the saga that ran last.

use std::collections::VecDeque;
use wharf_domain::{Failure, InstanceId};
use wharf_provisioning::Wharf;
use wharf_saga::store::{Happening, Numbered};

use crate::limits;

/// The newest entries, oldest first. The registry reads forward only, so a very long history is read up to a bound.
pub(crate) async fn newest(wharf: &Wharf, id: &InstanceId) -> Result<Vec<Numbered>, Failure> {
    let mut newest: VecDeque<Numbered> = VecDeque::new();
    let mut after = 0;
    for _ in 0..limits::HISTORY_PAGES {
        let page = wharf.history(id, after, limits::HISTORY_PAGE).await?;
        let is_last = page.len() < limits::HISTORY_PAGE;
        if let Some(last) = page.last() {
            after = last.seq;
        }
        newest.extend(page);
        let surplus = newest.len().saturating_sub(limits::HISTORY_SHOWN);
        newest.drain(..surplus);
        if is_last {
            break;
        }
    }
    Ok(newest.into())
}

/// The part that belongs to the saga that began last.
pub(crate) fn last_saga(history: &[Numbered]) -> &[Numbered] {
    let begun = history
        .iter()
        .rposition(|entry| matches!(entry.entry.what, Happening::Began { .. }));
    &history[begun.unwrap_or_default()..]
}
