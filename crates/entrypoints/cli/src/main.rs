//! `wharf`: the program.
fn main() {}
