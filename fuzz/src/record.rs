//! A record as a store gives it: damaged, of another version, or made up. What parses is written again as it was; a saga in it comes to an end, whatever its
//! numbers say.

use wharf_domain::{Code, Failure, Instance, Timestamp};
use wharf_saga::{
    Record,
    plan::{Action, After},
    step::Outcome,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub fn run(data: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Record<Instance>>(data) else {
        return;
    };
    let written = serde_json::to_string(&record).expect("a record is JSON");
    let again: Record<Instance> = serde_json::from_str(&written)
        .unwrap_or_else(|error| panic!("what was written cannot be read, {error}: {written}"));
    assert_eq!(again, record, "{written}");
    assert_eq!(serde_json::to_string(&again).expect("JSON"), written);
    let instance = &record.data;
    let _ = (
        record.is_halted(),
        instance.name(),
        instance.state.name(),
        instance.state.cause(),
        instance.held.is_empty(),
    );
    for outcome in [Outcome::Done, Outcome::Fail(failure()), Outcome::Retry(failure())] {
        ends(&record, &outcome);
    }
}

fn failure() -> Failure {
    Failure::new(Code::TaskCrashed, "it broke")
}

/// With steps that always come to this, the saga is over after a number of calls that follows from the number of its steps.
fn ends(record: &Record<Instance>, outcome: &Outcome) {
    let Some(mut progress) = record.progress.clone() else {
        return;
    };
    assert!(progress.at <= progress.steps.len(), "{progress:?}: it is nowhere");
    progress.resume(NOW);
    let most = (progress.steps.len() + 2) * 2 * 1000;
    for _ in 0..most.min(20_000) {
        match progress.action() {
            Action::End(_) => return,
            Action::Call { .. } => progress.begun = true,
        }
        let after = progress.apply(outcome.clone(), NOW, 128);
        if let After::Sleep(until) = after {
            assert!(until >= NOW);
        }
    }
    assert!(most > 20_000, "it goes on for ever: {progress:?}");
}
