//! Wharf on AWS, against what stands in for it: the simulator of ECS and ELBv2, and an emulator of DynamoDB and SQS. Three benchmarks: what the
//! registry costs in DynamoDB (`dynamodb`), how starts go through the API's token buckets (`ecs`), and what Lambda bills (`lambda`).

mod crowd;
pub(crate) mod dynamodb;
mod emulator;
mod registered;
mod site;

use crate::{Result, figure::Figure, setup::Setup};

/// Starts on ECS.
pub(crate) fn ecs(setup: &Setup) -> Result<Vec<Figure>> {
    let mut figures = crowd::run()?;
    figures.extend(registered::run(setup)?);
    Ok(figures)
}
