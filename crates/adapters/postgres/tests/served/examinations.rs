//! What `wharf doctor` finds.

use crate::site::settings;
use secrecy::SecretString;
use wharf_domain::Code;
use wharf_postgres::{
    AdminAddress, Keeping, Settings,
    examine::{Finding, Verdict, examine},
};
use wharf_testkit::postgres::Postgres;

async fn look(server: &Postgres, settings: &Settings) -> Vec<Finding> {
    examine(
        AdminAddress::parse(&SecretString::from(server.url())).unwrap(),
        settings,
    )
    .await
}

fn of<'a>(findings: &'a [Finding], what: &str) -> &'a Verdict {
    let finding = findings.iter().find(|finding| finding.what.starts_with(what));
    &finding.unwrap_or_else(|| panic!("{what}: {findings:?}")).verdict
}

#[tokio::test]
async fn a_good_server_is_found_good_and_what_it_leaves_open_is_said() {
    let server = Postgres::start(&[]);
    let wanted = Settings {
        extensions: vec!["pgcrypto".to_owned()],
        keeping: Keeping {
            archive: Some(server.folder().join("archive")),
            programs: Some(server.programs().to_owned()),
            ..Keeping::default()
        },
        ..settings()
    };
    let findings = look(&server, &wanted).await;
    assert!(
        findings
            .iter()
            .all(|finding| !matches!(finding.verdict, Verdict::Bad(_))),
        "{findings:?}"
    );
    assert!(matches!(of(&findings, "database server"), Verdict::Good(found) if found.contains("superuser")));
    let open = of(&findings, "databases that tenants can enter");
    assert!(
        matches!(open, Verdict::Doubtful { found, .. } if found.contains("postgres, template1")),
        "{open:?}"
    );
    for database in ["postgres", "template1"] {
        let shut = format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC");
        assert!(server.ask("postgres", &shut).is_empty());
    }
    let findings = look(&server, &wanted).await;
    assert!(
        findings
            .iter()
            .all(|finding| matches!(finding.verdict, Verdict::Good(_))),
        "{findings:?}"
    );
}

#[tokio::test]
async fn what_is_missing_is_found_before_anybody_signs_up() {
    let mut server = Postgres::start(&[]);
    let wanted = Settings {
        template: "nowhere".to_owned(),
        extensions: vec!["pgcrypto".to_owned(), "timescaledb".to_owned()],
        ..settings()
    };
    let findings = look(&server, &wanted).await;
    assert!(matches!(of(&findings, "database template"), Verdict::Bad(failure) if failure.message.contains("nowhere")));
    let extensions = of(&findings, "database extensions");
    assert!(
        matches!(extensions, Verdict::Bad(failure) if failure.message.ends_with("have timescaledb")),
        "{extensions:?}"
    );
    server.down();
    let findings = look(&server, &wanted).await;
    assert!(
        matches!(of(&findings, "database server"), Verdict::Bad(failure) if failure.code == Code::DatabaseUnreachable)
    );
    assert_eq!(findings.len(), 1);
}
