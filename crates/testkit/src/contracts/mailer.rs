//! The contract of [`Mailer`], as checks that run one by one against any adapter whose mails can be looked at.
//!
//! A crate with an adapter writes an `async fn make() -> Fixture` and says `wharf_testkit::mailer_contract!(real make)`
//! (or `paused make`) in a test module of its own.

use futures::future::{BoxFuture, join_all};
use std::{any::Any, fmt, sync::Arc};
use wharf_platform::{Mail, MailError, Mailer};

/// Makes a `#[test]` of every check, with mailers that `$make` (an `async fn() -> Fixture`) gives; `$time` is `real` or `paused`.
#[macro_export]
macro_rules! mailer_contract {
    ($time:ident $make:path) => {
        $crate::contract_tests! { mailer, $time $make:
            a_mail_arrives_whole,
            the_same_mail_twice_is_one,
            the_same_mail_at_once_is_one,
            mails_of_their_own_ids_all_arrive,
            a_line_break_in_a_header_makes_no_header,
        }
    };
}

/// A mail as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The bare addresses.
    pub to: Vec<String>,
    /// `Name <address>`.
    pub from: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Gives all that has arrived, in any order.
pub type LookInside = Box<dyn Fn() -> BoxFuture<'static, Vec<Arrived>> + Send + Sync>;

/// A mailer that has sent nothing, its receivers' mailbox, and what must live as long as they do.
pub struct Fixture {
    pub mailer: Arc<dyn Mailer>,
    pub mailbox: LookInside,
    pub keeps: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

fn mail(id: &str) -> Mail {
    Mail {
        id: id.to_owned(),
        from: "Wharf <hello@wharf.example>".to_owned(),
        to: "ada@example.com".parse().expect("an address"),
        subject: "Your shop is ready".to_owned(),
        text: "Open http://acme.localhost/\n".to_owned(),
        html: "<p>Open <a href=\"http://acme.localhost/\">your shop</a></p>".to_owned(),
    }
}

fn same_text(one: &str, other: &str) -> bool {
    one.replace("\r\n", "\n").trim_end() == other.replace("\r\n", "\n").trim_end()
}

pub async fn a_mail_arrives_whole(fixture: Fixture) {
    let sent = Mail {
        from: "Bücher & Söhne <hello@wharf.example>".to_owned(),
        subject: format!(
            "Willkommen bei Bücher & Söhne: 日本 {}",
            "sehr lang ".repeat(20).trim_end()
        ),
        text: format!(
            "Grüße aus Köln.\n.\nFrom the start\n{}\n= not an escape = é\n",
            "x".repeat(2000)
        ),
        html: "<p>Grüße &amp; <b>日本</b></p>\n".to_owned(),
        ..mail("mail-1")
    };
    fixture.mailer.send(&sent).await.expect("it is sent");
    let arrived = (fixture.mailbox)().await;
    let [arrived] = arrived.as_slice() else {
        panic!("one mail, not {arrived:?}")
    };
    assert_eq!(arrived.to, ["ada@example.com"]);
    assert_eq!(arrived.from, sent.from);
    assert_eq!(arrived.subject, sent.subject);
    assert!(same_text(&arrived.text, &sent.text), "{:?}", arrived.text);
    assert!(same_text(&arrived.html, &sent.html), "{:?}", arrived.html);
}

pub async fn the_same_mail_twice_is_one(fixture: Fixture) {
    for _ in 0..2 {
        fixture.mailer.send(&mail("mail-1")).await.expect("it is sent");
    }
    assert_eq!((fixture.mailbox)().await.len(), 1);
}

pub async fn the_same_mail_at_once_is_one(fixture: Fixture) {
    let mail = mail("mail-1");
    for sent in join_all((0..8).map(|_| fixture.mailer.send(&mail))).await {
        sent.expect("it is sent");
    }
    assert_eq!((fixture.mailbox)().await.len(), 1);
}

pub async fn mails_of_their_own_ids_all_arrive(fixture: Fixture) {
    for id in ["mail-1", "mail-2", "mail-3"] {
        fixture.mailer.send(&mail(id)).await.expect("it is sent");
    }
    assert_eq!((fixture.mailbox)().await.len(), 3);
}

pub async fn a_line_break_in_a_header_makes_no_header(fixture: Fixture) {
    let evil = "Hello\r\nBcc: eve@example.com\r\n\r\n<p>not yours</p>";
    let mails = [
        Mail {
            subject: evil.to_owned(),
            ..mail("mail-1")
        },
        Mail {
            from: format!("{evil} <hello@wharf.example>"),
            ..mail("mail-2")
        },
        Mail {
            id: format!("mail-3>{evil}"),
            ..mail("mail-3")
        },
    ];
    for mail in mails {
        match fixture.mailer.send(&mail).await {
            Ok(()) | Err(MailError::Permanent(_)) => {}
            Err(MailError::Passing(why) | MailError::Later { why, .. }) => panic!("this will never pass: {why}"),
        }
    }
    for arrived in (fixture.mailbox)().await {
        assert_eq!(arrived.to, ["ada@example.com"], "nobody else gets it");
        assert!(!arrived.text.contains("not yours"), "the body is the body: {arrived:?}");
        assert!(same_text(&arrived.text, &mail("").text), "{arrived:?}");
    }
}
