//! The bodies that pass through: a client's on its way to a backend, and an answer's on its way back, each streamed piece by
//! piece as the other side takes it.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;

use crate::{line::Line, metrics::Gauge, pool::Borrowed};

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A client's body on its way to a backend, held to the configured size.
#[derive(Debug)]
pub(crate) struct RequestBody(Option<Upload>);

#[derive(Debug)]
struct Upload {
    incoming: Incoming,
    /// Bytes that may still come.
    left: Option<u64>,
    line: Arc<Line>,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, most: Option<u64>, line: &Arc<Line>) -> Self {
        if incoming.is_end_stream() {
            return Self::none();
        }
        Self(Some(Upload {
            incoming,
            left: most,
            line: Arc::clone(line),
        }))
    }

    pub(crate) fn none() -> Self {
        Self(None)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(upload) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut upload.incoming).poll_frame(cx);
        upload.line.await_client(polled.is_pending());
        let frame = match ready!(polled).transpose() {
            Ok(frame) => frame,
            Err(error) => {
                upload.line.note_broken();
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        // What stands in trailers some programs take for headers: claims and credentials would come past the edge there.
        let frame = frame.filter(Frame::is_data);
        if let (Some(left), Some(data)) = (upload.left, frame.as_ref().and_then(Frame::data_ref)) {
            let Some(left) = left.checked_sub(data.len() as u64) else {
                upload.line.note_too_large();
                return Poll::Ready(Some(Err("the request's body is larger than allowed".into())));
            };
            upload.left = Some(left);
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|upload| upload.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |upload| upload.incoming.size_hint())
    }
}

/// An answer's body. While it exists the request counts as under way; its end tells the line so.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    source: Source,
    line: Arc<Line>,
    _under_way: Gauge,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// Of the edge itself, whole.
    Whole(Bytes),
    /// Of a backend, with the connection that it comes on.
    Backend { incoming: Incoming, connection: Borrowed },
    /// Of the control service, pumped over from its runtime.
    Control(mpsc::Receiver<Result<Frame<Bytes>, BodyError>>),
}

impl AnswerBody {
    pub(crate) fn new(source: Source, line: Arc<Line>, under_way: Gauge) -> Self {
        Self {
            source,
            line,
            _under_way: under_way,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.source {
            Source::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Source::Backend { incoming, connection } => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx)).transpose()?;
                if frame.is_none() {
                    connection.answer_ended();
                }
                Poll::Ready(frame.map(Ok))
            }
            Source::Control(frames) => frames.poll_recv(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Backend { incoming, .. } => incoming.is_end_stream(),
            Source::Control(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Backend { incoming, .. } => incoming.size_hint(),
            Source::Control(_) => SizeHint::default(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Source::Backend { incoming, connection } = &mut self.source
            && incoming.is_end_stream()
        {
            connection.answer_ended();
        }
        self.line.finish();
    }
}
