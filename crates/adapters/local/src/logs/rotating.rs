//! One instance's output on the disk: the current file and the one before it, each of a bounded size.
//!
//! What must not be here: where output comes from, and lines. A position here is the number of bytes written before it since this
//! log was opened (counting what the files held then), so that it stays true when the files change their names.

use parking_lot::Mutex;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::sync::Notify;

/// A file that would grow beyond this becomes the previous one.
pub(crate) const FILE_BOUND: u64 = 1 << 20;
const CURRENT: &str = "output.log";
const PREVIOUS: &str = "output.1.log";

/// The output of one instance.
#[derive(Debug)]
pub(crate) struct RotatingLog {
    folder: PathBuf,
    extent: Mutex<Extent>,
    /// There is more to read, or nothing more will come.
    pub(crate) changed: Notify,
    removed: AtomicBool,
    /// A full disk is told of once, not with every write.
    complained: AtomicBool,
}

/// Which positions stand in which file.
#[derive(Clone, Copy, Debug)]
struct Extent {
    previous: u64,
    current: u64,
    end: u64,
}

/// Bytes from a log, and the position behind them.
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) next: u64,
    /// How many bytes from the asked position on are no longer there.
    pub(crate) lost: u64,
}

/// The current file, kept open by a writer for as long as it has something to write: a file stays open for no idle instance.
pub(crate) type Open = Option<File>;

impl RotatingLog {
    pub(crate) fn open(folder: PathBuf) -> Self {
        let length = |name| fs::metadata(folder.join(name)).map_or(0, |metadata| metadata.len());
        let (previous, current) = (length(PREVIOUS), length(CURRENT));
        Self {
            extent: Mutex::new(Extent {
                previous: 0,
                current: previous,
                end: previous + current,
            }),
            folder,
            changed: Notify::new(),
            removed: AtomicBool::new(false),
            complained: AtomicBool::new(false),
        }
    }

    /// The position behind the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.extent.lock().end
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Nothing more will be written; whoever follows is told.
    pub(crate) fn set_removed(&self) {
        self.removed.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Appends. Bytes that cannot be written (the disk is full) are lost: a task is not held up for the sake of its log.
    pub(crate) fn append(&self, open: &mut Open, bytes: &[u8]) {
        if self.is_removed() {
            return;
        }
        if let Err(error) = self.try_append(open, bytes)
            && !self.complained.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(folder = %self.folder.display(), %error, "output of a task cannot be kept");
        }
    }

    fn try_append(&self, open: &mut Open, bytes: &[u8]) -> io::Result<()> {
        let mut extent = self.extent.lock();
        let size = bytes.len() as u64;
        if extent.end - extent.current + size > FILE_BOUND && extent.end > extent.current {
            *open = None;
            fs::rename(self.folder.join(CURRENT), self.folder.join(PREVIOUS))?;
            extent.previous = extent.current;
            extent.current = extent.end;
        }
        let file = match open {
            Some(file) => file,
            None => open.insert(
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
                    .open(self.folder.join(CURRENT))?,
            ),
        };
        let written = file.write_all(bytes);
        // After an error nobody knows how much was written: the file does.
        extent.end = match written {
            Ok(()) => extent.end + size,
            Err(_) => extent.current + file.metadata().map_or(0, |metadata| metadata.len()),
        };
        written
    }

    /// At most `most` bytes from `position` on; none at the end.
    pub(crate) fn read_at(&self, position: u64, most: usize) -> io::Result<Piece> {
        let (file, start, length, lost) = {
            // The lock is held until the file is open: a rotation in between would rename it.
            let extent = self.extent.lock();
            let start = position.max(extent.previous);
            let lost = start - position.min(start);
            let (name, offset, until) = if start < extent.current {
                (PREVIOUS, start - extent.previous, extent.current)
            } else {
                (CURRENT, start - extent.current, extent.end)
            };
            let length = until.saturating_sub(start).min(most as u64);
            if length == 0 {
                return Ok(Piece {
                    bytes: Vec::new(),
                    next: start,
                    lost,
                });
            }
            let mut file = open_to_read(&self.folder.join(name))?;
            file.seek(SeekFrom::Start(offset))?;
            (file, start, length, lost)
        };
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(length).read_to_end(&mut bytes)?;
        // A file that somebody shortened ends early: the position goes on all the same, or a reader would ask for ever.
        let missing = length - bytes.len() as u64;
        Ok(Piece {
            bytes,
            next: start + length,
            lost: lost + missing,
        })
    }

    /// Everything from `position` on that is there now, at most `most` bytes, the earliest left out.
    pub(crate) fn read_last(&self, position: u64, most: u64) -> io::Result<(Vec<u8>, u64)> {
        let end = self.end();
        let mut at = position.max(end.saturating_sub(most));
        let mut bytes = Vec::new();
        while at < end {
            let piece = self.read_at(at, (end - at) as usize)?;
            if piece.next == at {
                break;
            }
            bytes.extend_from_slice(&piece.bytes);
            at = piece.next;
        }
        Ok((bytes, at))
    }
}

fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(log: &RotatingLog) -> Vec<u8> {
        log.read_last(0, u64::MAX).unwrap().0
    }

    #[test]
    fn positions_stay_true_across_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let log = RotatingLog::open(folder.path().into());
        let block = vec![b'a'; FILE_BOUND as usize - 10];
        log.append(&mut None, &block);
        let before = log.end();
        log.append(&mut None, b"twenty bytes exactly");
        let piece = log.read_at(before, 100).unwrap();
        assert_eq!(piece.bytes, b"twenty bytes exactly");
        assert_eq!(log.read_at(before - 3, 100).unwrap().bytes, b"aaa");
        assert_eq!(all(&log).len(), block.len() + 20);
    }

    #[test]
    fn what_was_rotated_out_is_told_as_lost() {
        let folder = tempfile::tempdir().unwrap();
        let log = RotatingLog::open(folder.path().into());
        for _ in 0..3 {
            log.append(&mut None, &vec![b'a'; FILE_BOUND as usize]);
        }
        let piece = log.read_at(5, 10).unwrap();
        assert_eq!(piece.lost, FILE_BOUND - 5);
        let held: u64 = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert_eq!(held, 2 * FILE_BOUND);
    }

    #[test]
    fn a_reopened_log_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        RotatingLog::open(folder.path().into()).append(&mut None, b"before\n");
        let log = RotatingLog::open(folder.path().into());
        log.append(&mut None, b"after\n");
        assert_eq!(all(&log), b"before\nafter\n");
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join(CURRENT)).unwrap();
        let log = RotatingLog::open(folder.path().into());
        log.append(&mut None, b"overwritten");
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
    }
}
