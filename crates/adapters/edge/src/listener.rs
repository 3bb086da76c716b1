//! The listening address: taken for this process alone, then shared among its cores.
//!
//! `SO_REUSEPORT` gives each core an accept queue of its own, and would also let a second program of the same user take half
//! of the connections without an error. So the first socket is bound *and listens* without it: the kernel refuses that while
//! anybody listens on the address, with or without the option, and two that try at once cannot both succeed. Only then is the
//! option switched on for it, and the other cores' sockets join. Every edge begins that way, so that a second one always
//! finds the address taken; a lock file or a lock socket would hold off only other edges, and this holds off everybody.

use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, TcpListener},
};
use wharf_domain::{Code, Failure};

use crate::holder::holder;

/// Connections that the kernel keeps for a core until it accepts them.
const BACKLOG: i32 = 1024;

/// Listening, non-blocking sockets on one address, one for each core, and the address (its port is never 0).
pub(crate) fn listen(address: SocketAddr, cores: usize) -> Result<(Vec<TcpListener>, SocketAddr), Failure> {
    let refused = |error: io::Error| refusal(address, &error);
    let first = open(address).map_err(refused)?;
    // Without it, connections of a previous run that linger in TIME_WAIT would keep the address busy. It lets nobody share a
    // listening address.
    first.set_reuse_address(true).map_err(refused)?;
    first.bind(&address.into()).map_err(refused)?;
    first.listen(BACKLOG).map_err(refused)?;
    let first = TcpListener::from(first);
    let bound = first.local_addr().map_err(refused)?;
    let mut listeners = vec![first];
    for _ in 1..cores {
        let next = join(&listeners[0], bound).map_err(refused)?;
        listeners.push(next);
    }
    Ok((listeners, bound))
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// One more socket on the address that `first` has taken.
#[cfg(target_os = "linux")]
fn join(first: &TcpListener, bound: SocketAddr) -> io::Result<TcpListener> {
    socket2::SockRef::from(first).set_reuse_port(true)?;
    let socket = open(bound)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&bound.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Elsewhere `SO_REUSEPORT` does not spread connections: the cores share one accept queue.
#[cfg(not(target_os = "linux"))]
fn join(first: &TcpListener, _bound: SocketAddr) -> io::Result<TcpListener> {
    first.try_clone()
}

fn refusal(address: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let by = holder(address).map_or_else(|| "another program".to_owned(), |id| format!("process {id}"));
            Failure::new(Code::ListenBusy, format!("{by} listens on {address} already"))
                .hint("end it, or choose another address with --listen")
        }
        io::ErrorKind::PermissionDenied => Failure::new(
            Code::ListenRefused,
            format!("this user may not listen on {address}: {error}"),
        )
        .hint("choose a port from 1024 on with --listen"),
        _ => Failure::new(Code::ListenRefused, format!("cannot listen on {address}: {error}"))
            .hint("choose an address of this machine with --listen"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    fn anywhere() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn a_second_one_is_refused_and_told_by_whom() {
        let (_first, address) = listen(anywhere(), 2).unwrap();
        let failure = listen(address, 2).unwrap_err();
        assert_eq!(failure.code, Code::ListenBusy);
        assert!(
            failure.message.contains(&std::process::id().to_string()),
            "{}",
            failure.message
        );
    }

    #[test]
    fn a_listener_that_would_share_its_port_is_in_the_way_too() {
        let other = open(anywhere()).unwrap();
        other.set_reuse_port(true).unwrap();
        other.bind(&anywhere().into()).unwrap();
        other.listen(1).unwrap();
        let address = other.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(listen(address, 2).unwrap_err().code, Code::ListenBusy);
    }

    #[test]
    fn of_many_that_try_at_once_one_wins() {
        let (_, address) = listen(anywhere(), 1).unwrap();
        let start = std::sync::Barrier::new(8);
        let won = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        listen(address, 2).ok()
                    })
                })
                .collect();
            let taken: Vec<_> = tries.into_iter().filter_map(|try_| try_.join().unwrap()).collect();
            taken.len()
        });
        assert_eq!(won, 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_core_gets_connections() {
        let (listeners, address) = listen(anywhere(), 2).unwrap();
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let accepted: Vec<usize> = listeners
            .iter()
            .map(|listener| std::iter::from_fn(|| listener.accept().ok()).count())
            .collect();
        assert_eq!(accepted.iter().sum::<usize>(), clients.len());
        assert!(accepted.iter().all(|count| *count > 0), "{accepted:?}");
    }

    #[test]
    fn the_address_is_free_again_when_the_listeners_are_gone() {
        let (listeners, address) = listen(anywhere(), 2).unwrap();
        drop(listeners);
        assert!(listen(address, 2).is_ok());
    }
}
