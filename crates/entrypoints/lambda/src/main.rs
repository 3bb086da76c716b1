//! `bootstrap`: the process that Lambda runs. It asks for work, hands it to the function, and answers. Nothing is decided here.

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use std::{process::ExitCode, sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Failure, Timestamp};
use wharf_lambda::{Function, Invocation, log, wire};
use wharf_saga::Clock;

fn main() -> ExitCode {
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
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the runtime API does not answer");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let function = Arc::new(Function::new(wire::make()));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let function = function.clone();
        async move {
            let (payload, context) = event.into_parts();
            log::of_request(&context.request_id);
            let left = Timestamp(context.deadline).since(wire::clock().now());
            let at = Invocation {
                request_id: context.request_id,
                deadline: Instant::now() + left.max(Duration::from_secs(1)),
            };
            function.invoke(payload, &at).await.map_err(|failure| told(&failure))
        }
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
