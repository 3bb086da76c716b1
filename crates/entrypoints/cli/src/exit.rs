//! Exit codes: what a script can tell by.

use std::process::ExitCode;
use wharf_domain::{Code, Failure, Fault};

/// As `--help` shows them.
pub(crate) const HELP: &str = "Exit codes:
  0  done
  1  it was tried and failed (the instance failed, the operator has something to mend)
  2  the command line or the configuration is wrong
  3  no server answers
  4  refused: the request cannot be carried out as it stands
  5  differences were found, or remain (repair, doctor)";

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const UNREACHABLE: u8 = 3;
pub(crate) const REFUSED: u8 = 4;
pub(crate) const DIFFERENCES: u8 = 5;

/// The exit code of a failure.
pub(crate) fn code(failure: &Failure) -> ExitCode {
    ExitCode::from(match failure.code {
        Code::ServerUnreachable => UNREACHABLE,
        Code::ConfigInvalid => USAGE,
        code if code.fault() == Fault::Caller => REFUSED,
        _ => FAILED,
    })
}
