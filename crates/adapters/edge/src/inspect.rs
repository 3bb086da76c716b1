//! The pure parts of a request's way through the edge, for whoever holds inputs of his own against them (`fuzz/`): no socket, no thread, no table.
//!
//! It is no interface of the edge's: it calls what the edge calls, in the same order, and may change with it. What must not be here: rules.

use http::{HeaderMap, Request};
use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    check,
    config::EdgeConfig,
    headers::{self, Peer},
    host::{self, Hosts, Origin},
    proxy,
    scan::{ChunkScan, HeadScan},
    table,
};

/// Who answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Control,
    Services,
    /// By its whole host name.
    Tenant(String),
    Nobody,
}

/// What the scan sees in a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of bytes up to and with its end.
    pub end: usize,
    facts: crate::scan::Facts,
}

/// An edge that serves nobody.
#[derive(Debug)]
pub struct Inspected {
    config: EdgeConfig,
    hosts: Hosts,
}

impl Inspected {
    #[must_use]
    pub fn new(config: EdgeConfig) -> Self {
        let hosts = Hosts::new(&config);
        Self { config, hosts }
    }

    /// Who answers for a host as it was sent.
    pub fn destination(&self, host: &str) -> Result<Destination, &'static str> {
        match self.hosts.origin(host) {
            Ok(Origin::Control) => Ok(Destination::Control),
            Ok(Origin::Services) => Ok(Destination::Services),
            Ok(Origin::Tenant(name)) => Ok(Destination::Tenant(name.into_owned())),
            Ok(Origin::Unknown) => Ok(Destination::Nobody),
            Err(bad) => Err(bad.0),
        }
    }

    /// What a request becomes whose head was scanned so, and who answers it; or the status by which it is refused. `whole`: it has no body.
    pub fn forward(
        &self,
        request: Request<()>,
        head: Head,
        peer: IpAddr,
        whole: bool,
    ) -> Result<(Destination, Request<()>), u16> {
        let refused = |notice: crate::pages::Notice| notice.status.as_u16();
        check::request(&request, head.facts, &self.config.limits).map_err(refused)?;
        let destination = host::requested(request.uri(), request.headers())
            .map_err(|bad| refused(bad.into()))
            .and_then(|host| self.destination(host).map_err(|bad| refused(host::BadHost(bad).into())))?;
        let (mut parts, ()) = request.into_parts();
        let peer = Peer::new(peer, &self.config.trusted_proxies);
        proxy::address(&mut parts, &peer, whole);
        Ok((destination, Request::from_parts(parts, ())))
    }
}

/// The first head in these bytes, however they are cut.
#[must_use]
pub fn head(pieces: &[&[u8]]) -> Option<Head> {
    let mut scan = HeadScan::default();
    let mut before = 0;
    for piece in pieces {
        if let Some((end, facts)) = scan.scan(piece) {
            return Some(Head {
                end: before + end,
                facts,
            });
        }
        before += piece.len();
    }
    None
}

/// Where a chunked body ends, however its bytes are cut. An error: a line of it ends as no strict reader takes it.
pub fn chunked_end(pieces: &[&[u8]]) -> Result<Option<usize>, String> {
    let mut scan = ChunkScan::default();
    let mut before = 0;
    for piece in pieces {
        let found = scan.scan(piece).map_err(|error| format!("{error:?}"))?;
        if let Some(end) = found {
            return Ok(Some(before + end));
        }
        before += piece.len();
    }
    Ok(None)
}

/// Makes an answer's headers those that the client gets. `length` is the body's, where it is known.
pub fn answer(headers: &mut HeaderMap, length: Option<u64>) {
    headers::for_client(headers, length);
}

/// The longest of these prefixes that a path begins with, as whole segments.
#[must_use]
pub fn prefix_of<'a>(prefixes: &BTreeSet<String>, path: &'a str) -> Option<&'a str> {
    let deepest = prefixes.iter().map(|prefix| table::segments(prefix)).max().unwrap_or(0);
    table::longest_prefix(path, deepest, |prefix| prefixes.contains(prefix))
}
