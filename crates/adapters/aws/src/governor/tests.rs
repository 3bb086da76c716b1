//! The governor in paused time: who has a turn when, and what becomes of a refusal.

use super::*;
use crate::operations::{Effect, Limit};
use futures::{FutureExt, StreamExt, future::join_all, stream::FuturesUnordered};
use parking_lot::Mutex;

/// The chance of a test: always in the middle.
struct Middle;

impl Ids for Middle {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x80);
    }
}

fn governor(share_of: u32) -> Governor {
    Governor::new(NonZeroU32::new(share_of).expect("not zero"), Arc::new(Middle))
}

#[derive(Debug, PartialEq, Eq)]
struct Refused(Verdict);

impl Refusal for Refused {
    fn verdict(&self) -> Verdict {
        self.0
    }
}

fn in_time() -> Instant {
    Instant::now() + Duration::from_mins(10)
}

async fn nothing() -> Result<(), Refused> {
    Ok(())
}

/// How long so many calls at once take.
async fn duration_of(governor: &Governor, operation: Operation, count: usize) -> f64 {
    let begun = Instant::now();
    let calls = (0..count).map(|_| governor.call(operation, in_time(), nothing));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    begun.elapsed().as_secs_f64()
}

#[test]
fn a_step_is_not_over_before_its_last_try_is() {
    let last_try = crate::ClientOptions::default().attempt_timeout;
    assert!(PATIENCE + last_try < wharf_saga::limits::STEP_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_at_once_and_the_rest_at_the_buckets_rate() {
    let governor = governor(1);
    assert!(duration_of(&governor, Operation::EcsStopTask, 95).await < 0.01);
    // 76 more, at 95 % of 40 a second.
    let took = duration_of(&governor, Operation::EcsStopTask, 76).await;
    assert!((1.9..2.2).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_start_on_fargate_draws_from_both_buckets() {
    let governor = governor(1);
    duration_of(&governor, Operation::EcsRunTaskOnFargate, 95).await;
    // The bucket of StopTask is empty too, and fills faster.
    let took = duration_of(&governor, Operation::EcsRunTaskOnFargate, 38).await;
    assert!((1.9..2.2).contains(&took), "{took}");
    let took = duration_of(&governor, Operation::EcsStopTask, 38).await;
    assert!(took < 0.1, "{took}");
}

#[tokio::test(start_paused = true)]
async fn each_of_ten_has_a_tenth() {
    let governor = governor(10);
    assert!(duration_of(&governor, Operation::EcsStopTask, 9).await < 0.2);
    let took = duration_of(&governor, Operation::EcsStopTask, 38).await;
    assert!((9.5..10.6).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_look_lets_a_change_go_first() {
    let tokens = Tokens::new(
        Limit {
            burst: 1.0,
            per_second: 1.0,
        },
        1.0,
    );
    tokens.turn((Effect::Read, 0), in_time()).await.expect("a turn");
    let order = Mutex::new(Vec::new());
    let wait = async |effect, ticket| {
        tokens.turn((effect, ticket), in_time()).await.expect("a turn");
        order.lock().push((effect, ticket));
    };
    // The looks stand in the line already when the changes come.
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::join!(wait(Effect::Write, 4), wait(Effect::Write, 3));
    };
    tokio::join!(wait(Effect::Read, 1), wait(Effect::Read, 2), late);
    assert_eq!(
        *order.lock(),
        [
            (Effect::Write, 3),
            (Effect::Write, 4),
            (Effect::Read, 1),
            (Effect::Read, 2)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_holds_up_nobody() {
    let governor = governor(1);
    duration_of(&governor, Operation::EcsRegisterTaskDefinition, 19).await;
    let first = governor.call(Operation::EcsRegisterTaskDefinition, in_time(), nothing);
    let second = governor.call(Operation::EcsRegisterTaskDefinition, in_time(), nothing);
    let mut first = Box::pin(first);
    let mut second = Box::pin(second);
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    let begun = Instant::now();
    drop(first);
    second.await.expect("its turn");
    assert!(begun.elapsed() < Duration::from_millis(1_100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whose_turn_does_not_come_in_time_is_told_so() {
    let governor = governor(1);
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(3);
    // 19 at once, and one a second.
    let calls = (0..30).map(|_| governor.call(Operation::EcsRegisterTaskDefinition, deadline, nothing));
    let ended = join_all(calls).await;
    assert_eq!(begun.elapsed().as_secs(), 3);
    let (good, bad): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert!((21..=22).contains(&good.len()), "{}", good.len());
    for error in bad {
        let failure = error
            .expect_err("no turn")
            .into_failure(Operation::EcsRegisterTaskDefinition, |error| {
                panic!("it was not sent: {error:?}")
            });
        assert_eq!(failure.code, Code::AwsThrottled);
        assert!(
            failure.message.contains("ecs:RegisterTaskDefinition"),
            "{}",
            failure.message
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_closes_the_bucket_for_everybody() {
    let governor = governor(1);
    let begun = Instant::now();
    let sent = Mutex::new(Vec::new());
    let once_refused = governor.call(Operation::EcsRunTask, in_time(), || {
        let mut sent = sent.lock();
        sent.push(begun.elapsed());
        let refused = sent.len() == 1;
        async move {
            if refused {
                Err(Refused(Verdict::Throttled))
            } else {
                Ok(())
            }
        }
    });
    let mut both = FuturesUnordered::new();
    both.push(async { once_refused.await.map(|()| begun.elapsed()) }.boxed());
    both.push(
        async {
            tokio::task::yield_now().await;
            governor
                .call(Operation::EcsStopTask, in_time(), nothing)
                .await
                .map(|()| begun.elapsed())
        }
        .boxed(),
    );
    while let Some(ended) = both.next().await {
        let took = ended.expect("it went well in the end");
        assert!(took >= CLOSED, "{took:?}");
    }
    assert_eq!(sent.lock().len(), 2);
}

/// At least, as chance has it here.
const CLOSED: Duration = Duration::from_millis(180);

#[tokio::test(start_paused = true)]
async fn refusals_are_borne_a_bounded_number_of_times() {
    let governor = governor(1);
    let tries = Mutex::new(0);
    let ended = governor
        .call::<(), _, _>(Operation::EcsRunTask, in_time(), || {
            *tries.lock() += 1;
            async { Err(Refused(Verdict::Throttled)) }
        })
        .await;
    assert!(matches!(ended, Err(CallError::Failed(Refused(Verdict::Throttled)))));
    assert_eq!(*tries.lock(), TRIES_REFUSED);
}

#[tokio::test(start_paused = true)]
async fn what_broke_is_repeated_only_where_that_does_no_harm() {
    let governor = governor(1);
    for (operation, expected) in [
        (Operation::EcsRunTask, TRIES_BROKEN),
        (Operation::EcsRegisterTaskDefinition, 1),
        (Operation::StsGetCallerIdentity, TRIES_BROKEN),
    ] {
        let tries = Mutex::new(0);
        let ended = governor
            .call::<(), _, _>(operation, in_time(), || {
                *tries.lock() += 1;
                async { Err(Refused(Verdict::Broken)) }
            })
            .await;
        assert!(matches!(ended, Err(CallError::Failed(_))));
        assert_eq!(*tries.lock(), expected, "{operation:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_asked_for_again() {
    let governor = governor(1);
    let tries = Mutex::new(0);
    let ended = governor
        .call::<(), _, _>(Operation::EcsDescribeTasks, in_time(), || {
            *tries.lock() += 1;
            async { Err(Refused(Verdict::Final)) }
        })
        .await;
    assert!(matches!(ended, Err(CallError::Failed(Refused(Verdict::Final)))));
    assert_eq!(*tries.lock(), 1);
}
