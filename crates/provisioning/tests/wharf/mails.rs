//! The outbox: mails go out once, are tried again, and fail no tenant. And the first password: shown once, for a week.

use futures::future::join_all;
use secrecy::ExposeSecret;
use std::time::Duration;
use wharf_domain::{Code, InstanceId, LetterKind, LetterTemplate};
use wharf_platform::Mail;
use wharf_provisioning::{ServiceLetters, outbox::MailView};
use wharf_saga::{Store, store::Fate};
use wharf_testkit::sim::{Mishap, SimWharf, When, store::Fault, wharf::code};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

async fn ready(wharf: &SimWharf) -> InstanceId {
    let id = wharf.ready("acme", "shop").await;
    tokio::time::sleep(SECOND).await;
    id
}

/// The token in the mail's link.
fn token(mail: &Mail) -> String {
    let link = mail.text.split("/password/").nth(1).expect("a link");
    link.split_whitespace().next().expect("a token").to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_mail_goes_out_with_ready_and_holds_a_link_and_no_password() {
    let wharf = SimWharf::new(1).await;
    let id = ready(&wharf).await;
    let mails = wharf.world.mails();
    assert_eq!(mails.len(), 1, "at once, and not at the next look");
    let mail = &mails[0];
    assert_eq!(
        (mail.to.as_str(), mail.from.as_str()),
        ("admin@acme.example", "Wharf <wharf@localhost>")
    );
    assert!(mail.subject.contains("acme & Sons"));
    let password = &wharf.world.secrets(&id).expect("secrets")["APP_PASSWORD"];
    for text in [&mail.text, &mail.html] {
        assert!(text.contains("http://acme.localhost:8080/") && text.contains("http://localhost:8080/password/"));
        assert!(!text.contains(password));
    }
    assert!(
        mail.html.contains("acme &amp; Sons"),
        "what people typed is escaped: {}",
        mail.html
    );
    let record = wharf.store.load(&id).await.expect("read").expect("a record").body;
    assert!(
        !record.contains(password) && !record.contains(&token(mail)),
        "no secret is in the registry"
    );
    let waiting = wharf.store.mails();
    assert!(
        waiting
            .iter()
            .all(|mail| !mail.body.contains(password) && !mail.body.contains("password/"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_does_not_get_through_is_tried_again_with_growing_pauses() {
    let wharf = SimWharf::new(1).await;
    let faults = wharf.world.faults();
    for n in 1..=4 {
        faults.order("mailer.send", When::Nth(n), Mishap::Before(Code::MailFailed));
    }
    let id = ready(&wharf).await;
    assert_eq!(wharf.world.mails().len(), 0);
    assert_eq!(
        wharf.wharf().show(&id).await.expect("shown").status,
        "ready",
        "that fails no tenant"
    );
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(wharf.world.mails().len(), 1);
    let at = |line: &String| {
        line.trim_start()
            .split(' ')
            .next()
            .expect("a time")
            .parse::<u64>()
            .expect("a number")
    };
    let tries: Vec<u64> = wharf.world.trace().lines_with("mailer.send").iter().map(at).collect();
    let pauses: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.len(), 4);
    assert!(pauses.is_sorted() && pauses[3] >= 8_000, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_one_mail_all_the_same() {
    let wharf = SimWharf::new(1).await;
    wharf
        .world
        .faults()
        .order("mailer.send", When::Nth(1), Mishap::After(Code::MailFailed));
    ready(&wharf).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(
        (wharf.world.mails().len(), wharf.world.mail_tries()),
        (1, 2),
        "by its id the provider knows it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_refuses_for_good_is_not_tried_again() {
    let wharf = SimWharf::new(1).await;
    wharf
        .world
        .refuse_mailbox(&"admin@acme.example".parse().expect("an address"));
    let id = ready(&wharf).await;
    tokio::time::sleep(Duration::from_hours(3)).await;
    assert_eq!(wharf.world.mail_tries(), 1);
    assert_eq!(wharf.wharf().show(&id).await.expect("shown").status, "ready");
}

#[tokio::test(start_paused = true)]
async fn a_mail_waits_for_the_url_of_what_was_stopped_before_it_got_through() {
    let wharf = SimWharf::new(1).await;
    let faults = wharf.world.faults();
    faults.order("mailer.send", When::Always, Mishap::Before(Code::MailFailed));
    let id = wharf.ready("acme", "direct").await;
    wharf.wharf().stop(&id).await.expect("asked for");
    wharf.until(&id, "stopped").await;
    faults.clear();
    for _ in 0..24 * 4 {
        tokio::time::sleep(Duration::from_mins(30)).await;
    }
    assert_eq!(wharf.world.mails().len(), 0, "it has no URL to tell of");
    let found = wharf.wharf().repair_plan().await.expect("compared");
    assert_eq!(found, [], "and that is no difference");
    wharf.wharf().start(&id).await.expect("asked for");
    wharf.until(&id, "ready").await;
    tokio::time::sleep(Duration::from_mins(31)).await;
    let url = wharf.wharf().show(&id).await.expect("shown").url.expect("a URL");
    let mails = wharf.world.mails();
    assert!(mails.len() == 1 && mails[0].text.contains(&url), "{url} {mails:?}");
}

#[tokio::test(start_paused = true)]
async fn after_about_a_day_of_tries_a_mail_is_put_aside() {
    let wharf = SimWharf::new(1).await;
    wharf
        .world
        .faults()
        .order("mailer.send", When::Always, Mishap::Before(Code::MailFailed));
    ready(&wharf).await;
    let tries = async || {
        for _ in 0..24 {
            tokio::time::sleep(Duration::from_mins(30)).await;
        }
        wharf.world.trace().lines_with("mailer.send").len()
    };
    let (half, day) = (tries().await, tries().await);
    assert!(half > 20 && day > half, "{half} {day}");
    let (later, last) = (tries().await, tries().await);
    assert_eq!(later, last, "no more after that");
    assert!(last < 70, "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_for_an_hour_gets_each_mail_once_when_it_is_back() {
    let mut wharf = SimWharf::new(1).await;
    let down = wharf
        .world
        .faults()
        .order("mailer.send", When::Always, Mishap::Before(Code::MailFailed));
    for name in ["acme", "bolt", "cask"] {
        wharf.ready(name, "shop").await;
    }
    tokio::time::sleep(Duration::from_mins(30)).await;
    wharf.restart().await;
    tokio::time::sleep(Duration::from_mins(30)).await;
    let listed = wharf.wharf().list_mails(None, 10).await.expect("listed").mails;
    assert_eq!(listed.len(), 3);
    for mail in &listed {
        assert!(matches!(mail.fate, Fate::Waits { .. }) && mail.tries > 5, "{mail:?}");
        assert_eq!(mail.error.as_deref(), Some("the mail was refused, as was ordered"));
    }
    wharf.world.faults().cancel(down);
    tokio::time::sleep(Duration::from_mins(31)).await;
    assert_eq!(wharf.world.mails().len(), 3);
    let listed = wharf.wharf().list_mails(None, 10).await.expect("listed").mails;
    let is_sent = |mail: &MailView| matches!(mail.fate, Fate::Sent { .. }) && mail.error.is_none();
    assert!(listed.iter().all(is_sent), "{listed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_was_given_up_goes_out_when_somebody_wants_it() {
    let wharf = SimWharf::new(1).await;
    let order = wharf
        .world
        .faults()
        .order("mailer.send", When::Always, Mishap::Before(Code::MailFailed));
    let id = ready(&wharf).await;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_mins(30)).await;
    }
    let mail = format!("ready-{id}");
    let fate = async || {
        let listed = wharf.wharf().list_mails(None, 10).await.expect("listed").mails;
        listed
            .into_iter()
            .find(|listed| listed.id == mail)
            .expect("it is there")
    };
    assert_eq!(fate().await.fate, Fate::Dead);
    // Nothing was mended: it is tried as often as at first.
    wharf.wharf().resend(&mail).await.expect("wanted");
    tokio::time::sleep(Duration::from_mins(2)).await;
    let again = fate().await;
    assert!(
        matches!(again.fate, Fate::Waits { .. }) && again.tries < 10,
        "{again:?}"
    );
    wharf.world.faults().cancel(order);
    wharf.wharf().resend(&mail).await.expect("wanted");
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        wharf.world.mails().len(),
        1,
        "at once, and not when its turn would have come"
    );
    assert!(matches!(fate().await.fate, Fate::Sent { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_was_sent_and_did_not_arrive_goes_out_as_a_new_one() {
    let wharf = SimWharf::new(1).await;
    let id = ready(&wharf).await;
    let mail = format!("ready-{id}");
    let mut ids = vec![mail.clone()];
    for _ in 0..2 {
        tokio::time::sleep(SECOND).await;
        let last = ids.last().expect("one").clone();
        ids.push(wharf.wharf().resend(&last).await.expect("wanted").id);
    }
    tokio::time::sleep(SECOND).await;
    let sent: Vec<String> = wharf.world.mails().into_iter().map(|mail| mail.id).collect();
    assert_eq!(sent, ids, "a provider would pass over one that it knows");
    assert!(
        ids[1..]
            .iter()
            .all(|id| id.starts_with(&format!("{mail}-again-")) && id.matches("again").count() == 1)
    );
    let unknown = wharf.wharf().resend("ready-nobody").await;
    assert_eq!(code(&unknown.map(drop)), Some(Code::MailUnknown));
}

#[tokio::test(start_paused = true)]
async fn one_that_lets_us_wait_keeps_the_others_waiting_no_longer_than_a_try() {
    let wharf = SimWharf::new(1).await;
    wharf
        .world
        .faults()
        .order("mailer.send", When::Nth(1), Mishap::Slow(Duration::from_secs(20)));
    for name in ["acme", "bolt", "cask"] {
        wharf.sign_up(name).await.expect("accepted");
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(wharf.world.mails().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_service_has_its_own_sender_and_words_and_what_people_typed_is_escaped_in_them() {
    let wharf = SimWharf::with(1, |_, settings| {
        let template = LetterTemplate {
            subject: Some("{company_name}: {subdomain}".to_owned()),
            text: Some("{url} and {password_url}".to_owned()),
            html: Some("<b title='{company_name}'>{url}</b>".to_owned()),
        };
        let letters = ServiceLetters {
            from: Some("Shop <shop@example.com>".to_owned()),
            templates: [(LetterKind::Ready, template)].into(),
        };
        settings
            .letters
            .services
            .insert("shop".parse().expect("a name"), letters);
    })
    .await;
    ready(&wharf).await;
    let mail = &wharf.world.mails()[0];
    assert_eq!(mail.from, "Shop <shop@example.com>");
    assert_eq!(mail.subject, "acme & Sons: acme");
    assert_eq!(mail.html, "<b title='acme &amp; Sons'>http://acme.localhost:8080/</b>");
    assert!(
        mail.text
            .starts_with("http://acme.localhost:8080/ and http://localhost:8080/password/")
    );
}

#[tokio::test(start_paused = true)]
async fn a_mail_is_sent_once_across_restarts() {
    let mut wharf = SimWharf::new(1).await;
    wharf
        .world
        .faults()
        .order("mailer.send", When::Nth(1), Mishap::Before(Code::MailFailed));
    let id = wharf.ready("acme", "shop").await;
    wharf.restart().await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(wharf.world.mails().len(), 1);
    for _ in 0..3 {
        wharf.restart().await;
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    wharf.world.exit(&id, 1);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(wharf.world.mail_tries(), 1, "nor after a heal");
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_gets_no_mail() {
    let wharf = SimWharf::new(1).await;
    wharf
        .world
        .faults()
        .order("mailer.send", When::Nth(1), Mishap::Before(Code::MailFailed));
    let id = wharf.ready("acme", "shop").await;
    wharf.wharf().end(&id).await.expect("asked for");
    wharf.until(&id, "ended").await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(wharf.world.mails().len(), 0);
    assert!(
        wharf
            .store
            .outbox(wharf_domain::Timestamp::MAX, 10)
            .await
            .expect("read")
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_password_is_shown_once() {
    let wharf = SimWharf::new(1).await;
    let id = ready(&wharf).await;
    let token = token(&wharf.world.mails()[0]);
    for _ in 0..3 {
        let view = wharf
            .wharf()
            .password_waits(&token)
            .await
            .expect("the link works, and looking uses nothing up");
        assert_eq!(view.id, id);
    }
    let (view, password) = wharf.wharf().reveal_password(&token).await.expect("shown");
    assert_eq!(view.id, id);
    assert_eq!(
        password.expose_secret(),
        wharf.world.secrets(&id).expect("secrets")["APP_PASSWORD"]
    );
    assert_eq!(
        code(&wharf.wharf().password_waits(&token).await),
        Some(Code::PasswordShown)
    );
    assert_eq!(
        code(&wharf.wharf().reveal_password(&token).await.map(drop)),
        Some(Code::PasswordShown)
    );
}

#[tokio::test(start_paused = true)]
async fn of_many_who_click_at_once_one_sees_it() {
    let wharf = SimWharf::new(1).await;
    ready(&wharf).await;
    let token = token(&wharf.world.mails()[0]);
    wharf
        .world
        .faults()
        .order("secrets.get", When::Always, Mishap::Slow(SECOND));
    let clicks = join_all((0..50).map(|_| wharf.wharf().reveal_password(&token))).await;
    let (shown, refused): (Vec<_>, Vec<_>) = clicks.into_iter().partition(Result::is_ok);
    assert_eq!((shown.len(), refused.len()), (1, 49));
}

#[tokio::test(start_paused = true)]
async fn a_link_does_not_work_for_ever() {
    let wharf = SimWharf::new(1).await;
    ready(&wharf).await;
    let token = token(&wharf.world.mails()[0]);
    tokio::time::advance((7 * DAY).saturating_sub(Duration::from_mins(1))).await;
    wharf.wharf().password_waits(&token).await.expect("it still works");
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(
        code(&wharf.wharf().reveal_password(&token).await.map(drop)),
        Some(Code::PasswordShown)
    );
    for nonsense in ["", "x", &"0".repeat(26)] {
        assert_eq!(
            code(&wharf.wharf().password_waits(nonsense).await),
            Some(Code::PasswordShown)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_on_the_way_does_not_use_the_link_up() {
    let wharf = SimWharf::new(1).await;
    ready(&wharf).await;
    let token = token(&wharf.world.mails()[0]);
    wharf
        .world
        .faults()
        .order("secrets.get", When::Nth(1), Mishap::Before(Code::SecretsFailed));
    assert_eq!(
        code(&wharf.wharf().reveal_password(&token).await.map(drop)),
        Some(Code::SecretsFailed)
    );
    wharf.store.fail_nth(1, Fault::Before);
    assert_eq!(
        code(&wharf.wharf().reveal_password(&token).await.map(drop)),
        Some(Code::StoreUnavailable)
    );
    wharf.wharf().reveal_password(&token).await.expect("shown");
}

#[tokio::test(start_paused = true)]
async fn a_status_token_shows_no_password() {
    let wharf = SimWharf::new(1).await;
    let accepted = wharf.sign_up("acme").await.expect("accepted");
    wharf.until(&accepted.id, "ready").await;
    let status = accepted.token.expect("a token").reveal().to_owned();
    assert_eq!(
        code(&wharf.wharf().reveal_password(&status).await.map(drop)),
        Some(Code::PasswordShown)
    );
}
