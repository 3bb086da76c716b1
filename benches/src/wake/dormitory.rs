//! Tenants that sleep whenever nobody visits them, and are visited one by one when all of them do: nothing else happens while one is woken.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{Result, http::Client, server::Server, setup::Setup};

/// All sleep after so long at the latest.
const ASLEEP_WITHIN: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(50);
/// What comes after an answer (the commit that says so, and what is told of it) has so long.
const SETTLE: Duration = Duration::from_millis(40);

pub(super) struct Dormitory<'a> {
    setup: &'a Setup,
    server: Server,
    api: Client,
    names: Vec<String>,
    asleep: VecDeque<String>,
}

impl<'a> Dormitory<'a> {
    /// Signs so many tenants up.
    pub(super) fn new(setup: &'a Setup, server: Server, count: usize) -> Result<Self> {
        let mut api = server.api();
        let names: Vec<String> = (0..count).map(|number| format!("sleeper-{number}")).collect();
        for name in &names {
            setup.runtime.block_on(server.provision(&mut api, name))?;
        }
        Ok(Self {
            setup,
            server,
            api,
            names,
            asleep: VecDeque::new(),
        })
    }

    /// Visits the next that sleeps, on a connection of its own. Gives the milliseconds until the answer, which has to be the tenant's.
    pub(super) fn visit(&mut self) -> Result<f64> {
        self.setup.runtime.block_on(async {
            if self.asleep.is_empty() {
                self.until_all_sleep().await?;
                self.asleep.extend(self.names.iter().cloned());
            }
            let name = self.asleep.pop_front().ok_or("a dormitory without a bed")?;
            tokio::time::sleep(SETTLE).await;
            let mut visitor = Client::new(self.server.address, &format!("{name}.localhost"));
            let began = Instant::now();
            let answer = visitor.get("/").await?;
            let took = began.elapsed();
            if answer.status == http::StatusCode::OK {
                Ok(took.as_secs_f64() * 1000.0)
            } else {
                Err(format!("{name} was visited in its sleep, and answered {}", answer.status).into())
            }
        })
    }

    async fn until_all_sleep(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            let page = self.api.get("/instances?state=sleeping&limit=100").await?.json()?;
            let is_at_rest = |instance: &&serde_json::Value| instance["moving"] == false;
            let listed = page["instances"].as_array().ok_or("a page without instances")?;
            if listed.iter().filter(is_at_rest).count() == self.names.len() {
                return Ok(());
            }
            if began.elapsed() > ASLEEP_WITHIN {
                return Err(format!("{} of {} sleep", listed.len(), self.names.len()).into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
