//! SIGKILL in the middle of what happens to an instance later in its life: stop, delete, heal, start. After a restart it goes on
//! where it was, and what was ordered is still there.

use http::Method;
use serde_json::{Value, json};
use std::time::Instant;

use crate::harness::{Customer, Deployment, PATIENCE, Seed, eventually, spin, text};

const POINTS: u32 = 6;

/// A shop with an order in it.
struct Shop {
    deployment: Deployment,
    id: String,
    order: String,
}

impl Shop {
    async fn new() -> Self {
        let deployment = Deployment::new().await;
        let instance = deployment.ready("acme").await;
        let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
        Self {
            id: text(&instance["id"]).to_owned(),
            deployment,
            order,
        }
    }

    async fn has_its_order(&self) {
        Customer::of(self.deployment.tenant("acme"))
            .finds(&self.order, "Robin")
            .await;
    }

    /// Asks for something, kills the server after a share of `whole`, and starts it again. Gives whether the request was taken.
    async fn killed_in(&mut self, method: Method, path: &str, delay: std::time::Duration) -> bool {
        let admin = self.deployment.admin();
        let body = json!({});
        let request = admin.try_ask(method, path, Some(&body));
        let kill = async {
            spin(delay).await;
            self.deployment.signal(rustix::process::Signal::KILL);
        };
        let (answer, ()) = tokio::join!(request, kill);
        self.deployment.ended().await;
        self.deployment.up().await;
        answer.is_ok_and(|answer| answer.is(202).status == 202)
    }

    /// How long the instance takes from a request until it is at rest.
    async fn measure(&self, what: &str) -> std::time::Duration {
        let begun = Instant::now();
        self.deployment.ask("acme", what).await;
        self.deployment.rests("acme").await;
        begun.elapsed()
    }

    async fn settles(&self) -> Value {
        self.deployment.rests(&self.id).await
    }
}

#[tokio::test]
async fn a_stop_that_was_taken_is_carried_out_after_a_kill() {
    let mut seed = Seed(11);
    let mut shop = Shop::new().await;
    let whole = shop.measure("stop").await;
    for point in 0..POINTS {
        shop.deployment.ask("acme", "start").await;
        shop.deployment.becomes("acme", "ready").await;
        let delay = (whole * point + seed.up_to(whole)) / POINTS;
        let taken = shop.killed_in(Method::POST, "/instances/acme/stop", delay).await;
        let instance = shop.settles().await;
        if taken {
            assert_eq!(instance["status"], "stopped", "{instance:#}");
        }
        if instance["status"] == "ready" {
            shop.has_its_order().await;
            shop.measure("stop").await;
        } else {
            assert_eq!(shop.deployment.tasks(), []);
        }
    }
    shop.deployment.ask("acme", "start").await;
    shop.deployment.becomes("acme", "ready").await;
    shop.has_its_order().await;
    shop.deployment.agrees().await;
}

#[tokio::test]
async fn a_start_that_was_taken_is_carried_out_after_a_kill() {
    let mut seed = Seed(12);
    let mut shop = Shop::new().await;
    shop.measure("stop").await;
    let whole = shop.measure("start").await;
    for point in 0..POINTS {
        shop.measure("stop").await;
        let delay = (whole * point + seed.up_to(whole)) / POINTS;
        let taken = shop.killed_in(Method::POST, "/instances/acme/start", delay).await;
        let instance = shop.settles().await;
        if taken {
            assert_eq!(instance["status"], "ready", "{instance:#}");
        }
        if instance["status"] == "ready" {
            shop.has_its_order().await;
        }
    }
    shop.deployment.agrees().await;
}

#[tokio::test]
async fn a_delete_that_was_taken_is_carried_out_after_a_kill() {
    let mut seed = Seed(13);
    let mut shop = Shop::new().await;
    let begun = Instant::now();
    shop.deployment.ready("measure").await;
    shop.deployment.admin().delete("/tenants/measure").await.is(202);
    let whole = begun.elapsed();
    for point in 0..POINTS {
        let name = format!("t{point}");
        let id = text(&shop.deployment.ready(&name).await["id"]).to_owned();
        let delay = (whole * point + seed.up_to(whole)) / POINTS;
        let taken = shop.killed_in(Method::DELETE, &format!("/tenants/{name}"), delay).await;
        let instance = shop.deployment.rests(&id).await;
        if taken {
            assert_eq!(instance["status"], "ended", "{instance:#}");
        }
        if instance["status"] == "ended" {
            shop.deployment.is_gone(&id).await;
        } else {
            assert_eq!(instance["status"], "ready", "{instance:#}");
        }
    }
    shop.deployment.agrees().await;
    shop.has_its_order().await;
    shop.deployment.agrees().await;
}

#[tokio::test]
async fn a_heal_goes_on_after_a_kill() {
    let mut seed = Seed(14);
    let mut shop = Shop::new().await;
    let mut instance = shop.settles().await;
    let begun = Instant::now();
    shop.deployment.tasks_of(&shop.id)[0].kill();
    instance = shop.deployment.back("acme", &instance).await;
    let whole = begun.elapsed();
    assert!(whole < PATIENCE);
    // Fewer than what makes it Down.
    for point in 0..4 {
        shop.deployment.tasks_of(&shop.id)[0].kill();
        spin((whole * point + seed.up_to(whole)) / 4).await;
        shop.deployment.kill().await;
        eventually("no child outlives its server", async || {
            shop.deployment.tasks().is_empty().then_some(())
        })
        .await;
        shop.deployment.up().await;
        instance = shop.deployment.back("acme", &instance).await;
        assert_eq!(shop.deployment.tasks_of(&shop.id).len(), 1);
        shop.has_its_order().await;
    }
    shop.deployment.agrees().await;
}
