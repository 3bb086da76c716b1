//! Simulated receivers of events: what was posted is kept, and some addresses refuse.

use async_trait::async_trait;
use wharf_platform::{MailError, Post, Poster};

use super::{
    SimWorld,
    calls::{Calls, ordered},
};

/// Messages to others, as one process hands them over.
pub(crate) struct SimPoster(pub(crate) Calls);

#[async_trait]
impl Poster for SimPoster {
    async fn post(&self, post: &Post) -> Result<(), MailError> {
        let begun = self.0.enter("poster.post").await;
        let fate = begun.fate;
        let result = if let Some(code) = fate.refuse {
            Err(MailError::Passing(ordered(code, "the message was refused").message))
        } else {
            self.0.world.state().posts.push(post.clone());
            match fate.lose {
                Some(code) => Err(MailError::Passing(ordered(code, "the answer was lost").message)),
                None => Ok(()),
            }
        };
        let outcome = if result.is_ok() { "ok" } else { "refused" };
        self.0.leave(begun, &post.url, outcome).await;
        result
    }
}

impl SimWorld {
    /// Every message that came to a receiver, also those whose answer was lost.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.state().posts.clone()
    }
}
