//! What a sign-up says: the name (the subdomain rule), the address, the company; and what becomes of them in commands and environments. A line is each of them.

use std::str::FromStr;
use wharf_domain::{CompanyName, Email, Failure, ServiceName, Subdomain, name};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.split('\n').take(8) {
        subdomain(line);
        service(line);
        email(line);
        company(line);
        template(line);
    }
}

/// What is said of a text that is refused: short, of one line, with what to do.
fn refusal(failure: &Failure) {
    assert!(failure.hint.is_some(), "{failure:?}");
    assert!(failure.message.len() < 1_000, "{} bytes", failure.message.len());
    assert!(!failure.message.contains(['\n', '\r', '\0']), "{:?}", failure.message);
}

fn same<T: FromStr<Err = Failure> + ToString + PartialEq + std::fmt::Debug>(value: &T) {
    let again = value.to_string().parse::<T>();
    assert_eq!(again.as_ref(), Ok(value));
}

fn subdomain(text: &str) {
    match text.parse::<Subdomain>() {
        Ok(name) => {
            same(&name);
            let name = name.as_str();
            assert_eq!(name, text, "a name is never silently changed");
            assert!((1..=name::SUBDOMAIN_MAX).contains(&name.len()) && format!("user_{name}").len() <= 63);
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
            assert!(name.as_bytes()[0].is_ascii_lowercase() && !name.ends_with('-') && !name.contains("--"));
            assert!(!name::RESERVED.contains(&name), "{name}");
            let numbers = name
                .split('-')
                .map(|part| part.parse::<u8>().is_ok())
                .collect::<Vec<_>>();
            assert!(
                !numbers.windows(4).any(|four| four.iter().all(|is| *is)),
                "sslip.io follows {name}"
            );
        }
        Err(failure) => refusal(&failure),
    }
    if let Some(better) = name::suggest(text, name::SUBDOMAIN_MAX) {
        assert!(
            better.parse::<Subdomain>().is_ok(),
            "{better:?} is suggested, and is none"
        );
        assert_ne!(better, text);
    }
}

fn service(text: &str) {
    match text.parse::<ServiceName>() {
        Ok(name) => same(&name),
        Err(failure) => refusal(&failure),
    }
}

fn email(text: &str) {
    match text.parse::<Email>() {
        Ok(email) => {
            same(&email);
            let email = email.as_str();
            assert_eq!(email, text);
            assert!(email.len() <= 254 && email.bytes().all(|byte| byte.is_ascii_graphic()));
            assert_eq!(email.matches('@').count(), 1, "{email}");
            assert!(
                !email.contains([',', ';', '<', '>', '"', ':', '\\']),
                "{email}: more than one address"
            );
        }
        Err(failure) => refusal(&failure),
    }
}

fn company(text: &str) {
    match text.parse::<CompanyName>() {
        Ok(company) => {
            same(&company);
            assert!(!company.as_str().chars().any(char::is_control), "{company:?}");
            assert!((1..=100).contains(&company.as_str().chars().count()));
            assert_eq!(company.as_str(), company.as_str().trim());
        }
        Err(failure) => refusal(&failure),
    }
}

/// Placeholders are filled in once: what a value holds is never looked into.
fn template(text: &str) {
    let values = [("port", "80".to_owned()), ("company_name", text.to_owned())];
    let filled = wharf_provisioning::filled("--name={company_name}--port={port}", &values);
    assert_eq!(filled, format!("--name={text}--port=80"));
    let nothing = wharf_provisioning::filled(text, &[]);
    assert_eq!(nothing, text, "without values nothing changes");
    let plain = wharf_provisioning::filled(text, &[("port", "80".to_owned())]);
    assert_eq!(plain, text.replace("{port}", "80"));
}
