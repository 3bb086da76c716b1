//! Every target over its corpus, and over what a seed makes of that.

use wharf_fuzz::{
    TARGETS, Target,
    generate::{Chance, mutant},
    replay::corpus,
};

/// Made inputs for each target: some seconds, also for the slowest one.
const MADE: u64 = 2_000;

fn replay(name: &str) {
    let Target { run, .. } = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let files = corpus(name).expect("a corpus");
    assert!(!files.is_empty(), "a target has seeds");
    for (path, bytes) in &files {
        // Of a panic this is what tells which it was.
        println!("{}", path.display());
        run(bytes);
    }
    let seeds: Vec<Vec<u8>> = files.into_iter().map(|(_, bytes)| bytes).collect();
    let mut chance = Chance::new(1);
    for _ in 0..MADE {
        let input = mutant(&seeds, &mut chance);
        let shown = String::from_utf8_lossy(&input).into_owned();
        let held = std::panic::catch_unwind(|| run(&input)).is_ok();
        assert!(held, "{name} fails with {shown:?}");
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            let targets: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(targets, replayed);
        }
    };
}

replays!(host head request config record message event webhook name mail task_event payload);
