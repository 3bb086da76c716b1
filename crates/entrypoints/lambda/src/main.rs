//! `bootstrap`: Wharf on Lambda.

fn main() {}
