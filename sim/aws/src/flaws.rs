//! Mistakes that Wharf does not make with AWS, to be made on purpose: run-time switches of this simulation. Whoever checks that nothing goes wrong shows with
//! them that he would notice.
//!
//! Those of the adapter are made where its requests leave and its answers arrive, so that what is shipped has no switch: AWS cannot tell who made them. What
//! must not be here: who makes the others (`server`, `lambda`), and who notices (`rules/`).

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use serde_json::Value;
use std::{fmt, str::FromStr};
use wharf_domain::DeploymentId;

use crate::account::{FOREIGN_DEPLOYMENT, FOREIGN_TARGET};

macro_rules! flaws {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*) => {
        /// A mistake that is made on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Flaw {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Flaw {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What it is called on a command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

flaws! {
    /// A start carries no client token: said again, it starts another task.
    ForgetsToken = "forgets-token",
    /// Whose a task is, by its `startedBy`, goes unread: another deployment's is taken for its own.
    IgnoresStartedBy = "ignores-started-by",
    /// Whose a listener rule is, by its tags, goes unread.
    IgnoresTags = "ignores-tags",
    /// A deregistration counts as done that was never sent.
    NeverDeregisters = "never-deregisters",
    /// Who withdraws one target withdraws what others have in the group as well.
    WithdrawsOthers = "withdraws-others",
    /// Of a batch of messages only the first one is handled, and all are deleted.
    DropsTheRest = "drops-the-rest",
    /// Nothing looks for what is due: a wake that is lost is the end.
    NeverSweeps = "never-sweeps",
    /// Nobody compares registry and account: what arrives late stays.
    NeverRepairs = "never-repairs",
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Flaw {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|flaw| flaw.name() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|flaw| flaw.name()).collect();
            format!("there is no such flaw; there are {}", names.join(", "))
        })
    }
}

/// Where a process's requests leave and its answers arrive.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) flaw: Option<Flaw>,
    pub(crate) deployment: DeploymentId,
}

impl Wire {
    /// Makes of a request the one that is sent; or gives the answer that nobody gave, where none is.
    pub(crate) fn send(&self, action: &str, request: &mut HttpRequest) -> Option<HttpResponse> {
        match (self.flaw?, action) {
            (Flaw::ForgetsToken, "RunTask") => {
                let body = serde_json::from_slice(request.body().bytes().unwrap_or_default());
                if let Ok(Value::Object(mut fields)) = body {
                    fields.remove("clientToken");
                    *request.body_mut() = Value::Object(fields).to_string().into();
                }
            }
            (Flaw::WithdrawsOthers, "DeregisterTargets") => {
                let (id, port) = FOREIGN_TARGET;
                let form = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
                if form.contains("ip-") {
                    let more = format!("{form}&Targets.member.99.Id={id}&Targets.member.99.Port={port}");
                    *request.body_mut() = more.into();
                }
            }
            (Flaw::NeverDeregisters, "DeregisterTargets") => {
                let answer = "<DeregisterTargetsResponse><DeregisterTargetsResult/></DeregisterTargetsResponse>";
                return Some(HttpResponse::new(200.try_into().ok()?, answer.into()));
            }
            _ => {}
        }
        None
    }

    /// Makes of an answer the one that is read.
    pub(crate) fn receive(&self, action: &str, answer: &mut HttpResponse) {
        let (read, instead) = match (self.flaw, action) {
            (Some(Flaw::IgnoresStartedBy), "DescribeTasks") => (
                format!("wharf/{FOREIGN_DEPLOYMENT}/"),
                format!("wharf/{}/", self.deployment),
            ),
            (Some(Flaw::IgnoresTags), "DescribeTags") => (
                "<Tags></Tags>".to_owned(),
                format!(
                    "<Tags><member><Key>wharf:deployment</Key><Value>{}</Value></member></Tags>",
                    self.deployment
                ),
            ),
            _ => return,
        };
        let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default()).into_owned();
        *answer.body_mut() = body.replace(&read, &instead).into();
    }
}
