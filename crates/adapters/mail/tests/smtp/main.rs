//! The mailer by SMTP against a real server: `cargo xtask test --suite mail` says where the server's program is.

mod arrived;
mod silent;

use futures::FutureExt;
use mail_parser::MessageParser;
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};
use wharf_domain::Timestamp;
use wharf_mail::{SmtpLogin, SmtpMailer, SmtpOptions, SmtpTls};
use wharf_platform::{Mail, MailError, Mailer};
use wharf_saga::Clock;
use wharf_testkit::{
    certificate::CERTIFICATE,
    contracts::mailer::{self as contract, Fixture},
    exim::{Exim, Manner, PASSWORD, USER, free_port},
};

use arrived::arrived;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1_763_674_800_000)
    }
}

fn mailer(options: SmtpOptions) -> SmtpMailer {
    SmtpMailer::new(options, Arc::new(Fixed)).expect("good options")
}

fn plain(server: &Exim) -> SmtpOptions {
    SmtpOptions::new("127.0.0.1", server.port, SmtpTls::None)
}

fn login(password: &str) -> SmtpLogin {
    SmtpLogin {
        user: USER.to_owned(),
        password: SecretString::from(password),
    }
}

fn mail(id: &str, to: &str) -> Mail {
    Mail {
        id: id.to_owned(),
        from: "Wharf <hello@wharf.example>".to_owned(),
        to: to.parse().expect("an address"),
        subject: "Your shop is ready".to_owned(),
        text: "Open it.\n".to_owned(),
        html: "<p>Open it.</p>".to_owned(),
    }
}

fn fixture(expected: usize) -> Fixture {
    let server = Arc::new(Exim::start(Manner::default()));
    let looked_at = server.clone();
    Fixture {
        mailer: Arc::new(mailer(plain(&server))),
        mailbox: Box::new(move || {
            let server = looked_at.clone();
            async move {
                let mails = server.mails(expected).await;
                mails.iter().map(|bytes| arrived(bytes)).collect()
            }
            .boxed()
        }),
        keeps: Box::new(server),
    }
}

/// The checks of the contract that hold where the provider cannot tell a repetition.
mod contract_suite {
    use super::*;

    #[tokio::test]
    async fn a_mail_arrives_whole() {
        contract::a_mail_arrives_whole(fixture(1)).await;
    }

    #[tokio::test]
    async fn mails_of_their_own_ids_all_arrive() {
        contract::mails_of_their_own_ids_all_arrive(fixture(3)).await;
    }

    #[tokio::test]
    async fn a_line_break_in_a_header_makes_no_header() {
        // The third of its mails has an id that can be none.
        contract::a_line_break_in_a_header_makes_no_header(fixture(2)).await;
    }
}

#[tokio::test]
async fn each_try_of_a_mail_has_the_same_message_id() {
    let server = Exim::start(Manner::default());
    let mailer = mailer(plain(&server));
    for _ in 0..2 {
        assert_eq!(mailer.send(&mail("ready-1", "ada@example.com")).await, Ok(()));
    }
    for bytes in server.mails(2).await {
        let parsed = MessageParser::new().parse(&bytes).expect("a mail");
        assert_eq!(parsed.message_id(), Some("ready-1@wharf.example"));
    }
}

