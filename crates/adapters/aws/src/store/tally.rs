//! Counts that every process adds to, and that are forgotten by themselves: how often something was done within a stretch of time.

use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, ReturnValue};
use sha2::{Digest, Sha256};
use std::time::Duration;
use wharf_domain::{Code, Failure, Timestamp};

use super::{
    DynamoStore,
    attributes::{item, number, text},
};
use crate::{failure::failure, operations::Operation};

impl DynamoStore {
    /// Counts one more of `what`, and gives how many that makes within the stretch of length `per` that `now` is in. Stretches begin at fixed times. One
    /// write, which is never refused: whether it was one too many is the caller's to say. What is counted is kept as a hash.
    pub async fn tally(&self, what: &str, now: Timestamp, per: Duration) -> Result<u64, Failure> {
        let length = u64::try_from(per.as_millis()).unwrap_or(u64::MAX).max(1);
        let stretch = now.as_millis() / length;
        let over = (stretch + 1).saturating_mul(length) / 1000 + 1;
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(what.as_bytes())[..16]);
        let table = &self.base.tables().wharf;
        let answer = self
            .base
            .client()
            .await
            .update_item()
            .table_name(table)
            .set_key(Some(item([
                ("pk", text(format!("tally#{hash}"))),
                ("sk", text(stretch.to_string())),
            ])))
            .update_expression("ADD #n :one SET #ttl = :over")
            .expression_attribute_names("#n", "n")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":over", number(over))
            .return_values(ReturnValue::UpdatedNew)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure(&error, &Operation::DynamoUpdateItem.on(table)))?;
        self.base.meter.wrote(answer.consumed_capacity());
        let counted = answer.attributes().and_then(|attributes| attributes.get("n"));
        counted
            .and_then(|value| value.as_n().ok()?.parse().ok())
            .ok_or_else(|| Failure::new(Code::AwsUnavailable, "DynamoDB does not say what it has counted"))
    }
}
