//! Console sessions that were ended before their time. A session itself is a signed cookie, and nothing is kept of it: what is kept is
//! that it is over, until it would be over by itself. In the registry, so that every process knows it, and after a restart too.
//!
//! What must not be here: what a cookie looks like.

use data_encoding::HEXLOWER;
use wharf_domain::{Failure, InstanceId, Timestamp};
use wharf_saga::store::{Batch, CommitError, Expect, Kind, LeaseChange, Reserve};

use crate::Wharf;

impl Wharf {
    /// Ends the session with this hash, which would last until `until`. Ending it again changes nothing.
    pub async fn end_session(&self, hash: &[u8; 32], until: Timestamp) -> Result<(), Failure> {
        // A reservation is somebody's; the same session gives the same owner.
        let mut random = [0; 10];
        random.copy_from_slice(&hash[..10]);
        let mut batch = Batch::new(InstanceId::new(until, random), Expect::Anything, LeaseChange::Keep);
        batch.reserve.push(Reserve {
            kind: Kind::Session,
            key: HEXLOWER.encode(hash),
            value: String::new(),
            until: Some(until),
            now: self.clock().now(),
        });
        match self.store().commit(batch).await {
            Ok(_) | Err(CommitError::Taken { .. }) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.failure),
            Err(error) => Err(Failure::internal(error.to_string())),
        }
    }

    /// Whether the session with this hash was ended before its time.
    pub async fn is_session_ended(&self, hash: &[u8; 32]) -> Result<bool, Failure> {
        let ended = self.store().reservation(Kind::Session, &HEXLOWER.encode(hash)).await?;
        Ok(ended.is_some())
    }
}
