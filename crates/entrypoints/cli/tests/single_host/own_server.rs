//! The same with the databases on a PostgreSQL server that is there already, which containers reach by this machine's address.

use std::{fs::OpenOptions, io::Write};
use wharf_testkit::postgres::Postgres;

use crate::{
    harness::{Customer, eventually, text},
    machine::Machine,
};

#[tokio::test]
async fn shops_live_on_a_server_of_the_operators_and_wait_for_it() {
    let mut machine = Machine::prepare().await;
    let mut server = Postgres::prepare(&["listen_addresses=*"]);
    let mut access = OpenOptions::new()
        .append(true)
        .open(server.folder().join("data/pg_hba.conf"))
        .expect("who may connect");
    writeln!(access, "host all all 10.0.0.0/8 scram-sha-256").expect("written");
    server.up();
    machine.set("WHARF_DATABASES_MANAGED", "false");
    machine.set("WHARF_POSTGRES_URL", &server.url());
    machine.up().await;

    let acme = machine.opened("acme").await;
    let order = Customer::of(machine.tenant("acme")).order("Robin").await;
    assert_eq!(server.ask("user_acme", "SELECT customer FROM orders"), ["Robin"]);
    let found = machine.wharf(&["doctor"]).await;
    assert!(!found.stdout.contains("BAD"), "{found:?}");

    // It is away for longer than its health check forgives: nobody is given up, whoever has paid waits.
    server.kill();
    let waits = machine.paid("bolt").await;
    eventually("the sign-up says what it waits for", async || {
        let shown = machine.show(text(&waits["instance"])).await;
        shown.to_string().contains("the database server").then_some(())
    })
    .await;
    server.up();
    machine.becomes(text(&waits["instance"]), "ready").await;
    machine.is_open("bolt").await;
    eventually("the shop finds its order", async || {
        let customer = Customer::of(machine.tenant("acme"));
        customer.try_find(&order, "Robin").await.ok()
    })
    .await;
    assert_eq!(machine.becomes(text(&acme["id"]), "ready").await["url"], acme["url"]);

    for name in ["acme", "bolt"] {
        machine.wharf(&["delete", name]).await.exits(0);
    }
    eventually("nothing of a tenant's is on the server", async || {
        let left = "SELECT rolname FROM pg_roles WHERE rolname ~ '^(user|wharf_removed)_'";
        server.ask("postgres", left).is_empty().then_some(())
    })
    .await;
    machine.agrees().await;
}
