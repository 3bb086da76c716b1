//! What every call goes through: its process's gate, the faults that were ordered, the trace.

use std::{fmt::Display, sync::Arc, time::Duration};
use wharf_domain::{Code, Failure, Timestamp};
use wharf_saga::Clock;

use super::{
    SimWorld,
    faults::Fate,
    process::{Edge, Gate},
    world::State,
};

/// The world, as one process reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) world: SimWorld,
    pub(crate) gate: Arc<Gate>,
}

/// A call that has begun.
pub(crate) struct Begun {
    number: u64,
    call: &'static str,
    pub(crate) fate: Fate,
}

impl Calls {
    pub(crate) async fn enter(&self, call: &'static str) -> Begun {
        self.gate.pass().await;
        let number = self.gate.count();
        self.gate.meet_doom(number, Edge::Before);
        self.gate.pass().await;
        let fate = self.world.faults().fate(call);
        self.world.travel().await;
        if !fate.slow.is_zero() {
            tokio::time::sleep(fate.slow).await;
        }
        self.gate.pass().await;
        Begun { number, call, fate }
    }

    pub(crate) async fn leave(&self, begun: Begun, what: impl Display, outcome: impl Display) {
        self.world
            .note(&self.gate.name, format_args!("{} {what} -> {outcome}", begun.call));
        self.gate.meet_doom(begun.number, Edge::After);
        self.world.travel().await;
        self.gate.pass().await;
    }

    /// A call that changes or reads the world.
    pub(crate) async fn make<T: Send + 'static>(
        &self,
        call: &'static str,
        what: impl Display,
        mut act: impl FnMut(&mut State, Timestamp) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let begun = self.enter(call).await;
        let fate = begun.fate;
        let result = if let Some(code) = fate.refuse {
            Err(ordered(code, "the call was refused"))
        } else if let Some((after, code)) = fate.lands {
            self.land(after, call, what.to_string(), act);
            Err(ordered(code, "the answer did not come"))
        } else {
            let mut result = self.world.change(&mut act);
            if fate.twice {
                result = self.world.change(&mut act);
            }
            match (fate.lose, result) {
                (Some(code), Ok(_)) => Err(ordered(code, "the answer was lost")),
                (_, result) => result,
            }
        };
        let outcome = match &result {
            Ok(_) => "ok",
            Err(failure) => failure.code.as_str(),
        };
        self.leave(begun, what, outcome).await;
        result
    }

    /// Does so much later what was asked for, and tells nobody.
    fn land<T>(
        &self,
        after: Duration,
        call: &'static str,
        what: String,
        mut act: impl FnMut(&mut State, Timestamp) -> Result<T, Failure> + Send + 'static,
    ) {
        let (world, name) = (self.world.clone(), self.gate.name.clone());
        world.state().on_their_way += 1;
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            world.note(&name, format_args!("{call} {what} lands"));
            world.state().landing = true;
            let _ = world.change(&mut act);
            let mut state = world.state();
            state.landing = false;
            state.on_their_way -= 1;
        });
    }

    /// A call that nobody waits for, and that cannot fail.
    pub(crate) fn tell(&self, call: &'static str, what: impl Display, act: impl FnOnce(&mut State)) {
        if self.gate.is_open() {
            self.world.note(&self.gate.name, format_args!("{call} {what}"));
            act(&mut self.world.state());
        }
    }
}

pub(crate) fn ordered(code: Code, what: &str) -> Failure {
    Failure::new(code, format!("{what}, as was ordered"))
}

impl SimWorld {
    fn change<T>(&self, act: &mut impl FnMut(&mut State, Timestamp) -> Result<T, Failure>) -> Result<T, Failure> {
        let now = self.clock().now();
        let mut state = self.state();
        let result = act(&mut state, now);
        let endings = std::mem::take(&mut state.endings);
        drop(state);
        for ending in endings {
            self.foretell(ending);
        }
        self.audit(|audit| audit.world_changed(self));
        result
    }
}
