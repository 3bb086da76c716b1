//! What can happen in a state of the model, and what it does: the registry's side of a commit, the world's side of a call, time, and faults.

use super::{
    Answer, CALM_TICKS, Call, Commit, DEAD, Drive, Engine, Event, Faults, Harm, LATE, LEASE, LEASE_MARGIN, LeaseChange,
    Leases, Message, Mistake, STEP_TIMEOUT, Seen, TAKEN_AFTER, WaitsFor, World, driver::Goes,
};

/// The clocks of two machines differ by this much, for [`Mistake::ClocksCompared`].
const SKEW: u8 = LEASE;

impl Leases {
    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// `check_tasks_forever`. Without it a call that comes late can leave a task; all else has to do without it.
    fn looks_for_strays(&self) -> bool {
        self.faults.late > 0 && !self.makes(Mistake::NobodyLooksForStrays)
    }

    pub(super) fn events(&self, world: &World, events: &mut Vec<Event>) {
        let calm = world.calm;
        if calm.is_some_and(|(ticks, _)| ticks >= CALM_TICKS) || calm.is_some() && world.is_settled() {
            return;
        }
        for (number, engine) in world.engines.iter().enumerate() {
            let number = number as u8;
            match &engine.drive {
                None if world.registry.wake || !world.is_read() => events.push(Event::Poke(number)),
                None => {}
                Some(drive) => match drive.waits_for {
                    WaitsFor::Call { since_check, .. } => {
                        if since_check >= STEP_TIMEOUT && !world.is_answered_in_time(number) {
                            events.push(Event::TimeOut(number));
                        }
                    }
                    _ => events.push(Event::Go(number)),
                },
            }
        }
        events.extend(world.calls.iter().copied().map(Event::Call));
        if self.looks_for_strays() {
            match world.listed {
                Some(_) => events.push(Event::StopListed),
                None => {
                    let record = &world.registry.record;
                    // Without faults what would find nothing is left out: it would only go round and round.
                    let shows =
                        |(attempt, tasks): &(u8, u8)| *tasks > 0 && (calm.is_none() || record.is_stray(*attempt));
                    events.extend(
                        (1..)
                            .zip(world.tasks)
                            .filter(shows)
                            .map(|(attempt, _)| Event::ListTask(attempt)),
                    );
                }
            }
        }
        if calm.is_none() {
            if self.calms {
                events.push(Event::Calm);
            }
            Self::faults(world, events);
        }
        if self.can_tick(world) {
            events.push(Event::Tick);
        }
    }

    fn faults(world: &World, events: &mut Vec<Event>) {
        let left = world.left;
        for (number, engine) in world.engines.iter().enumerate() {
            let number = number as u8;
            if left.crashes > 0 && *engine != Engine::default() {
                events.push(Event::Crash(number));
            }
            match engine.drive.as_ref().map(|drive| drive.waits_for) {
                Some(WaitsFor::Answer(..)) if left.losses > 0 => events.push(Event::LoseAnswer(number)),
                Some(WaitsFor::Commit(_)) if left.losses > 0 => events.push(Event::LoseCommit(number)),
                Some(WaitsFor::ToCall { late: false, .. }) if left.late > 0 => events.push(Event::Pause(number)),
                Some(WaitsFor::Look) if left.waits > 0 => events.push(Event::Wait(number)),
                _ => {}
            }
        }
        if left.losses > 0 {
            let lost = |call: &Call| [Event::LoseCall(*call, false), Event::LoseCall(*call, true)];
            events.extend(world.calls.iter().flat_map(lost));
        }
        if left.late > 0 {
            events.extend(world.calls.iter().filter(|call| !call.late).copied().map(Event::Delay));
        }
        if left.deaths > 0 && world.tasks[world.registry.record.attempt as usize - 1] > 0 {
            events.push(Event::Die);
        }
        if left.ends > 0 {
            events.push(Event::Send(Message::End));
        }
        if left.notes > 0 {
            events.push(Event::Send(Message::Note));
        }
    }

