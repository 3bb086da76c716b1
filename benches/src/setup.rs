//! What every benchmark is given: the runtime, the folder to work in, how long to measure, and the program that is measured.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};
use tokio::runtime::Runtime;

use crate::{Result, samples::Rounds, scratch::Scratch};

#[derive(Debug)]
pub(crate) struct Setup {
    quick: bool,
    pub(crate) scratch: Scratch,
    /// Of the same kind as the one that `wharf up` has for everything but proxying.
    pub(crate) runtime: Runtime,
    wharf: OnceLock<PathBuf>,
}

impl Setup {
    pub(crate) fn new(quick: bool, scratch: Scratch, wharf: Option<PathBuf>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        Ok(Self {
            quick,
            scratch,
            runtime,
            wharf: wharf.map_or_else(OnceLock::new, OnceLock::from),
        })
    }

    /// How often: `count` times, or fewer where the disk or the machine is slow; in a quick run a third of both.
    pub(crate) fn rounds(&self, count: usize, within: Duration) -> Rounds {
        Rounds {
            count: self.times(count),
            within: if self.quick { within / 3 } else { within },
        }
    }

    /// The same, where it is not the time that counts.
    pub(crate) fn times(&self, count: usize) -> usize {
        if self.quick { count.div_ceil(3) } else { count }
    }

    /// How long one round measures.
    pub(crate) fn stretch(&self, full: Duration) -> Duration {
        if self.quick { full / 2 } else { full }
    }

    /// The program that Lambda runs. It takes minutes to build, and so is built before (`cargo xtask bench` does).
    pub(crate) fn bootstrap() -> Result<PathBuf> {
        let program = std::env::current_exe()?;
        let target = program
            .parent()
            .and_then(Path::parent)
            .ok_or("this program is in no target folder")?;
        let bootstrap = target.join("lambda").join("bootstrap");
        if bootstrap.is_file() {
            Ok(bootstrap)
        } else {
            Err(format!(
                "there is no {}: cargo build --profile lambda --package wharf-lambda",
                bootstrap.display()
            )
            .into())
        }
    }

    /// The `wharf` that is measured, in a release build of the code as it stands.
    pub(crate) fn wharf(&self) -> Result<&Path> {
        if let Some(wharf) = self.wharf.get() {
            return Ok(wharf);
        }
        eprintln!("building: wharf, for release");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--release", "--package", "wharf"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()?;
        if !built.success() {
            return Err("wharf could not be built".into());
        }
        let program = std::env::current_exe()?.with_file_name("wharf");
        if !program.is_file() {
            return Err(format!(
                "there is no {}: run a release build, or name one with --wharf",
                program.display()
            )
            .into());
        }
        Ok(self.wharf.get_or_init(|| program))
    }
}