#[tokio::test]
async fn tls_from_the_first_byte_and_starttls_both_deliver() {
    let server = Exim::start(Manner {
        has_tls: true,
        asks_who: true,
    });
    for (id, port, tls) in [
        ("first", server.tls_port, SmtpTls::Implicit),
        ("second", server.port, SmtpTls::StartTls),
    ] {
        let mailer = mailer(SmtpOptions {
            login: Some(login(PASSWORD)),
            roots: Some(CERTIFICATE.to_vec()),
            ..SmtpOptions::new("localhost", port, tls)
        });
        assert_eq!(
            mailer.send(&mail(id, "ada@example.com")).await,
            Ok(()),
            "{}",
            server.log()
        );
    }
    server.mails(2).await;
    let log = server.log();
    assert_eq!(log.matches(" X=TLS1").count(), 2, "both came by TLS: {log}");
    assert_eq!(log.matches("A=plain:wharf").count(), 2, "both by the login: {log}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_neither_password_nor_mail() {
    let server = Exim::start(Manner {
        has_tls: true,
        asks_who: true,
    });
    for (port, tls) in [(server.tls_port, SmtpTls::Implicit), (server.port, SmtpTls::StartTls)] {
        let mailer = mailer(SmtpOptions {
            login: Some(login(PASSWORD)),
            ..SmtpOptions::new("localhost", port, tls)
        });
        let error = mailer
            .send(&mail("ready-1", "ada@example.com"))
            .await
            .expect_err("nobody vouches");
        // It may be renewed tomorrow.
        assert!(
            matches!(&error, MailError::Passing(why) if why.contains("ertificate")),
            "{error}"
        );
    }
    server.mails(0).await;
    assert!(!server.log().contains("A=plain"), "{}", server.log());
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_mail() {
    let server = Exim::start(Manner::default());
    let mailer = mailer(SmtpOptions {
        roots: Some(CERTIFICATE.to_vec()),
        ..SmtpOptions::new("localhost", server.port, SmtpTls::StartTls)
    });
    let error = mailer
        .send(&mail("ready-1", "ada@example.com"))
        .await
        .expect_err("nothing is encrypted");
    assert!(
        matches!(&error, MailError::Permanent(why) if why.contains("STARTTLS")),
        "{error}"
    );
    server.mails(0).await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_for_good_and_not_repeated() {
    let server = Exim::start(Manner {
        has_tls: true,
        asks_who: true,
    });
    let mailer = mailer(SmtpOptions {
        login: Some(login("wrong-password")),
        roots: Some(CERTIFICATE.to_vec()),
        ..SmtpOptions::new("localhost", server.tls_port, SmtpTls::Implicit)
    });
    let error = mailer
        .send(&mail("ready-1", "ada@example.com"))
        .await
        .expect_err("a wrong password");
    assert!(
        matches!(&error, MailError::Permanent(why) if why.contains("SMTP_PASSWORD") && why.contains("535")),
        "{error}"
    );
    assert!(!error.to_string().contains("wrong-password"));
}

#[tokio::test]
async fn whether_it_can_be_used_is_known_without_a_mail() {
    let server = Exim::start(Manner {
        has_tls: true,
        asks_who: true,
    });
    let options = |password: &str| SmtpOptions {
        login: Some(login(password)),
        roots: Some(CERTIFICATE.to_vec()),
        ..SmtpOptions::new("localhost", server.port, SmtpTls::StartTls)
    };
    assert_eq!(mailer(options(PASSWORD)).reach().await, Ok(()));
    let wrong = mailer(options("wrong-password")).reach().await;
    assert!(matches!(&wrong, Err(MailError::Permanent(_))), "{wrong:?}");
    let nobody = mailer(SmtpOptions::new("127.0.0.1", free_port(), SmtpTls::None))
        .reach()
        .await;
    assert!(matches!(&nobody, Err(MailError::Passing(_))), "{nobody:?}");
    server.mails(0).await;
}

#[tokio::test]
async fn a_mailbox_that_is_not_there_is_told_from_one_that_is_busy() {
    let server = Exim::start(Manner::default());
    let mailer = mailer(plain(&server));
    let refused = mailer
        .send(&mail("one", "refused@example.com"))
        .await
        .expect_err("no mailbox");
    assert!(
        matches!(&refused, MailError::Permanent(why) if why.contains("550") && why.contains("no such mailbox")),
        "{refused}"
    );
    let busy = mailer.send(&mail("two", "busy@example.com")).await.expect_err("busy");
    assert!(
        matches!(&busy, MailError::Passing(why) if why.contains("451") || why.contains("450")),
        "{busy}"
    );
    for error in [refused, busy] {
        assert!(!error.to_string().contains('@'), "{error}");
    }
    assert_eq!(
        mailer.send(&mail("three", "ada@example.com")).await,
        Ok(()),
        "and the next goes through"
    );
    server.mails(1).await;
}

#[tokio::test]
async fn a_server_that_went_away_and_came_back_gets_the_mail_later() {
    let nobody = mailer(SmtpOptions::new("127.0.0.1", free_port(), SmtpTls::None));
    let error = nobody
        .send(&mail("ready-1", "ada@example.com"))
        .await
        .expect_err("nobody listens");
    assert!(matches!(error, MailError::Passing(_)), "{error}");

    let server = Exim::start(Manner::default());
    let mailer = mailer(plain(&server));
    assert_eq!(mailer.send(&mail("one", "ada@example.com")).await, Ok(()));
    server.mails(1).await;
    let port = server.port;
    drop(server);
    // The connection that rests in the pool is dead, and there is no new one.
    let error = mailer
        .send(&mail("two", "ada@example.com"))
        .await
        .expect_err("it is gone");
    assert!(matches!(error, MailError::Passing(_)), "{error}");
    let _ = port;
}

#[tokio::test]
async fn many_at_once_all_arrive_over_a_few_connections() {
    let server = Exim::start(Manner::default());
    let mailer = mailer(SmtpOptions {
        connections: 2,
        ..plain(&server)
    });
    let mails: Vec<Mail> = (0..12).map(|n| mail(&format!("mail-{n}"), "ada@example.com")).collect();
    for sent in futures::future::join_all(mails.iter().map(|mail| mailer.send(mail))).await {
        assert_eq!(sent, Ok(()));
    }
    server.mails(12).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let silent = silent::Silent::listen().await;
    let mailer = mailer(SmtpOptions {
        timeout: Duration::from_millis(300),
        ..SmtpOptions::new("127.0.0.1", silent.port, SmtpTls::None)
    });
    let error = mailer
        .send(&mail("ready-1", "ada@example.com"))
        .await
        .expect_err("it says nothing");
    assert!(
        matches!(&error, MailError::Passing(why) if why.contains("300ms")),
        "{error}"
    );
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_that_of_the_next_mail() {
    // It takes the first mail, and answers when nobody waits any more; then it refuses the second.
    let silent = silent::Silent::answers_late().await;
    let mailer = mailer(SmtpOptions {
        timeout: Duration::from_millis(300),
        connections: 1,
        ..SmtpOptions::new("127.0.0.1", silent.port, SmtpTls::None)
    });
    let first = mailer.send(&mail("one", "ada@example.com")).await;
    assert!(matches!(first, Err(MailError::Passing(_))), "{first:?}");
    silent.answer_now();
    let second = mailer.send(&mail("two", "ada@example.com")).await;
    assert!(
        matches!(&second, Err(MailError::Permanent(why)) if why.contains("554")),
        "{second:?}"
    );
}
