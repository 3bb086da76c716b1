//! The mailer by Resend, from outside: the contract, and what a network and a provider do to it.

mod stand_in;

use futures::FutureExt;
use rustls::RootCertStore;
use secrecy::SecretString;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;
use wharf_domain::{Code, Failure};
use wharf_mail::{ResendKey, ResendMailer, ResendOptions};
use wharf_platform::{Mail, MailError, Mailer};
use wharf_testkit::contracts::mailer::{Arrived, Fixture};

use stand_in::{Fault, KEY, StandIn, certificate};

fn options(base: String) -> ResendOptions {
    ResendOptions {
        base,
        ..ResendOptions::new(ResendKey::Given(SecretString::from(KEY)))
    }
}

fn mailer(stand_in: &StandIn) -> ResendMailer {
    ResendMailer::new(options(format!("http://{}", stand_in.address))).expect("good options")
}

/// One that soon gives up: for what never answers.
fn impatient(stand_in: &StandIn) -> ResendMailer {
    let options = ResendOptions {
        timeout: Duration::from_millis(300),
        ..options(format!("http://{}", stand_in.address))
    };
    ResendMailer::new(options).expect("good options")
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

async fn make() -> Fixture {
    let stand_in = StandIn::plain().await;
    let state = stand_in.state.clone();
    Fixture {
        mailer: Arc::new(mailer(&stand_in)),
        mailbox: Box::new(move || {
            let state = state.clone();
            async move {
                let text = |mail: &serde_json::Value, key: &str| mail[key].as_str().unwrap_or_default().to_owned();
                let arrived = |mail: &serde_json::Value| Arrived {
                    to: serde_json::from_value(mail["to"].clone()).expect("receivers"),
                    from: text(mail, "from"),
                    subject: text(mail, "subject"),
                    text: text(mail, "text"),
                    html: text(mail, "html"),
                };
                state.lock().mails.values().map(arrived).collect()
            }
            .boxed()
        }),
        keeps: Box::new(stand_in),
    }
}

mod contract {
    wharf_testkit::mailer_contract!(real super::make);
}

#[tokio::test]
async fn a_mail_that_was_taken_without_an_answer_is_not_taken_again() {
    for fault in [Fault::TakeAndHang, Fault::TakeAndBreak] {
        let stand_in = StandIn::plain().await.will(fault);
        let mailer = impatient(&stand_in);
        let error = mailer.send(&mail("ready-1")).await.expect_err("no answer came");
        assert!(matches!(error, MailError::Passing(_)), "{error}");
        assert_eq!(mailer.send(&mail("ready-1")).await, Ok(()));
        let state = stand_in.state.lock();
        assert_eq!((state.mails.len(), state.requests), (1, 2));
    }
}

#[tokio::test]
async fn too_many_at_once_pass_later_when_resend_says() {
    let stand_in = StandIn::plain()
        .await
        .will(Fault::Refuse(429, "rate_limit_exceeded", Some("2")));
    let mailer = mailer(&stand_in);
    let error = mailer.send(&mail("ready-1")).await.expect_err("too many");
    assert!(
        matches!(error, MailError::Later { after, .. } if after == Duration::from_secs(2)),
        "{error}"
    );
    assert_eq!(mailer.send(&mail("ready-1")).await, Ok(()));
    assert_eq!(stand_in.state.lock().mails.len(), 1);
}

#[tokio::test]
async fn a_mail_that_is_being_sent_by_somebody_else_passes() {
    let stand_in = StandIn::plain()
        .await
        .will(Fault::Refuse(409, "concurrent_idempotent_requests", None));
    let mailer = mailer(&stand_in);
    let error = mailer.send(&mail("ready-1")).await.expect_err("in flight");
    assert!(matches!(error, MailError::Passing(_)), "{error}");
    assert_eq!(mailer.send(&mail("ready-1")).await, Ok(()));
}

#[tokio::test]
async fn a_fault_of_resends_own_passes() {
    let stand_in = StandIn::plain()
        .await
        .will(Fault::Refuse(500, "application_error", None));
    let mailer = mailer(&stand_in);
    let error = mailer.send(&mail("ready-1")).await.expect_err("a fault");
    assert!(matches!(error, MailError::Passing(_)), "{error}");
    assert_eq!(mailer.send(&mail("ready-1")).await, Ok(()));
}

#[tokio::test]
async fn what_is_refused_for_good_is_permanent_and_names_no_address() {
    let stand_in = StandIn::plain()
        .await
        .will(Fault::Refuse(422, "invalid_from_address", None));
    let error = mailer(&stand_in).send(&mail("ready-1")).await.expect_err("refused");
    assert!(matches!(error, MailError::Permanent(_)), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("422") && text.contains("invalid_from_address") && text.contains("The words of Resend"),
        "{text}"
    );
    assert!(!text.contains("ada@example.com"), "{text}");
}

#[tokio::test]
async fn the_same_id_with_other_words_is_permanent() {
    let stand_in = StandIn::plain().await;
    let mailer = mailer(&stand_in);
    assert_eq!(mailer.send(&mail("ready-1")).await, Ok(()));
    let other = Mail {
        subject: "Something else".to_owned(),
        ..mail("ready-1")
    };
    let error = mailer.send(&other).await.expect_err("another mail");
    assert!(matches!(error, MailError::Permanent(_)), "{error}");
}

#[tokio::test]
async fn a_wrong_key_is_permanent_says_where_to_look_and_is_not_shown() {
    let stand_in = StandIn::plain().await;
    let options = ResendOptions {
        key: ResendKey::Given(SecretString::from("re_wrong")),
        ..options(format!("http://{}", stand_in.address))
    };
    let mailer = ResendMailer::new(options).expect("good options");
    let error = mailer.send(&mail("ready-1")).await.expect_err("a wrong key");
    assert!(matches!(error, MailError::Permanent(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("RESEND_API_KEY") && !text.contains("re_wrong"), "{text}");
    assert_eq!(stand_in.state.lock().requests, 0);
}

#[tokio::test]
async fn a_key_that_is_kept_elsewhere_is_asked_for_when_a_mail_goes() {
    let stand_in = StandIn::plain().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let options = ResendOptions {
        key: ResendKey::Kept(Arc::new(move || {
            let nth = count.fetch_add(1, Ordering::Relaxed);
            async move {
                match nth {
                    0 => Err(Failure::new(Code::AwsUnavailable, "nobody answers")),
                    _ => Ok(SecretString::from(KEY)),
                }
            }
            .boxed()
        })),
        ..options(format!("http://{}", stand_in.address))
    };
    let mailer = ResendMailer::new(options).expect("good options");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let error = mailer.send(&mail("ready-1")).await.expect_err("no key");
    assert!(matches!(error, MailError::Passing(_)), "{error}");
    assert_eq!(mailer.send(&mail("ready-1")).await, Ok(()));
}

#[tokio::test]
async fn where_nobody_listens_it_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let mailer = ResendMailer::new(options(format!("http://{address}"))).expect("good options");
    let error = mailer.send(&mail("ready-1")).await.expect_err("nobody listens");
    assert!(
        matches!(&error, MailError::Passing(why) if why.contains("refused")),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_nothing() {
    let stand_in = StandIn::with_tls().await;
    let base = format!("https://localhost:{}", stand_in.address.port());
    // Trusting somebody else. The machine's own list may be empty, and then would refuse for another reason.
    let stranger = ResendOptions {
        roots: Some(RootCertStore::empty()),
        ..options(base.clone())
    };
    let error = ResendMailer::new(stranger)
        .expect("good options")
        .send(&mail("ready-1"))
        .await
        .expect_err("self-signed");
    assert!(
        matches!(&error, MailError::Passing(why) if why.contains("certificate")),
        "{error}"
    );
    assert_eq!(stand_in.state.lock().requests, 0, "the key did not travel");

    let mut roots = RootCertStore::empty();
    roots.add(certificate()).expect("a certificate");
    let trusting = ResendOptions {
        roots: Some(roots),
        ..options(base)
    };
    let mailer = ResendMailer::new(trusting).expect("good options");
    assert_eq!(mailer.send(&mail("ready-1")).await, Ok(()), "with trust it goes");
}
