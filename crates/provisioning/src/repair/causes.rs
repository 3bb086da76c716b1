//! How a difference came about, as far as that can be known: from the history of its instance, or from the platform. Bounded: causes are for readers, and nothing depends on them.

use std::collections::HashMap;
use wharf_domain::{Failure, InstanceId};
use wharf_saga::store::Happening;

use super::known::{Known, Resting};
use crate::{tasks::end_of, wharf::Wharf};

/// Histories read for one comparison.
const HISTORIES_MOST: usize = 500;
/// Tasks looked at for one comparison.
const LOOKS_MOST: usize = 500;
/// Entries read at once, and pages of one history.
const PAGE: usize = 500;
const PAGES: usize = 4;

/// What is known already, and how much may still be read.
pub(super) struct Causes<'a> {
    wharf: &'a Wharf,
    newest: Option<InstanceId>,
    stories: HashMap<InstanceId, Story>,
    looks: usize,
}

/// What of a history explains leftovers.
#[derive(Clone, Debug, Default)]
struct Story {
    /// Why it was given up, if it was.
    given_up: Option<String>,
    /// By step: how its undo failed for good, last.
    undo_failed: HashMap<String, String>,
    /// Steps that were undone.
    undone: Vec<String>,
}

impl<'a> Causes<'a> {
    pub(super) fn new(wharf: &'a Wharf, newest: Option<InstanceId>) -> Self {
        Self {
            wharf,
            newest,
            stories: HashMap::new(),
            looks: 0,
        }
    }

    /// Why something that `step` makes is still there.
    pub(super) async fn of(&mut self, id: &InstanceId, now: &Known, step: &str) -> Result<Option<String>, Failure> {
        if *now == Known::Unknown {
            return Ok(Some(self.of_unknown(id)));
        }
        let Some(story) = self.story(id).await? else {
            return Ok(None);
        };
        let undo_failed = story
            .undo_failed
            .get(step)
            .map(|why| format!("its undo of step {step} failed: {why}"));
        Ok(Some(match (&story.given_up, undo_failed) {
            (Some(why), Some(failed)) => format!("it was {why}; {failed}"),
            (Some(why), None) => format!("it was {why}"),
            (None, Some(failed)) => failed,
            (None, None) if story.undone.iter().any(|undone| undone == step) => {
                "it was taken away, and came again: asked for late, by a call whose answer was lost, or back from a backup".to_owned()
            }
            (None, None) => "whoever made it was killed, or lost the answer, before it was written down".to_owned(),
        }))
    }

    fn of_unknown(&self, id: &InstanceId) -> String {
        match &self.newest {
            None => "the registry has no record at all: is it the right one?",
            Some(newest) if newest < id => {
                "it is newer than all that the registry knows, which is perhaps of a restored backup"
            }
            Some(_) => {
                "its record is not there: the registry is perhaps of a restored backup, or of another data directory"
            }
        }
        .to_owned()
    }

    /// Why a task is not in the platform's list; `None`: it is there all the same, and the list was behind.
    pub(super) async fn of_gone(&mut self, id: &InstanceId, resting: &Resting) -> Result<Option<String>, Failure> {
        let Some(task) = &resting.task else {
            return Ok(Some("its record knows of none".to_owned()));
        };
        self.looks += 1;
        if self.looks > LOOKS_MOST {
            return Ok(Some("it has ended, or its host did".to_owned()));
        }
        let owner = self.wharf.owner(id, task.attempt);
        let status = self.wharf.platform().tasks.look(&owner, task).await?;
        Ok(end_of(status).map(|cause| cause.message))
    }

    async fn story(&mut self, id: &InstanceId) -> Result<Option<&Story>, Failure> {
        if !self.stories.contains_key(id) {
            if self.stories.len() >= HISTORIES_MOST {
                return Ok(None);
            }
            let mut story = Story::default();
            let mut after = 0;
            for _ in 0..PAGES {
                let page = self.wharf.history(id, after, PAGE).await?;
                after = page.last().map_or(after, |last| last.seq);
                let is_last = page.len() < PAGE;
                for numbered in page {
                    story.take(numbered.entry.what);
                }
                if is_last {
                    break;
                }
            }
            self.stories.insert(id.clone(), story);
        }
        Ok(self.stories.get(id))
    }
}

impl Story {
    fn take(&mut self, what: Happening) {
        match what {
            Happening::Failed {
                step,
                undo: true,
                last: true,
                cause,
            } => {
                self.undo_failed.insert(step, cause.message);
            }
            Happening::Done { step, undo: true, .. } => {
                self.undo_failed.remove(&step);
                self.undone.push(step);
            }
            Happening::Done { step, undo: false, .. } => self.undone.retain(|undone| *undone != step),
            Happening::Note { text } if text.starts_with(crate::workflow::GIVEN_UP) => self.given_up = Some(text),
            _ => {}
        }
    }
}
