//! The files of a corpus, and a target's program where nothing drives it: it takes files.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The committed inputs of a target, in a fixed order, each with its name.
pub fn corpus(target: &str) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    paths
        .into_iter()
        .map(|path| fs::read(&path).map(|bytes| (path, bytes)))
        .collect()
}

/// Gives a target each file of the command line.
pub fn files(run: fn(&[u8])) -> ExitCode {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from).peekable();
    if paths.peek().is_none() {
        eprintln!("usage: TARGET FILE…");
        return ExitCode::from(2);
    }
    for path in paths {
        match fs::read(&path) {
            Ok(bytes) => run(&bytes),
            Err(error) => {
                eprintln!("{} cannot be read: {error}", path.display());
                return ExitCode::from(2);
            }
        }
        println!("{}: fine", path.display());
    }
    ExitCode::SUCCESS
}
