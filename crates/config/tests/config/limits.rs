//! What may be given away at once: what follows from the machine, and what cannot be.

use crate::common::{each_is_refused, load, load_with, loaded, machine};
use std::{collections::BTreeMap, path::Path};
use wharf_config::{Config, Limits, Machine, Overrides};

const DOCKER: &str = "platform.kind = \"docker\"\n[services.a]\ndocker = { image = \"a:1\", container_port = 80, memory = \"256MiB\", cpu_units = 256 }\n";

fn on(text: &str, processors: u32, mebibytes: u64) -> Limits {
    let machine = Machine {
        processors: Some(processors),
        memory: Some(mebibytes << 20),
        ..machine()
    };
    let file = Some((Path::new("wharf.toml"), text));
    let config = Config::load(file, &BTreeMap::new(), &Overrides::default(), machine);
    config.unwrap_or_else(|problems| panic!("{problems}")).limits
}

#[test]
fn a_machine_that_says_nothing_starts_eight_at_once() {
    let limits = load("").expect("sound").limits;
    let expected = Limits {
        starts_at_once: Some(8),
        ..Limits::default()
    };
    assert_eq!(limits, expected);
}

#[test]
fn the_defaults_follow_from_the_machine() {
    assert_eq!(on("", 16, 4096).starts_at_once, Some(64));
    assert_eq!(on("", 16, 4096).memory, None, "of a process nothing is held back");
    assert_eq!(on(DOCKER, 1, 16_384).memory, Some(14_336 << 20));
    assert_eq!(
        on(DOCKER, 1, 2048).memory,
        Some(1536 << 20),
        "at least 512 MiB are kept"
    );
    assert_eq!(on(DOCKER, 1, 400).memory, None, "nothing sensible is left");
    assert_eq!(on(DOCKER, 1, 2048).cpu_units, None);
    assert_eq!(on(DOCKER, 1, 2048).starts_at_once, Some(8));
}

#[test]
fn what_is_said_counts() {
    let said = "[limits]\nstarts_at_once = 3\nmemory = \"1GiB\"\ncpu_units = 2048\ninstances_per_email = 2\n";
    let expected = Limits {
        starts_at_once: Some(3),
        memory: Some(1 << 30),
        cpu_units: Some(2048),
        instances_per_email: Some(2),
    };
    assert_eq!(on(&format!("{DOCKER}{said}"), 16, 16_384), expected);
    let config = loaded("", &[("WHARF_LIMITS_STARTS_AT_ONCE", "5")]);
    assert_eq!(config.limits.starts_at_once, Some(5));
}

#[test]
fn one_task_that_books_more_than_all_may_is_refused() {
    let with = |limits: &str| format!("{DOCKER}[limits]\n{limits}");
    each_is_refused(&[
        (
            &with("memory = \"200MiB\""),
            "services.a.docker.memory",
            "one task books 256 MiB, and all together may book 200 MiB",
        ),
        (&with("cpu_units = 255"), "services.a.docker.cpu_units", "256 CPU units"),
        (
            "[services.a]\nprocess = { command = [\"a\"], memory = \"2GiB\" }\n[limits]\nmemory = \"1GiB\"",
            "services.a.process.memory",
            "2 GiB",
        ),
        (
            &with("memory = \"600MiB\"").replace("[services.a]", "[services.a]\nwarm = 2"),
            "services.a.warm",
            "no room for one task",
        ),
        (
            "[limits]\nstarts_at_once = 0",
            "limits.starts_at_once",
            "from 1 to 10000",
        ),
        (
            "[limits]\ninstances_per_email = 101",
            "limits.instances_per_email",
            "from 1 to 100",
        ),
    ]);
}

#[test]
fn a_number_that_its_type_cannot_hold_is_told_the_range_of_its_key() {
    each_is_refused(&[
        (
            "[limits]\ninstances_per_email = -1",
            "limits.instances_per_email",
            "-1 is not from 1 to 100",
        ),
        (
            "[limits]\nstarts_at_once = 4294967296",
            "limits.starts_at_once",
            "4294967296 is not from 1 to 10000",
        ),
        (
            &DOCKER.replace("memory = \"256MiB\"", "memory = -1"),
            "services.a.docker.memory",
            "-1 is not from \"6MiB\" to",
        ),
    ]);
    let environment = [("WHARF_LIMITS_INSTANCES_PER_EMAIL", "many")];
    let problems = load_with("", &environment, &Overrides::default()).expect_err("it is none");
    assert!(
        problems.to_string().contains("\"many\" is not from 1 to 100"),
        "{problems}"
    );
}

#[test]
fn what_ecs_books_is_not_booked_here() {
    let on_ecs = crate::common::one("");
    assert_eq!(load(&on_ecs).expect("sound").limits, Limits::default());
    let with = |limits: &str| format!("{on_ecs}\n[limits]\n{limits}");
    each_is_refused(&[
        (
            &with("starts_at_once = 8"),
            "limits.starts_at_once",
            "counted and booked by ECS",
        ),
        (&with("memory = \"1GiB\""), "limits.memory", "by ECS"),
        (&with("cpu_units = 1024"), "limits.cpu_units", "by ECS"),
    ]);
    // The registry keeps this one.
    let limits = load(&with("instances_per_email = 2")).expect("sound").limits;
    assert_eq!(limits.instances_per_email, Some(2));
}
