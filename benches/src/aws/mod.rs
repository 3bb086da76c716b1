//! Wharf on AWS, against what stands in for it: the simulator of ECS and ELBv2, and an emulator of DynamoDB and SQS. Three benchmarks: what the
//! registry costs in DynamoDB (`dynamodb`), how starts go through the API's token buckets (`ecs`), and what Lambda bills (`lambda`).

mod billed;
mod bootstrap;
mod crowd;
pub(crate) mod dynamodb;
mod emulator;
pub(crate) mod poller;
mod registered;
mod runtime_api;
mod site;

use crate::{Result, figure::Figure, setup::Setup};

/// Starts on ECS.
pub(crate) fn ecs(setup: &Setup) -> Result<Vec<Figure>> {
    let mut figures = crowd::run()?;
    figures.extend(registered::run(setup)?);
    Ok(figures)
}

/// The function.
pub(crate) fn lambda(setup: &Setup) -> Result<Vec<Figure>> {
    let mut figures = billed::run(setup)?;
    figures.extend(bootstrap::run(setup)?);
    Ok(figures)
}
