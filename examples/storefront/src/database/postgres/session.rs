//! The connection to the server, on a thread of its own: the driver's calls block, and the shop's own thread has a runtime in which they may not.
//!
//! A connection that the server has cut is made anew before the next transaction begins. One that is cut within a transaction fails that request alone:
//! whether it was committed, nobody can tell.

use std::{
    fmt,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use postgres::{Client, Config, NoTls, Transaction};

use super::super::{Error, Result};

/// The shop's one thread waits for the server: after so long it serves other requests.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// After so long without an answer to what was sent the connection counts as dead.
const SILENCE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce(&mut Session) + Send>;

pub(super) struct Sessions {
    jobs: Sender<Job>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

/// On its thread.
struct Session {
    config: Config,
    client: Option<Client>,
}

impl Sessions {
    pub(super) fn new(mut config: Config) -> Result<Self> {
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(SILENCE)
            .tcp_user_timeout(SILENCE)
            .application_name("storefront");
        let (jobs, queue): (Sender<Job>, Receiver<Job>) = channel();
        thread::Builder::new().name("database".to_owned()).spawn(move || {
            let mut session = Session { config, client: None };
            while let Ok(job) = queue.recv() {
                job(&mut session);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Runs `work` in a transaction, which an error rolls back.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = channel();
        let job: Job = Box::new(move |session| {
            let _ = answer.send(session.run(work));
        });
        self.jobs.send(job).map_err(|_| Error::Gone)?;
        answered.recv().map_err(|_| Error::Gone)?
    }
}

impl Session {
    fn run<T>(&mut self, work: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        let client = self.client()?;
        let mut transaction = client.transaction()?;
        let value = work(&mut transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// One that answers: the last one, or a new one.
    fn client(&mut self) -> Result<&mut Client> {
        let last = self.client.take().and_then(|mut client| {
            // It costs a round trip, and shows what a restart of the server has left of the connection.
            client.simple_query("").is_ok().then_some(client)
        });
        let client = match last {
            Some(client) => client,
            None => self.config.connect(NoTls)?,
        };
        Ok(self.client.insert(client))
    }
}
