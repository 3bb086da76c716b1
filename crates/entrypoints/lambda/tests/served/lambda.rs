//! A stand-in for Lambda's API: an invocation of the function that makes databases, over HTTP, is answered by the function itself.

use axum::{Json, Router, extract::Path, routing::post};
use secrecy::SecretString;
use serde_json::Value;
use std::{num::NonZeroU32, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use wharf_aws::{ClientOptions, Clients, FunctionDatabases, Governor};
use wharf_domain::DeploymentId;
use wharf_lambda::databases;
use wharf_local::{OsIds, SystemClock};
use wharf_platform::databases::call::DatabaseServer;

const FUNCTION: &str = "start-engines-databases-dev";
/// The function's time, as the template has it.
const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct Lambda {
    url: String,
    serving: JoinHandle<()>,
}

impl Lambda {
    pub(crate) async fn start() -> Self {
        let router = Router::new().route("/2015-03-31/functions/{name}/invocations", post(invoke));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { url, serving }
    }

    /// As the function that starts instances has them, of the server at this URL.
    pub(crate) fn databases(&self, url: &str, kept: Duration) -> FunctionDatabases {
        let server = DatabaseServer {
            url: SecretString::from(url),
            deployment: "dev".parse::<DeploymentId>().expect("a name"),
            tenant_scheme: "postgresql".to_owned(),
            tenant_host: None,
            tenant_port: None,
            tenant_query: None,
            connection_limit: 20,
            statement_timeout: Duration::from_secs(30),
            template: "template0".to_owned(),
            extensions: vec!["plpgsql".to_owned()],
            kept,
        };
        FunctionDatabases::new(
            Arc::new(Clients::new(ClientOptions::emulator(&self.url))),
            Arc::new(Governor::new(NonZeroU32::MIN, Arc::new(OsIds))),
            Arc::new(SystemClock),
            FUNCTION.to_owned(),
            Arc::new(move || {
                let server = server.clone();
                Box::pin(async move { Ok(server) })
            }),
        )
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn invoke(Path(name): Path<String>, Json(payload): Json<Value>) -> Json<Value> {
    assert_eq!(name, FUNCTION);
    let answer = databases::invoke(payload, Instant::now() + TIMEOUT).await;
    Json(answer.expect("what is refused is an answer too"))
}
