//! The contract of [`Store`], as checks that run one by one against any adapter and against the simulated one.
//!
//! A crate with an adapter writes an `async fn make() -> Fixture` (an empty store) and says `wharf_testkit::store_contract!(make)`
//! in a test module of its own: every check becomes a `#[test]` there. A store that removes what is over when `tidy` is called says
//! `wharf_testkit::store_tidying_contract!(make)` as well; another sees to it by itself, and its crate tests that. What an adapter promises beyond the trait (that a
//! killed process loses nothing, what a full disk means) it tests itself.
//!
//! | file | what it holds a store to |
//! |---|---|
//! | `records` | claims, leases, fencing, all or nothing, the order of conditions |
//! | `inboxes` | numbers, keys, what is due, the position that a wait is written against |
//! | `reservations` | one owner a key: rests, ends, releases |
//! | `ports` | a free port, to the last one |
//! | `listings` | pages, filters, counts, what is due |
//! | `journals` | history, outbox, tidying |
//! | `surveys` | everybody's reservations, and the mails that were not sent |
//! | `crowds` | hundreds at once: one name, one limit, one inbox |

mod crowds;
mod inboxes;
mod journals;
mod listings;
mod ports;
mod records;
mod reservations;
mod surveys;

pub use crowds::*;
pub use inboxes::*;
pub use journals::*;
pub use listings::*;
pub use ports::*;
pub use records::*;
pub use reservations::*;
pub use surveys::*;

use std::{any::Any, fmt, future::Future, sync::Arc};
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::store::{
    Batch, Committed, Count, Due, Expect, Happening, HistoryEntry, InboxEntry, Index, Kind, Lease, LeaseChange,
    Numbered, OutboxMail, Pending, RecordWrite, Release, Reservation, Reserve, Store, Stored, Wake,
};

/// An empty store, and what must live as long as it does (a folder, an emulator).
pub struct Fixture {
    pub store: Arc<dyn Store>,
    pub keeps: Box<dyn Any + Send>,
}

impl Fixture {
    pub fn new(store: Arc<dyn Store>, keeps: impl Any + Send) -> Self {
        Self {
            store,
            keeps: Box::new(keeps),
        }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

/// Runs one check on a store of its own.
pub fn run<M, C>(make: impl FnOnce() -> M, check: impl FnOnce(Arc<dyn Store>) -> C)
where
    M: Future<Output = Fixture>,
    C: Future<Output = ()>,
{
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let fixture = make().await;
            check(fixture.store.clone()).await;
        });
}

/// Makes a `#[test]` of every check, against stores that `$make` (an `async fn() -> Fixture`) gives.
#[macro_export]
macro_rules! store_contract {
    ($make:path) => {
        $crate::store_contract! { $make:
            a_claim_is_read_back_as_it_was_written,
            a_second_claim_of_an_id_is_refused,
            a_write_needs_the_lease_as_it_was_seen,
            each_lease_change_does_what_it_says,
            a_driver_that_was_taken_over_is_fenced,
            a_batch_without_a_record_keeps_the_record,
            a_batch_that_expects_nothing_touches_no_record,
            a_refused_batch_leaves_nothing_at_all,
            conditions_are_checked_in_their_order,
            what_was_committed_is_seen_by_the_next_read,
            a_large_record_is_kept_whole,

            messages_are_numbered_and_read_in_order,
            a_message_to_nobody_is_not_kept,
            a_repeated_key_is_one_message,
            a_key_is_known_for_two_days_after_it_was_dealt_with,
            a_message_makes_its_instance_due,
            a_wait_is_written_only_against_the_inbox_that_was_read,
            a_commit_tells_what_has_come_meanwhile,
            what_was_dealt_with_stays_dealt_with,

            a_key_has_one_owner,
            kinds_do_not_share_keys,
            the_owner_may_reserve_again,
            a_reservation_ends_by_itself,
            a_released_key_is_free_at_once,
            a_resting_key_is_nobody_elses,
            the_one_who_released_may_take_it_back,
            a_release_of_what_is_not_held_does_nothing,
            a_release_that_must_hold_says_when_it_does_not,
            a_right_is_used_up_once,
            all_reservations_of_an_owner_are_found,
            reserved_and_released_at_once_is_released,

            a_free_port_is_one_that_nobody_has,
            the_last_free_port_is_found,
            a_full_range_has_no_free_port,
            a_port_that_was_given_back_is_free_again,
            a_resting_port_is_free_when_its_rest_is_over,
            callers_in_turn_are_offered_different_ports,

            pages_are_newest_first_and_join_without_gap,
            a_page_is_never_longer_than_allowed,
            every_filter_and_every_pair_of_filters_holds,
            a_listing_follows_the_record,
            counts_are_by_service_and_state,
            what_is_due_longest_comes_first,
            a_record_at_rest_is_not_due,

            a_survey_shows_what_is_held_and_not_what_ends_by_itself,
            a_survey_shows_the_mails_that_were_not_sent,
            every_mail_is_shown_with_its_fate,
            a_mail_that_is_wanted_again_is_tried_from_the_beginning,
            the_pages_of_a_survey_join_without_gap,

            history_is_numbered_from_one_without_gaps,
            every_happening_is_read_back,
            a_mail_put_twice_is_one,
            mails_are_tried_oldest_first,
            a_mail_that_is_put_off_waits_until_then,
            a_mail_that_was_sent_or_given_up_is_not_tried_again,
            tidying_keeps_what_is_not,

            of_many_claims_of_one_name_one_wins,
            the_limit_on_live_instances_holds_in_a_crowd,
            room_is_made_by_what_ends,
            many_messages_at_once_have_numbers_of_their_own,
            of_many_drivers_one_takes_the_lease,
            a_crowd_takes_every_port_of_a_range_once,
        }
    };
    ($make:path: $($check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                $crate::contracts::store::run($make, $crate::contracts::store::$check);
            }
        )*
    };
}

