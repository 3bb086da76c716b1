//! The time that the simulated cloud goes by: it follows tokio's, at any speed, or stands still until a test moves it.
//!
//! Nothing here knows what happens at a given time; that is [`crate::world`].

use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// A point of simulated time, as the time since 1970.
pub(crate) type Moment = Duration;

/// 2 November 2026, 09:00 UTC: where a simulator starts that is told nothing else, so that two runs give the same answers.
pub(crate) const FIRST_MOMENT: Moment = Duration::from_hours(498_225);

#[derive(Debug)]
pub(crate) struct Clock {
    first: Moment,
    /// Simulated seconds in one of tokio's; 0 where only [`Clock::advance`] moves it.
    speed: f64,
    started: Instant,
    advanced: Mutex<Duration>,
}

impl Clock {
    /// `speed` is taken as 0 where it is negative or no number.
    pub(crate) fn new(first: Moment, speed: f64) -> Self {
        Self {
            first,
            speed: if speed.is_finite() { speed.max(0.0) } else { 0.0 },
            started: Instant::now(),
            advanced: Mutex::new(Duration::ZERO),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.first + *self.advanced.lock() + self.started.elapsed().mul_f64(self.speed)
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.advanced.lock() += by;
    }

    /// How long tokio has to wait until it is `then` here; none where waiting does not help.
    pub(crate) fn wait_for(&self, then: Moment) -> Option<Duration> {
        if self.speed == 0.0 {
            return None;
        }
        Some(then.saturating_sub(self.now()).div_f64(self.speed))
    }
}

/// As awsJson writes a time: seconds since 1970, with milliseconds.
pub(crate) fn epoch(moment: Moment) -> serde_json::Value {
    serde_json::json!(moment.as_millis() as f64 / 1000.0)
}

/// As events and XML write a time: ISO 8601 in UTC, with milliseconds.
pub(crate) fn iso(moment: Moment) -> String {
    let (days, seconds) = (moment.as_secs() / 86_400, moment.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        moment.subsec_millis()
    )
}

/// The date that is so many days after 1 January 1970.
const fn civil(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that the leap day is the last one; 719,468 days lie between 0000-03-01 and 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_manual_clock_stands_still_until_it_is_moved() {
        let clock = Clock::new(FIRST_MOMENT, 0.0);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), FIRST_MOMENT);
        clock.advance(Duration::from_secs(30));
        assert_eq!(clock.now(), FIRST_MOMENT + Duration::from_secs(30));
        assert_eq!(clock.wait_for(FIRST_MOMENT + Duration::from_mins(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_clock_makes_an_hour_of_a_minute() {
        let clock = Clock::new(FIRST_MOMENT, 60.0);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(clock.now(), FIRST_MOMENT + Duration::from_hours(1));
        let wait = clock.wait_for(clock.now() + Duration::from_mins(2));
        assert_eq!(wait, Some(Duration::from_secs(2)));
    }

    #[test]
    fn times_are_written_as_aws_writes_them() {
        assert_eq!(iso(FIRST_MOMENT), "2026-11-02T09:00:00.000Z");
        assert_eq!(
            iso(Duration::from_millis(1_709_210_096_789)),
            "2024-02-29T12:34:56.789Z"
        );
        assert_eq!(epoch(Duration::from_millis(1_500)), serde_json::json!(1.5));
    }
}
