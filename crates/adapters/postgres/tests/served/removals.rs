//! What becomes of removed databases.

use crate::site::{PASSWORD, Site, connect, instance, settings, until};
use secrecy::ExposeSecret;
use std::{os::unix::fs::PermissionsExt, time::Duration};
use wharf_platform::Databases;
use wharf_postgres::{Keeping, Settings};

#[tokio::test]
async fn a_removed_database_is_dropped_with_its_role_in_the_background() {
    let site = Site::new(settings());
    let acme = site.create(1, "user_acme").await;
    site.as_tenant(&acme, "CREATE TABLE orders (id int); SELECT lo_create(7)")
        .unwrap();
    site.databases.remove(&instance(1), "user_acme").await.unwrap();
    until("it is dropped", async || site.databases.removed().await.unwrap() == 0).await;
    assert_eq!((site.databases(), site.roles()), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_ends_what_is_connected() {
    let site = Site::new(settings());
    let acme = site.create(1, "user_acme").await;
    let url = acme.url.expose_secret().to_owned();
    std::thread::scope(|scope| {
        let server = &site.server;
        let busy = scope.spawn(move || server.try_ask(&url, PASSWORD, "SELECT pg_sleep(60)"));
        let is_busy = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while site.server.ask("postgres", is_busy) != ["1"] {
            std::thread::yield_now();
        }
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current()
                .block_on(site.databases.remove(&instance(1), "user_acme"))
                .unwrap();
        });
        busy.join().unwrap().unwrap_err();
    });
}

#[tokio::test]
async fn a_kept_database_stays_closed_for_its_time_and_survives_a_restart() {
    let keep = || Settings {
        keeping: Keeping {
            kept: Duration::from_hours(24),
            ..Keeping::default()
        },
        ..settings()
    };
    let mut site = Site::new(keep());
    let acme = site.create(1, "user_acme").await;
    site.as_tenant(&acme, "CREATE TABLE orders AS SELECT 7 AS id").unwrap();
    site.databases.remove(&instance(1), "user_acme").await.unwrap();
    assert!(site.databases.all().await.unwrap().is_empty());
    site.as_tenant(&acme, "SELECT 1").unwrap_err();
    // The name is free, and the other one's data are not in it.
    let next = site.create(2, "user_acme").await;
    site.as_tenant(&next, "SELECT * FROM orders").unwrap_err();

    let (again, clock) = connect(&site.server, keep(), 1000);
    site.databases = again;
    site.clock = clock;
    *site.clock.0.lock() = Duration::from_hours(23);
    let kept = site
        .databases()
        .into_iter()
        .find(|name| name.starts_with("wharf_removed_"))
        .unwrap();
    assert_eq!(site.databases.removed().await.unwrap(), 1);
    // As docs/postgres.md says how it is brought back.
    let open = format!("ALTER DATABASE {kept} ALLOW_CONNECTIONS true");
    assert!(site.server.ask("postgres", &open).is_empty());
    assert_eq!(site.server.ask(&kept, "SELECT id FROM orders"), ["7"]);

    *site.clock.0.lock() = Duration::from_hours(25);
    until("its time is over", async || {
        site.databases.removed().await.unwrap() == 0
    })
    .await;
    assert_eq!(site.databases(), ["user_acme"]);
    assert_eq!(site.roles(), ["user_acme"]);
}

#[tokio::test]
async fn an_archived_database_is_dumped_before_it_is_dropped() {
    let server = wharf_testkit::postgres::Postgres::start(&[]);
    let folder = server.folder().join("archive");
    let programs = server.programs().to_owned();
    let site = Site::on(
        server,
        Settings {
            keeping: Keeping {
                archive: Some(folder.clone()),
                programs: Some(programs.clone()),
                ..Keeping::default()
            },
            ..settings()
        },
    );
    let acme = site.create(1, "user_acme").await;
    site.as_tenant(&acme, "CREATE TABLE orders AS SELECT 4711 AS id")
        .unwrap();
    site.databases.remove(&instance(1), "user_acme").await.unwrap();
    until("it is dropped", async || site.databases.removed().await.unwrap() == 0).await;
    assert_eq!((site.databases(), site.roles()), (vec![], vec![]));
    let dump = folder.join(format!("user_acme-{}.dump", instance(1)));
    assert_eq!(std::fs::metadata(&dump).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = std::process::Command::new(programs.join("pg_restore"))
        .args(["--file=-", "--data-only"])
        .arg(&dump)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("4711"), "{shown:?}");
}

#[tokio::test]
async fn what_nobody_has_used_is_neither_kept_nor_archived() {
    let server = wharf_testkit::postgres::Postgres::start(&[]);
    let folder = server.folder().join("archive");
    let site = Site::on(
        server,
        Settings {
            keeping: Keeping {
                kept: Duration::from_hours(24),
                archive: Some(folder.clone()),
                ..Keeping::default()
            },
            ..settings()
        },
    );
    site.create(1, "user_acme").await;
    site.create(2, "user_bolt").await;
    site.databases.remove(&instance(1), "user_acme").await.unwrap();
    site.databases.discard(&instance(2), "user_bolt").await.unwrap();
    until("it is dropped", async || site.databases.removed().await.unwrap() == 1).await;
    assert!(
        site.databases()[0].contains(&instance(1).to_string()),
        "{:?}",
        site.databases()
    );
    assert!(!folder.exists());
}

#[tokio::test]
async fn what_cannot_be_dumped_is_not_dropped() {
    let server = wharf_testkit::postgres::Postgres::start(&[]);
    let folder = server.folder().join("archive");
    std::fs::write(&folder, "in the way").unwrap();
    let site = Site::on(
        server,
        Settings {
            keeping: Keeping {
                archive: Some(folder.clone()),
                ..Keeping::default()
            },
            ..settings()
        },
    );
    let acme = site.create(1, "user_acme").await;
    site.as_tenant(&acme, "CREATE TABLE orders (id int)").unwrap();
    site.databases.remove(&instance(1), "user_acme").await.unwrap();
    // Another removal shows that the first one had its turn.
    for round in 2..4 {
        let name = format!("user_t{round}");
        site.create(round, &name).await;
        site.databases.remove(&instance(round), &name).await.unwrap();
    }
    assert_eq!(site.databases.removed().await.unwrap(), 3);
    std::fs::remove_file(&folder).unwrap();
    until("they are dumped and dropped", async || {
        site.databases.removed().await.unwrap() == 0
    })
    .await;
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
}
