//! The bounds of this entrance, in one place, with what must hold between them.

use std::time::Duration;

/// Bytes of a request's body. The longest that anybody has reason to send is an event with its environment.
pub(crate) const BODY_MAX: usize = 64 * 1024;
/// Bytes of a webhook's body: what is in it is its sender's, and Stripe's events come with everything about a payment.
pub(crate) const WEBHOOK_MAX: usize = 256 * 1024;
/// How long a body may take to come.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Instances on a page of the API's listing, unless asked for otherwise.
pub(crate) const PAGE: u64 = 100;
/// Instances on a page of the console.
pub(crate) const CONSOLE_PAGE: usize = 50;
/// Findings of repair that the console shows.
pub(crate) const CONSOLE_FINDINGS: usize = 20;
/// History entries read at once.
pub(crate) const HISTORY_PAGE: usize = 500;
/// History entries in an answer: the newest.
pub(crate) const HISTORY_SHOWN: usize = 500;
/// Pages of history that are read to find the newest.
pub(crate) const HISTORY_PAGES: usize = 20;

/// Lines of output in an answer, unless asked for otherwise, and at the most.
pub(crate) const LINES: u64 = 200;
pub(crate) const LINES_MAX: u64 = 10_000;

/// Streams (events, followed logs) at once. The embedded edge takes 1,024 control requests at a time: half of them stay free.
pub(crate) const STREAMS: usize = 512;
/// Streams of one client address at once.
pub(crate) const STREAMS_OF_ONE: usize = 64;
/// After this long a stream ends, and its client comes again with `Last-Event-ID`.
pub(crate) const STREAM_LIFE: Duration = Duration::from_mins(30);
/// Between two comments that keep a silent stream open through proxies.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often a stream looks by itself: news of a commit in another process does not come here.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// What a stream's client waits before it comes again.
pub(crate) const RECONNECT: Duration = Duration::from_secs(2);

/// What an answer that waits adds to a service's own start time-out, to notice how the start ended.
pub(crate) const NOTICE: Duration = Duration::from_secs(5);
/// How long the registry may take to answer `/readyz`.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a console session lasts.
pub(crate) const SESSION: Duration = Duration::from_hours(12);
/// Good session cookies of one request that are looked at: a browser has one.
pub(crate) const SESSIONS_SHOWN: usize = 4;
/// Failed logins of one address within [`LOGIN_WINDOW`].
pub(crate) const LOGINS: u32 = 10;
pub(crate) const LOGIN_WINDOW: Duration = Duration::from_mins(1);

/// Addresses that a rate limit remembers.
pub(crate) const RATE_ADDRESSES: usize = 8 * 1024;
/// Points in time that a rate limit remembers, over all addresses.
pub(crate) const RATE_STAMPS: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_says_something_before_anybody_takes_it_for_dead() {
        assert!(LOOK_AGAIN < KEEP_ALIVE && KEEP_ALIVE < Duration::from_mins(1) && KEEP_ALIVE < STREAM_LIFE);
    }

    #[test]
    fn no_client_can_take_all_streams() {
        const { assert!(STREAMS_OF_ONE < STREAMS) };
    }

    #[test]
    fn pages_fit_what_the_store_gives() {
        const { assert!(PAGE as usize <= wharf_saga::store::PAGE_MAX && CONSOLE_PAGE <= wharf_saga::store::PAGE_MAX) };
        const { assert!(HISTORY_SHOWN <= HISTORY_PAGE * HISTORY_PAGES) };
    }
}