    /// While there are faults anybody may be as slow as can be. Without them time goes on when all have done what they could.
    fn can_tick(&self, world: &World) -> bool {
        let begins_late = |drive: &Drive| matches!(drive.waits_for, WaitsFor::ToCall { since_check, late: false, .. } if since_check >= LEASE_MARGIN);
        let comes_late = |call: &Call| !call.late && call.since_check >= STEP_TIMEOUT + LEASE_MARGIN;
        if world.drives().any(begins_late) || world.calls.iter().any(comes_late) {
            return false;
        }
        if world.calm.is_none() {
            return true;
        }
        let is_busy = |(number, engine): (usize, &Engine)| match &engine.drive {
            Some(Drive {
                waits_for: WaitsFor::Call { since_check, .. },
                ..
            }) => *since_check >= STEP_TIMEOUT || world.is_answered_in_time(number as u8),
            Some(_) => true,
            None => {
                let may = self.may_take(world, number as u8, engine);
                (world.registry.wake || !world.is_read())
                    && (may || engine.seen.is_none_or(|(seen, _)| seen != world.registry.lease))
            }
        };
        let has_strays = (1..)
            .zip(world.tasks)
            .any(|(attempt, tasks)| tasks > 0 && world.registry.record.is_stray(attempt));
        world.calls.is_empty()
            && !(self.looks_for_strays() && (has_strays || world.listed.is_some()))
            && !world.engines.iter().enumerate().any(is_busy)
    }

    pub(super) fn happen(&self, world: &mut World, event: Event) {
        match event {
            Event::Tick => self.tick(world),
            Event::Calm => {
                world.calm = Some((0, 0));
                world.left = Faults::NONE;
            }
            Event::Poke(number) => self.poke(world, number),
            Event::Go(number) => self.go(world, number),
            Event::Call(call) => {
                self.land(world, call);
                if let Some(number) = call.caller {
                    self.drive_on(world, number, |drive| drive.called(call.undo));
                }
            }
            Event::TimeOut(number) => {
                for call in world.calls.iter_mut().filter(|call| call.caller == Some(number)) {
                    call.caller = None;
                }
                self.drive_on(world, number, |drive| drive.dirty = true);
            }
            Event::Crash(number) => {
                world.left.crashes -= 1;
                for call in world.calls.iter_mut().filter(|call| call.caller == Some(number)) {
                    call.caller = None;
                }
                world.engines[usize::from(number)] = Engine::default();
                if world.registry.holder == Some(number) {
                    world.registry.holder = Some(DEAD);
                }
            }
            Event::LoseAnswer(number) | Event::LoseCommit(number) => {
                world.left.losses -= 1;
                if let Some(drive) = &mut world.engines[usize::from(number)].drive {
                    drive.waits_for = WaitsFor::Reload;
                }
            }
            Event::LoseCall(call, lands) => {
                world.left.losses -= 1;
                if lands {
                    self.land(world, call);
                } else {
                    world.forget(call);
                }
            }
            Event::Delay(call) => {
                world.left.late -= 1;
                world.forget(call);
                world.calls.push(Call { late: true, ..call });
            }
            Event::Pause(number) => {
                world.left.late -= 1;
                if let Some(drive) = &mut world.engines[usize::from(number)].drive
                    && let WaitsFor::ToCall { late, .. } = &mut drive.waits_for
                {
                    *late = true;
                }
            }
            Event::Wait(number) => {
                world.left.waits -= 1;
                Self::with_drive(world, number, |drive| drive.rest(true));
            }
            Event::Die => {
                world.left.deaths -= 1;
                let attempt = world.registry.record.attempt;
                world.tasks[usize::from(attempt) - 1] = 0;
                world.append(Message::Lost(attempt));
            }
            Event::Send(message) => {
                let left = &mut world.left;
                match message {
                    Message::End => left.ends -= 1,
                    Message::Note => left.notes -= 1,
                    Message::Lost(_) => {}
                }
                world.append(message);
            }
            Event::ListTask(attempt) => world.listed = Some(attempt),
            Event::StopListed => {
                if let Some(attempt) = world.listed.take()
                    && world.registry.record.is_stray(attempt)
                {
                    world.tasks[usize::from(attempt) - 1] = 0;
                }
            }
        }
    }

