//! Trials: told of before the end, ended or stopped then, and extended by whoever may.

use std::time::Duration;
use wharf_domain::{
    Code, InstanceId, Timestamp,
    service::{AfterTrial, Trial},
};
use wharf_platform::Mail;
use wharf_saga::Store;
use wharf_testkit::sim::{Mishap, SimWharf, When, services, wharf::code};

/// Short ones: each second of simulated time has its health checks.
const TRIAL: Duration = Duration::from_hours(7);
const NOTICE: Duration = Duration::from_hours(2);
const MOMENT: Duration = Duration::from_mins(2);

async fn with_trials(then: AfterTrial) -> SimWharf {
    SimWharf::with(1, move |_, settings| {
        let shop = settings.services.get_mut(&services::shop().name).expect("a shop");
        shop.trial = Some(Trial {
            length: TRIAL,
            notice: NOTICE,
            then,
        });
    })
    .await
}

async fn end(wharf: &SimWharf, id: &InstanceId) -> Option<Timestamp> {
    wharf.wharf().show(id).await.expect("shown").expires_at
}

fn told(wharf: &SimWharf) -> Vec<Mail> {
    let mut mails = wharf.world.mails();
    mails.retain(|mail| mail.id.starts_with("trial-"));
    mails
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_told_before_its_trial_ends_and_then_nothing_is_left() {
    let wharf = with_trials(AfterTrial::End).await;
    let id = wharf.ready("acme", "shop").await;
    let view = wharf.wharf().show(&id).await.expect("shown");
    assert_eq!(view.expires_at, Some(view.first_ready_at.expect("ready") + TRIAL));

    tokio::time::sleep(TRIAL.saturating_sub(NOTICE + MOMENT)).await;
    assert!(told(&wharf).is_empty());
    tokio::time::sleep(2 * MOMENT).await;
    let mails = told(&wharf);
    assert_eq!(mails.len(), 1);
    let end = end(&wharf, &id).await.expect("an end");
    assert_eq!(mails[0].subject, format!("acme & Sons ends on {}", end.in_words()));
    assert!(
        mails[0].text.contains("it is removed, with all its data"),
        "{}",
        mails[0].text
    );
    assert!(
        mails[0].text.contains("http://acme.localhost:8080/"),
        "{}",
        mails[0].text
    );
    assert!(mails[0].html.contains("acme &amp; Sons"));

    wharf.until(&id, "ready").await;
    tokio::time::sleep(NOTICE.saturating_sub(2 * MOMENT)).await;
    wharf.until(&id, "ready").await;
    tokio::time::sleep(2 * MOMENT).await;
    let view = wharf.until(&id, "ended").await;
    assert!(view.clean && view.expires_at.is_none());
    assert!(wharf.world.database("user_acme").is_none());
    assert_eq!(told(&wharf).len(), 1, "once");
    let history = wharf.wharf().history(&id, 0, 1000).await.expect("a history");
    assert!(format!("{history:?}").contains("its time was up at"), "{history:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_ends_unwarned_because_wharf_was_off() {
    let mut wharf = with_trials(AfterTrial::End).await;
    let id = wharf.ready("acme", "shop").await;
    wharf.crash();
    tokio::time::sleep(2 * TRIAL).await;
    wharf.restart().await;
    wharf.until(&id, "ready").await;
    tokio::time::sleep(MOMENT).await;
    assert_eq!(told(&wharf).len(), 1);
    let end = end(&wharf, &id).await.expect("an end");
    assert!(told(&wharf)[0].subject.ends_with(&end.in_words()));
    tokio::time::sleep(NOTICE.saturating_sub(2 * MOMENT)).await;
    wharf.until(&id, "ready").await;
    tokio::time::sleep(2 * MOMENT).await;
    wharf.until(&id, "ended").await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stopped_at_the_end_keeps_its_data_and_starts_only_when_it_is_extended() {
    let wharf = with_trials(AfterTrial::Stop).await;
    let id = wharf.ready("acme", "shop").await;
    tokio::time::sleep(TRIAL + MOMENT).await;
    wharf.until(&id, "stopped").await;
    assert!(told(&wharf)[0].text.contains("it is stopped, and its data is kept"));
    assert!(wharf.world.database("user_acme").is_some());
    tokio::time::sleep(2 * TRIAL).await;
    wharf.until(&id, "stopped").await;

    assert_eq!(code(&wharf.wharf().start(&id).await), Some(Code::InstanceExpired));
    let until = wharf.world.now() + TRIAL;
    wharf.wharf().extend(&id, Some(until)).await.expect("extended");
    tokio::time::sleep(Duration::from_secs(1)).await;
    wharf.wharf().start(&id).await.expect("started");
    wharf.until(&id, "ready").await;
    assert_eq!(end(&wharf, &id).await, Some(until));
    tokio::time::sleep(TRIAL + MOMENT).await;
    wharf.until(&id, "stopped").await;
    assert_eq!(told(&wharf).len(), 2, "once for each end");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_was_stopped_by_hand_ends_all_the_same() {
    let wharf = with_trials(AfterTrial::End).await;
    let id = wharf.ready("acme", "shop").await;
    wharf.wharf().stop(&id).await.expect("stopped");
    wharf.until(&id, "stopped").await;
    tokio::time::sleep(TRIAL + MOMENT).await;
    wharf.until(&id, "ended").await;
    assert_eq!(told(&wharf).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_pays_has_no_end_any_more() {
    let wharf = with_trials(AfterTrial::End).await;
    let id = wharf.ready("acme", "shop").await;
    tokio::time::sleep(TRIAL.saturating_sub(NOTICE / 2)).await;
    assert_eq!(told(&wharf).len(), 1);
    wharf.wharf().extend(&id, None).await.expect("extended");
    tokio::time::sleep(TRIAL).await;
    wharf.until(&id, "ready").await;
    assert_eq!((end(&wharf, &id).await, told(&wharf).len()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_nearer_end_is_told_of_at_once_and_is_the_one_that_was_wanted() {
    let wharf = with_trials(AfterTrial::End).await;
    let id = wharf.ready("acme", "shop").await;
    let until = wharf.world.now() + MOMENT;
    wharf.wharf().extend(&id, Some(until)).await.expect("shortened");
    tokio::time::sleep(MOMENT / 2).await;
    assert_eq!(told(&wharf).len(), 1);
    assert_eq!(end(&wharf, &id).await, Some(until));
    tokio::time::sleep(MOMENT).await;
    wharf.until(&id, "ended").await;
}

#[tokio::test(start_paused = true)]
async fn a_mail_about_an_end_that_was_changed_meanwhile_is_not_sent() {
    let wharf = with_trials(AfterTrial::End).await;
    let id = wharf.ready("acme", "shop").await;
    tokio::time::sleep(MOMENT).await;
    wharf
        .world
        .faults()
        .order("mailer.send", When::Nth(1), Mishap::Before(Code::MailFailed));
    let due = end(&wharf, &id).await.expect("an end").before(NOTICE);
    tokio::time::sleep(due.since(wharf.world.now()) + Duration::from_millis(300)).await;
    let waiting = wharf.store.outbox(Timestamp::MAX, 10).await.expect("read");
    assert_eq!(waiting.len(), 1, "the first try failed, and the next is a second away");
    wharf
        .wharf()
        .extend(&id, Some(wharf.world.now() + 2 * TRIAL))
        .await
        .expect("extended");
    tokio::time::sleep(MOMENT * 5).await;
    assert!(told(&wharf).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_extended_is_said() {
    let wharf = with_trials(AfterTrial::End).await;
    let site = wharf.ready("bolt", "site").await;
    let later = Some(wharf.world.now() + TRIAL);
    assert_eq!(
        code(&wharf.wharf().extend(&site, later).await),
        Some(Code::InstanceState)
    );
    let shop = wharf.ready("acme", "shop").await;
    let past = wharf.wharf().extend(&shop, Some(Timestamp(1))).await;
    assert_eq!(code(&past), Some(Code::RequestInvalid));
    wharf.wharf().end(&shop).await.expect("asked for");
    wharf.until(&shop, "ended").await;
    assert_eq!(
        code(&wharf.wharf().extend(&shop, later).await),
        Some(Code::InstanceState)
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_too_late_is_not_promised_another_end() {
    let wharf = with_trials(AfterTrial::End).await;
    let id = wharf.ready("acme", "shop").await;
    let slow = Mishap::Slow(Duration::from_secs(20));
    wharf.world.faults().order("tasks.stop", When::Nth(1), slow);
    tokio::time::sleep(TRIAL + Duration::from_secs(5)).await;
    let is = wharf.wharf().show(&id).await.expect("shown");
    assert_eq!((is.status.as_str(), is.moving), ("stopping", true));
    let later = Some(wharf.world.now() + TRIAL);
    let refused = wharf.wharf().extend(&id, later).await;
    assert_eq!(code(&refused), Some(Code::InstanceState));
    wharf.until(&id, "ended").await;
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_an_end_overtakes_is_told_so() {
    let wharf = with_trials(AfterTrial::End).await;
    let id = wharf.ready("acme", "shop").await;
    // Whoever extends sees it as it was before the end was asked for.
    let slow = Mishap::Slow(Duration::from_secs(1));
    wharf.world.faults().order("store.append", When::Nth(1), slow);
    let (extended, ended) = tokio::join!(wharf.wharf().extend(&id, None), wharf.wharf().end(&id));
    ended.expect("asked for");
    assert_eq!(code(&extended), Some(Code::InstanceState));
    wharf.until(&id, "ended").await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_an_extension_at_once_are_both_done() {
    let wharf = with_trials(AfterTrial::End).await;
    let id = wharf.ready("acme", "shop").await;
    let (stopped, extended) = tokio::join!(wharf.wharf().stop(&id), wharf.wharf().extend(&id, None));
    stopped.and(extended).expect("asked for");
    wharf.until(&id, "stopped").await;
    tokio::time::sleep(2 * TRIAL).await;
    wharf.until(&id, "stopped").await;
    assert_eq!(end(&wharf, &id).await, None);
}
