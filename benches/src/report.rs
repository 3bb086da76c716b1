//! The run's result, as a table for people and as a file for machines.

use serde_json::{Value, json};
use std::{fs, path::Path};

use crate::{Result, figure::Figure, machine::Machine};

/// One benchmark's outcome.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) benchmark: &'static str,
    /// Why there is none, where there is none.
    pub(crate) figures: std::result::Result<Vec<Figure>, String>,
}

const HEAD: [&str; 6] = ["figure", "measured", "peer or limit", "ratio", "goal", "reached"];

/// The table, with its notes below it.
pub(crate) fn table(machine: &Machine, outcomes: &[Outcome]) -> String {
    let mut lines: Vec<[String; 6]> = vec![HEAD.map(str::to_owned)];
    let mut notes = Vec::new();
    for Outcome { benchmark, figures } in outcomes {
        match figures {
            Ok(figures) => {
                for figure in figures {
                    let mut cells = figure.cells();
                    cells[0] = format!("{benchmark}: {}", cells[0]);
                    if let Some(note) = &figure.note {
                        notes.push(format!("  {}: {note}\n", cells[0]));
                    }
                    lines.push(cells);
                }
            }
            Err(why) => notes.push(format!("  {benchmark}: not measured: {why}\n")),
        }
    }
    let mut widths = [0; 6];
    for cells in &lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = format!("{machine}\n\n");
    for (index, cells) in lines.iter().enumerate() {
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        if index == 0 {
            let width: usize = widths.iter().map(|width| width + 2).sum();
            text.push_str(&"─".repeat(width - 2));
            text.push('\n');
        }
    }
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes.concat());
    }
    text
}

/// Writes the same as JSON.
pub(crate) fn write(path: &Path, machine: &Machine, outcomes: &[Outcome], quick: bool, seconds: f64) -> Result<()> {
    let figures: Vec<Value> = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome.benchmark, outcome.figures.as_ref().ok()?)))
        .flat_map(|(benchmark, figures)| figures.iter().map(move |figure| value(benchmark, figure)))
        .collect();
    let not_measured: Vec<Value> = outcomes
        .iter()
        .filter_map(|outcome| {
            let why = outcome.figures.as_ref().err()?;
            Some(json!({"benchmark": outcome.benchmark, "why": why}))
        })
        .collect();
    let value = json!({
        "machine": machine, "quick": quick, "seconds": seconds.round(), "figures": figures, "not_measured": not_measured,
    });
    fs::write(path, format!("{value:#}\n"))?;
    Ok(())
}

fn value(benchmark: &str, figure: &Figure) -> Value {
    let against = figure
        .against
        .as_ref()
        .map(|against| json!({"what": against.what, "value": against.samples.summary()}));
    json!({
        "benchmark": benchmark,
        "figure": figure.name,
        "unit": figure.unit,
        "measured": figure.samples.summary(),
        "against": against,
        "ratio": figure.ratio(),
        "goal": figure.goal,
        "reached": figure.reached(),
        "note": figure.note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figure::{Goal, Unit},
        samples::Samples,
    };

    fn outcomes() -> Vec<Outcome> {
        let samples = |value| Samples::new(vec![value]).expect("a value");
        let figure = Figure::new("a thing", Unit::Milliseconds, samples(3.0))
            .against("another", &samples(2.0))
            .goal(Goal::RatioAtMost(2.0))
            .note("it is a thing");
        vec![
            Outcome {
                benchmark: "one",
                figures: Ok(vec![figure]),
            },
            Outcome {
                benchmark: "two",
                figures: Err("no tool".to_owned()),
            },
        ]
    }

    fn machine() -> Machine {
        Machine {
            cores: 2,
            processor: "P".to_owned(),
            memory_gb: 8.0,
            system: "S".to_owned(),
            file_system: "F".to_owned(),
        }
    }

    #[test]
    fn a_table_has_every_figure_and_says_what_is_missing() {
        let table = table(&machine(), &outcomes());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "2 cores (P), 8 GB, S, F");
        assert_eq!(
            lines[2],
            "figure        measured  peer or limit     ratio  goal      reached"
        );
        assert_eq!(
            lines[4],
            "one: a thing  3.00 ms   another: 2.00 ms  1.50   ≤ 2.00 ×  yes"
        );
        assert_eq!(
            lines[6..],
            ["  one: a thing: it is a thing", "  two: not measured: no tool"]
        );
    }

    #[test]
    fn the_file_for_machines_says_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results.json");
        write(&path, &machine(), &outcomes(), true, 1.6).expect("written");
        let text = fs::read_to_string(&path).expect("readable");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["seconds"], 2.0);
        assert_eq!(value["machine"]["cores"], 2);
        assert_eq!(value["not_measured"], json!([{"benchmark": "two", "why": "no tool"}]));
        let figure = &value["figures"][0];
        assert_eq!(figure["ratio"], 1.5);
        assert_eq!(figure["goal"], json!({"ratio_at_most": 2.0}));
        assert_eq!(figure["reached"], true);
        assert_eq!(figure["measured"]["median"], 3.0);
        assert_eq!(figure["against"]["what"], "another");
    }
}
