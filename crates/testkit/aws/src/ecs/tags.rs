//! Tags on ECS resources. The load balancers' tags are in [`crate::elb`].

use crate::refusal::Refusal;
use crate::world::World;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// AWS's bound for tags on one resource.
const MOST_TAGS: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tag {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TagResource {
    #[serde(rename = "resourceArn")]
    resource: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

/// What AWS refuses in tags, ECS and ELBv2 alike; the message is the same in both.
pub(crate) fn check_tags(tags: &[Tag]) -> Result<(), String> {
    if tags.len() > MOST_TAGS {
        return Err(format!("Number of tags exceeds the limit of {MOST_TAGS}."));
    }
    for (index, tag) in tags.iter().enumerate() {
        if tag.key.is_empty() || tag.key.chars().count() > 128 || tag.value.chars().count() > 256 {
            return Err(format!("The tag '{}' is empty or too long.", tag.key));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(format!("The tag '{}' has the reserved prefix aws:.", tag.key));
        }
        if let Some(letter) = tag
            .key
            .chars()
            .chain(tag.value.chars())
            .find(|letter| !may_stand_in_tag(*letter))
        {
            return Err(format!("The tag '{}' has the invalid character '{letter}'.", tag.key));
        }
        if tags[..index].iter().any(|earlier| earlier.key == tag.key) {
            return Err(format!("Duplicate tag keys found: '{}'.", tag.key));
        }
    }
    Ok(())
}

fn may_stand_in_tag(letter: char) -> bool {
    letter.is_alphanumeric() || letter == ' ' || "_.:/=+-@".contains(letter)
}

/// Puts tags beside those that are there; one of the same key is replaced.
pub(crate) fn merge(tags: &mut Vec<Tag>, new: &[Tag]) {
    for tag in new {
        tags.retain(|old| old.key != tag.key);
        tags.push(tag.clone());
    }
}

impl World {
    pub(crate) fn tag_resource(&mut self, input: &TagResource) -> Result<Value, Refusal> {
        check_tags(&input.tags).map_err(Refusal::parameter)?;
        let tags = self.tags_of(&input.resource)?;
        merge(tags, &input.tags);
        Ok(json!({}))
    }

    pub(crate) fn untag_resource(&mut self, input: &TagResource) -> Result<Value, Refusal> {
        self.tags_of(&input.resource)?
            .retain(|tag| !input.tag_keys.contains(&tag.key));
        Ok(json!({}))
    }

    pub(crate) fn list_tags(&mut self, input: &TagResource) -> Result<Value, Refusal> {
        Ok(json!({ "tags": self.tags_of(&input.resource)? }))
    }

    fn tags_of(&mut self, arn: &str) -> Result<&mut Vec<Tag>, Refusal> {
        let kind = arn
            .splitn(6, ':')
            .nth(5)
            .and_then(|resource| resource.split('/').next());
        let tags = match kind {
            Some("cluster") => self
                .ecs
                .clusters
                .get_mut(crate::names::last_part(arn))
                .map(|cluster| &mut cluster.tags),
            Some("task") => {
                let number = self.ecs.task_numbers.get(arn).copied();
                number
                    .and_then(|number| self.ecs.tasks.get_mut(&number))
                    .map(|task| &mut task.tags)
            }
            Some("task-definition") => {
                let (family, revision) = self
                    .find_definition(arn)
                    .map_or((String::new(), 0), |found| (found.family.clone(), found.revision));
                self.ecs
                    .definitions
                    .get_mut(&family)
                    .and_then(|revisions| revisions.get_mut(revision.saturating_sub(1)))
                    .map(|definition| &mut definition.tags)
            }
            Some("container-instance") => self.ecs.instances.get_mut(arn).map(|instance| &mut instance.tags),
            _ => return Err(Refusal::parameter(format!("Invalid arn syntax: {arn}"))),
        };
        tags.ok_or_else(|| Refusal::parameter(format!("The specified resource {arn} is not found.")))
    }
}
