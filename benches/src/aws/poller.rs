//! What `bootstrap` is held against: a program that asks the runtime API for work by a socket and nothing else. It does no work.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::runtime_api::NEXT;
use crate::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Part {
    /// The runtime API
    address: SocketAddr,
}

pub(crate) fn part(part: &Part) -> Result<()> {
    let mut connection = TcpStream::connect(part.address)?;
    write!(connection, "GET {NEXT} HTTP/1.1\r\nhost: {}\r\n\r\n", part.address)?;
    // Until it is ended.
    connection.read_exact(&mut [0])?;
    Ok(())
}
