//! Who listens on a port, on Linux: the kernel's table of sockets, and which process has which.
//!
//! What must not be here: whose process that is.
//!
//! The table is asked for one port through a netlink socket (sock_diag(7)), which takes some 30 µs however many sockets
//! there are. Where that is not to be had (a kernel without `inet_diag`, a sandbox), `/proc/net/tcp` tells the same, in
//! milliseconds when there are thousands.

use rustix::{
    fd::OwnedFd,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink},
    process::Pid,
};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// `TCP_LISTEN`, the state, in the kernel's tables.
const LISTEN: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// The kernel's answers come in messages of at most this.
const ANSWER: usize = 32 * 1024;

/// The sockets, by inode, on which a connection to 127.0.0.1 and this port could end.
pub(super) fn listeners(port: u16) -> io::Result<HashSet<u64>> {
    let v4 = listeners_of(AddressFamily::INET, port)?;
    if !v4.is_empty() {
        // An IPv4 socket goes before an IPv6 one that takes IPv4 too.
        return Ok(v4);
    }
    listeners_of(AddressFamily::INET6, port)
}

fn listeners_of(family: AddressFamily, port: u16) -> io::Result<HashSet<u64>> {
    let found = match asked(family, port) {
        Ok(found) => found,
        Err(_) => listed(family, port)?,
    };
    let takes_loopback = |found: &Listener| match found.address {
        IpAddr::V4(address) => is_loopback_or_any(address),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => true,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some_and(is_loopback_or_any),
    };
    Ok(found
        .iter()
        .filter(|found| takes_loopback(found))
        .map(|found| found.inode)
        .collect())
}

fn is_loopback_or_any(address: Ipv4Addr) -> bool {
    address == Ipv4Addr::LOCALHOST || address.is_unspecified()
}

/// A socket that listens on the port in question.
#[derive(Debug, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    inode: u64,
}

/// Asks the kernel for the listeners on one port.
fn asked(family: AddressFamily, port: u16) -> io::Result<Vec<Listener>> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    rustix::net::send(&socket, &request(family, port), SendFlags::empty())?;
    let mut found = Vec::new();
    while receive(&socket, port, &mut found)? == More::Yes {}
    Ok(found)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: every socket that listens on this port.
fn request(family: AddressFamily, port: u16) -> Vec<u8> {
    const LENGTH: u32 = 16 + 56;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const REQUEST_AND_DUMP: u16 = 0x1 | 0x300;
    let mut bytes = Vec::with_capacity(LENGTH as usize);
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_AND_DUMP.to_ne_bytes());
    // Sequence number and sender: one question, one answer.
    bytes.extend([0; 8]);
    // Family, protocol, no extensions, padding; the states that are wanted, one bit each.
    bytes.extend([family.as_raw() as u8, IPPROTO_TCP, 0, 0]);
    bytes.extend((1_u32 << LISTEN).to_ne_bytes());
    // Of the socket's identity only its own port, in the network's byte order.
    bytes.extend(port.to_be_bytes());
    bytes.resize(LENGTH as usize, 0);
    bytes
}

#[derive(PartialEq, Eq)]
enum More {
    Yes,
    No,
}

fn receive(socket: &OwnedFd, port: u16, found: &mut Vec<Listener>) -> io::Result<More> {
    let mut answer = vec![0; ANSWER];
    // The answer is there as soon as the question was taken: there is nothing to wait for.
    let (_, length) = rustix::net::recv(socket, &mut answer[..], RecvFlags::DONTWAIT)?;
    let mut rest = answer.get(..length).ok_or(io::ErrorKind::InvalidData)?;
    while !rest.is_empty() {
        let message = Message::read(rest).ok_or(io::ErrorKind::InvalidData)?;
        match message.kind {
            Message::DONE => return Ok(More::No),
            Message::ERROR => return Err(io::ErrorKind::Unsupported.into()),
            _ => found.extend(listener(message.body, port)),
        }
        rest = message.rest;
    }
    Ok(More::Yes)
}

/// One netlink message, and what comes after it.
struct Message<'a> {
    kind: u16,
    body: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    const HEADER: usize = 16;

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        Some(Self {
            kind,
            body: bytes.get(Self::HEADER..length)?,
            // Messages begin at multiples of four.
            rest: bytes.get(length.next_multiple_of(4)..).unwrap_or_default(),
        })
    }
}

/// `struct inet_diag_msg`.
fn listener(body: &[u8], port: u16) -> Option<Listener> {
    let family = AddressFamily::from_raw((*body.first()?).into());
    let state = *body.get(1)?;
    let listens_at = u16::from_be_bytes(*body.get(4..)?.first_chunk()?);
    let address = body.get(8..)?;
    let address = if family == AddressFamily::INET {
        IpAddr::from(*address.first_chunk::<4>()?)
    } else {
        IpAddr::from(*address.first_chunk::<16>()?)
    };
    let inode = u32::from_ne_bytes(*body.get(68..)?.first_chunk()?);
    (state == LISTEN && listens_at == port).then_some(Listener {
        address,
        inode: inode.into(),
    })
}

