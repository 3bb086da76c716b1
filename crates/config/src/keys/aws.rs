//! The keys of where the registry is kept, and of what Wharf itself needs of AWS.

use std::time::Duration;
use wharf_domain::DeploymentId;

use crate::{
    table::{Key, Node::Leaf, Presence::Always, Section, Variable},
    values::{RegistryKind, Share, TableName},
};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) static KIND: Key<RegistryKind> = Key::new(
    "kind",
    || RegistryKind::Sqlite,
    "Where Wharf keeps what it knows. `sqlite`: a file in `data_dir`, for one server. `dynamodb`: tables on AWS; the Lambda \
     function always keeps it there.",
);
pub(crate) static TABLE: Key<TableName> = Key::new(
    "table",
    || TableName::known("wharf"),
    "The name or the ARN of Wharf's own table.",
);
pub(crate) static PORTS_TABLE: Key<TableName> = Key::new(
    "ports_table",
    || TableName::known("crownmercado-ports"),
    "The table of leased ports, one item for each, for others to read.",
)
.variables(&[Variable::above("TABLE_NAME")]);
pub(crate) static USERS_TABLE: Key<TableName> = Key::new(
    "users_table",
    || TableName::known("UserPortRegistry"),
    "The table of tenants with their ports and addresses, for others to read.",
)
.variables(&[Variable::above("REGISTRY_TABLE_NAME")]);
pub(crate) static DEPLOYMENT: Key<Option<DeploymentId>> = Key::new(
    "deployment",
    || None,
    "The name of the deployment, which marks everything that belongs to it: two that share an account have two names. It is for \
     `dynamodb`; a file has a name of its own, made with it.",
)
.default_note("`wharf`")
.variables(&[Variable::above("WHARF_DEPLOYMENT")]);

pub(crate) static REGISTRY: Section = Section {
    name: "registry",
    doc: "Where Wharf keeps what it knows.",
    presence: Always,
    children: &[
        Leaf(&KIND),
        Leaf(&DEPLOYMENT),
        Leaf(&TABLE),
        Leaf(&PORTS_TABLE),
        Leaf(&USERS_TABLE),
    ],
};

pub(crate) static REGION: Key<Option<String>> = Key::new("region", || None, "The region of everything on AWS.")
    .default_note("as the AWS command line finds it: `AWS_REGION`, then the profile, then the machine's own");
pub(crate) static QUEUE_URL: Key<Option<String>> = Key::new(
    "queue_url",
    || None,
    "The URL of the SQS queue through which sagas are woken and events come in. The Lambda function needs it; a server waits by \
     timers, and takes ECS's events from the queue where it has one.",
)
.variables(&[Variable::above("WHARF_QUEUE_URL")]);
pub(crate) static POLL_INTERVAL: Key<Duration> = Key::new(
    "poll_interval",
    || 5 * SECOND,
    "The pause between two looks at a task whose events do not come.",
)
.between(&[SECOND, Duration::from_mins(5)])
.variables(&[Variable::above("TASK_POLL_INTERVAL").unit("s")]);
pub(crate) static SHARE: Key<Share> = Key::new(
    "share",
    || Share(1.0),
    "How much of what AWS lets an account call in a second this process may use. Of several, and beside other users of the account, \
     each has its share.",
);
pub(crate) static ADMIN_TOKEN_SECRET: Key<Option<String>> = Key::new(
    "admin_token_secret",
    || None,
    "The name or the ARN of the secret in Secrets Manager that holds the admin token.",
);
pub(crate) static TOKEN_KEY_SECRET: Key<Option<String>> = Key::new(
    "token_key_secret",
    || None,
    "The same of the key from which status tokens and the links in mails are derived.",
);
pub(crate) static RESEND_SECRET: Key<Option<String>> = Key::new(
    "resend_secret",
    || None,
    "The same of the API key of Resend. `RESEND_API_KEY` outranks it.",
);

pub(crate) static POSTGRES_SECRET: Key<Option<String>> = Key::new(
    "postgres_secret",
    || None,
    "The same of the PostgreSQL server that instances' databases are made on: its URL, or a JSON object with `username` and `password`, and \
     `host`, `port` and `dbname` where it has them, as RDS keeps it. `WHARF_POSTGRES_URL` outranks it.",
);
pub(crate) static POSTGRES_ADDRESS: Key<Option<String>> = Key::new(
    "postgres_address",
    || None,
    "That server's host, and its port behind a colon, where its secret does not say them.",
);
pub(crate) static DATABASES_FUNCTION: Key<Option<String>> = Key::new(
    "databases_function",
    || None,
    "The name or the ARN of the Lambda function that makes databases, where only a function in the server's own network reaches it. The Lambda \
     function that starts instances has it do so; a server connects by itself unless this is set.",
);

pub(crate) static AWS: Section = Section {
    name: "aws",
    doc: "What Wharf itself needs of AWS. Credentials and endpoints are found as the AWS command line finds them; \
          `AWS_ENDPOINT_URL`, and `AWS_ENDPOINT_URL_ECS` and the like for one service, put an emulator in their place.",
    presence: Always,
    children: &[
        Leaf(&REGION),
        Leaf(&QUEUE_URL),
        Leaf(&POLL_INTERVAL),
        Leaf(&SHARE),
        Leaf(&ADMIN_TOKEN_SECRET),
        Leaf(&TOKEN_KEY_SECRET),
        Leaf(&RESEND_SECRET),
        Leaf(&POSTGRES_SECRET),
        Leaf(&POSTGRES_ADDRESS),
        Leaf(&DATABASES_FUNCTION),
    ],
};
