//! The mail folder, from outside: the contract, read back as a mail program would, and what only files do.

use futures::FutureExt;
use mail_parser::{Addr, MessageParser};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};
use wharf_domain::Timestamp;
use wharf_mail::FolderMailer;
use wharf_platform::{Mail, MailError, Mailer};
use wharf_saga::Clock;
use wharf_testkit::contracts::mailer::{Arrived, Fixture};

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_763_674_800_000)
    }
}

fn mailer(folder: &Path) -> FolderMailer {
    FolderMailer::new(folder, Arc::new(FixedClock)).expect("a folder")
}

fn mail(id: &str) -> Mail {
    Mail {
        id: id.to_owned(),
        from: "Wharf <hello@wharf.example>".to_owned(),
        to: "ada@example.com".parse().expect("an address"),
        subject: "Your shop is ready".to_owned(),
        text: "Open it.\n".to_owned(),
        html: "<p>Open it.</p>".to_owned(),
    }
}

fn read(path: &Path) -> Arrived {
    let bytes = fs::read(path).expect("a mail");
    let parsed = MessageParser::new().parse(&bytes).expect("a mail program opens it");
    let address = |address: &Addr| address.address.as_deref().unwrap_or_default().to_owned();
    let from = parsed.from().and_then(|from| from.first()).expect("a sender");
    let receivers = [parsed.to(), parsed.cc(), parsed.bcc()];
    Arrived {
        to: receivers
            .into_iter()
            .flatten()
            .flat_map(|list| list.iter().map(address))
            .collect(),
        from: format!("{} <{}>", from.name.as_deref().unwrap_or_default(), address(from)),
        subject: parsed.subject().unwrap_or_default().to_owned(),
        text: parsed.body_text(0).unwrap_or_default().into_owned(),
        html: parsed.body_html(0).unwrap_or_default().into_owned(),
    }
}

async fn make() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    Fixture {
        mailer: Arc::new(mailer(folder.path())),
        mailbox: Box::new(move || {
            let entries = fs::read_dir(&path).expect("the folder");
            let mails = entries.map(|entry| read(&entry.expect("a file").path())).collect();
            async move { mails }.boxed()
        }),
        keeps: Box::new(folder),
    }
}

wharf_testkit::mailer_contract!(real make);

#[tokio::test]
async fn a_mail_is_a_file_of_its_id_that_nobody_else_may_read() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("mail");
    mailer(&folder).send(&mail("ready-inst_1")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("ready-inst_1.eml")), 0o600);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing else is left");
}

#[tokio::test]
async fn a_mail_that_is_there_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mailer = mailer(folder.path());
    mailer.send(&mail("mail-1")).await.unwrap();
    let changed = Mail {
        subject: "Another".to_owned(),
        ..mail("mail-1")
    };
    mailer.send(&changed).await.unwrap();
    assert_eq!(read(&folder.path().join("mail-1.eml")).subject, "Your shop is ready");
}

#[tokio::test]
async fn a_folder_that_went_away_may_come_back() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("mail");
    let mailer = mailer(&folder);
    fs::remove_dir(&folder).unwrap();
    let error = mailer.send(&mail("mail-1")).await.unwrap_err();
    assert!(matches!(error, MailError::Passing(_)), "{error:?}");
    fs::create_dir(&folder).unwrap();
    mailer.send(&mail("mail-1")).await.unwrap();
}

#[test]
fn what_a_killed_wharf_left_half_written_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".unfinished-1"), "half").unwrap();
    fs::write(folder.path().join("mail-1.eml"), "whole").unwrap();
    mailer(folder.path());
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["mail-1.eml"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_told_with_what_to_do() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("file");
    fs::write(&file, "").unwrap();
    let failure = FolderMailer::new(&file.join("mail"), Arc::new(FixedClock)).unwrap_err();
    assert!(failure.hint.unwrap().contains("[mail] folder"));
}
