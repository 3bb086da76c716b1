//! The first password of an application, shown once to whoever has the link of its mail.
//!
//! What must not be here: the link's making, which is the step `ready`'s and the mail's.

use secrecy::{ExposeSecret, SecretString};
use wharf_domain::{Code, Failure, InstanceId, StatusToken};
use wharf_saga::{
    Batch, CommitError,
    store::{Expect, Kind, LeaseChange, Release},
};

use crate::{steps::APP_PASSWORD, view::InstanceView, wharf::Wharf};

impl Wharf {
    /// Whether the link to a first password still works.
    pub async fn password_waits(&self, token: &str) -> Result<InstanceView, Failure> {
        let (id, _) = self.reveal_reservation(token).await?;
        self.show(&id).await
    }

    /// Shows the first password, once.
    pub async fn reveal_password(&self, token: &str) -> Result<(InstanceView, SecretString), Failure> {
        let (id, key) = self.reveal_reservation(token).await?;
        let secrets = self.platform().secrets.get(&id).await?.unwrap_or_default();
        let password = secrets.get(APP_PASSWORD).ok_or_else(shown)?;
        let mut batch = Batch::new(id.clone(), Expect::Anything, LeaseChange::Keep);
        batch.release.push(Release {
            kind: Kind::Reveal,
            key,
            rest_until: None,
            must_hold: true,
        });
        match self.store().commit(batch).await {
            Ok(_) => {}
            Err(CommitError::NotHeld { .. }) => return Err(shown()),
            Err(CommitError::Store(error)) => return Err(error.failure),
            Err(error) => return Err(Failure::internal(error.to_string())),
        }
        Ok((self.show(&id).await?, SecretString::from(password.expose_secret())))
    }

    async fn reveal_reservation(&self, token: &str) -> Result<(InstanceId, String), Failure> {
        let key = StatusToken::parse(token).ok_or_else(shown)?.hash();
        let reservation = self.store().reservation(Kind::Reveal, &key).await?.ok_or_else(shown)?;
        let is_over = reservation.resting || reservation.until.is_some_and(|until| until <= self.clock().now());
        if is_over {
            Err(shown())
        } else {
            Ok((reservation.owner, key))
        }
    }
}

fn shown() -> Failure {
    Failure::new(
        Code::PasswordShown,
        "the password was shown already, or its link is too old or not complete",
    )
    .hint("ask the operator, who finds it in the `secrets` folder of the data directory")
}
