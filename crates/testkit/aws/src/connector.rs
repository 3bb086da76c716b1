//! The simulator as an SDK's clients reach it without a socket: a connector, which is what is below all that an SDK does with a request.

use crate::simulator::Simulator;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use std::error::Error;
use std::sync::Arc;

/// Sends each request to a simulator in this process. Give it to a client in place of its HTTP client; its endpoint is [`Simulator::url`].
#[derive(Clone, Debug)]
pub struct Connector {
    simulator: Arc<Simulator>,
}

impl Connector {
    pub const fn new(simulator: Arc<Simulator>) -> Self {
        Self { simulator }
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let simulator = Arc::clone(&self.simulator);
        HttpConnectorFuture::new(async move {
            let request = whole(request).map_err(ConnectorError::user)?;
            let dropped = |error| ConnectorError::io(Box::new(error));
            let response = simulator.exchange(request).await.map_err(dropped)?;
            HttpResponse::try_from(response.map(SdkBody::from)).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

fn whole(request: HttpRequest) -> Result<http::Request<Bytes>, Box<dyn Error + Send + Sync>> {
    let (head, body) = request.try_into_http1x()?.into_parts();
    let body = body.bytes().ok_or("a body that comes in parts is not taken")?;
    Ok(http::Request::from_parts(head, Bytes::copy_from_slice(body)))
}
