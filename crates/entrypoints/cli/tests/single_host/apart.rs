//! What a tenant's container reaches, from its own network: its database, and nothing of anybody else's.

use crate::{harness::text, machine::Machine};
use wharf_testkit::postgres::programs;

#[tokio::test]
async fn a_tenant_reaches_its_database_and_neither_the_others_nor_their_containers() {
    let machine = Machine::new().await;
    let acme = machine.opened("acme").await;
    let bolt = machine.opened("bolt").await;
    let (acme, bolt) = (text(&acme["id"]), text(&bolt["id"]));
    let url = machine.environment(acme)["DATABASE_URL"].clone();
    let psql = programs().join("psql");
    let ask = |url: &str, statement: &str| {
        let psql = psql.to_str().expect("UTF-8");
        machine.within(acme, &[psql, "-XqAt", "-d", url, "-c", statement])
    };

    assert_eq!(ask(&url, "SELECT current_user"), Ok("user_acme".to_owned()));
    let of = |database: &str| format!("{}/{database}", url.rsplit_once('/').expect("a database").0);
    for other in ["user_bolt", "postgres", "template1"] {
        let refused = ask(&of(other), "SELECT 1").expect_err(other);
        assert!(refused.contains("permission denied"), "{other}: {refused}");
    }
    let administrator = url.replacen("user_acme:", "wharf:", 1);
    let refused = ask(&administrator, "SELECT 1").expect_err("the administrator has no way in from here");
    assert!(refused.contains("rejects connection"), "{refused}");

    // It takes no time to be let in, and none to be refused: what is in the way says nothing.
    let connect = |from: &str, to: &str| {
        let script = format!("exec 3<>/dev/tcp/{to}/8000");
        machine.within(from, &["timeout", "2", "bash", "-c", &script])
    };
    for (from, to) in [(acme, bolt), (bolt, acme)] {
        assert_eq!(connect(from, &machine.address(from)), Ok(String::new()), "itself");
        connect(from, &machine.address(to)).expect_err("another tenant");
    }

    // The server is nowhere else than on loopback and where containers reach this machine.
    let gateway = url.split(['@', ':', '/']).rev().nth(2).expect("a host").to_owned();
    let listening = machine.ask("SHOW listen_addresses");
    assert_eq!(listening, [format!("127.0.0.1,{gateway}")]);
}
