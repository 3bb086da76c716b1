//! Who asks: STS's GetCallerIdentity. Nobody can be forbidden to ask it.

use std::sync::Arc;
use tokio::time::Instant;
use wharf_domain::{Code, Failure};
use wharf_saga::Clock;

use crate::{
    Clients, Governor,
    operations::Operation,
    signed::{Question, STS, Signed},
};

/// Whom AWS takes the credentials for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub account: String,
    /// Of a user, or of a role with its session.
    pub arn: String,
}

/// Asks STS.
#[derive(Clone, Debug)]
pub struct Sts {
    signed: Signed,
}

impl Sts {
    #[must_use]
    pub fn new(clients: Arc<Clients>, governor: Arc<Governor>, clock: Arc<dyn Clock>) -> Self {
        Self {
            signed: Signed::new(clients, governor, clock),
        }
    }

    pub async fn identity(&self, deadline: Instant) -> Result<Identity, Failure> {
        let operation = Operation::StsGetCallerIdentity;
        let question = Question::query(STS, operation.name(), "2011-06-15", &[]);
        let answer = self.signed.ask(operation, "*", deadline, &question).await?;
        read(&answer).ok_or_else(|| {
            Failure::new(
                Code::AwsUnavailable,
                format!("{}'s answer cannot be read", operation.action()),
            )
        })
    }
}

fn read(answer: &str) -> Option<Identity> {
    let document = roxmltree::Document::parse(answer).ok()?;
    let text = |name: &str| {
        let node = document.descendants().find(|node| node.tag_name().name() == name)?;
        Some(node.text()?.trim().to_owned())
    };
    Some(Identity {
        account: text("Account")?,
        arn: text("Arn")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::tests::canned;

    #[tokio::test]
    async fn account_and_role_are_told() {
        let (signed, _) = canned(Ok(
            r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
            <Arn>arn:aws:sts::111122223333:assumed-role/wharf/session</Arn><UserId>AIDA</UserId><Account>111122223333</Account>
            </GetCallerIdentityResult></GetCallerIdentityResponse>"#,
        ));
        let sts = Sts { signed };
        assert_eq!(
            sts.identity(Governor::deadline()).await,
            Ok(Identity {
                account: "111122223333".into(),
                arn: "arn:aws:sts::111122223333:assumed-role/wharf/session".into()
            })
        );
    }

    #[tokio::test]
    async fn an_answer_of_another_kind_is_told() {
        let (signed, _) = canned(Ok("<Other/>"));
        let failure = Sts { signed }
            .identity(Governor::deadline())
            .await
            .expect_err("unreadable");
        assert_eq!(failure.code, Code::AwsUnavailable);
    }
}
