//! The tables as data: names, keys, indexes, time to live. What `create` makes, and what a template must describe.

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
        Projection, ProjectionType, ScalarAttributeType, TableStatus, TimeToLiveSpecification,
    },
};
use std::time::Duration;
use wharf_domain::{Code, Failure};

use crate::{failure::failure, operations::Operation};

/// What the three tables are called in one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Wharf's own.
    pub wharf: String,
    /// The documented table of ports (`TABLE_NAME`).
    pub ports: String,
    /// The documented table of tenants (`REGISTRY_TABLE_NAME`).
    pub registry: String,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            wharf: "wharf".to_owned(),
            ports: "crownmercado-ports".to_owned(),
            registry: "UserPortRegistry".to_owned(),
        }
    }
}

/// A key's or an index's attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    Text(&'static str),
    Number(&'static str),
}

impl Attribute {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }

    /// As CloudFormation writes it: `S` or `N`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Text(_) => "S",
            Self::Number(_) => "N",
        }
    }
}

/// A table: its key, its indexes, and what else its template says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub partition: Attribute,
    pub sort: Option<Attribute>,
    pub indexes: &'static [Index],
    /// The attribute with the second (since the epoch) after which DynamoDB may remove an item.
    pub time_to_live: Option<&'static str>,
    pub point_in_time_recovery: bool,
}

/// A global secondary index. Beside the keys it has what it says, and nothing more: a write that changes none of it costs the index nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub name: &'static str,
    pub partition: Attribute,
    pub sort: Attribute,
    pub includes: &'static [&'static str],
}

/// What is due and which mails wait: sparse, by time.
pub(super) const DUE: &str = "due";
/// Instances by service and state, newest last.
pub(super) const LIST: &str = "list";
/// Instances by name, newest last.
pub(super) const NAME: &str = "name";
/// Ports that were given back: sparse, by when their rest is over.
pub(super) const FREE: &str = "free";

/// Wharf's own table: instances with all that is theirs, reservations, mails, counters.
pub const WHARF: Table = Table {
    partition: Attribute::Text("pk"),
    sort: Some(Attribute::Text("sk")),
    indexes: &[
        Index {
            name: DUE,
            partition: Attribute::Text("due"),
            sort: Attribute::Number("due_at"),
            includes: &["wake_seq"],
        },
        Index {
            name: LIST,
            partition: Attribute::Text("list"),
            sort: Attribute::Text("pk"),
            includes: &["live", "name"],
        },
        Index {
            name: NAME,
            partition: Attribute::Text("name"),
            sort: Attribute::Text("pk"),
            includes: &[],
        },
    ],
    time_to_live: Some("ttl"),
    point_in_time_recovery: true,
};

/// The documented table of ports. An item stays for ever: a port that was given back is one that has a time from which it is free.
pub const PORTS: Table = Table {
    partition: Attribute::Number("port"),
    sort: None,
    indexes: &[Index {
        name: FREE,
        partition: Attribute::Text("pool"),
        sort: Attribute::Number("free_at"),
        includes: &[],
    }],
    time_to_live: None,
    point_in_time_recovery: true,
};

/// The documented table of tenants.
pub const REGISTRY: Table = Table {
    partition: Attribute::Text("userId"),
    sort: None,
    indexes: &[],
    time_to_live: None,
    point_in_time_recovery: true,
};

/// How long a new table or index may take until it can be used.
const CREATION_TIMEOUT: Duration = Duration::from_mins(10);
/// How often that is looked at.
const POLL: Duration = Duration::from_millis(500);

