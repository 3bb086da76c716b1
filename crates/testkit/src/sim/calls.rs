//! What every call goes through: its process's gate, the faults that were ordered, the trace.

use std::{fmt::Display, sync::Arc};
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
        if !fate.slow.is_zero() {
            tokio::time::sleep(fate.slow).await;
            self.gate.pass().await;
        }
        Begun { number, call, fate }
    }

    pub(crate) async fn leave(&self, begun: Begun, what: impl Display, outcome: impl Display) {
        self.world
            .note(&self.gate.name, format_args!("{} {what} -> {outcome}", begun.call));
        self.gate.meet_doom(begun.number, Edge::After);
        self.gate.pass().await;
    }

    /// A call that changes or reads the world.
    pub(crate) async fn make<T>(
        &self,
        call: &'static str,
        what: impl Display,
        mut act: impl FnMut(&mut State, Timestamp) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begun = self.enter(call).await;
        let fate = begun.fate;
        let mut result = match fate.refuse {
            Some(code) => Err(ordered(code, "the call was refused")),
            None => self.world.change(&mut act),
        };
        if fate.twice && fate.refuse.is_none() {
            result = self.world.change(&mut act);
        }
        if let (Some(code), Ok(_)) = (fate.lose, &result) {
            result = Err(ordered(code, "the answer was lost"));
        }
        let outcome = match &result {
            Ok(_) => "ok".to_owned(),
            Err(failure) => failure.code.to_string(),
        };
        self.leave(begun, what, outcome).await;
        result
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
        result
    }
}
