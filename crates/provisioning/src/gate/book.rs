//! The book of one machine: whose tasks are being started, who waits for a turn, and what is booked. Pure: a value and what is done to it.
//!
//! Three things are given away: places among those that are being started, memory, and processors. Whoever gets a turn gets all three at once, or waits.
//! The line has one rule: nobody is given some of what another one ahead of him waits for. So a large task is not starved by small ones that would always
//! fit, and one that books no memory is not held up by one that does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use wharf_domain::{
    Code, Failure, InstanceId, Timestamp,
    booking::{Booking, bytes},
};

/// What may be given away at once. What is `None` is given to whoever asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Tasks that are on their way to Ready.
    pub starts_at_once: Option<usize>,
    /// Bytes that tasks may have booked together.
    pub memory: Option<u64>,
    /// CPU units that tasks may have booked together, 1024 for each processor.
    pub cpu_units: Option<u64>,
    /// Tenants' instances of one e-mail address. This one is kept by the registry, and holds wherever the registry is.
    pub instances_per_email: Option<u16>,
}

impl Limits {
    /// Whether anything is booked on this machine at all.
    #[must_use]
    pub const fn is_kept_here(&self) -> bool {
        self.starts_at_once.is_some() || self.memory.is_some() || self.cpu_units.is_some()
    }

    /// Refuses what could never be granted, even with nothing else there.
    pub fn check(&self, booking: Booking) -> Result<(), Failure> {
        let failure = |message: String, key: &str| {
            Failure::new(Code::LimitBooking, message).hint(format!(
                "let the service ask for less, or raise `limits.{key}` in wharf.toml if the machine has more"
            ))
        };
        match (self.memory, self.cpu_units) {
            (Some(limit), _) if booking.memory > limit => Err(failure(
                format!(
                    "one task books {} of memory, and all together may book {}",
                    bytes(booking.memory),
                    bytes(limit)
                ),
                "memory",
            )),
            (_, Some(limit)) if booking.cpu_units > limit => Err(failure(
                format!(
                    "one task books {} CPU units, and all together may book {limit}",
                    booking.cpu_units
                ),
                "cpu_units",
            )),
            _ => Ok(()),
        }
    }
}

/// Who comes first in the line: what was there before comes before what is new, and of each kind who came first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    /// It was never Ready. What people have already does not wait behind a crowd of sign-ups.
    pub is_new: bool,
    pub since: Timestamp,
    pub id: InstanceId,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Others are being started.
    Starts,
    Memory,
    Processors,
}

impl Lack {
    /// As it follows "waits for".
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Starts => "its turn: others are being started",
            Self::Memory => "its turn: all memory is booked",
            Self::Processors => "its turn: all processors are booked",
        }
    }
}

/// Whether what a saga waits for is its turn.
pub(crate) fn is_turn(waits_for: &str) -> bool {
    waits_for.starts_with("its turn")
}

/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// 1 is the next.
    pub position: usize,
    pub of: usize,
    pub lack: Lack,
}

/// How full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd {
    pub starting: usize,
    pub waiting: usize,
    pub booked: Booking,
    pub limits: Limits,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    limits: Limits,
    starting: BTreeSet<InstanceId>,
    booked: BTreeMap<InstanceId, Booking>,
    total: Booking,
    line: BTreeMap<Turn, Booking>,
    turns: HashMap<InstanceId, Turn>,
    /// Their turn has come, and they do not know it yet.
    called: Vec<InstanceId>,
}

/// What is given to nobody any more, because one who is further ahead waits for it.
#[derive(Clone, Copy, Default)]
struct Kept {
    memory: bool,
    processors: bool,
}

impl Book {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Asks for a turn. `None`: it is this one's, or was; else its place in the line.
    pub(crate) fn ask(&mut self, turn: Turn, booking: Booking) -> Option<Place> {
        let id = turn.id.clone();
        if !self.starting.contains(&id) {
            self.line_up(turn, booking);
            self.give();
        }
        if self.starting.contains(&id) {
            // It is told so here.
            self.called.retain(|called| *called != id);
            return None;
        }
        self.place(&id)
    }

