//! Tenants' databases on PostgreSQL: what the step of a sign-up costs from the stock and without one, beside the two bare statements; and a crowd.
//!
//! The server is a private one with its usual settings: it waits for its disk. What is made is dropped outside the measured time.

use secrecy::SecretString;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_postgres::{Client, NoTls};
use wharf_domain::{DeploymentId, InstanceId};
use wharf_local::{OsIds, SystemClock};
use wharf_platform::Databases;
use wharf_postgres::{AdminAddress, PostgresDatabases, PostgresOptions, Settings, TenantAddress};
use wharf_saga::{Clock, Ids};
use wharf_testkit::postgres::Postgres;

use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    samples::interleaved,
    setup::Setup,
};

/// All rounds, at the most.
const WITHIN: Duration = Duration::from_mins(1);
/// As configured where nothing is.
const SPARE: usize = 4;
const CROWD: usize = 20;
/// Of the step, from the stock.
const WANTED_MS: f64 = 10.0;
const WANTED_PER_SECOND: f64 = 40.0;

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let server = Postgres::start(&["fsync=on"]);
    let runtime = &setup.runtime;
    let (stocked, plain, crowded, bare) = runtime.block_on(async {
        Ok::<_, crate::Error>((
            site(&server, SPARE)?,
            site(&server, 0)?,
            site(&server, SPARE)?,
            connect(&server).await?,
        ))
    })?;
    let mut from_stock = || runtime.block_on(one(&stocked, SPARE));
    let mut without = || runtime.block_on(one(&plain, 0));
    let mut statements = || runtime.block_on(two_statements(&bare));
    let [from_stock, without, statements] = interleaved(
        setup.rounds(21, WITHIN),
        &mut [&mut from_stock, &mut without, &mut statements],
    )?;
    let mut crowd = || runtime.block_on(many(&crowded));
    let [crowd] = interleaved(setup.rounds(5, WITHIN), &mut [&mut crowd])?;
    Ok(vec![
        Figure::new(
            "a database for a tenant, from the stock",
            Unit::Milliseconds,
            from_stock,
        )
        .against("CREATE ROLE and CREATE DATABASE", &statements)
        .goal(Goal::AtMost(WANTED_MS)),
        Figure::new("the same, without a stock", Unit::Milliseconds, without)
            .against("CREATE ROLE and CREATE DATABASE", &statements)
            .goal(Goal::RatioAtMost(1.2))
            .note("with mark, limits, PUBLIC revoked, and the password's hash"),
        Figure::new(format!("{CROWD} at a time, a stock of {SPARE}"), Unit::PerSecond, crowd)
            .goal(Goal::AtLeast(WANTED_PER_SECOND)),
    ])
}

/// A deployment of its own.
fn site(server: &Postgres, spare: usize) -> Result<PostgresDatabases> {
    let mut random = [0; 10];
    OsIds.fill(&mut random);
    let options = PostgresOptions {
        deployment: DeploymentId::new(random),
        tenant: TenantAddress {
            scheme: "postgresql".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: server.port(),
            query: None,
        },
        settings: Settings {
            spare,
            ..Settings::default()
        },
    };
    let address = AdminAddress::parse(&SecretString::from(server.url()))?;
    Ok(PostgresDatabases::new(
        address,
        options,
        Arc::new(SystemClock),
        Arc::new(OsIds),
    )?)
}

async fn connect(server: &Postgres) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn new() -> (InstanceId, String) {
    let instance = OsIds.instance_id(SystemClock.now());
    let name = format!("user_{}", instance.as_str().trim_start_matches("inst_"));
    (instance, name)
}

/// Nothing is under way any more, and the stock is full.
async fn at_rest(databases: &PostgresDatabases, spare: usize) -> Result<()> {
    while databases.in_stock() < spare || databases.removed().await? > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Milliseconds of one.
async fn one(databases: &PostgresDatabases, spare: usize) -> Result<f64> {
    at_rest(databases, spare).await?;
    let (instance, name) = new();
    let began = Instant::now();
    databases
        .create(&instance, &name, &SecretString::from("a password"))
        .await?;
    let took = began.elapsed();
    databases.remove(&instance, &name).await?;
    at_rest(databases, spare).await?;
    Ok(took.as_secs_f64() * 1000.0)
}

/// Milliseconds of what nobody can do without.
async fn two_statements(client: &Client) -> Result<f64> {
    let (_, name) = new();
    let began = Instant::now();
    client
        .batch_execute(&format!("CREATE ROLE \"{name}\" LOGIN PASSWORD 'a password'"))
        .await?;
    client
        .batch_execute(&format!(
            "CREATE DATABASE \"{name}\" OWNER \"{name}\" TEMPLATE template0"
        ))
        .await?;
    let took = began.elapsed();
    client.batch_execute(&format!("DROP DATABASE \"{name}\"")).await?;
    client.batch_execute(&format!("DROP ROLE \"{name}\"")).await?;
    Ok(took.as_secs_f64() * 1000.0)
}

/// A second, of a crowd that comes at once.
async fn many(databases: &PostgresDatabases) -> Result<f64> {
    at_rest(databases, SPARE).await?;
    let tenants: Vec<_> = (0..CROWD).map(|_| new()).collect();
    let password = SecretString::from("a password");
    let began = Instant::now();
    let making = tenants
        .iter()
        .map(|(instance, name)| databases.create(instance, name, &password));
    futures::future::try_join_all(making).await?;
    let took = began.elapsed();
    for (instance, name) in &tenants {
        databases.remove(instance, name).await?;
    }
    at_rest(databases, SPARE).await?;
    Ok(CROWD as f64 / took.as_secs_f64())
}