impl Tables {
    /// Each with its name.
    pub fn all(&self) -> [(&str, &'static Table); 3] {
        [
            (self.wharf.as_str(), &WHARF),
            (self.ports.as_str(), &PORTS),
            (self.registry.as_str(), &REGISTRY),
        ]
    }

    /// Those that are not there. Each is asked for once.
    pub async fn missing(&self, client: &Client) -> Result<Vec<&str>, Failure> {
        let mut missing = Vec::new();
        for (name, _) in self.all() {
            match client.describe_table().table_name(name).send().await {
                Ok(_) => {}
                Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => {
                    missing.push(name);
                }
                Err(error) => return Err(failure(&error, &Operation::DynamoDescribeTableBeingMade.on(name))),
            }
        }
        Ok(missing)
    }

    /// Makes those that are not there, paid by request, and waits until they can be used. One that is there, such as a documented table that another
    /// program has filled, gets the indexes that it lacks; its items stay as they are.
    pub async fn create(&self, client: &Client) -> Result<(), Failure> {
        for (name, table) in self.all() {
            create(client, name, table).await?;
        }
        for (name, table) in self.all() {
            add_indexes(client, name, table).await?;
            settle(client, name, table).await?;
        }
        Ok(())
    }
}

impl Table {
    /// Those of keys, its own and the indexes'.
    fn attributes(&self) -> Result<Vec<AttributeDefinition>, Failure> {
        let mut attributes = vec![self.partition];
        attributes.extend(self.sort);
        for attribute in self.indexes.iter().flat_map(|index| [index.partition, index.sort]) {
            if !attributes.contains(&attribute) {
                attributes.push(attribute);
            }
        }
        attributes.into_iter().map(definition).collect()
    }
}

async fn create(client: &Client, name: &str, table: &Table) -> Result<(), Failure> {
    let indexes = table.indexes.iter().map(secondary).collect::<Result<Vec<_>, _>>()?;
    let result = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(table.attributes()?))
        .set_key_schema(Some(keys(table.partition, table.sort)?))
        .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
        .send()
        .await;
    match result {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(error)) if matches!(error.err(), CreateTableError::ResourceInUseException(_)) => {
            Ok(())
        }
        Err(error) => Err(failure(&error, &Operation::DynamoCreateTable.on(name))),
    }
}

/// Waits until the table can be used. Gives the indexes that it has.
async fn active(client: &Client, name: &str) -> Result<Vec<String>, Failure> {
    let wait = async {
        loop {
            let described = client.describe_table().table_name(name).send().await;
            let described =
                described.map_err(|error| failure(&error, &Operation::DynamoDescribeTableBeingMade.on(name)))?;
            let table = described.table().filter(|table| {
                let mut indexes = table.global_secondary_indexes().iter();
                table.table_status() == Some(&TableStatus::Active)
                    && indexes.all(|index| index.index_status() != Some(&IndexStatus::Creating))
            });
            if let Some(table) = table {
                let indexes = table.global_secondary_indexes().iter();
                return Ok(indexes
                    .filter_map(|index| index.index_name().map(str::to_owned))
                    .collect());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    match tokio::time::timeout(CREATION_TIMEOUT, wait).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(
            Code::AwsUnavailable,
            format!("the table {name} is not ready after {CREATION_TIMEOUT:?}"),
        )),
    }
}

/// DynamoDB adds one index at a time.
async fn add_indexes(client: &Client, name: &str, table: &Table) -> Result<(), Failure> {
    for index in table.indexes {
        if active(client, name).await?.iter().any(|present| present == index.name) {
            continue;
        }
        let wanted = secondary(index)?;
        let create = CreateGlobalSecondaryIndexAction::builder()
            .index_name(index.name)
            .set_key_schema(Some(wanted.key_schema))
            .set_projection(wanted.projection)
            .build()
            .map_err(|error| Failure::internal(error.to_string()))?;
        client
            .update_table()
            .table_name(name)
            .set_attribute_definitions(Some(table.attributes()?))
            .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(create).build())
            .send()
            .await
            .map_err(|error| failure(&error, &Operation::DynamoUpdateTable.on(name)))?;
    }
    active(client, name).await.map(drop)
}

