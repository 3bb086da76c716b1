//! What strikes a deployment while it is used.
//!
//! What must not be here: how that is done on a platform (`deployment`).

use std::{cell::RefCell, time::Duration};
use wharf_harness::Seed;

use crate::{compare::Violation, deployment::Deployment, load::listed, log::Log};

/// Between two blows.
const PEACE: Duration = Duration::from_millis(900);
/// Longer than a lease and its margin, which are 30 and 5 seconds.
pub(crate) const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(37);
const SHORT_PAUSE: Duration = Duration::from_millis(1500);
/// How long the server may be away between its death and its next start.
const AWAY: Duration = Duration::from_millis(300);
const FULL: Duration = Duration::from_millis(1500);
/// How long a task stays frozen. Its health check gives it up before.
const FROZEN: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// SIGKILL of the server.
    Kill,
    /// The same, and again while it starts.
    KillTwice,
    /// The server is asked to end.
    End,
    /// Everything is gone at once, and what was not synced is damaged.
    PowerLoss,
    Pause,
    LongPause,
    KillTask,
    KillAllTasks,
    FreezeTask,
    FillDisk,
    Intrude,
}

const WEIGHTS: [(Blow, usize); 10] = [
    (Blow::Kill, 6),
    (Blow::KillTwice, 3),
    (Blow::End, 3),
    (Blow::PowerLoss, 4),
    (Blow::Pause, 3),
    (Blow::KillTask, 5),
    (Blow::KillAllTasks, 2),
    (Blow::FreezeTask, 2),
    (Blow::FillDisk, 3),
    (Blow::Intrude, 1),
];

impl Blow {
    pub(crate) fn draw(seed: &mut Seed) -> Self {
        let mut drawn = seed.below(WEIGHTS.iter().map(|(_, weight)| weight).sum());
        for (blow, weight) in WEIGHTS {
            if drawn < weight {
                return blow;
            }
            drawn -= weight;
        }
        Self::Kill
    }
}

/// Strikes one blow after the other. What it does is the seed's choice; an error ends the run.
pub(crate) struct Striker<'a, D> {
    pub(crate) deployment: &'a mut D,
    pub(crate) log: &'a Log,
    pub(crate) violations: &'a RefCell<Vec<Violation>>,
    /// Something came back with the power that repair has to take away again.
    pub(crate) has_come_back: bool,
}

impl<D: Deployment> Striker<'_, D> {
    pub(crate) async fn strike(&mut self, blows: &[Blow], seed: &mut Seed) -> Result<(), String> {
        for blow in blows {
            tokio::time::sleep(seed.up_to(PEACE)).await;
            self.one(*blow, seed).await?;
        }
        tokio::time::sleep(seed.up_to(PEACE)).await;
        Ok(())
    }

    async fn one(&mut self, blow: Blow, seed: &mut Seed) -> Result<(), String> {
        match blow {
            Blow::Kill => {
                self.log.say("the server is killed");
                self.deployment.kill().await?;
                tokio::time::sleep(seed.up_to(AWAY)).await;
                self.start().await
            }
            Blow::KillTwice => {
                self.log.say("the server is killed, and again while it starts");
                self.deployment.kill().await?;
                for _ in 0..=seed.below(3) {
                    self.deployment.start_in_vain(seed).await?;
                }
                self.start().await
            }
            Blow::End => {
                self.log.say("the server is asked to end");
                if let Err(error) = self.deployment.end().await {
                    self.wrong(format!("it does not end in order: {error}"));
                }
                self.start().await
            }
            Blow::PowerLoss => {
                self.log.say("the power is lost");
                for damage in self.deployment.lose_power(seed).await? {
                    self.has_come_back |= damage.contains("comes back");
                    self.log.say(format_args!("  {damage}"));
                }
                self.start().await
            }
            Blow::Pause => {
                let pause = seed.up_to(SHORT_PAUSE);
                self.pause(pause, seed.percent(30)).await
            }
            Blow::LongPause => self.pause(LONGER_THAN_A_LEASE, true).await,
            Blow::KillTask | Blow::KillAllTasks => {
                let mut tasks = self.deployment.tasks();
                if blow == Blow::KillTask {
                    let chosen = seed.below(tasks.len());
                    tasks = tasks.into_iter().skip(chosen).take(1).collect();
                }
                for task in &tasks {
                    self.log.say(format_args!("{task} is killed"));
                    self.deployment.kill_task(task);
                }
                Ok(())
            }
            Blow::FreezeTask => {
                let Some(task) = seed.one_of(&self.deployment.tasks()).cloned() else {
                    return Ok(());
                };
                self.log.say(format_args!("{task} is frozen"));
                self.deployment.freeze_task(&task);
                tokio::time::sleep(seed.up_to(FROZEN)).await;
                self.deployment.thaw_task(&task);
                self.log.say(format_args!("{task} goes on, if it is still there"));
                Ok(())
            }
            Blow::FillDisk => self.fill_disk(seed).await,
            Blow::Intrude => self.intrude().await,
        }
    }

    /// Starts the server. Whatever befell it, it has to start.
    async fn start(&mut self) -> Result<(), String> {
        match self.deployment.start().await {
            Ok(()) => {
                self.log.say("the server is up");
                Ok(())
            }
            Err(error) => Err(format!("the server does not start: {error}")),
        }
    }

    async fn pause(&mut self, pause: Duration, with_intruder: bool) -> Result<(), String> {
        self.log
            .say(format_args!("the server stands still for {:.1} s", pause.as_secs_f64()));
        self.deployment.pause();
        if with_intruder {
            self.intrude().await?;
        }
        tokio::time::sleep(pause).await;
        self.deployment.proceed();
        self.log.say("the server goes on");
        Ok(())
    }

    async fn intrude(&mut self) -> Result<(), String> {
        match self.deployment.intrude().await {
            Ok(how) => self.log.say(format_args!("a second server is refused: {how}")),
            Err(error) => self.wrong(error),
        }
        Ok(())
    }

    async fn fill_disk(&mut self, seed: &mut Seed) -> Result<(), String> {
        if !self.deployment.fill_disk()? {
            self.log.say("the disk is not to be filled");
            return Ok(());
        }
        self.log.say("the disk is full");
        tokio::time::sleep(seed.up_to(FULL)).await;
        if seed.percent(40) {
            self.log.say("the server is killed");
            self.deployment.kill().await?;
            match self.deployment.start().await {
                Ok(()) => self.log.say("the server is up, on a full disk"),
                Err(error) => {
                    self.log
                        .say(format_args!("the server does not start on a full disk: {error}"));
                    self.deployment.make_room()?;
                    self.log.say("there is room again");
                    return self.start().await;
                }
            }
            tokio::time::sleep(seed.up_to(FULL)).await;
        }
        self.deployment.make_room()?;
        self.log.say("there is room again");
        Ok(())
    }

    fn wrong(&self, what: String) {
        let violation = Violation::at_large(what);
        self.log.say(format_args!("WRONG: {violation}"));
        self.violations.borrow_mut().push(violation);
    }
}

/// What a round is struck by, in words.
pub(crate) fn named(blows: &[Blow]) -> String {
    let names: Vec<String> = blows.iter().map(|blow| format!("{blow:?}")).collect();
    listed(&names)
}
