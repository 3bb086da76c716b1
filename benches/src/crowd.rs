//! Many at once through the real `wharf up`: five hundred sign-ups for distinct names, five hundred for one, and one event that is delivered a hundred
//! times. What came of them is counted from outside: processes, folders, mails, and what the API lists.

use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    http::Client,
    samples::Samples,
    server::{Server, data_of},
    setup::Setup,
    usage,
};

const CROWD: usize = 500;
const DELIVERIES: usize = 100;
/// All of a crowd are Ready within this, or something is wrong.
const PATIENCE: Duration = Duration::from_mins(3);
const LOOK: Duration = Duration::from_millis(50);
/// When nothing is missing any more, what there is too much of has come so long after that.
const REST: Duration = Duration::from_secs(3);

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let mut figures = distinct(setup)?;
    figures.push(one_name(setup)?);
    figures.push(one_event(setup)?);
    Ok(figures)
}

fn one(value: f64) -> Result<Samples> {
    Samples::new(vec![value]).ok_or_else(|| "no number".into())
}

fn sign_up(name: &str) -> Value {
    json!({"subdomain": name, "admin_email": format!("admin@{name}.example"), "company_name": "Acme Inc."})
}

/// Asks for each of these at once, each over a connection of its own. Gives how many were accepted, and how many refused with a reason; anything
/// else is an error.
async fn ask_at_once(server: &Server, path: &str, bodies: &[Value]) -> Result<(usize, usize)> {
    let mut clients: Vec<Client> = bodies.iter().map(|_| server.api()).collect();
    let asking = clients
        .iter_mut()
        .zip(bodies)
        .map(|(client, body)| client.post(path, body));
    let (mut accepted, mut refused) = (0, 0);
    for answer in join_all(asking).await {
        let answer = answer?;
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match answer.status {
            StatusCode::OK | StatusCode::ACCEPTED => accepted += 1,
            status if status.as_u16() < 500 || status == StatusCode::SERVICE_UNAVAILABLE => {
                problem["code"].as_str().ok_or("a refusal without a code")?;
                refused += 1;
            }
            status => return Err(format!("{status}: {problem}").into()),
        }
    }
    Ok((accepted, refused))
}

/// What there is, as it is seen from outside.
#[derive(Debug)]
struct Found {
    instances: usize,
    tasks: usize,
    databases: usize,
    mails: usize,
    /// Ids, names, ports, addresses and databases that more than one instance has.
    shared: usize,
}

impl Found {
    async fn look(server: &Server) -> Result<Self> {
        let instances = live(server).await?;
        let shared = |field: &str| {
            let mut holders: HashMap<String, usize> = HashMap::new();
            for instance in instances.iter().filter(|instance| !instance[field].is_null()) {
                *holders.entry(instance[field].to_string()).or_default() += 1;
            }
            holders.into_values().filter(|count| *count > 1).count()
        };
        Ok(Self {
            instances: instances.len(),
            tasks: usage::children(server.id())?.len(),
            databases: fs::read_dir(data_of(server.folder()).join("databases"))?.count(),
            mails: server.mails()?,
            shared: ["id", "subdomain", "port", "endpoint", "database"]
                .into_iter()
                .map(shared)
                .sum(),
        })
    }

    /// Everything that there is more than once of what there should be `wanted` of.
    fn duplicates(&self, wanted: usize) -> usize {
        let surplus =
            [self.instances, self.tasks, self.databases, self.mails].map(|count| count.saturating_sub(wanted));
        self.shared + surplus.into_iter().sum::<usize>()
    }

    /// When none of anything is missing any more, and what else may come has had time to come.
    async fn at_rest(server: &Server, wanted: usize) -> Result<Self> {
        let began = Instant::now();
        loop {
            let found = Self::look(server).await?;
            let all = [found.instances, found.tasks, found.databases, found.mails];
            if all.iter().all(|count| *count >= wanted) {
                break;
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("something is missing of {wanted}: {found:?}").into());
            }
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(REST).await;
        Self::look(server).await
    }
}

async fn live(server: &Server) -> Result<Vec<Value>> {
    let listed = server.api().get("/instances?live=true&limit=1000").await?.json()?;
    Ok(listed["instances"].as_array().cloned().unwrap_or_default())
}

