//! A call that AWS refuses: the code and the message that it has for that, before anything is written on a wire.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// Members beside the message, where the error has some (awsJson only).
    pub(crate) members: Option<(&'static str, Value)>,
}

impl Refusal {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: code.to_owned(),
            message: message.into(),
            members: None,
        }
    }

    /// ECS's word for a request that cannot be right.
    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// ECS's word for what the caller asks of it and it has not.
    pub(crate) fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }

    /// The Query services' word for a request that cannot be right.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }

    pub(crate) const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}