    /// Puts somebody into the line, where it comes to be given nothing yet.
    pub(crate) fn line_up(&mut self, turn: Turn, booking: Booking) {
        if !self.turns.contains_key(&turn.id) {
            self.turns.insert(turn.id.clone(), turn.clone());
            self.line.insert(turn, booking);
        }
    }

    /// Writes down what is there already, whether there is room for it or not.
    pub(crate) fn hold(&mut self, id: &InstanceId, booking: Booking) {
        if !booking.is_nothing() {
            self.total = self.total.less(self.booked(id)).plus(booking);
            self.booked.insert(id.clone(), booking);
        }
    }

    /// Writes down that a task is being started.
    pub(crate) fn seat(&mut self, id: &InstanceId) {
        self.starting.insert(id.clone());
    }

    /// It is started, or will not be: its place is another's, and what it has booked stays its own.
    pub(crate) fn rise(&mut self, id: &InstanceId) {
        self.starting.remove(id);
        if let Some(turn) = self.turns.remove(id) {
            self.line.remove(&turn);
        }
        self.called.retain(|called| called != id);
        self.give();
    }

    /// Nothing of it runs: whatever it had is others'.
    pub(crate) fn leave(&mut self, id: &InstanceId) {
        if let Some(booking) = self.booked.remove(id) {
            self.total = self.total.less(booking);
        }
        self.rise(id);
    }

    /// Those whose turn has come since this was asked last.
    pub(crate) fn called(&mut self) -> Vec<InstanceId> {
        std::mem::take(&mut self.called)
    }

    pub(crate) fn has_called(&self) -> bool {
        !self.called.is_empty()
    }

    fn booked(&self, id: &InstanceId) -> Booking {
        self.booked.get(id).copied().unwrap_or_default()
    }

    /// What this one lacks of memory or processors, if those ahead of it keep these.
    fn lacks(&self, wanted: Booking, kept: &mut Kept) -> Option<Lack> {
        let over = |limit: Option<u64>, taken: u64, wanted: u64| {
            wanted > 0 && limit.is_some_and(|limit| taken.saturating_add(wanted) > limit)
        };
        let no_memory =
            wanted.memory > 0 && (kept.memory || over(self.limits.memory, self.total.memory, wanted.memory));
        let no_processors = wanted.cpu_units > 0
            && (kept.processors || over(self.limits.cpu_units, self.total.cpu_units, wanted.cpu_units));
        if no_memory || no_processors {
            kept.memory |= wanted.memory > 0;
            kept.processors |= wanted.cpu_units > 0;
        }
        match (no_memory, no_processors) {
            (true, _) => Some(Lack::Memory),
            (false, true) => Some(Lack::Processors),
            (false, false) => None,
        }
    }

    fn is_full(&self) -> bool {
        self.limits
            .starts_at_once
            .is_some_and(|most| self.starting.len() >= most)
    }

    /// Gives turns to whom they belong.
    pub(crate) fn give(&mut self) {
        let mut kept = Kept::default();
        let mut after: Option<Turn> = None;
        while !self.is_full() {
            let next = match &after {
                None => self.line.iter().next(),
                Some(turn) => self
                    .line
                    .range((std::ops::Bound::Excluded(turn), std::ops::Bound::Unbounded))
                    .next(),
            };
            let Some((turn, booking)) = next.map(|(turn, booking)| (turn.clone(), *booking)) else {
                return;
            };
            // What it holds already it does not want again: a task that died left its instance its room.
            let wanted = booking.less(self.booked(&turn.id));
            if self.lacks(wanted, &mut kept).is_none() {
                self.line.remove(&turn);
                self.turns.remove(&turn.id);
                self.hold(&turn.id, booking);
                self.starting.insert(turn.id.clone());
                self.called.push(turn.id.clone());
            }
            after = Some(turn);
        }
    }

