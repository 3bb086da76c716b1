//! What AWS's protocols look like on the wire: requests to values, answers to bytes. What the calls mean is not in here.

pub(crate) mod answer;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod xml;
