//! What is wrong with a deployment on AWS, found before anything is started: every configured resource is looked at, and held against
//! the others and against what Wharf does with it. Nothing is changed, and nothing here decides what a saga does.
//!
//! | file | what it is for |
//! |---|---|
//! | `finding` | what an examination gives: findings and answers, as plain data |
//! | `reader` | every call, its time limit, and what is denied or out of reach |
//! | `look`, `world` | what there is, asked for once and kept as data |
//! | `case` | one service with what is known of its parts |
//! | `checks` | the judgement: data in, findings out; calls nothing |
//! | `answers` | the six questions that everybody asks first, answered for each service |
//! | `rights` | what the role may do, as far as that can be tried without doing it |

mod answers;
mod case;
mod checks;
mod finding;
mod look;
mod reader;
mod rights;
mod world;

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Service, service::RunSpec};
use wharf_saga::{Clock, Ids};

use crate::{Clients, Governor, Tables};
use case::Case;
use finding::Notes;
pub use finding::{Answers, Examination, Finding, Grade};
use reader::Reader;

/// All of it is over by then, whatever does not answer.
pub const TIME_LIMIT: Duration = Duration::from_mins(1);

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Deployment<'a> {
    /// Those that do not run on ECS are passed over.
    pub services: Vec<&'a Service>,
    /// Where the registry is on DynamoDB.
    pub tables: Option<Tables>,
    /// The queue of wakes and events, where there is one.
    pub queue_url: Option<&'a str>,
    /// The function that makes databases, where it is not this machine that connects.
    pub databases_function: Option<&'a str>,
    /// What each secret of Wharf's own is, such as `admin token`, and its name or ARN.
    pub secrets: Vec<(&'a str, &'a str)>,
}

/// Examines deployments.
pub struct Doctor {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctor").finish_non_exhaustive()
    }
}

impl Doctor {
    #[must_use]
    pub fn new(clients: Clients, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            clients: Arc::new(clients),
            governor: Arc::new(Governor::new(NonZeroU32::MIN, ids)),
            clock,
        }
    }

    /// Looks at everything, within [`TIME_LIMIT`]. Where AWS cannot be asked at all that is the only finding.
    pub async fn examine(&self, deployment: &Deployment<'_>) -> Examination {
        let deadline = Instant::now() + TIME_LIMIT;
        let reader = Reader::new(
            self.clients.clone(),
            self.governor.clone(),
            self.clock.clone(),
            deadline,
        );
        let who = match Box::pin(look::who(&reader, deployment)).await {
            Ok(who) => who,
            Err(finding) => {
                return Examination {
                    findings: vec![finding],
                    answers: Vec::new(),
                };
            }
        };
        let world = Box::pin(look::look(&reader, &who, deployment)).await;
        let cases: Vec<Case<'_>> = deployment
            .services
            .iter()
            .filter_map(|service| Case::of(service, &world))
            .collect();

        let mut account = Notes::new("account");
        checks::account::identity(&who, &mut account);
        rights::check(&reader, &who, deployment, &cases, &world, &mut account).await;
        let mut wharf = Notes::new("wharf");
        checks::registry::check(deployment, &world, &mut wharf);
        let services: Vec<Notes> = cases.iter().map(|case| checks::service(case, &world)).collect();
        // Last: a look that was in vain can be any of those before.
        checks::account::troubles(&reader.troubles(), &mut account);

        Examination {
            findings: [account, wharf]
                .into_iter()
                .chain(services)
                .flat_map(Notes::into_findings)
                .collect(),
            answers: cases
                .iter()
                .map(|case| answers::answer(case, deployment, &world))
                .collect(),
        }
    }
}

/// Whether a service is one that runs on ECS.
fn is_on_ecs(service: &Service) -> bool {
    matches!(service.run, RunSpec::Ecs(_))
}
