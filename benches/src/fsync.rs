//! The disk's own limit: how long it takes until four kilobytes are safe. Every figure of something durable is held against it.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use crate::Result;

const PAGE: usize = 4096;
/// The file's length: it is written over from its start again, as a write-ahead log is.
const PAGES: usize = 1024;

/// A file that was written once already, so that a write changes neither its length nor what it occupies.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    at: usize,
}

impl Disk {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(folder.join("fsync"))?;
        file.write_all(&vec![1; PAGE * PAGES])?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    /// Writes a page and waits until it is durable.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.seek(SeekFrom::Start((self.at * PAGE) as u64))?;
        self.at = (self.at + 1) % PAGES;
        self.file.write_all(&[2; PAGE])?;
        self.file.sync_data()?;
        Ok(())
    }

    /// How many follow one another in a second.
    pub(crate) fn rate(&mut self, stretch: Duration) -> Result<f64> {
        let began = Instant::now();
        let mut count = 0.0;
        while began.elapsed() < stretch {
            self.sync()?;
            count += 1.0;
        }
        Ok(count / began.elapsed().as_secs_f64())
    }
}