    /// The places of all who wait, in their order.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&InstanceId, Place)> {
        let mut kept = Kept::default();
        let of = self.line.len();
        self.line.iter().enumerate().map(move |(index, (turn, booking))| {
            let lack = self.lacks(booking.less(self.booked(&turn.id)), &mut kept);
            let place = Place {
                position: index + 1,
                of,
                lack: lack.unwrap_or(Lack::Starts),
            };
            (&turn.id, place)
        })
    }

    pub(crate) fn waits(&self, id: &InstanceId) -> bool {
        self.turns.contains_key(id)
    }

    /// The place of one who waits.
    pub(crate) fn place(&self, id: &InstanceId) -> Option<Place> {
        let turn = self.turns.get(id)?;
        let mut places = self.places();
        places.find_map(|(other, place)| (*other == turn.id).then_some(place))
    }

    pub(crate) fn crowd(&self) -> Crowd {
        Crowd {
            starting: self.starting.len(),
            waiting: self.line.len(),
            booked: self.total,
            limits: self.limits,
        }
    }

    /// Why somebody who waited for this was not given it, in figures.
    pub(crate) fn full(&self, lack: Lack) -> (String, &'static str) {
        let limit = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        match lack {
            Lack::Starts => (
                format!("{} others were being started", self.starting.len()),
                "starts_at_once",
            ),
            Lack::Memory => (
                format!(
                    "{} of {} of memory are booked",
                    bytes(self.total.memory),
                    bytes(limit(self.limits.memory))
                ),
                "memory",
            ),
            Lack::Processors => (
                format!(
                    "{} of {} CPU units are booked",
                    self.total.cpu_units,
                    limit(self.limits.cpu_units)
                ),
                "cpu_units",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn id(n: u8) -> InstanceId {
        InstanceId::new(Timestamp(u64::from(n)), [n; 10])
    }

    fn turn(n: u8) -> Turn {
        Turn {
            is_new: true,
            since: Timestamp(u64::from(n)),
            id: id(n),
        }
    }

    fn memory(mebibytes: u64) -> Booking {
        Booking {
            memory: mebibytes * MIB,
            cpu_units: 0,
        }
    }

    fn book(starts_at_once: usize, mebibytes: u64) -> Book {
        Book::new(Limits {
            starts_at_once: Some(starts_at_once),
            memory: Some(mebibytes * MIB),
            cpu_units: Some(1024),
            instances_per_email: None,
        })
    }

    fn position(book: &Book, n: u8) -> Option<(usize, usize, Lack)> {
        let place = book.place(&id(n))?;
        Some((place.position, place.of, place.lack))
    }

    #[test]
    fn turns_come_in_the_order_of_arrival_and_each_is_told_once() {
        let mut book = book(2, 100);
        for n in [1, 2] {
            assert_eq!(book.ask(turn(n), Booking::default()), None);
        }
        // They ask in another order than they came in.
        for n in [5, 3, 4] {
            assert!(book.ask(turn(n), Booking::default()).is_some());
        }
        assert_eq!(position(&book, 3), Some((1, 3, Lack::Starts)));
        assert_eq!(position(&book, 5), Some((3, 3, Lack::Starts)));
        assert!(book.called().is_empty());
        book.rise(&id(1));
        assert_eq!(book.called(), [id(3)]);
        assert!(book.called().is_empty());
        assert_eq!(position(&book, 5), Some((2, 2, Lack::Starts)));
        // Whoever asks by himself need not be told.
        book.leave(&id(2));
        assert_eq!(book.ask(turn(4), Booking::default()), None);
        assert!(!book.has_called());
        assert_eq!(book.crowd().starting, 2);
    }

    #[test]
    fn what_was_there_before_comes_before_a_crowd() {
        let mut book = book(1, 100);
        assert_eq!(book.ask(turn(1), Booking::default()), None);
        assert!(book.ask(turn(2), Booking::default()).is_some());
        let old = Turn {
            is_new: false,
            ..turn(9)
        };
        assert_eq!(book.ask(old, Booking::default()).map(|place| place.position), Some(1));
        book.rise(&id(1));
        assert_eq!(book.called(), [id(9)]);
    }

    #[test]
    fn a_large_one_is_not_starved_and_does_not_hold_up_who_wants_none_of_it() {
        let mut book = book(9, 100);
        assert_eq!(book.ask(turn(1), memory(60)), None);
        assert_eq!(
            book.ask(turn(2), memory(80)).map(|place| place.lack),
            Some(Lack::Memory)
        );
        assert_eq!(
            book.ask(turn(3), memory(10)).map(|place| place.lack),
            Some(Lack::Memory)
        );
        assert_eq!(book.ask(turn(4), Booking::default()), None);
        let processors = Booking {
            memory: 0,
            cpu_units: 1024,
        };
        assert_eq!(book.ask(turn(5), processors), None);
        assert_eq!(
            book.ask(turn(6), processors).map(|place| place.lack),
            Some(Lack::Processors)
        );
        // Ready: its place is free, and its memory is not.
        book.rise(&id(1));
        assert!(book.called().is_empty());
        book.leave(&id(1));
        assert_eq!(book.called(), [id(2), id(3)]);
        assert_eq!(book.crowd().booked, memory(90).plus(processors));
    }

    #[test]
    fn a_new_task_of_the_same_instance_wants_no_more_room() {
        let mut book = book(1, 100);
        assert_eq!(book.ask(turn(1), memory(100)), None);
        book.rise(&id(1));
        assert!(book.ask(turn(2), memory(10)).is_some());
        assert_eq!(book.ask(turn(1), memory(100)), None);
        assert_eq!(book.crowd().booked, memory(100));
        book.leave(&id(1));
        assert_eq!(book.called(), [id(2)]);
        book.leave(&id(2));
        assert_eq!(book.crowd().booked, Booking::default());
    }

    #[test]
    fn who_leaves_the_line_is_not_called() {
        let mut book = book(1, 100);
        for n in 1..=3 {
            let _ = book.ask(turn(n), Booking::default());
        }
        book.leave(&id(2));
        book.leave(&id(1));
        assert_eq!(book.called(), [id(3)]);
        // It was called, and has left before it heard of it.
        let _ = book.ask(turn(4), Booking::default());
        book.leave(&id(3));
        assert_eq!(book.called(), [id(4)]);
    }

    #[test]
    fn what_is_there_counts_though_there_is_no_room_for_it() {
        let mut book = book(1, 100);
        for n in 1..=2 {
            book.hold(&id(n), memory(80));
            book.seat(&id(n));
        }
        book.rise(&id(1));
        assert!(
            book.ask(turn(3), Booking::default()).is_some(),
            "one is still being started"
        );
        book.leave(&id(2));
        assert_eq!(book.called(), [id(3)]);
        assert!(book.ask(turn(4), memory(30)).is_some());
        assert_eq!(book.crowd().booked, memory(80));
    }

    #[test]
    fn what_could_never_be_granted_is_refused() {
        let limits = book(1, 100).limits;
        assert!(limits.check(memory(100)).is_ok());
        let failure = limits.check(memory(101)).expect_err("too large");
        assert_eq!(failure.code, Code::LimitBooking);
        assert!(failure.message.contains("101 MiB"), "{failure}");
        let units = Booking {
            memory: 0,
            cpu_units: 1025,
        };
        assert_eq!(limits.check(units).expect_err("too many").code, Code::LimitBooking);
        assert!(Limits::default().check(memory(u64::MAX >> 21)).is_ok());
    }
}
