//! Going through a model, and what came of it. No model in here.

use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::{fmt::Debug, hash::Hash, time::Instant};

/// A bound to which a model is checked whole.
#[derive(Debug)]
pub struct Case<M> {
    /// In words.
    pub bound: &'static str,
    pub model: M,
    /// So many states there are at the least: a model that lost most of what can happen would show nothing.
    pub states: usize,
    /// What has to be among them, by the properties' names.
    pub reaches: &'static [&'static str],
}

/// A model with a mistake, and the property that it breaks.
#[derive(Debug)]
pub struct Planted<M, Mistake> {
    pub mistake: Mistake,
    pub model: M,
    pub breaks: &'static str,
}

/// What a check has seen.
#[derive(Debug)]
pub struct Seen {
    pub states: usize,
    /// The longest of the shortest ways to a state, in events.
    pub depth: usize,
    pub seconds: f64,
    /// Broken properties, with the events that lead there.
    pub broken: Vec<(&'static str, Vec<String>)>,
    pub reached: Vec<&'static str>,
}

impl Seen {
    /// The events that break a property.
    #[must_use]
    pub fn breaks(&self, property: &str) -> Option<&[String]> {
        let broken = self.broken.iter().find(|(name, _)| *name == property);
        broken.map(|(_, events)| events.as_slice())
    }
}

/// Looks at every state of the model.
pub fn whole<M>(model: M) -> Seen
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    // Waiting for failures that do not come, it sees all there is.
    look(model, HasDiscoveries::AnyFailures)
}

/// Looks until a property is broken, by as few events as can be.
pub fn until_broken<M>(model: M, property: &'static str) -> Seen
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    look(model, HasDiscoveries::AllOf([property].into()))
}

fn look<M>(model: M, until: HasDiscoveries) -> Seen
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let began = Instant::now();
    let checker = model.checker().finish_when(until).spawn_bfs().join();
    let seconds = began.elapsed().as_secs_f64();
    let (mut broken, mut reached) = (Vec::new(), Vec::new());
    for property in checker.model().properties() {
        let Some(path) = checker.discovery(property.name) else {
            continue;
        };
        match property.expectation {
            Expectation::Sometimes => reached.push(property.name),
            Expectation::Always | Expectation::Eventually => {
                let events = path.into_actions().into_iter().map(|event| format!("{event:?}"));
                broken.push((property.name, events.collect()));
            }
        }
    }
    Seen {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        seconds,
        broken,
        reached,
    }
}
