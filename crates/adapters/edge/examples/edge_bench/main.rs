//! Compares the edge with nginx doing the same work, in interleaved rounds on one machine, with the same upstream and `wrk`.
//!
//! `edge_bench compare [ROUNDS [SECONDS]]` prints a table and, with `--json`, a machine-readable line. It needs Debian's
//! `nginx-light` and `wrk`. The other commands are the processes that it starts, one for each part, so that their CPU time can
//! be told apart: `edge_bench upstream`, `edge_bench edge ROUTES UPSTREAM_PORT`. `edge_bench probe` says what a probe costs.
//!
//! Everything but this file is functions that a larger benchmark can call.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends by panicking")]
#![expect(clippy::print_stdout, reason = "its result goes to stdout")]

mod compare;
mod edge;
mod load;
mod nginx;
mod process;
mod upstream;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let number = |at: usize, otherwise: u32| words.get(at).map_or(otherwise, |word| word.parse().unwrap());
    match words.first().copied() {
        Some("upstream") => upstream::serve(),
        Some("edge") => edge::serve(number(1, 1), number(2, 0) as u16),
        Some("probe") => {
            let (_upstream, port) = process::Process::own(&["upstream"]);
            let (answered, refused) = edge::probe_cost(port, 20_000);
            println!("a probe costs {answered:.1} µs of CPU, {refused:.1} µs where nothing listens");
        }
        Some("compare") | None => {
            let figures = compare::compare(number(1, 4), number(2, 5));
            println!("{}", figures.table());
            if arguments.iter().any(|word| word == "--json") {
                println!("{}", figures.json());
            }
        }
        Some(other) => panic!("{other} is none of compare, probe, upstream, edge"),
    }
}
