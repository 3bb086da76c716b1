//! Money as whole cents. No fraction of a cent and no binary floating point comes near a price.

use std::{fmt, str::FromStr};

/// An amount in cents, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cents(i64);

impl Cents {
    /// The highest price of one piece. With 99 pieces in a line and 50 lines in a basket, no sum comes near the end of an `i64`.
    pub(crate) const PRICE_MAX: Self = Self(100_000_000);

    pub(crate) const fn new(cents: i64) -> Self {
        Self(if cents < 0 { 0 } else { cents })
    }

    pub(crate) const fn count(self) -> i64 {
        self.0
    }

    pub(crate) const fn times(self, quantity: i64) -> Self {
        Self(self.0.saturating_mul(quantity))
    }

    /// The form in which a price is typed: `12.50`, without a currency.
    pub(crate) fn plain(self) -> String {
        format!("{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl std::iter::Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self(0), |sum, amount| Self(sum.0.saturating_add(amount.0)))
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.plain())
    }
}

/// Why a text is not a price, in words for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Give the price as a number such as 12.50, at most {}.", Cents::PRICE_MAX.plain())]
pub(crate) struct NotAPrice;

impl FromStr for Cents {
    type Err = NotAPrice;

    fn from_str(text: &str) -> Result<Self, NotAPrice> {
        let text = text.trim();
        let text = text.strip_prefix('$').unwrap_or(text);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "00"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 9) || !digits(fraction, 2) {
            return Err(NotAPrice);
        }
        let number = |part: &str| part.parse::<i64>().map_err(|_| NotAPrice);
        let tens = if fraction.len() == 1 { 10 } else { 1 };
        let price = Self(number(whole)? * 100 + number(fraction)? * tens);
        if price <= Self::PRICE_MAX {
            Ok(price)
        } else {
            Err(NotAPrice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_to_the_cent() {
        for (text, cents) in [
            ("12", 1200),
            ("12.5", 1250),
            ("12.05", 1205),
            (" $0.99 ", 99),
            ("0", 0),
            ("1000000.00", 100_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Cents(cents)), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_price_is_refused() {
        for text in [
            "",
            "$",
            ".",
            "1.",
            ".5",
            "1.234",
            "-1",
            "+1",
            "1e3",
            "1,50",
            "NaN",
            "1000000.01",
            "999999999",
            "9999999999999999999",
            "１２",
        ] {
            assert_eq!(text.parse::<Cents>(), Err(NotAPrice), "{text:?}");
        }
    }

    #[test]
    fn amounts_are_shown_with_two_places() {
        assert_eq!(Cents(5).to_string(), "$0.05");
        assert_eq!(Cents(123_456).to_string(), "$1234.56");
    }
}