/// What cannot be said when a table is made. Said again it changes nothing.
async fn settle(client: &Client, name: &str, table: &Table) -> Result<(), Failure> {
    let damaged = |error: aws_sdk_dynamodb::error::BuildError| Failure::internal(error.to_string());
    if let Some(attribute) = table.time_to_live {
        let described = client.describe_time_to_live().table_name(name).send().await;
        let described = described.map_err(|error| failure(&error, &Operation::DynamoDescribeTimeToLive.on(name)))?;
        let is_set = described
            .time_to_live_description()
            .is_some_and(|description| description.attribute_name() == Some(attribute));
        if !is_set {
            let specification = TimeToLiveSpecification::builder()
                .enabled(true)
                .attribute_name(attribute)
                .build()
                .map_err(damaged)?;
            client
                .update_time_to_live()
                .table_name(name)
                .time_to_live_specification(specification)
                .send()
                .await
                .map_err(|error| failure(&error, &Operation::DynamoUpdateTimeToLive.on(name)))?;
        }
    }
    if table.point_in_time_recovery {
        let specification = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(true)
            .build()
            .map_err(damaged)?;
        client
            .update_continuous_backups()
            .table_name(name)
            .point_in_time_recovery_specification(specification)
            .send()
            .await
            .map_err(|error| failure(&error, &Operation::DynamoUpdateContinuousBackups.on(name)))?;
    }
    Ok(())
}

fn definition(attribute: Attribute) -> Result<AttributeDefinition, Failure> {
    AttributeDefinition::builder()
        .attribute_name(attribute.name())
        .attribute_type(ScalarAttributeType::from(attribute.kind()))
        .build()
        .map_err(|error| Failure::internal(error.to_string()))
}

fn keys(partition: Attribute, sort: Option<Attribute>) -> Result<Vec<KeySchemaElement>, Failure> {
    [(Some(partition), KeyType::Hash), (sort, KeyType::Range)]
        .into_iter()
        .filter_map(|(attribute, kind)| Some((attribute?, kind)))
        .map(|(attribute, kind)| {
            KeySchemaElement::builder()
                .attribute_name(attribute.name())
                .key_type(kind)
                .build()
                .map_err(|error| Failure::internal(error.to_string()))
        })
        .collect()
}

fn secondary(index: &Index) -> Result<GlobalSecondaryIndex, Failure> {
    let projection = if index.includes.is_empty() {
        Projection::builder().projection_type(ProjectionType::KeysOnly)
    } else {
        let includes = index.includes.iter().map(|name| (*name).to_owned()).collect();
        Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(includes))
    };
    GlobalSecondaryIndex::builder()
        .index_name(index.name)
        .set_key_schema(Some(keys(index.partition, Some(index.sort))?))
        .projection(projection.build())
        .build()
        .map_err(|error| Failure::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `wharf deploy` makes them from there.
    #[test]
    fn the_template_describes_the_same_tables() {
        let template = include_str!("../../../../../deploy/template.yaml");
        for table in [&WHARF, &PORTS, &REGISTRY] {
            let keys = [Some(table.partition), table.sort].into_iter().flatten();
            for key in keys.chain(table.indexes.iter().flat_map(|index| [index.partition, index.sort])) {
                let line = format!("{{ AttributeName: {}, AttributeType: {} }}", key.name(), key.kind());
                assert!(template.contains(&line), "the template lacks {line}");
            }
            for index in table.indexes {
                let keys = format!(
                    "- IndexName: {}\n          KeySchema: [{{ AttributeName: {}, KeyType: HASH }}, {{ AttributeName: {}, KeyType: RANGE }}]",
                    index.name,
                    index.partition.name(),
                    index.sort.name()
                );
                let (_, after) = template
                    .split_once(&keys)
                    .unwrap_or_else(|| panic!("the template lacks {keys}"));
                let projection = if index.includes.is_empty() {
                    "KEYS_ONLY }".to_owned()
                } else {
                    format!("INCLUDE, NonKeyAttributes: [{}] }}", index.includes.join(", "))
                };
                let line = after.lines().nth(1).expect("a projection");
                assert!(line.contains(&projection), "{}: {line} is not {projection}", index.name);
            }
            if let Some(attribute) = table.time_to_live {
                assert!(template.contains(&format!(
                    "TimeToLiveSpecification: {{ AttributeName: {attribute}, Enabled: true }}"
                )));
            }
        }
    }
}