/// The checks of a store that removes what is over when it is told to, and not by itself later.
#[macro_export]
macro_rules! store_tidying_contract {
    ($make:path) => {
        $crate::store_contract! { $make:
            tidying_removes_what_is_over,
        }
    };
}

/// The time at which checks begin.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// Reservations of one batch: more than a claim makes, and no more than every store takes at once.
const AT_ONCE: usize = 50;

/// So many milliseconds after the beginning.
fn at(millis: u64) -> Timestamp {
    Timestamp(NOW.0 + millis)
}

/// The n-th instance: later ones sort later.
fn id(n: u64) -> InstanceId {
    InstanceId::new(at(n), [7; 10])
}

fn index(service: &str, state: &'static str) -> Index {
    Index {
        name: None,
        service: service.to_owned(),
        state,
        live: true,
    }
}

fn record(body: &str, state: &'static str, wake: Option<Wake>) -> RecordWrite {
    RecordWrite {
        body: format!("{{\"text\":\"{body}\"}}"),
        index: index("shop", state),
        wake,
    }
}

fn wake(millis: u64, seq: u64) -> Wake {
    Wake { at: at(millis), seq }
}

/// A claim by driver "one", at rest.
fn claim(n: u64) -> Batch {
    Batch {
        record: Some(record("claimed", "queued", None)),
        ..Batch::new(id(n), Expect::Absent, take("one"))
    }
}

fn take(holder: &str) -> LeaseChange {
    LeaseChange::Take {
        holder: holder.to_owned(),
    }
}

/// A batch of whoever saw this lease.
fn holding(n: u64, lease: &Lease) -> Batch {
    let expect = Expect::Lease {
        epoch: lease.epoch,
        renewals: lease.renewals,
    };
    Batch::new(id(n), expect, LeaseChange::Keep)
}

fn reserve(kind: Kind, key: &str) -> Reserve {
    Reserve {
        kind,
        key: key.to_owned(),
        value: "mine".to_owned(),
        until: None,
        now: NOW,
    }
}

fn release(kind: Kind, key: &str) -> Release {
    Release {
        kind,
        key: key.to_owned(),
        rest_until: None,
        must_hold: false,
    }
}

fn note(text: &str) -> HistoryEntry {
    HistoryEntry {
        at: NOW,
        attempt: 1,
        what: Happening::Note { text: text.to_owned() },
    }
}

fn mail(id: &str) -> OutboxMail {
    OutboxMail {
        id: id.to_owned(),
        body: format!("{{\"to\":\"{id}\"}}"),
    }
}

/// Commits what must be accepted.
async fn commit(store: &Arc<dyn Store>, batch: Batch) -> Committed {
    let what = format!("{batch:?}");
    match store.commit(batch).await {
        Ok(committed) => committed,
        Err(error) => panic!("{error:?} for {what}"),
    }
}

async fn load(store: &Arc<dyn Store>, n: u64) -> Stored {
    store.load(&id(n)).await.expect("load").expect("a record")
}

async fn append(store: &Arc<dyn Store>, n: u64, body: &str, key: Option<&str>, now: Timestamp) -> u64 {
    store
        .append(&id(n), body.to_owned(), key.map(str::to_owned), now)
        .await
        .expect("append")
        .expect("an instance")
}

/// Everything that can be seen of a store with few instances in it.
#[derive(Debug, PartialEq)]
struct Seen {
    records: Vec<Stored>,
    inboxes: Vec<Vec<InboxEntry>>,
    histories: Vec<Vec<Numbered>>,
    reservations: Vec<Vec<(Kind, String, Reservation)>>,
    due: Vec<Due>,
    outbox: Vec<Pending>,
    counts: Vec<Count>,
}

async fn see(store: &Arc<dyn Store>, instances: std::ops::Range<u64>) -> Seen {
    let mut seen = Seen {
        records: Vec::new(),
        inboxes: Vec::new(),
        histories: Vec::new(),
        reservations: Vec::new(),
        due: store.due(Timestamp::MAX, 100).await.expect("due"),
        outbox: store.outbox(Timestamp::MAX, 100).await.expect("outbox"),
        counts: store.counts().await.expect("counts"),
    };
    for n in instances {
        let id = id(n);
        seen.records.extend(store.load(&id).await.expect("load"));
        seen.inboxes.push(store.inbox(&id, 0, 100).await.expect("inbox"));
        seen.histories.push(store.history(&id, 0, 100).await.expect("history"));
        seen.reservations
            .push(store.reservations_of(&id).await.expect("reservations"));
    }
    seen
}

#[cfg(test)]
mod tests {
    /// A check that is not in the list of the macro would never be run.
    #[test]
    fn every_check_is_in_the_list() {
        let list = include_str!("store.rs");
        let sources = [
            include_str!("store/crowds.rs"),
            include_str!("store/inboxes.rs"),
            include_str!("store/journals.rs"),
            include_str!("store/listings.rs"),
            include_str!("store/ports.rs"),
            include_str!("store/records.rs"),
            include_str!("store/reservations.rs"),
        ];
        let checks = sources.iter().flat_map(|source| {
            source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
        });
        let mut count = 0;
        for check in checks {
            assert!(list.contains(&format!("            {check},\n")), "{check} is not run");
            count += 1;
        }
        assert!(count > 50, "the checks were not found: {count}");
    }
}
