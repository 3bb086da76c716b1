//! Databases that a function makes: one that is in the database server's network, where whoever asks is not.
//!
//! The function has no secret and no configuration; each call tells it the server's URL. What the calls say is `wharf_platform::databases::call`'s.

use async_trait::async_trait;
use futures::future::BoxFuture;
use secrecy::SecretString;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{Code, Failure, InstanceId};
use wharf_platform::{
    Database, Databases,
    databases::call::{Action, Answer, CALL_MAX, CALL_WITHIN, Call, DatabaseServer},
};
use wharf_saga::Clock;

use crate::{
    Clients, Governor,
    operations::Operation,
    signed::{Question, Signed},
};

/// What is refused at once is tried again for so long; with a last try it is over before the step is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Gives the server as it is now: its password may have been changed since the last call.
pub type FetchServer = dyn Fn() -> BoxFuture<'static, Result<DatabaseServer, Failure>> + Send + Sync;

/// Has a function make databases.
#[derive(Clone)]
pub struct FunctionDatabases {
    signed: Signed,
    /// Its name or ARN.
    function: String,
    server: Arc<FetchServer>,
}

impl fmt::Debug for FunctionDatabases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FunctionDatabases").field(&self.function).finish()
    }
}

impl FunctionDatabases {
    #[must_use]
    pub fn new(
        clients: Arc<Clients>,
        governor: Arc<Governor>,
        clock: Arc<dyn Clock>,
        function: String,
        server: Arc<FetchServer>,
    ) -> Self {
        Self {
            signed: Signed::new(clients, governor, clock),
            function,
            server,
        }
    }

    async fn ask(&self, action: Action) -> Result<Answer, Failure> {
        let server = (self.server)().await?;
        let call = serde_json::to_string(&Call { server, action })
            .map_err(|error| Failure::internal(format!("a call of the function of databases: {error}")))?;
        if call.len() > CALL_MAX {
            return Err(Failure::new(
                Code::ConfigInvalid,
                format!(
                    "what the function {} is told of a database has {} bytes, and it takes {CALL_MAX}",
                    self.function,
                    call.len()
                ),
            )
            .hint("shorten [databases] extensions"));
        }
        let question = Question::invocation(&self.function, call, CALL_WITHIN);
        let (operation, deadline) = (Operation::LambdaInvokeFunction, Instant::now() + PATIENCE);
        let answer = self.signed.ask(operation, &self.function, deadline, &question).await;
        let answer = answer.map_err(|failure| self.away(failure))?;
        match serde_json::from_str(&answer) {
            Ok(Answer::Failed(failure)) => Err(failure),
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.another()),
        }
    }

    /// What passes is waited out as a server is that does not answer: nobody behind the function is reached meanwhile.
    fn away(&self, failure: Failure) -> Failure {
        if !failure.code.is_passing() {
            return failure;
        }
        let away = Failure::new(
            Code::DatabaseUnreachable,
            format!(
                "the function {} that makes databases does not answer: {}",
                self.function, failure.message
            ),
        );
        match failure.hint {
            Some(hint) => away.hint(hint),
            None => away,
        }
    }

    /// What it said is not shown: it may hold a secret.
    fn another(&self) -> Failure {
        Failure::new(
            Code::DatabaseFailed,
            format!(
                "the function {} answers something else than one that makes databases",
                self.function
            ),
        )
        .hint("deploy both functions from the same version, and look at aws.databases_function")
    }
}

#[async_trait]
impl Databases for FunctionDatabases {
    async fn create(&self, instance: &InstanceId, name: &str, password: &SecretString) -> Result<Database, Failure> {
        let action = Action::Create {
            instance: instance.clone(),
            name: name.to_owned(),
            password: password.clone(),
        };
        match self.ask(action).await? {
            Answer::Database(told) => Ok(told.into()),
            _ => Err(self.another()),
        }
    }

    async fn open(
        &self,
        instance: &InstanceId,
        name: &str,
        password: &SecretString,
    ) -> Result<Option<Database>, Failure> {
        let action = Action::Open {
            instance: instance.clone(),
            name: name.to_owned(),
            password: password.clone(),
        };
        match self.ask(action).await? {
            Answer::Database(told) => Ok(Some(told.into())),
            Answer::Nothing => Ok(None),
            _ => Err(self.another()),
        }
    }

    async fn remove(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        let action = Action::Remove {
            instance: instance.clone(),
            name: name.to_owned(),
        };
        match self.ask(action).await? {
            Answer::Removed => Ok(()),
            _ => Err(self.another()),
        }
    }

    async fn discard(&self, instance: &InstanceId, name: &str) -> Result<(), Failure> {
        let action = Action::Discard {
            instance: instance.clone(),
            name: name.to_owned(),
        };
        match self.ask(action).await? {
            Answer::Removed => Ok(()),
            _ => Err(self.another()),
        }
    }

