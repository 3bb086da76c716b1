//! The engine alone: sagas of eight steps that do nothing, each journaled durably before the next.
//!
//! | file | what it is for |
//! |---|---|
//! | `workflow` | the saga, and an engine to run it on |
//! | `speed` | one at a time and 64 at a time, beside bare commits of the same store |
//! | `sleepers` | 1,000 sagas asleep in the middle, the process killed, and started again |

pub(crate) mod sleepers;
mod speed;
mod workflow;

use crate::{Result, figure::Figure, setup::Setup};

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let mut figures = speed::run(setup)?;
    figures.extend(sleepers::run(setup)?);
    Ok(figures)
}
