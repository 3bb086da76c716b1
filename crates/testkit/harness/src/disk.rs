//! A file system that is small, where this user may mount one, and what fills it.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
    process::Command,
};

/// A disk that takes more than this is not a small one.
const LARGEST: u64 = 256 << 20;

/// For `sh -c`, with the folder as `$0`. It is gone when the last process of its mount name space is.
pub fn mount(mebibytes: u32) -> String {
    format!("mount -t tmpfs -o size={mebibytes}m none \"$0\"")
}

/// How to get a name space in which this user may mount, as the words of a command; `None` where that is forbidden.
pub fn allowed(folder: &Path) -> Option<&'static [&'static str]> {
    [&["unshare", "--mount"][..], &["unshare", "--map-root-user", "--mount"]]
        .into_iter()
        .find(|wrapper| {
            let probe = Command::new(wrapper[0])
                .args(&wrapper[1..])
                .args(["sh", "-c", &mount(1)])
                .arg(folder)
                .output();
            probe.is_ok_and(|output| output.status.success())
        })
}

/// Fills the disk to the last byte with a file.
pub fn fill(ballast: &Path) -> io::Result<()> {
    let mut size = fs::metadata(ballast).map_or(0, |metadata| metadata.len());
    let mut file = fs::File::options().create(true).append(true).open(ballast)?;
    let block = vec![1; 4096];
    loop {
        match file.write(&block) {
            Ok(0) => return Ok(()),
            Ok(written) => size += written as u64,
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => return Ok(()),
            Err(error) => return Err(error),
        }
        if size > LARGEST {
            return Err(io::Error::other("the disk is not a small one: it takes everything"));
        }
    }
}
