//! Mail: who sends it, and what it says, from the file, the environment and files of their own.

use crate::common::{each_is_refused, load, load_with, loaded, problems};
use std::{collections::BTreeMap, fs, path::Path};
use wharf_config::{Config, Machine, MailKind, Overrides, SmtpTls};
use wharf_domain::LetterKind;

const SERVER: &str = "[mail.smtp]\nhost = \"smtp.example.com\"\n";

#[test]
fn a_server_that_is_named_is_used_and_its_port_goes_by_how_it_is_protected() {
    for (tls, port) in [
        ("", 587),
        ("tls = \"implicit\"", 465),
        ("tls = \"none\"", 25),
        ("port = 2525", 2525),
    ] {
        let config = load(&format!("{SERVER}{tls}")).expect("good");
        assert_eq!(config.mail.kind, MailKind::Smtp);
        assert_eq!(config.mail.smtp.expect("a server").port, port, "{tls}");
    }
    let chosen = load(&format!("mail.kind = \"folder\"\n{SERVER}")).expect("good");
    assert_eq!(chosen.mail.kind, MailKind::Folder);
    let none = load("").expect("good").mail;
    assert_eq!((none.kind, none.smtp), (MailKind::Folder, None));
}

#[test]
fn the_password_is_the_environments_and_is_never_shown() {
    let text = format!("{SERVER}user = \"wharf\"");
    let config = loaded(&text, &[("SMTP_PASSWORD", "hush-hush")]);
    let smtp = config.mail.smtp.as_ref().expect("a server");
    assert_eq!((smtp.tls, smtp.user.as_deref()), (SmtpTls::Starttls, Some("wharf")));
    assert_eq!(smtp.password.as_ref().expect("a password").expose(), "hush-hush");
    let shown = format!(
        "{config:?} {} {:?}",
        serde_json::to_string(&config).expect("JSON"),
        config.explain("mail.smtp.password").expect("known")
    );
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn a_server_that_cannot_be_meant_is_refused() {
    each_is_refused(&[
        ("mail.kind = \"smtp\"", "mail.kind", "none is named"),
        (
            "[mail.smtp]\nhost = \"smtp.example.com:587\"\nport = 587\nuser = \"a b\"",
            "mail.smtp.user",
            "no password",
        ),
        (
            "[mail.smtp]\nhost = \"smtp://example.com\"",
            "mail.smtp.host",
            "neither the name nor the address",
        ),
        (
            "[mail.smtp]\nhost = \"smtp.example.com\"\npassword = \"x\"\nuser = \"u\"",
            "mail.smtp.password",
            "does not belong in the file",
        ),
        (
            "[mail.smtp]\nhost = \"a.example\"\ntimeout = \"0s\"",
            "mail.smtp.timeout",
            "",
        ),
    ]);
    let readable = load_with(
        &format!("{SERVER}user = \"wharf\"\ntls = \"none\""),
        &[("SMTP_PASSWORD", "x")],
        &Overrides::default(),
    )
    .expect_err("readable");
    assert!(readable.to_string().contains("would travel readable"), "{readable}");
    let on_loopback = "[mail.smtp]\nhost = \"127.0.0.1\"\ntls = \"none\"\nuser = \"wharf\"";
    load_with(on_loopback, &[("SMTP_PASSWORD", "x")], &Overrides::default()).expect("it stays here");
    let alone = load_with(SERVER, &[("SMTP_PASSWORD", "x")], &Overrides::default()).expect_err("whose is it");
    assert!(alone.to_string().contains("and no user"), "{alone}");
}

#[test]
fn templates_are_the_deployments_or_a_services() {
    let text = "[mail.ready]\nsubject = \"{company_name}\"\n\
                [services.shop]\ntenant = true\nprocess = { command = [\"./x\"] }\n\
                [services.shop.mail]\nfrom = \"Shop <shop@example.com>\"\n\
                [services.shop.mail.ready]\ntext = \"{url} {password_url} {password_days} { color: red }\"\n";
    let config = load(text).expect("good");
    let general = &config.mail.templates[&LetterKind::Ready];
    assert_eq!(
        (general.subject.as_deref(), &general.text),
        (Some("{company_name}"), &None)
    );
    let own = &config.service_mails[&"shop".parse().expect("a name")];
    assert_eq!(
        own.from.as_ref().expect("a sender").to_string(),
        "Shop <shop@example.com>"
    );
    assert!(
        own.templates[&LetterKind::Ready]
            .text
            .as_ref()
            .expect("a text")
            .starts_with("{url}")
    );
}

#[test]
fn what_cannot_be_filled_in_is_found_at_the_start() {
    each_is_refused(&[
        (
            "[mail.ready]\nsubject = \"{compny_name}\"",
            "mail.ready.subject",
            "did you mean {company_name}?",
        ),
        (
            "[mail.ready]\ntext = \"{url} {choose_url}\"",
            "mail.ready.text",
            "{choose_url} is not a placeholder",
        ),
        (
            "[mail.ready]\ntext = \"{url} {app_password}\"",
            "mail.ready.text",
            "no place for a secret",
        ),
        ("[mail.ready]\ntext = \"come in\"", "mail.ready.text", "without {url}"),
        (
            "[mail.choose]\ntext = \"{reason}\"",
            "mail.choose.text",
            "without {choose_url}",
        ),
        (
            "[mail.ready]\nhtml = \"<p>{url}\"",
            "mail.ready.html",
            "no text beside it",
        ),
        ("[mail.ready]\nsubject = \" \"", "mail.ready.subject", "nothing in it"),
        (
            "[mail.ready]\ntext_file = \"/nowhere/ready.txt\"",
            "mail.ready.text_file",
            "cannot be read",
        ),
        ("[mail.redy]\nsubject = \"x\"", "mail.redy", "did you mean \"ready\"?"),
        (
            "[services.api]\nprocess = { command = [\"./x\"] }\n[services.api.mail]\nfrom = \"a@b.example\"",
            "services.api.mail.from",
            "nobody to write to",
        ),
    ]);
}

#[test]
fn template_files_count_from_the_files_folder_and_are_checked_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("mails")).expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join("mails").join(name), text).expect("written");
    write("ready.txt", "{url} for {company_name}\n");
    write("ready.html", "<style>p { color: red }</style><p>{url}</p>\n");
    write("wrong.txt", "{url} {whatever}\n");
    let file = folder.path().join("wharf.toml");
    let load = |text: &str| {
        Config::load(
            Some((Path::new(&file), text)),
            &BTreeMap::new(),
            &Overrides::default(),
            Machine::default(),
        )
    };
    let good = load("[mail.ready]\ntext_file = \"mails/ready.txt\"\nhtml_file = \"mails/ready.html\"").expect("good");
    let template = &good.mail.templates[&LetterKind::Ready];
    assert_eq!(template.text.as_deref(), Some("{url} for {company_name}\n"));
    assert!(template.html.as_ref().expect("HTML").contains("color: red"));
    let problems = |text: &str| load(text).expect_err(text).to_string();
    assert!(problems("[mail.ready]\ntext_file = \"mails/wrong.txt\"").contains("{whatever} is not a placeholder"));
    assert!(problems("[mail.ready]\ntext = \"{url}\"\ntext_file = \"mails/ready.txt\"").contains("stands here and in"));
    write("large.txt", &"x".repeat(300 * 1024));
    assert!(problems("[mail.ready]\ntext_file = \"mails/large.txt\"").contains("more than 256 KiB"));
}

#[test]
fn the_function_has_no_file_beside_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("ready.txt"), "{url}\n").expect("written");
    let machine = Machine {
        lambda: true,
        ..Machine::default()
    };
    let load = |text: &str| {
        Config::load(
            Some((Path::new(&folder.path().join("wharf.toml")), text)),
            &BTreeMap::new(),
            &Overrides::default(),
            machine,
        )
    };
    let refused = load("[mail.ready]\ntext_file = \"ready.txt\"").expect_err("it is not in the package");
    assert!(
        refused.to_string().contains("no file beside its wharf.toml"),
        "{refused}"
    );
    load("[mail.ready]\ntext = \"{url}\"").expect("it stands in the file");
}

#[test]
fn a_password_may_have_a_file_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    let text = format!(
        "{SERVER}user = \"wharf\"\npassword_file = {:?}",
        password.display().to_string()
    );
    assert!(problems(&text).concat().contains("cannot be read"));
    fs::write(&password, "two words\n").expect("written");
    assert!(problems(&text).concat().contains("does not hold one password"));
    fs::write(&password, "hush-hush\n").expect("written");
    let smtp = load(&text).expect("good").mail.smtp.expect("a server");
    assert_eq!(smtp.password.expect("a password").expose(), "hush-hush");
}
