//! Connections to the server: few at once, kept for the next mail, and given up wherever it is not certain what their next answer belongs to.
//!
//! lettre's own pool takes a connection back whose use was broken off in the middle. The answer that was not read then stands for that of
//! the next mail, which is taken for sent before the server has it. Here a connection comes back only from a transaction that was finished.

use lettre::{
    address::Envelope,
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::{sync::Semaphore, time::Instant};
use wharf_platform::MailError;

use super::answer::{Phase, meaning};

/// Mails come in bunches; servers close what rests for minutes.
const IDLE: Duration = Duration::from_secs(30);
/// A connection is used for so many mails: servers count too, and end it in the middle.
const MAILS: u32 = 50;

/// How a connection is made.
pub(super) struct Connect {
    pub(super) host: String,
    pub(super) port: u16,
    /// Without, nothing is encrypted.
    pub(super) tls: Option<TlsParameters>,
    /// TLS begins with STARTTLS.
    pub(super) starts_clear: bool,
    pub(super) login: Option<Credentials>,
}

pub(super) struct Pool {
    connect: Connect,
    turns: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
    mails: u32,
}

impl Pool {
    pub(super) fn new(connect: Connect, connections: usize) -> Self {
        Self {
            connect,
            turns: Semaphore::new(connections.max(1)),
            idle: Mutex::default(),
        }
    }

    /// A connection, and nothing said over it.
    pub(super) async fn reach(&self) -> Result<(), MailError> {
        let mut connection = self.connect.connect().await?;
        // It goes either way.
        let _ = connection.quit().await;
        Ok(())
    }

    /// One mail. May be dropped at any time: the connection goes with it.
    pub(super) async fn send(&self, envelope: &Envelope, bytes: &[u8]) -> Result<(), MailError> {
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| MailError::Passing("mails are not sent any more: Wharf ends".to_owned()))?;
        let (mut connection, mails) = match self.rested().await {
            Some(rested) => rested,
            None => (self.connect.connect().await?, 0),
        };
        match connection.send(envelope, bytes).await {
            Ok(_) => {
                if mails + 1 < MAILS {
                    self.idle.lock().push(Idle {
                        connection,
                        since: Instant::now(),
                        mails: mails + 1,
                    });
                }
                Ok(())
            }
            // It was left in the middle of a transaction, and ended.
            Err(error) => Err(meaning(&error, Phase::Mail)),
        }
    }

    /// A connection that is there and answers.
    async fn rested(&self) -> Option<(AsyncSmtpConnection, u32)> {
        loop {
            let mut idle = self.idle.lock().pop()?;
            if idle.since.elapsed() < IDLE && idle.connection.test_connected().await {
                return Some((idle.connection, idle.mails));
            }
        }
    }
}

impl Connect {
    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let greeting = |error| meaning(&error, Phase::Greeting);
        let hello = ClientId::default();
        let from_the_first = self.tls.clone().filter(|_| !self.starts_clear);
        let address = (self.host.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, None, &hello, from_the_first, None)
            .await
            .map_err(greeting)?;
        if let Some(tls) = self.tls.clone().filter(|_| self.starts_clear) {
            connection.starttls(tls, &hello).await.map_err(greeting)?;
        }
        if let Some(login) = &self.login {
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], login)
                .await
                .map_err(|error| meaning(&error, Phase::Login))?;
        }
        Ok(connection)
    }
}
