//! What an error of SMTP means for the mail: RFC 5321 lets the first digit say whether it may go through later.

use lettre::transport::smtp::Error as SmtpError;
use std::error::Error;
use wharf_platform::MailError;

use crate::words::words;

/// What the server was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Greeting it: whatever it refuses there is not about this mail.
    Greeting,
    /// Being told who we are.
    Login,
    /// Taking the mail.
    Mail,
}

pub(super) fn meaning(error: &SmtpError, phase: Phase) -> MailError {
    let text = words(&chain(error));
    if let Some(code) = error.status() {
        let why = match phase {
            Phase::Greeting => format!("the SMTP server takes no mail now: {text}"),
            Phase::Login => format!(
                "the SMTP server refuses the login ({code}): {text}; look at [mail.smtp] user and at SMTP_PASSWORD"
            ),
            Phase::Mail => format!("the SMTP server answered {text}"),
        };
        // A server that turns everybody away may do so for a day: a wrong login stays wrong until somebody mends it.
        return if error.is_permanent() && phase != Phase::Greeting {
            MailError::Permanent(why)
        } else {
            MailError::Passing(why)
        };
    }
    if error.is_client() {
        return MailError::Permanent(format!("the SMTP server cannot be used as configured: {text}"));
    }
    // A certificate that has run out is renewed; a network comes back.
    MailError::Passing(format!("the SMTP server cannot be reached: {text}"))
}

/// An error and its sources, each once.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
