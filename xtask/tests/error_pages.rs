//! The pages of `docs/errors` say of each code what the code's table says. (That none is missing is a test beside the table.)

use std::{fs, path::Path};
use wharf_domain::{Code, Fault};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn page(code: Code) -> String {
    read(&format!("{code}.md"))
}

#[test]
fn each_page_says_whose_fault_it_is_and_whether_a_retry_can_help() {
    for code in Code::ALL {
        let whose = match code.fault() {
            Fault::Caller => "the caller's",
            Fault::Service => "the service's",
            Fault::Operator => "the operator's",
            Fault::Wharf => "Wharf's",
        };
        let again = if code.is_passing() {
            "yes, it can pass by itself"
        } else {
            "no, not before something has changed"
        };
        let line = format!("\nWhose fault: {whose}. Can a retry help: {again}.\n");
        assert!(page(*code).contains(&line), "{code}.md lacks the line{line}");
    }
}

#[test]
fn each_page_has_the_same_parts_and_is_short() {
    for code in Code::ALL {
        let page = page(*code);
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with('#')).collect();
        let title = format!("# {code}");
        let expected = [
            title.as_str(),
            "## Why it happens",
            "## What Wharf did",
            "## What to do",
        ];
        assert_eq!(headings, expected, "{code}.md");
        let lines = page.lines().count();
        assert!((15..=30).contains(&lines), "{code}.md has {lines} lines");
    }
}

#[test]
fn the_index_has_a_row_for_each_code() {
    let index = read("README.md");
    for code in Code::ALL {
        let fault = match code.fault() {
            Fault::Caller => "caller",
            Fault::Service => "service",
            Fault::Operator => "operator",
            Fault::Wharf => "Wharf",
        };
        let retry = if code.is_passing() { "yes" } else { "no" };
        let row = format!("| [`{code}`]({code}.md) | {} | {fault} | {retry} |\n", code.summary());
        assert_eq!(
            index.matches(&row).count(),
            1,
            "docs/errors/README.md needs once:\n{row}"
        );
    }
    let rows = index.lines().filter(|line| line.starts_with("| [`")).count();
    assert_eq!(rows, Code::ALL.len());
}
