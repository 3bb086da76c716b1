//! A process that Lambda runs: it asks for work, hands it on, and answers. What the work is its binary says.

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use std::{process::ExitCode, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Failure, Timestamp};
use wharf_saga::Clock;

use crate::{Invocation, log, wire};

/// Runs `invoke` for one invocation after the other, until Lambda ends the process. It is on one thread: Lambda gives a process of this size a part of one processor.
pub fn run<F, A>(invoke: F) -> ExitCode
where
    F: Fn(Value, Invocation) -> A,
    A: Future<Output = Result<Value, Failure>>,
{
    log::init(std::env::var("LOG_LEVEL").ok().as_deref());
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        tracing::error!(
            "this program is run by AWS Lambda, which says where its runtime API is; on a machine of your own run `wharf up`"
        );
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(invoke)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the runtime API does not answer");
            ExitCode::FAILURE
        }
    }
}

async fn serve<F, A>(invoke: F) -> Result<(), lambda_runtime::Error>
where
    F: Fn(Value, Invocation) -> A,
    A: Future<Output = Result<Value, Failure>>,
{
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let (payload, context) = event.into_parts();
        log::of_request(&context.request_id);
        let left = Timestamp(context.deadline).since(wire::clock().now());
        let at = Invocation {
            request_id: context.request_id,
            deadline: Instant::now() + left.max(Duration::from_secs(1)),
        };
        let answer = invoke(payload, at);
        async move { answer.await.map_err(|failure| told(&failure)) }
    }))
    .await
}

/// An error as Lambda keeps it: its type is our code.
fn told(failure: &Failure) -> Diagnostic {
    tracing::error!(code = %failure.code, error = %failure.message, hint = failure.hint, "the invocation failed");
    Diagnostic {
        error_type: failure.code.to_string(),
        error_message: failure.message.clone(),
    }
}
