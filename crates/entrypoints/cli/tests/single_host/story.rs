//! From a payment to a shop, and what becomes of it when Wharf, Docker and PostgreSQL end without a word, one after the other.

use serde_json::Value;

use crate::{
    harness::{Customer, eventually, password_link, send, text},
    machine::{CONSOLE, Machine, TENANTS},
};
use rustix::process::Signal;

/// A shop, and what somebody has bought in it.
struct Shop {
    name: &'static str,
    instance: Value,
    order: String,
}

impl Shop {
    async fn open(machine: &Machine, name: &'static str) -> Self {
        let instance = machine.opened(name).await;
        let order = Customer::of(machine.tenant(name)).order("Robin").await;
        Self { name, instance, order }
    }

    fn id(&self) -> &str {
        text(&self.instance["id"])
    }

    /// It answers, with what was bought before.
    async fn has_its_order(&self, machine: &Machine) {
        Customer::of(machine.tenant(self.name))
            .finds(&self.order, "Robin")
            .await;
    }

    /// The same, as soon as it answers.
    async fn comes_back(&self, machine: &Machine) {
        eventually("the shop is there, with its order", async || {
            let customer = Customer::of(machine.tenant(self.name));
            customer.try_find(&self.order, "Robin").await.ok()
        })
        .await;
    }

    /// Nobody has put another task in the place of its first one.
    async fn is_what_it_was(&self, machine: &Machine) {
        let now = machine.becomes(self.id(), "ready").await;
        assert_eq!(
            (&now["attempt"], &now["url"]),
            (&self.instance["attempt"], &self.instance["url"])
        );
        machine.docker.container(self.id());
    }
}

#[tokio::test]
async fn a_payment_becomes_a_shop_and_the_end_of_the_subscription_its_end() {
    let machine = Machine::new().await;
    let acme = Shop::open(&machine, "acme").await;

    // The mail leads to the shop, and once to its first password.
    let mail = machine.mail_to("acme").await;
    let url = format!("https://acme.{TENANTS}");
    assert!(
        mail.contains(&url) && text(&acme.instance["url"]).starts_with(&url),
        "{mail}"
    );
    let link = password_link(&mail);
    let path = link
        .strip_prefix(&format!("https://{CONSOLE}"))
        .expect("a link to the console");
    machine.console().page(path).await.is(200);

    // The same event again is the same shop, with one container, one database and one mail.
    let again = machine.paid("acme").await;
    assert_eq!(again["instance"], acme.instance["id"]);
    let bolt = Shop::open(&machine, "bolt").await;
    assert_eq!(machine.live().await.len(), 2);
    assert_eq!(machine.mails_to("acme").len(), 1);
    acme.is_what_it_was(&machine).await;
    let databases = machine.ask("SELECT datname FROM pg_database WHERE datname LIKE 'user\\_%' ORDER BY 1");
    assert_eq!(databases, ["user_acme", "user_bolt"]);

    // What the schedules start is there for everybody.
    let schedules = machine.wharf(&["list", "schedules"]).await.exits(0).stdout;
    assert!(
        schedules.contains("demo-opens") && schedules.contains("demo-closes"),
        "{schedules}"
    );
    machine.wharf(&["start", "demo"]).await.exits(0);
    let demo = machine.host("services.example.com").page("/").await.is(200);
    assert!(demo.text().contains("The demo shop"), "{}", demo.text());
    machine.wharf(&["stop", "demo"]).await.exits(0);

    let ended = machine.subscription_ended("acme").await;
    assert_eq!(ended["instance"], acme.instance["id"]);
    eventually("the shop is stopped", async || {
        let instance = machine.show("acme").await;
        (instance["status"] == "stopped").then_some(())
    })
    .await;
    assert_eq!(machine.docker.running(acme.id()), [""; 0]);
    bolt.has_its_order(&machine).await;
    machine.agrees().await;

    for shop in [&acme, &bolt] {
        machine.wharf(&["delete", shop.name]).await.exits(0);
        machine.becomes(shop.id(), "ended").await;
    }
    eventually("neither container nor database is left", async || {
        let containers = machine.docker.run(&["ps", "--quiet"]);
        let left = machine.ask("SELECT rolname FROM pg_roles WHERE rolname ~ '^(user|wharf_removed)_'");
        (containers.is_empty() && left.is_empty()).then_some(())
    })
    .await;
    machine.agrees().await;
    let log = machine.log();
    assert!(
        !log.contains("@example.com") && !log.contains("whsec_"),
        "secrets are logged"
    );
}

#[tokio::test]
async fn wharf_docker_and_postgresql_are_killed_in_turn_and_nothing_is_lost_or_doubled() {
    let mut machine = Machine::new().await;
    let acme = Shop::open(&machine, "acme").await;

    // Wharf, in the middle of a sign-up: what it has begun goes on, what is there is adopted.
    let database = machine.postmaster().expect("a server that runs");
    let begun = machine.paid("bolt").await;
    machine.kill().await;
    assert_eq!(machine.docker.running(acme.id()).len(), 1, "containers live on");
    machine.up().await;
    assert_eq!(machine.postmaster(), Some(database), "so does the database server");
    assert_eq!(machine.paid("bolt").await, begun);
    acme.is_what_it_was(&machine).await;
    acme.has_its_order(&machine).await;
    let bolt = Shop::open(&machine, "bolt").await;
    assert_eq!(bolt.instance["id"], begun["instance"]);
    assert_eq!(machine.mails_to("bolt").len(), 1);

    // Docker: shops stay open without it, and a sign-up waits for it.
    machine.engine.end(true);
    for shop in [&acme, &bolt] {
        shop.has_its_order(&machine).await;
    }
    let waits = machine.paid("cove").await;
    machine.engine.start().await;
    machine.becomes(text(&waits["instance"]), "ready").await;
    let cove = Shop::open(&machine, "cove").await;
    for shop in [&acme, &bolt] {
        shop.is_what_it_was(&machine).await;
        shop.has_its_order(&machine).await;
    }

    // PostgreSQL: Wharf starts it again, and no container is replaced for it.
    send(database, Signal::KILL);
    eventually("there is another server", async || {
        machine.postmaster().filter(|pid| *pid != database)
    })
    .await;
    for shop in [&acme, &bolt, &cove] {
        shop.comes_back(&machine).await;
        shop.is_what_it_was(&machine).await;
    }
    Shop::open(&machine, "dune").await;
    let orders = machine.ask("SELECT count(*) FROM pg_database WHERE datname LIKE 'user\\_%'");
    assert_eq!(orders, ["4"]);
    machine.agrees().await;
    machine.end().await;
}
