//! What a loss of power leaves: only what no `fsync` has promised to keep is damaged, and only as a disk and a journaling file system damage it.
//!
//! | what | why it may happen |
//! |---|---|
//! | a torn write behind the last commit of a log | the next commit was on its way to the disk |
//! | an index of a log that is garbage, or gone | it is never synced, and made anew |
//! | half-written files under passing names | their makers died before they named them |
//! | a shop's database without content, if it was never used | it is not synced before its first write (`examples/storefront/src/database`) |
//! | the mark of a young database folder without content | it is not synced; the file system names a file before it has its content |
//! | secrets and databases that were just removed come back | removing is not synced; repair removes them again |
//! | lost ends of output, a lost folder of output | nothing of it is synced |
//! | a lock file with the number of a process that is another's, or with nothing | locks are the kernel's; the text is for people |

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};
use wharf_harness::Seed;

use super::wal;

/// How long a file may be without its content on the disk: the kernel writes back what is older than 30 seconds.
const YOUNG: Duration = Duration::from_secs(25);
/// Of a database's header: where its read version stands, and what that is in WAL mode.
const READ_VERSION: usize = 19;
const IN_WAL_MODE: u8 = 2;
const PAGE: u64 = 4096;

/// What there was a moment ago: files of secrets and folders of databases with what was in them.
#[derive(Default)]
pub(super) struct Remembered {
    secrets: BTreeMap<PathBuf, Vec<u8>>,
    databases: BTreeMap<PathBuf, BTreeMap<PathBuf, Vec<u8>>>,
}

impl Remembered {
    pub(super) fn of(data: &Path) -> io::Result<Self> {
        let mut remembered = Self::default();
        for path in entries(&data.join("secrets"))? {
            if let Some(bytes) = content(&path)? {
                remembered.secrets.insert(path, bytes);
            }
        }
        for folder in entries(&data.join("databases"))?
            .into_iter()
            .filter(|path| path.is_dir())
        {
            let mut files = BTreeMap::new();
            for path in entries(&folder)? {
                if let Some(bytes) = content(&path)? {
                    files.insert(path, bytes);
                }
            }
            remembered.databases.insert(folder, files);
        }
        Ok(remembered)
    }
}

/// What is in a folder; nothing if it is not there.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    paths.sort();
    Ok(paths)
}

/// `None`: it was removed meanwhile.
fn content(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Damages what the seed chooses. Nothing of the deployment runs. Gives what was done, in words.
pub(super) fn all(data: &Path, remembered: &Remembered, seed: &mut Seed) -> io::Result<Vec<String>> {
    let mut damage = Damage {
        data,
        seed,
        done: Vec::new(),
    };
    damage.come_back(remembered)?;
    damage.logs_of_databases()?;
    damage.unused_databases()?;
    damage.young_marks()?;
    damage.half_written()?;
    damage.output()?;
    damage.locks()?;
    Ok(damage.done)
}

struct Damage<'a> {
    data: &'a Path,
    seed: &'a mut Seed,
    done: Vec<String>,
}

