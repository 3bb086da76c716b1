//! Faults that are planted behind the deployment's back: what a Wharf with a fault would leave. The comparison has to find each.
//!
//! What must not be here: anything that a loss of power could do (`damage`).

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    process::{Command, Stdio},
};
use wharf_harness::processes;

use super::Machine;
use crate::arguments::Bug;

impl Machine {
    /// Plants one. `alive` is an instance that is ready, `over` one that has ended.
    pub(super) async fn plant_bug(&mut self, bug: Bug, alive: &str, over: &str) -> Result<String, String> {
        let failed = |error: io::Error| format!("{bug:?} cannot be planted: {error}");
        match bug {
            Bug::Orphan => {
                self.start_with_marks(over, 1).map_err(failed)?;
                Ok(format!("a process has the marks of {over}, which is over"))
            }
            Bug::Twin => {
                self.start_with_marks(alive, 99).map_err(failed)?;
                Ok(format!("a second process has the marks of {alive}"))
            }
            Bug::Port => {
                let listener = self
                    .ports
                    .all_dynamic()
                    .rev()
                    .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
                    .ok_or("every port is taken")?;
                let address = listener.local_addr().map_err(failed)?;
                // It listens as long as this program runs.
                std::mem::forget(listener);
                Ok(format!("somebody listens on {address}"))
            }
            Bug::Database => {
                fs::remove_dir_all(self.data.join("databases").join(alive)).map_err(failed)?;
                Ok(format!("the database of {alive} is removed"))
            }
            Bug::Secrets => {
                fs::write(self.data.join("secrets").join(format!("{over}.json")), "{}").map_err(failed)?;
                Ok(format!("there are secrets of {over}, which is over"))
            }
            Bug::Mail => {
                fs::remove_file(self.mail_of(alive)).map_err(failed)?;
                Ok(format!("the mail of {alive} is removed"))
            }
            Bug::SecondMail => {
                let mail = self.mail_of(alive);
                fs::copy(&mail, mail.with_file_name("again.eml")).map_err(failed)?;
                Ok(format!("the mail of {alive} is there twice"))
            }
            Bug::Registry => {
                self.server.kill().await?;
                self.end_tasks()?;
                for suffix in ["", "-wal"] {
                    let to = self.data.join(format!("registry.db{suffix}"));
                    match fs::copy(self.copy_of_registry(suffix), &to) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {
                            fs::remove_file(&to)
                        }
                        other => other.map(|_| ()),
                    }
                    .map_err(failed)?;
                }
                self.server.start().await?;
                Ok("the registry is the one from before the round".to_owned())
            }
        }
    }

    /// Keeps the registry as it is now. The server does not write it while it is copied: nobody asks for anything yet.
    pub(super) fn copy_registry(&self) -> io::Result<()> {
        for suffix in ["", "-wal"] {
            match fs::copy(
                self.data.join(format!("registry.db{suffix}")),
                self.copy_of_registry(suffix),
            ) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn copy_of_registry(&self, suffix: &str) -> std::path::PathBuf {
        self.data.with_file_name(format!("registry-before.db{suffix}"))
    }

    fn mail_of(&self, instance: &str) -> std::path::PathBuf {
        self.data.join("mail").join(format!("ready-{instance}.eml"))
    }

    /// A process that looks like a task of this deployment.
    fn start_with_marks(&mut self, instance: &str, attempt: u64) -> io::Result<()> {
        let deployment = processes::tasks(&self.data)
            .iter()
            .find_map(|task| task.variable("WHARF_DEPLOYMENT").map(str::to_owned))
            .ok_or_else(|| io::Error::other("no task tells this deployment's name"))?;
        let child = Command::new("sleep")
            .arg("600")
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("WHARF_DEPLOYMENT", deployment)
            .env("WHARF_INSTANCE_ID", instance)
            .env("WHARF_ATTEMPT", attempt.to_string())
            .env("HOME", self.data.join("instances").join(instance))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.planted.push(child);
        Ok(())
    }
}
