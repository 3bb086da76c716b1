//! Who listens on an address already, as far as the kernel tells: the process id behind a listening socket, found in `/proc`.
//! Best effort: another user's processes are not shown, and other systems have no `/proc`.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The process that listens where `address` would.
pub(crate) fn holder(address: SocketAddr) -> Option<u32> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table
                .lines()
                .filter_map(|line| listening_inode(line, address))
                .collect::<Vec<_>>()
        })
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|process| {
        let id: u32 = process.file_name().to_str()?.parse().ok()?;
        fs::read_dir(process.path().join("fd"))
            .ok()?
            .filter_map(Result::ok)
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()))
            .then_some(id)
    })
}

/// The inode of a line of `/proc/net/tcp` that stands for a listening socket in the address's way.
fn listening_inode(line: &str, address: SocketAddr) -> Option<String> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let (ip, port) = local.split_once(':')?;
    let same_port = u16::from_str_radix(port, 16).ok()? == address.port();
    let ip = parse_ip(ip)?;
    let in_the_way = ip.is_unspecified() || address.ip().is_unspecified() || ip == address.ip();
    (state == LISTEN && same_port && in_the_way).then(|| inode.to_owned())
}

/// The kernel prints an address as 32-bit words in the machine's own byte order.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let words: Option<Vec<[u8; 4]>> = (0..text.len() / 8)
        .map(|word| {
            let digits = text.get(word * 8..word * 8 + 8)?;
            Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(IpAddr::from(four));
    }
    Some(IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_listening_line_is_told_from_others() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0";
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        assert_eq!(listening_inode(line, address), Some("12345".to_owned()));
        assert_eq!(listening_inode(&line.replace(" 0A ", " 01 "), address), None);
        assert_eq!(listening_inode(line, SocketAddr::from(([127, 0, 0, 1], 8081))), None);
        assert_eq!(listening_inode(line, SocketAddr::from(([127, 0, 0, 2], 8080))), None);
        assert_eq!(listening_inode("  sl  local_address rem_address   st", address), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_listener_of_ours_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(holder(listener.local_addr().unwrap()), Some(std::process::id()));
    }
}