    fn tick(&self, world: &mut World) {
        for engine in &mut world.engines {
            if let Some((_, since)) = &mut engine.seen {
                *since = TAKEN_AFTER.min(*since + 1);
            }
            if let Some(drive) = &mut engine.drive {
                drive.tick();
            }
        }
        for call in &mut world.calls {
            call.since_check = LATE.min(call.since_check + 1);
        }
        if self.makes(Mistake::ClocksCompared) {
            world.registry.age = TAKEN_AFTER.min(world.registry.age + 1);
        }
        if let Some((ticks, steps)) = &mut world.calm {
            *ticks += 1;
            *steps = 0;
        }
    }

    /// `Engine::may_take`, without what it remembers.
    fn may_take(&self, world: &World, number: u8, engine: &Engine) -> bool {
        let registry = &world.registry;
        if registry.holder.is_none_or(|holder| holder == number) || self.makes(Mistake::TakenAtOneLook) {
            return true;
        }
        if self.makes(Mistake::ClocksCompared) {
            return registry.age + SKEW >= TAKEN_AFTER;
        }
        let same = |seen: Seen| {
            seen.epoch == registry.lease.epoch
                && (seen.renewals == registry.lease.renewals || self.makes(Mistake::RenewalsIgnored))
        };
        engine
            .seen
            .is_some_and(|(seen, since)| same(seen) && since >= TAKEN_AFTER)
    }

    /// `Engine::drive`.
    fn poke(&self, world: &mut World, number: u8) {
        let engine = &world.engines[usize::from(number)];
        let may_take = self.may_take(world, number, engine);
        let lease = world.registry.lease;
        let engine = &mut world.engines[usize::from(number)];
        if may_take {
            engine.seen = None;
            self.load(world, number);
        } else if engine.seen.is_none_or(|(seen, _)| seen != lease)
            && !(self.makes(Mistake::RenewalsIgnored) && engine.seen.is_some_and(|(seen, _)| seen.epoch == lease.epoch))
        {
            engine.seen = Some((lease, 0));
        }
    }

    /// Reads the record, and begins to drive.
    fn load(&self, world: &mut World, number: u8) {
        let registry = &world.registry;
        let drive = Drive::stored(
            registry.record,
            registry.lease,
            registry.wake,
            registry.inbox.len() as u8,
            registry.inbox_read,
        );
        world.engines[usize::from(number)].drive = Some(drive);
        self.drive_on(world, number, |_| {});
    }

    fn with_drive(world: &mut World, number: u8, act: impl FnOnce(&mut Drive) -> Goes) {
        let engine = &mut world.engines[usize::from(number)];
        if engine.drive.as_mut().map(act) == Some(Goes::Away) {
            engine.drive = None;
        }
    }

    fn drive_on(&self, world: &mut World, number: u8, act: impl FnOnce(&mut Drive)) {
        Self::with_drive(world, number, |drive| {
            act(drive);
            drive.advance(self.mistake, false)
        });
    }

    /// What a driver waits for is done.
    fn go(&self, world: &mut World, number: u8) {
        let Some(drive) = &mut world.engines[usize::from(number)].drive else {
            return;
        };
        match drive.waits_for {
            WaitsFor::Inbox => {
                drive.read_inbox(&world.registry.inbox, self.mistake);
                self.drive_on(world, number, |_| {});
            }
            WaitsFor::Commit(commit) => {
                let answer = self.commit(world, number, commit);
                if let Some(drive) = &mut world.engines[usize::from(number)].drive {
                    drive.waits_for = WaitsFor::Answer(commit, answer);
                }
            }
            WaitsFor::Answer(commit, answer) => self.hear(world, number, commit, answer),
            WaitsFor::Reload => {
                let is_anothers = world.registry.holder.is_some_and(|holder| holder != number);
                if is_anothers && !self.makes(Mistake::ReloadTakesOver) && !self.makes(Mistake::GoesOnWhenFenced) {
                    world.engines[usize::from(number)].drive = None;
                } else {
                    self.load(world, number);
                }
            }
            WaitsFor::ToCall {
                undo,
                since_check,
                late,
            } => {
                let call = Call {
                    attempt: drive.record.attempt,
                    undo,
                    caller: Some(number),
                    since_check,
                    late,
                };
                drive.waits_for = WaitsFor::Call { undo, since_check };
                world.calls.push(call);
            }
            WaitsFor::Look => {
                let runs = world.tasks[usize::from(drive.record.attempt) - 1] > 0;
                if runs {
                    self.drive_on(world, number, Drive::is_done);
                } else {
                    Self::with_drive(world, number, |drive| drive.rest(true));
                }
            }
            WaitsFor::Call { .. } => {}
        }
    }

