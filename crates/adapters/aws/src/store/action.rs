//! A change of one item, with the condition that it is bound to: what a plain write or a transaction is made of.

use aws_sdk_dynamodb::types::{Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use std::collections::HashMap;
use wharf_domain::Failure;

use super::attributes::Item;

#[derive(Clone, Debug)]
pub(super) enum Verb {
    /// The whole item.
    Put(Item),
    /// Of the item with this key.
    Delete(Item),
    Update {
        key: Item,
        expression: String,
    },
}

/// Expressions name attributes as `#attribute`, so that none of DynamoDB's several hundred reserved words has to be known here.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) table: String,
    pub(super) verb: Verb,
    pub(super) condition: Option<&'static str>,
    /// By `:placeholder`.
    pub(super) values: Item,
    /// Placeholders of attributes whose names cannot stand in an expression, even with a `#`.
    pub(super) aliases: HashMap<String, String>,
    /// To be told apart from an earlier try of its own it needs a transaction's token, also when it is alone.
    pub(super) exactly_once: bool,
}

impl Action {
    pub(super) fn new(table: &str, verb: Verb) -> Self {
        Self {
            table: table.to_owned(),
            verb,
            condition: None,
            values: Item::new(),
            aliases: HashMap::new(),
            exactly_once: false,
        }
    }

    pub(super) fn only_if(self, condition: &'static str, values: Item) -> Self {
        Self {
            condition: Some(condition),
            values: self.values.into_iter().chain(values).collect(),
            ..self
        }
    }

    /// The attributes that its expressions name.
    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        let mut names = self.aliases.clone();
        let update = match &self.verb {
            Verb::Update { expression, .. } => expression.as_str(),
            Verb::Put(_) | Verb::Delete(_) => "",
        };
        for expression in [update, self.condition.unwrap_or_default()] {
            add_names(expression, &mut names);
        }
        (!names.is_empty()).then_some(names)
    }

    pub(super) fn values(&self) -> Option<Item> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    pub(super) fn condition(&self) -> Option<String> {
        self.condition.map(str::to_owned)
    }

    /// As a part of a transaction. What the condition found is to come back with its refusal.
    pub(super) fn transacted(&self) -> Result<TransactWriteItem, Failure> {
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let failed = |error: aws_sdk_dynamodb::error::BuildError| Failure::internal(error.to_string());
        let item = TransactWriteItem::builder();
        Ok(match &self.verb {
            Verb::Put(whole) => item.put(
                Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(whole.clone()))
                    .set_condition_expression(self.condition())
                    .set_expression_attribute_names(self.names())
                    .set_expression_attribute_values(self.values())
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(failed)?,
            ),
            Verb::Delete(key) => item.delete(
                Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(key.clone()))
                    .set_condition_expression(self.condition())
                    .set_expression_attribute_names(self.names())
                    .set_expression_attribute_values(self.values())
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(failed)?,
            ),
            Verb::Update { key, expression } => item.update(
                Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(key.clone()))
                    .update_expression(expression)
                    .set_condition_expression(self.condition())
                    .set_expression_attribute_names(self.names())
                    .set_expression_attribute_values(self.values())
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(failed)?,
            ),
        }
        .build())
    }
}

/// Adds the attributes that an expression names as `#attribute`, beside those that have an alias.
pub(super) fn add_names(expression: &str, names: &mut HashMap<String, String>) {
    for part in expression.split('#').skip(1) {
        let end = part
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(part.len());
        let name = &part[..end];
        names.entry(format!("#{name}")).or_insert_with(|| name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_of_an_expression_is_named_once() {
        let mut action = Action::new(
            "t",
            Verb::Update {
                key: Item::new(),
                expression: "ADD #live :one, #c0 :one".to_owned(),
            },
        )
        .only_if("attribute_not_exists(#live) OR #free_at<=:now", Item::new());
        action.aliases.insert("#c0".to_owned(), "shop#ready".to_owned());
        let names = action.names().expect("names");
        let expected = [("#live", "live"), ("#c0", "shop#ready"), ("#free_at", "free_at")];
        assert_eq!(names, expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        assert_eq!(Action::new("t", Verb::Delete(Item::new())).names(), None);
    }
}