/// Until so many are Ready. Gives how long after `began` that was.
async fn all_ready(server: &Server, wanted: usize, began: Instant) -> Result<Duration> {
    loop {
        let instances = live(server).await?;
        let ready = instances
            .iter()
            .filter(|instance| instance["status"] == "ready")
            .count();
        if ready == wanted {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("of {} there are {ready} Ready, and {wanted} should be", instances.len()).into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn distinct(setup: &Setup) -> Result<Vec<Figure>> {
    let server = Server::start(setup, &setup.scratch.folder("distinct")?)?;
    let bodies: Vec<Value> = (0..CROWD).map(|number| sign_up(&format!("tenant-{number}"))).collect();
    setup.runtime.block_on(async {
        let began = Instant::now();
        let (accepted, refused) = ask_at_once(&server, "/provision", &bodies).await?;
        let answered = began.elapsed();
        let ready = all_ready(&server, accepted, began).await?;
        let found = Found::at_rest(&server, accepted).await?;
        Ok(vec![
            Figure::new(
                "500 sign-ups at once for distinct names: until the last is Ready",
                Unit::Milliseconds,
                one(milliseconds(ready))?,
            )
            .note(format!("all were answered after {:.0} ms", milliseconds(answered))),
            Figure::new(
                "of those Ready, or refused with a reason",
                Unit::Count,
                one((accepted + refused) as f64)?,
            )
            .goal(Goal::AtLeast(CROWD as f64))
            .note(format!("{accepted} Ready, {refused} refused")),
            Figure::new(
                "duplicates of anything",
                Unit::Count,
                one(found.duplicates(accepted) as f64)?,
            )
            .goal(Goal::AtMost(0.0))
            .note(format!(
                "{} instances, {} processes, {} databases, {} mails; names, ports, addresses that two have: {}",
                found.instances, found.tasks, found.databases, found.mails, found.shared
            )),
        ])
    })
}

/// Gives how many of anything there are, of which one should be.
fn most_of_anything(found: &Found) -> usize {
    let counts = [found.instances, found.tasks, found.databases, found.mails];
    counts.into_iter().max().unwrap_or_default()
}

async fn one_of_each(server: &Server, began: Instant) -> Result<Found> {
    all_ready(server, 1, began).await?;
    Found::at_rest(server, 1).await
}

fn one_name(setup: &Setup) -> Result<Figure> {
    let server = Server::start(setup, &setup.scratch.folder("one-name")?)?;
    // Other fields each: the same request again would be answered with the same instance.
    let bodies: Vec<Value> = (0..CROWD)
        .map(|number| json!({"subdomain": "acme", "admin_email": format!("admin@acme-{number}.example"), "company_name": "Acme Inc."}))
        .collect();
    setup.runtime.block_on(async {
        let began = Instant::now();
        let (accepted, refused) = ask_at_once(&server, "/provision", &bodies).await?;
        let found = one_of_each(&server, began).await?;
        if accepted != 1 {
            return Err(format!("{accepted} got the name, and {refused} did not").into());
        }
        Ok(Figure::new(
            "500 sign-ups at once for one name: the most there is of anything",
            Unit::Count,
            one(most_of_anything(&found) as f64)?,
        )
        .goal(Goal::AtMost(1.0))
        .note(format!("{accepted} got it, {refused} were refused with a reason")))
    })
}

fn one_event(setup: &Setup) -> Result<Figure> {
    let server = Server::start(setup, &setup.scratch.folder("one-event")?)?;
    let bodies = vec![sign_up("acme"); DELIVERIES];
    setup.runtime.block_on(async {
        let began = Instant::now();
        let (accepted, refused) = ask_at_once(&server, "/events", &bodies).await?;
        let found = one_of_each(&server, began).await?;
        Ok(Figure::new(
            "one event delivered 100 times at once: the most there is of anything",
            Unit::Count,
            one(most_of_anything(&found) as f64)?,
        )
        .goal(Goal::AtMost(1.0))
        .note(format!(
            "{accepted} deliveries were answered with the instance, {refused} refused; {} task, {} database, {} mail",
            found.tasks, found.databases, found.mails
        )))
    })
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
