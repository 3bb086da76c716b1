//! The governor: every call of an API with a throttling bucket waits here for its turn, so that AWS has next to none to refuse.
//!
//! One is shared by all sagas of a process. A call that AWS refuses for its rate closes the bucket for a moment, for everybody, and is tried again in its old
//! place; a call that broke is tried again if that does no harm. All of it ends at the deadline that the caller gives. What is
//! called, and what an answer means, is not known here.

mod bucket;

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};
use wharf_domain::{Code, Failure};
use wharf_saga::Ids;

use crate::{
    failure::{self, is_throttling, may_have_happened},
    operations::{Bucket, Operation},
};
use bucket::{NoTurn, Tokens};

/// How long the calls of one step may wait for their turns and be tried again, all together. With a last try of
/// `ClientOptions::attempt_timeout` it is over before the step is.
pub const PATIENCE: Duration = Duration::from_secs(13);
/// How often one call is sent that is refused for its rate.
const TRIES_REFUSED: u32 = 8;
/// How often one call is sent that breaks.
const TRIES_BROKEN: u32 = 4;
/// The pause after a call that broke; each further one is twice as long, and each is shortened by chance.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// What an error of one try is to the governor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too many calls of this kind.
    Throttled,
    /// No answer, or one that tells of AWS's own trouble: what was asked for may have happened.
    Broken,
    /// An answer.
    Final,
}

/// An error that the governor can judge.
pub trait Refusal {
    fn verdict(&self) -> Verdict;
}

impl<E: ProvideErrorMetadata> Refusal for SdkError<E, HttpResponse> {
    fn verdict(&self) -> Verdict {
        match self {
            Self::ServiceError(answer)
                if answer.raw().status().as_u16() == 429 || answer.err().code().is_some_and(is_throttling) =>
            {
                Verdict::Throttled
            }
            broken if may_have_happened(broken) => Verdict::Broken,
            _ => Verdict::Final,
        }
    }
}

/// Why a call gave nothing.
#[derive(Debug)]
pub enum CallError<E> {
    /// It was not sent (again): its turn did not come in time.
    NoTurn(Bucket),
    /// What the last try gave.
    Failed(E),
}

impl<E> CallError<E> {
    /// What a caller sees who has no better use for it.
    pub fn into_failure(self, operation: Operation, judge: impl FnOnce(E) -> Failure) -> Failure {
        match self {
            Self::NoTurn(bucket) => Failure::new(
                Code::AwsThrottled,
                format!("{} had not its turn in time: too many calls of {} at once", operation.action(), bucket.name()),
            )
            .hint("it is tried again by itself; if it stays so, start fewer instances at once, or ask AWS for a higher quota of this API"),
            Self::Failed(error) => judge(error),
        }
    }
}

/// Token buckets for every API that has one, filled a little more slowly than AWS's own.
pub struct Governor {
    buckets: BTreeMap<Bucket, Tokens>,
    ids: Arc<dyn Ids>,
    tickets: AtomicU64,
}

impl Governor {
    /// `share_of` is how many processes (concurrent Lambdas) there may be that use the account's buckets: this one takes its part.
    #[must_use]
    pub fn new(share_of: NonZeroU32, ids: Arc<dyn Ids>) -> Self {
        let share = 1.0 / f64::from(share_of.get());
        Self {
            buckets: Bucket::ALL
                .iter()
                .map(|bucket| (*bucket, Tokens::new(bucket.limit(), share)))
                .collect(),
            ids,
            tickets: AtomicU64::new(0),
        }
    }

    /// When the calls of a step that begins now have to be over.
    #[must_use]
    pub fn deadline() -> Instant {
        Instant::now() + PATIENCE
    }

    /// Sends a call when its turn has come, and again as long as that helps and does no harm.
    pub async fn call<T, E, F>(
        &self,
        operation: Operation,
        deadline: Instant,
        mut send: impl FnMut() -> F,
    ) -> Result<T, CallError<E>>
    where
        E: Refusal,
        F: Future<Output = Result<T, E>>,
    {
        let row = operation.row();
        // A call keeps its place in the line over all its tries.
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let mut tries = 0;
        loop {
            for bucket in row.buckets {
                let turn = self.buckets[bucket].turn((row.effect, ticket), deadline).await;
                turn.map_err(|NoTurn| CallError::NoTurn(*bucket))?;
            }
            tries += 1;
            let error = match send().await {
                Ok(answer) => {
                    for bucket in row.buckets {
                        self.buckets[bucket].accepted();
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let pause = match error.verdict() {
                Verdict::Throttled if tries < TRIES_REFUSED => {
                    tracing::debug!(operation = operation.action(), tries, "refused for its rate");
                    match row.buckets {
                        [] => self.pause(tries),
                        buckets => {
                            for bucket in buckets {
                                self.buckets[bucket].refused(self.chance());
                            }
                            Duration::ZERO
                        }
                    }
                }
                Verdict::Broken if row.repeatable && tries < TRIES_BROKEN => self.pause(tries),
                _ => return Err(CallError::Failed(error)),
            };
            if Instant::now() + pause >= deadline {
                return Err(CallError::Failed(error));
            }
            sleep(pause).await;
        }
    }

    /// As [`call`](Self::call) of the SDK, with the failure that an error amounts to.
    pub async fn ask<T, E, F>(
        &self,
        operation: Operation,
        resource: &str,
        deadline: Instant,
        send: impl FnMut() -> F,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        self.call(operation, deadline, send)
            .await
            .map_err(|error| error.into_failure(operation, |error| failure::failure(&error, &operation.on(resource))))
    }

    fn pause(&self, tries: u32) -> Duration {
        (PAUSE_FIRST * 2_u32.saturating_pow(tries - 1)).mul_f64(0.5 + self.chance() / 2.0)
    }

    /// From 0 up to 1.
    fn chance(&self) -> f64 {
        let mut bytes = [0; 4];
        self.ids.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
