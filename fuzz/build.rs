//! Says that `fuzzing` is a condition that code may ask for: whoever drives the targets by coverage sets it.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(fuzzing)");
    println!("cargo::rerun-if-changed=build.rs");
}