    async fn all(&self) -> Result<Vec<(InstanceId, String)>, Failure> {
        match self.ask(Action::All).await? {
            Answer::All(all) => Ok(all),
            _ => Err(self.another()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::{
        SignedError,
        tests::{Canned, canned},
    };
    use secrecy::ExposeSecret;
    use wharf_domain::{DeploymentId, Timestamp};
    use wharf_saga::limits::STEP_TIMEOUT;

    fn server(extensions: Vec<String>) -> DatabaseServer {
        DatabaseServer {
            url: SecretString::from("postgresql://admin:hunter2@10.0.0.5/postgres"),
            deployment: "dev".parse::<DeploymentId>().expect("a name"),
            tenant_scheme: "postgresql".to_owned(),
            tenant_host: None,
            tenant_port: None,
            tenant_query: None,
            connection_limit: 20,
            statement_timeout: Duration::ZERO,
            template: "template0".to_owned(),
            extensions,
            kept: Duration::ZERO,
        }
    }

    fn on(answer: Result<&str, SignedError>, extensions: Vec<String>) -> (FunctionDatabases, Arc<Canned>) {
        let (signed, canned) = canned(answer);
        let server = server(extensions);
        let databases = FunctionDatabases {
            signed,
            function: "databases-dev".to_owned(),
            server: Arc::new(move || {
                let server = server.clone();
                Box::pin(async move { Ok(server) })
            }),
        };
        (databases, canned)
    }

    fn instance() -> InstanceId {
        InstanceId::new(Timestamp(1), [1; 10])
    }

    async fn created(answer: Result<&str, SignedError>) -> Result<Database, Failure> {
        let (databases, _) = on(answer, Vec::new());
        let password = SecretString::from("tenant's");
        databases.create(&instance(), "user_acme", &password).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_is_asked_for_and_told() {
        let (databases, canned) = on(
            Ok(r#"{"database": {"name": "user_acme", "url": "postgresql://user_acme:x@10.0.0.5:5432/user_acme"}}"#),
            Vec::new(),
        );
        let database = databases
            .create(&instance(), "user_acme", &SecretString::from("x"))
            .await;
        let database = database.expect("it is made");
        assert_eq!(database.name, "user_acme");
        assert!(database.url.expose_secret().ends_with("/user_acme"));
        let asked = canned.asked.lock();
        assert_eq!(asked[0].path, "2015-03-31/functions/databases-dev/invocations");
        let body: serde_json::Value = serde_json::from_str(&asked[0].body).expect("JSON");
        assert_eq!((&body["do"], &body["name"]), (&"create".into(), &"user_acme".into()));
        assert_eq!(body["server"]["deployment"], "dev");
        assert!(
            !format!("{:?}{databases:?}", asked[0]).contains("hunter2"),
            "what is asked does not show itself"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_function_refuses_keeps_its_code() {
        let refused = r#"{"failed": {"code": "resource.foreign", "message": "another's", "hint": "look"}}"#;
        let failure = created(Ok(refused)).await.expect_err("refused");
        assert_eq!(
            (failure.code, failure.hint.as_deref()),
            (Code::ResourceForeign, Some("look"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_that_is_away_is_waited_for_and_one_that_is_denied_is_not() {
        let answered = |status, code: &str| SignedError::Answered {
            status,
            code: code.to_owned(),
            message: String::new(),
        };
        for (error, expected) in [
            (SignedError::Broken("reset".into()), Code::DatabaseUnreachable),
            (
                SignedError::FunctionFailed("Sandbox.Timedout".into()),
                Code::DatabaseUnreachable,
            ),
            (answered(429, "TooManyRequestsException"), Code::DatabaseUnreachable),
            (answered(409, "ResourceConflictException"), Code::DatabaseUnreachable),
            (answered(403, "AccessDeniedException"), Code::AwsDenied),
            (answered(404, "ResourceNotFoundException"), Code::AwsRefused),
        ] {
            let failure = created(Err(error)).await.expect_err("no answer");
            assert_eq!(failure.code, expected, "{failure}");
            assert!(failure.message.contains("databases-dev"), "{failure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_functions_answer_is_not_repeated() {
        for answer in ["null", r#"{"statusCode": 200, "body": "hunter2"}"#, r#"{"all": []}"#] {
            let failure = created(Ok(answer)).await.expect_err("another's");
            assert_eq!(failure.code, Code::DatabaseFailed);
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_bounded() {
        let (databases, canned) = on(Ok("null"), vec!["x".repeat(CALL_MAX)]);
        let failure = databases.all().await.expect_err("too long");
        assert_eq!(failure.code, Code::ConfigInvalid);
        assert!(canned.asked.lock().is_empty());
    }

    #[test]
    fn a_call_with_its_tries_fits_into_a_step() {
        assert!(PATIENCE + CALL_WITHIN < STEP_TIMEOUT);
    }
}
