//! Actions carried out: one alone as a plain conditional write, several as a transaction, which costs double. What may have happened is asked for again,
//! with the same token.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{
        delete_item::DeleteItemError, put_item::PutItemError, transact_write_items::TransactWriteItemsError,
        update_item::UpdateItemError,
    },
    types::{ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::time::Duration;
use wharf_domain::{Code, Failure};
use wharf_saga::StoreError;

use super::{
    Base,
    action::{Action, Verb},
    attributes::Item,
};
use crate::{
    failure::{Call, failure, may_have_happened},
    operations::Operation,
};

/// A request whose answer is lost is sent so often at most. Each time the SDK tries it several times, too.
const SENT_AT_MOST: u32 = 2;
/// How often a write of its own gives way to transactions on the same item.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_millis(15);
const PAUSE_LONGEST: Duration = Duration::from_millis(250);

/// What came of a write.
#[derive(Debug)]
pub(super) enum Wrote {
    /// All of it.
    Done,
    /// Nothing: these actions' conditions do not hold, in their order, with the items that stand there (if any do).
    Refused(Vec<(usize, Item)>),
    /// Nothing: another transaction is at the same items. It may be tried again.
    Conflict,
}

/// Why it is not known what came of it, or nothing did.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing was written.
    Failed(Failure),
    /// It may have been written.
    Unknown(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// An error of one call.
enum Answer {
    Wrote(Wrote),
    Failed(Failure),
    MayHave(Failure),
}

/// The three single writes have the same errors, each with a type of its own.
macro_rules! single {
    ($error:expr, $kind:ident, $call:expr) => {
        match $error {
            SdkError::ServiceError(error) if matches!(error.err(), $kind::ConditionalCheckFailedException(_)) => {
                let item = match error.into_err() {
                    $kind::ConditionalCheckFailedException(refused) => refused.item,
                    _ => None,
                };
                Answer::Wrote(Wrote::Refused(vec![(0, item.unwrap_or_default())]))
            }
            SdkError::ServiceError(error) if matches!(error.err(), $kind::TransactionConflictException(_)) => {
                Answer::Wrote(Wrote::Conflict)
            }
            error => other(&error, $call),
        }
    };
}

fn other<E>(error: &SdkError<E, HttpResponse>, call: &Call<'_>) -> Answer
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let mut failure = failure(error, call);
    if failure.code == Code::AwsRefused && failure.message.contains("ResourceNotFoundException") {
        failure = failure
            .hint("make the tables with `wharf deploy`, or name those that exist (TABLE_NAME, REGISTRY_TABLE_NAME)");
    }
    // The same token is under way: an earlier try of ours, of which only the answer is missing.
    let is_under_way = error.code() == Some("TransactionInProgressException");
    if is_under_way || may_have_happened(error) {
        Answer::MayHave(failure)
    } else {
        Answer::Failed(failure)
    }
}

impl Base {
    /// Carries the actions out, all or none. `token` is this write's own, of at most 36 characters.
    pub(super) async fn write(&self, actions: &[Action], token: &str) -> Result<Wrote, Trouble> {
        let mut sent = 0;
        loop {
            sent += 1;
            // The SDK's futures are large: a caller's must not carry them about.
            let answer = match actions {
                [] => return Ok(Wrote::Done),
                [action] if !action.exactly_once => Box::pin(self.write_one(action)).await,
                actions => Box::pin(self.transact(actions, token)).await?,
            };
            match answer {
                Answer::Wrote(wrote) => {
                    if !matches!(wrote, Wrote::Done) {
                        self.meter.refused();
                    }
                    return Ok(wrote);
                }
                // What the first one did is not undone by what became of the second.
                Answer::Failed(failure) if sent > 1 => return Err(Trouble::Unknown(failure)),
                Answer::Failed(failure) => return Err(Trouble::Failed(failure)),
                Answer::MayHave(failure) if sent >= SENT_AT_MOST => return Err(Trouble::Unknown(failure)),
                Answer::MayHave(failure) => {
                    tracing::warn!(error = %failure.message, "the answer to a write is lost; asking again");
                }
            }
        }
    }

    /// One write that is no part of a commit. If its condition does not hold there is nothing to do.
    pub(super) async fn write_alone(&self, action: Action) -> Result<(), StoreError> {
        for attempt in 0..TRIES {
            match self.write(std::slice::from_ref(&action), "").await {
                Ok(Wrote::Done | Wrote::Refused(_)) => return Ok(()),
                Ok(Wrote::Conflict) => self.pause(attempt, PAUSE, PAUSE_LONGEST).await,
                Err(Trouble::Failed(failure) | Trouble::Unknown(failure)) => return Err(StoreError { failure }),
            }
        }
        Err(StoreError::new(
            Code::AwsThrottled,
            format!(
                "an item of {} is in the middle of other transactions all the time",
                action.table
            ),
        ))
    }

    async fn write_one(&self, action: &Action) -> Answer {
        let client = self.client().await;
        let total = ReturnConsumedCapacity::Total;
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        match &action.verb {
            Verb::Put(item) => {
                let result = client
                    .put_item()
                    .table_name(&action.table)
                    .set_item(Some(item.clone()))
                    .set_condition_expression(action.condition())
                    .set_expression_attribute_names(action.names())
                    .set_expression_attribute_values(action.values())
                    .return_values_on_condition_check_failure(old)
                    .return_consumed_capacity(total)
                    .send()
                    .await;
                match result {
                    Ok(done) => self.done(done.consumed_capacity()),
                    Err(error) => single!(error, PutItemError, &Operation::DynamoPutItem.on(&action.table)),
                }
            }
            Verb::Delete(key) => {
                let result = client
                    .delete_item()
                    .table_name(&action.table)
                    .set_key(Some(key.clone()))
                    .set_condition_expression(action.condition())
                    .set_expression_attribute_names(action.names())
                    .set_expression_attribute_values(action.values())
                    .return_values_on_condition_check_failure(old)
                    .return_consumed_capacity(total)
                    .send()
                    .await;
                match result {
                    Ok(done) => self.done(done.consumed_capacity()),
                    Err(error) => single!(error, DeleteItemError, &Operation::DynamoDeleteItem.on(&action.table)),
                }
            }
            Verb::Update { key, expression } => {
                let result = client
                    .update_item()
                    .table_name(&action.table)
                    .set_key(Some(key.clone()))
                    .update_expression(expression)
                    .set_condition_expression(action.condition())
                    .set_expression_attribute_names(action.names())
                    .set_expression_attribute_values(action.values())
                    .return_values_on_condition_check_failure(old)
                    .return_consumed_capacity(total)
                    .send()
                    .await;
                match result {
                    Ok(done) => self.done(done.consumed_capacity()),
                    Err(error) => single!(error, UpdateItemError, &Operation::DynamoUpdateItem.on(&action.table)),
                }
            }
        }
    }

    fn done(&self, consumed: Option<&aws_sdk_dynamodb::types::ConsumedCapacity>) -> Answer {
        self.meter.wrote(consumed);
        Answer::Wrote(Wrote::Done)
    }

    async fn transact(&self, actions: &[Action], token: &str) -> Result<Answer, Failure> {
        let items = actions.iter().map(Action::transacted).collect::<Result<Vec<_>, _>>()?;
        let result = self
            .client()
            .await
            .transact_write_items()
            .set_transact_items(Some(items))
            .client_request_token(token)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        // The action of IAM that is missing, if one is, stands in the service's own message.
        let call = Operation::DynamoPutItem.on(&actions[0].table);
        let error = match result {
            Ok(done) => {
                self.meter.transacted(done.consumed_capacity());
                return Ok(Answer::Wrote(Wrote::Done));
            }
            Err(error) => error,
        };
        let SdkError::ServiceError(answer) = &error else {
            return Ok(other(&error, &call));
        };
        let TransactWriteItemsError::TransactionCanceledException(cancelled) = answer.err() else {
            return Ok(other(&error, &call));
        };
        let reasons = cancelled.cancellation_reasons();
        let refused: Vec<_> = (0..)
            .zip(reasons)
            .filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
            .map(|(index, reason)| (index, reason.item().cloned().unwrap_or_default()))
            .collect();
        if !refused.is_empty() {
            return Ok(Answer::Wrote(Wrote::Refused(refused)));
        }
        let first = reasons
            .iter()
            .find(|reason| !matches!(reason.code(), None | Some("None")));
        let code = first.and_then(|reason| reason.code()).unwrap_or("none is given");
        Ok(match code {
            "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded" => {
                Answer::Wrote(Wrote::Conflict)
            }
            code => Answer::Failed(Failure::new(
                Code::AwsRefused,
                format!(
                    "{call} was refused as part of a transaction: {code}: {}",
                    first.and_then(|reason| reason.message()).unwrap_or_default()
                ),
            )),
        })
    }
}
