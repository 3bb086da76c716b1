//! The byte stream of one client connection, between the socket and hyper: it scans each head as it passes (see
//! [`crate::scan`]), and tells the [`Line`] of every byte.
//!
//! It never changes a byte. To know where the next head begins it hands over no more than up to the end of a head, and asks
//! the line what follows as soon as hyper has made a request of it.

use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};

use crate::{
    crowd::Seat,
    line::{Expected, Line},
    metrics::Gauge,
    scan::{BareLineEnd, ChunkScan, Facts, HeadScan},
};

/// One read's worth, shared by all connections of a core: bytes are looked at here before hyper gets them.
const SCRATCH: usize = 32 * 1024;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

#[derive(Debug)]
enum Reading {
    Head(HeadScan),
    /// A head has passed; what follows is asked at the next read.
    HeadPassed,
    Body(u64),
    Chunks(ChunkScan),
    /// Where the body ends can be read in two ways: nothing passes any more.
    Broken,
}

#[derive(Debug)]
pub(crate) struct Wire {
    io: TokioIo<TcpStream>,
    line: Arc<Line>,
    reading: Reading,
    /// Read from the socket, and not yet handed over.
    rest: Bytes,
    /// The connection counts as open until its stream is gone, whoever holds it last.
    _open: (OwnedSemaphorePermit, Seat, Gauge),
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, line: Arc<Line>, places: (OwnedSemaphorePermit, Seat), open: Gauge) -> Self {
        Self {
            io: TokioIo::new(stream),
            line,
            reading: Reading::Head(HeadScan::default()),
            rest: Bytes::new(),
            _open: (places.0, places.1, open),
        }
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.io.into_inner()
    }

    /// How many of these bytes may pass now.
    fn admit(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.line.is_tunnel() {
            return Ok(bytes.len());
        }
        if matches!(self.reading, Reading::HeadPassed) {
            self.reading = match self.line.take_expected() {
                Some(Expected::Nothing) => Reading::Head(HeadScan::default()),
                Some(Expected::Bytes(length)) => Reading::Body(length),
                Some(Expected::Chunks) => Reading::Chunks(ChunkScan::default()),
                None => {
                    self.line.note(Facts {
                        disagreement: true,
                        ..Facts::default()
                    });
                    return Ok(bytes.len());
                }
            };
        }
        Ok(match &mut self.reading {
            Reading::Head(scan) => {
                let found = scan.scan(bytes);
                if found.is_some() || scan.has_begun() {
                    self.line.note_head_begun();
                }
                match found {
                    Some((end, facts)) => {
                        self.line.note(facts);
                        self.reading = Reading::HeadPassed;
                        end
                    }
                    None => bytes.len(),
                }
            }
            Reading::Body(left) => {
                let passing = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= passing as u64;
                if *left == 0 {
                    self.body_passed();
                }
                passing
            }
            Reading::Chunks(scan) => match scan.scan(bytes) {
                Ok(Some(end)) => {
                    self.body_passed();
                    end
                }
                Ok(None) => bytes.len(),
                Err(BareLineEnd) => {
                    self.reading = Reading::Broken;
                    return Err(broken());
                }
            },
            Reading::Broken => return Err(broken()),
            Reading::HeadPassed => bytes.len(),
        })
    }

    fn body_passed(&mut self) {
        self.line.uploaded();
        self.reading = Reading::Head(HeadScan::default());
    }
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a line of the body's trailers ends in a bare line feed",
    )
}

impl Read for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut cursor: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.rest.is_empty() {
            this.line.received();
            let offered = this.rest.slice(..this.rest.len().min(cursor.remaining()));
            let passing = this.admit(&offered)?;
            cursor.put_slice(&offered[..passing]);
            this.rest.advance(passing);
            return Poll::Ready(Ok(()));
        }
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            let room = cursor.remaining().min(scratch.len());
            let mut buffer = ReadBuf::new(&mut scratch[..room]);
            ready!(Pin::new(&mut this.io).poll_read(cx, buffer.unfilled()))?;
            let filled = buffer.filled();
            if !filled.is_empty() {
                this.line.received();
                let passing = this.admit(filled)?;
                cursor.put_slice(&filled[..passing]);
                this.rest = Bytes::copy_from_slice(&filled[passing..]);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.line.sent();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, pieces))?;
        self.line.sent();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