/// Reads the listeners on one port from the table in `/proc`.
fn listed(family: AddressFamily, port: u16) -> io::Result<Vec<Listener>> {
    let table = if family == AddressFamily::INET {
        "/proc/self/net/tcp"
    } else {
        "/proc/self/net/tcp6"
    };
    let table = match File::open(table) {
        Ok(table) => table,
        // A machine without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound && family == AddressFamily::INET6 => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for line in BufReader::new(table).lines().skip(1) {
        let line = line?;
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, state) = (fields.next(), fields.nth(1));
        if state.and_then(|state| u8::from_str_radix(state, 16).ok()) != Some(LISTEN) {
            // The kernel lists listening sockets first: the thousands of connections behind them are not read.
            break;
        }
        let Some((address, listens_at)) = local.and_then(|local| local.split_once(':')) else {
            continue;
        };
        if u16::from_str_radix(listens_at, 16) == Ok(port)
            && let Some(address) = parse_address(address)
            && let Some(inode) = fields.nth(5).and_then(|inode| inode.parse().ok())
        {
            found.push(Listener { address, inode });
        }
    }
    Ok(found)
}

/// Words of 32 bits in hexadecimal, their bytes in the machine's own order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |text: &[u8]| {
        u32::from_str_radix(str::from_utf8(text).ok()?, 16)
            .ok()
            .map(u32::to_ne_bytes)
    };
    let words: Vec<[u8; 4]> = text.as_bytes().chunks(8).map(word).collect::<Option<_>>()?;
    let bytes = words.concat();
    if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes.as_slice()).ok().map(IpAddr::from)
}

/// Takes out of `wanted` the sockets that this process has open.
pub(super) fn strike_out_sockets(pid: Pid, wanted: &mut HashSet<u64>) {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return;
    };
    for descriptor in descriptors.flatten() {
        if wanted.is_empty() {
            return;
        }
        let inode = fs::read_link(descriptor.path()).ok().and_then(|target| {
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse::<u64>().ok()
        });
        if let Some(inode) = inode {
            wanted.remove(&inode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// On every kind of address that this machine has.
    fn some_listeners() -> Vec<TcpListener> {
        ["127.0.0.1:0", "0.0.0.0:0", "127.0.0.2:0", "[::]:0", "[::1]:0"]
            .into_iter()
            .filter_map(|address| TcpListener::bind(address).ok())
            .collect()
    }

    #[test]
    fn the_kernels_answer_and_its_list_agree() {
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let connections: Vec<_> = (0..50)
            .map(|_| {
                (
                    TcpStream::connect(busy.local_addr().unwrap()).unwrap(),
                    busy.accept().unwrap(),
                )
            })
            .collect();
        for listener in some_listeners() {
            let address = listener.local_addr().unwrap();
            let family = if address.is_ipv4() {
                AddressFamily::INET
            } else {
                AddressFamily::INET6
            };
            let listed = listed(family, address.port()).unwrap();
            assert_eq!(listed.len(), 1, "{address}");
            assert_eq!(listed[0].address, address.ip());
            // A kernel without the means says so; then the list is what counts.
            if let Ok(asked) = asked(family, address.port()) {
                assert_eq!(asked, listed, "{address}");
            }
        }
        drop(connections);
    }

    #[test]
    fn only_what_takes_a_connection_to_loopback_counts() {
        for listener in some_listeners() {
            let address = listener.local_addr().unwrap();
            let mut found = listeners(address.port()).unwrap();
            let takes = TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).is_ok();
            assert_eq!(found.len(), usize::from(takes), "{address}");
            strike_out_sockets(rustix::process::getpid(), &mut found);
            assert!(found.is_empty(), "{address} is ours");
        }
    }

    #[test]
    fn a_port_that_nobody_listens_on_has_no_listener() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(listeners(port).unwrap(), HashSet::new());
    }

    #[test]
    fn what_is_cut_short_is_no_message() {
        assert!(Message::read(&[]).is_none());
        assert!(Message::read(&[80, 0, 0, 0, 20, 0, 0, 0]).is_none());
        let length = 8_u32.to_ne_bytes();
        assert!(
            Message::read(&[&length[..], &[0; 28]].concat()).is_none(),
            "shorter than its own header"
        );
        assert!(listener(&[2, LISTEN, 0, 0], 80).is_none());
        assert_eq!(parse_address("zz"), None);
        assert_eq!(parse_address(""), None);
    }
}