    /// `Store::commit`.
    fn commit(&self, world: &mut World, number: u8, commit: Commit) -> Answer {
        let registry = &mut world.registry;
        let Some(drive) = world.engines[usize::from(number)].drive.as_ref() else {
            return Answer::Fenced;
        };
        if drive.lease != registry.lease && !self.makes(Mistake::FenceSkipped) {
            return Answer::Fenced;
        }
        let inbox_head = registry.inbox.len() as u8;
        if commit.rest && drive.inbox_read != inbox_head && !self.makes(Mistake::InboxUnchecked) {
            return Answer::InboxMoved;
        }
        if drive.stale {
            world.harm = Some(Harm::WroteUnread);
        }
        if commit.lease != LeaseChange::Take && registry.holder.is_some_and(|holder| holder != number) {
            world.harm = Some(Harm::TwoWriters);
        }
        registry.record = drive.record;
        registry.inbox_read = registry.inbox_read.max(drive.inbox_read);
        registry.wake = commit.wake;
        let lease = &mut registry.lease;
        match commit.lease {
            LeaseChange::Keep => {}
            LeaseChange::Take => {
                *lease = Seen {
                    epoch: lease.epoch + 1,
                    renewals: 0,
                };
                registry.holder = Some(number);
                registry.age = 0;
            }
            LeaseChange::Renew => {
                lease.renewals += 1;
                registry.age = 0;
            }
            LeaseChange::Release => {
                if !self.makes(Mistake::ReleaseUnnumbered) {
                    lease.renewals += 1;
                }
                registry.holder = None;
            }
        }
        let lease = *lease;
        for (other, engine) in world.engines.iter_mut().enumerate() {
            if let Some(drive) = &mut engine.drive {
                drive.stale |= other != usize::from(number);
            }
        }
        Answer::Committed { lease, inbox_head }
    }

    /// A commit's answer: `Drive::write` and `Drive::stop`.
    fn hear(&self, world: &mut World, number: u8, commit: Commit, answer: Answer) {
        let mistake = self.mistake;
        match answer {
            Answer::Committed { lease, inbox_head } => Self::with_drive(world, number, |drive| {
                drive.committed(commit, lease, inbox_head, mistake);
                if commit.rest {
                    Goes::Away
                } else {
                    drive.advance(mistake, commit.renews)
                }
            }),
            Answer::Fenced if self.makes(Mistake::GoesOnWhenFenced) => Self::with_drive(world, number, |drive| {
                drive.waits_for = WaitsFor::Reload;
                Goes::On
            }),
            Answer::Fenced => world.engines[usize::from(number)].drive = None,
            // `look_at_head`
            Answer::InboxMoved => {
                let head = world.registry.inbox.len() as u8;
                self.drive_on(world, number, |drive| drive.inbox_head = head);
            }
        }
    }

    /// A call's effect.
    fn land(&self, world: &mut World, call: Call) {
        world.forget(call);
        let task = &mut world.tasks[usize::from(call.attempt) - 1];
        if !call.undo {
            *task = if self.makes(Mistake::StartNotIdempotent) {
                *task + 1
            } else {
                1
            };
            return;
        }
        *task = 0;
        if self.makes(Mistake::MarkWithoutAttempt) {
            if world.tasks.iter().any(|tasks| *tasks > 0) {
                world.harm = Some(Harm::ForeignAttempt);
            }
            world.tasks.fill(0);
        }
    }
}

impl World {
    /// What a driver waits for comes before its time-out.
    fn is_answered_in_time(&self, number: u8) -> bool {
        self.calls.iter().any(|call| call.caller == Some(number) && !call.late)
    }

    fn forget(&mut self, call: Call) {
        if let Some(index) = self.calls.iter().position(|other| *other == call) {
            self.calls.remove(index);
        }
    }

    /// `Store::append`.
    fn append(&mut self, message: Message) {
        self.registry.inbox.push(message);
        self.registry.wake = true;
    }
}
