//! The contract of [`Logs`], as checks that run one by one against any adapter.
//!
//! A crate with an adapter writes an `async fn make() -> Fixture` and says `wharf_testkit::logs_contract!(real make)`
//! (or `paused make`) in a test module of its own. An adapter may add lines of its own (where an attempt begins); they
//! begin with `===`.

use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use std::{any::Any, fmt, sync::Arc};
use wharf_domain::{InstanceId, service::RunSpec};
use wharf_platform::{LogLine, Logs, Printer};

use super::harness::{eventually, some_instance, soon};

/// Makes a `#[test]` of every check, with platforms that `$make` (an `async fn() -> Fixture`) gives; `$time` is `real`
/// or `paused`.
#[macro_export]
macro_rules! logs_contract {
    ($time:ident $make:path) => {
        $crate::contract_tests! { logs, $time $make:
            the_last_lines_are_read_in_order,
            who_printed_nothing_has_no_lines,
            a_follower_sees_the_past_and_then_what_comes,
            a_follower_may_be_there_before_the_first_line,
            a_long_line_is_cut,
            output_is_kept_within_a_bound,
            instances_have_output_of_their_own,
            removed_output_is_forgotten,
        }
    };
}

/// Makes an instance's task print some text, and returns when the platform has it.
pub type Print = Box<dyn Fn(InstanceId, String) -> BoxFuture<'static, ()> + Send + Sync>;

/// A platform without output, and what must live as long as it does.
pub struct Fixture {
    pub logs: Arc<dyn Logs>,
    pub print: Print,
    pub keeps: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

/// More than any platform keeps for one instance.
const BOUND: usize = 4 << 20;
/// As `LogLine` says.
const LONGEST_LINE: usize = 16 * 1024;

fn numbered(text: &str, count: usize) -> String {
    let lines: Vec<String> = (0..count).map(|number| format!("{text}{number}\n")).collect();
    lines.concat()
}

fn is_printed(line: &LogLine) -> bool {
    !line.text.starts_with("===") && !line.text.is_empty()
}

impl Fixture {
    async fn print(&self, instance: &InstanceId, text: &str) {
        (self.print)(instance.clone(), text.to_owned()).await;
    }

    async fn read(&self, instance: &InstanceId, lines: usize) -> Vec<String> {
        let stream = self
            .logs
            .read(&printer(instance), lines, false)
            .await
            .expect("it can be read");
        let lines: Vec<LogLine> = soon("the end of what there is", stream.collect()).await;
        lines.into_iter().filter(is_printed).map(|line| line.text).collect()
    }

    async fn follow(&self, instance: &InstanceId, lines: usize) -> BoxStream<'static, LogLine> {
        self.logs
            .read(&printer(instance), lines, true)
            .await
            .expect("it can be followed")
    }
}

fn printer(instance: &InstanceId) -> Printer {
    Printer {
        instance: instance.clone(),
        task: None,
        run: RunSpec::Process {
            command: Vec::new(),
            memory: None,
            directory: None,
        },
    }
}

async fn next(follower: &mut BoxStream<'static, LogLine>) -> String {
    soon("a line", async {
        loop {
            let line = follower.next().await.expect("it goes on");
            if is_printed(&line) {
                return line.text;
            }
        }
    })
    .await
}

pub async fn the_last_lines_are_read_in_order(fixture: Fixture) {
    let instance = some_instance();
    let text = numbered("line ", 100);
    fixture.print(&instance, &text).await;
    let lines = eventually("all is there", async || {
        let lines = fixture.read(&instance, 3).await;
        lines.contains(&"line 99".to_owned()).then_some(lines)
    })
    .await;
    assert_eq!(lines, ["line 97", "line 98", "line 99"]);
    assert_eq!(fixture.read(&instance, 0).await, [""; 0]);
    assert_eq!(fixture.read(&instance, usize::MAX).await.len(), 100);
}

pub async fn who_printed_nothing_has_no_lines(fixture: Fixture) {
    assert_eq!(fixture.read(&some_instance(), 10).await, [""; 0]);
}

pub async fn a_follower_sees_the_past_and_then_what_comes(fixture: Fixture) {
    let instance = some_instance();
    fixture.print(&instance, "one\ntwo\n").await;
    let mut follower = fixture.follow(&instance, 10).await;
    assert_eq!(next(&mut follower).await, "one");
    assert_eq!(next(&mut follower).await, "two");
    fixture.print(&instance, "three\n").await;
    assert_eq!(next(&mut follower).await, "three");
    fixture.print(&instance, "four\n").await;
    assert_eq!(next(&mut follower).await, "four");
}

pub async fn a_follower_may_be_there_before_the_first_line(fixture: Fixture) {
    let instance = some_instance();
    let mut follower = fixture.follow(&instance, 10).await;
    fixture.print(&instance, "first\n").await;
    assert_eq!(next(&mut follower).await, "first");
}

pub async fn a_long_line_is_cut(fixture: Fixture) {
    let instance = some_instance();
    let text = format!("{}\nnext\n", "x".repeat(LONGEST_LINE * 3));
    fixture.print(&instance, &text).await;
    let lines = eventually("both lines are there", async || {
        let lines = fixture.read(&instance, 10).await;
        lines.contains(&"next".to_owned()).then_some(lines)
    })
    .await;
    assert!(
        lines[0].starts_with("xxx") && lines[0].len() <= LONGEST_LINE,
        "{}",
        lines[0].len()
    );
}

pub async fn output_is_kept_within_a_bound(fixture: Fixture) {
    let instance = some_instance();
    let text = numbered(&"x".repeat(90), BOUND / 90);
    assert!(text.len() > BOUND);
    fixture.print(&instance, &text).await;
    fixture.print(&instance, "the end\n").await;
    let lines = eventually("all went through", async || {
        let lines = fixture.read(&instance, usize::MAX).await;
        lines.contains(&"the end".to_owned()).then_some(lines)
    })
    .await;
    let kept: usize = lines.iter().map(String::len).sum();
    assert!(kept < BOUND, "{kept} bytes are kept");
}

pub async fn instances_have_output_of_their_own(fixture: Fixture) {
    let (one, other) = (some_instance(), some_instance());
    fixture.print(&one, "of one\n").await;
    fixture.print(&other, "of the other\n").await;
    assert_eq!(fixture.read(&one, 10).await, ["of one"]);
    assert_eq!(fixture.read(&other, 10).await, ["of the other"]);
}

pub async fn removed_output_is_forgotten(fixture: Fixture) {
    let instance = some_instance();
    fixture.logs.remove(&instance).await.expect("gone already is a success");
    fixture.print(&instance, "something\n").await;
    for _ in 0..2 {
        fixture.logs.remove(&instance).await.expect("removed");
    }
    assert_eq!(fixture.read(&instance, 10).await, [""; 0]);
}