impl Damage<'_> {
    fn did(&mut self, path: &Path, what: &str) {
        let path = path.strip_prefix(self.data).unwrap_or(path);
        self.done.push(format!("{} {what}", path.display()));
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.seed.draw() as u8).collect()
    }

    /// The folders of databases that have their name, with the instance's id.
    fn databases(&self) -> io::Result<Vec<PathBuf>> {
        let is_whole = |path: &PathBuf| {
            path.is_dir()
                && path
                    .file_name()
                    .is_some_and(|name| !name.to_string_lossy().starts_with('.'))
        };
        Ok(entries(&self.data.join("databases"))?
            .into_iter()
            .filter(is_whole)
            .collect())
    }

    fn come_back(&mut self, remembered: &Remembered) -> io::Result<()> {
        for (path, bytes) in &remembered.secrets {
            if !path.exists() && self.seed.percent(50) {
                fs::write(path, bytes)?;
                self.did(path, "comes back");
            }
        }
        for (folder, files) in &remembered.databases {
            if !folder.exists() && self.seed.percent(50) {
                fs::create_dir(folder)?;
                for (path, bytes) in files {
                    fs::write(path, bytes)?;
                }
                self.did(folder, "comes back");
            }
        }
        Ok(())
    }

    /// The registry's log and the shops'.
    fn logs_of_databases(&mut self) -> io::Result<()> {
        let mut logs = vec![self.data.join("registry.db-wal")];
        for folder in self.databases()? {
            logs.extend(
                entries(&folder)?
                    .into_iter()
                    .filter(|path| path.to_string_lossy().ends_with("-wal")),
            );
        }
        for log in logs {
            if self.seed.percent(60) {
                self.tear(&log)?;
            }
            let index = PathBuf::from(log.to_string_lossy().replace("-wal", "-shm"));
            match self.seed.below(4) {
                0 if index.exists() => {
                    fs::remove_file(&index)?;
                    self.did(&index, "is gone");
                }
                1 if index.exists() => {
                    let noise = self.noise(32 * 1024);
                    fs::write(&index, noise)?;
                    self.did(&index, "is garbage");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A commit that was on its way: some of its frames, some of them whole, none of them the end.
    fn tear(&mut self, log: &Path) -> io::Result<()> {
        let Some(bytes) = content(log)? else {
            return Ok(());
        };
        let Some((frame, end)) = wal::last_commit(&bytes) else {
            return Ok(());
        };
        let length = 1 + self.seed.below(3 * frame);
        let torn = match self.seed.below(3) {
            0 => vec![0; length],
            1 => self.noise(length),
            _ => {
                // With the right salts, so that only the checksum tells.
                let mut torn = self.noise(length);
                for start in (0..length).step_by(frame) {
                    if let Some(salts) = torn.get_mut(start + 8..start + 16) {
                        salts.copy_from_slice(&bytes[16..24]);
                    }
                }
                torn
            }
        };
        let file = OpenOptions::new().write(true).open(log)?;
        file.write_all_at(&torn, end as u64)?;
        self.did(
            log,
            &format!("has a torn write of {length} bytes behind its last commit"),
        );
        Ok(())
    }

    /// A database in which nobody has written anything may be there without its content, or with a part of it.
    fn unused_databases(&mut self) -> io::Result<()> {
        for folder in self.databases()? {
            for path in entries(&folder)?
                .into_iter()
                .filter(|path| path.extension().is_some_and(|kind| kind == "db"))
            {
                let bytes = fs::read(&path)?;
                if bytes.get(READ_VERSION) == Some(&IN_WAL_MODE) || self.seed.percent(50) {
                    continue;
                }
                let file = OpenOptions::new().write(true).open(&path)?;
                let length = bytes.len() as u64;
                match self.seed.below(3) {
                    0 => {
                        file.set_len(0)?;
                        self.did(&path, "has no content: nobody had used it");
                    }
                    1 if length > PAGE => {
                        let pages = 1 + self.seed.draw() % (length / PAGE);
                        file.set_len(pages * PAGE)?;
                        self.did(&path, &format!("has {pages} pages left: nobody had used it"));
                    }
                    _ => {
                        file.set_len(0)?;
                        file.set_len(length)?;
                        self.did(&path, "is all zeros: nobody had used it");
                    }
                }
            }
        }
        Ok(())
    }

    fn young_marks(&mut self) -> io::Result<()> {
        for folder in self.databases()? {
            let mark = folder.join("owner");
            let is_young = fs::metadata(&mark)
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|written| written.elapsed().is_ok_and(|age| age < YOUNG));
            if is_young && self.seed.percent(40) {
                OpenOptions::new().write(true).truncate(true).open(&mark)?;
                self.did(&mark, "has no content: it was not synced");
            }
        }
        Ok(())
    }

    fn half_written(&mut self) -> io::Result<()> {
        let number = self.seed.draw();
        let names = [
            format!("secrets/.new-{number:x}"),
            format!("mail/.unfinished-{number:x}"),
        ];
        for name in names {
            if self.seed.percent(50) {
                let path = self.data.join(name);
                let length = self.seed.below(200);
                let noise = self.noise(length);
                fs::write(&path, noise)?;
                self.did(&path, "is half-written");
            }
        }
        if self.seed.percent(50) {
            // What was being made, and what was being removed.
            let path = self.data.join(format!("databases/.passing-inst_{number:x}"));
            fs::create_dir(&path)?;
            fs::write(path.join("owner"), "")?;
            self.did(&path, "is half-made");
        }
        Ok(())
    }

    fn output(&mut self) -> io::Result<()> {
        for folder in entries(&self.data.join("instances"))? {
            let log = folder.join("output.log");
            let Some(bytes) = content(&log)? else {
                continue;
            };
            match self.seed.below(6) {
                0 => {
                    let left = self.seed.below(bytes.len() + 1);
                    OpenOptions::new().write(true).open(&log)?.set_len(left as u64)?;
                    self.did(&log, &format!("has {left} of its {} bytes left", bytes.len()));
                }
                1 => {
                    let zeros = 1 + self.seed.below(PAGE as usize);
                    OpenOptions::new().append(true).open(&log)?.write_all(&vec![0; zeros])?;
                    self.did(&log, &format!("ends with {zeros} zeros"));
                }
                2 => {
                    fs::remove_dir_all(&folder)?;
                    self.did(&folder, "is gone");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Numbers of processes are given again: the one in the file is somebody else's now, who is alive.
    fn locks(&mut self) -> io::Result<()> {
        let other = std::process::id();
        let lock = self.data.join("lock");
        match self.seed.below(3) {
            0 => {
                fs::write(&lock, format!("{other}\n"))?;
                self.did(&lock, "has the number of a process that is another's");
            }
            1 => {
                fs::write(&lock, "")?;
                self.did(&lock, "has no content");
            }
            _ => {}
        }
        let server = self.data.join("server.json");
        if server.exists() && self.seed.percent(50) {
            let announced = serde_json::json!({"pid": other, "url": "http://127.0.0.1:9"});
            fs::write(&server, announced.to_string())?;
            self.did(&server, "has the number of a process that is another's");
        }
        Ok(())
    }
}
