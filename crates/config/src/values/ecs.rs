//! What only an `ecs` section has: ports within containers, capacity providers, memory in MiB, patterns of listener rules.

use serde_json::{Value as Json, json};
use wharf_domain::service::{CapacityProvider, PortRule};

use super::{ByteSize, MIB, PortKind, PortRange};
use crate::{
    document::{Table, Value},
    setting::{Complaint, Raw, Setting, Text, mistyped, quoted, shown},
    suggest,
};

/// `8080`, the container's port, or `{ kind = "static" }`, the rule for the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EcsPort {
    Container(u16),
    Rule(PortRule),
}

impl EcsPort {
    fn rule(table: &Table<'_>) -> Result<PortRule, Vec<Complaint>> {
        let mut complaints = unknown(table, &["kind", "range"]);
        let kind = member::<PortKind>(table, "kind", &mut complaints).unwrap_or(PortKind::Dynamic);
        let range = member::<PortRange>(table, "range", &mut complaints);
        if let (Some(value), true) = (table.get("range"), kind == PortKind::Dynamic) {
            let complaint = Complaint::new("this has a meaning only with kind = \"static\"")
                .hint("add kind = \"static\", or take it out");
            complaints.push(within(complaint, "range", value));
        }
        if !complaints.is_empty() {
            return Err(complaints);
        }
        Ok(match kind {
            PortKind::Dynamic => PortRule::Dynamic,
            PortKind::Static => {
                let PortRange { first, last } = range.unwrap_or(PortRange::STATIC);
                PortRule::Static { first, last }
            }
        })
    }
}

impl Setting for EcsPort {
    const TYPE: &'static str = "a port or a table";
    const EXAMPLE: &'static str = "8080";

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        if let Raw::Toml(value) = raw {
            if let Some(table) = value.get_ref().as_table() {
                return Self::rule(table).map(Self::Rule);
            }
            if value.get_ref().as_integer().is_none() {
                return Err(vec![mistyped::<Self>(value)]);
            }
        }
        match u16::read(raw)? {
            0 => Err(vec![Complaint::new("0 is no port that can be listened on")]),
            port => Ok(Self::Container(port)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Container(port) => port.to_string(),
            Self::Rule(PortRule::Dynamic) => "{ kind = \"dynamic\" }".to_owned(),
            Self::Rule(PortRule::Static { first, last }) => {
                format!("{{ kind = \"static\", range = \"{first}-{last}\" }}")
            }
        }
    }

    fn schema() -> Json {
        json!({"oneOf": [
            {"type": "integer", "minimum": 1, "maximum": u16::MAX},
            {
                "type": "object",
                "properties": {"kind": <PortKind as Setting>::schema(), "range": <PortRange as Setting>::schema()},
                "additionalProperties": false,
            },
        ]})
    }
}

/// Memory in MiB: a bare number, or an amount that is whole MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mebibytes(pub(crate) u32);

impl Setting for Mebibytes {
    const TYPE: &'static str = "an amount of memory";
    const EXAMPLE: &'static str = "\"256MiB\"";

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        let bare = match raw {
            Raw::Toml(value) => value.get_ref().as_integer().is_some(),
            Raw::Text(text) => text.trim().parse::<u32>().is_ok(),
        };
        if bare {
            return u32::read(raw).map(Self);
        }
        let ByteSize(bytes) = ByteSize::read(raw)?;
        match u32::try_from(bytes / MIB) {
            Ok(mebibytes) if bytes.is_multiple_of(MIB) => Ok(Self(mebibytes)),
            _ => {
                let complaint = Complaint::new(format!("{} is not whole MiB", ByteSize(bytes).show()));
                Err(vec![complaint.hint("memory is counted in MiB: \"256MiB\", or 256")])
            }
        }
    }

    fn show(&self) -> String {
        ByteSize(u64::from(self.0) * MIB).show()
    }

    fn schema() -> Json {
        json!({"oneOf": [{"type": "integer", "minimum": 1, "maximum": u32::MAX}, <ByteSize as Setting>::schema()]})
    }

    fn is_between(&self, least: &Self, most: &Self) -> bool {
        (least..=most).contains(&self)
    }
}

/// Whether tasks get public addresses: true and false, or AWS's own words for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicIp(pub(crate) bool);

impl Setting for PublicIp {
    const TYPE: &'static str = "true or false";
    const EXAMPLE: &'static str = "true";

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        let text = match raw {
            Raw::Toml(value) => value.get_ref().as_str(),
            Raw::Text(text) => Some(text.trim()),
        };
        match text.map(str::to_ascii_lowercase).as_deref() {
            Some("enabled") => Ok(Self(true)),
            Some("disabled") => Ok(Self(false)),
            _ => bool::read(raw).map(Self),
        }
    }

    fn show(&self) -> String {
        self.0.show()
    }

    fn schema() -> Json {
        json!({"enum": [true, false, "ENABLED", "DISABLED"]})
    }
}

/// A capacity provider strategy, as ECS bounds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CapacityProviders(pub(crate) Vec<CapacityProvider>);

impl CapacityProviders {
    const COUNT_MAX: usize = 20;
    const WEIGHT_MAX: u16 = 1000;
    const BASE_MAX: u32 = 100_000;

    fn provider(value: &Value<'_>) -> Result<CapacityProvider, Vec<Complaint>> {
        let Some(table) = value.get_ref().as_table() else {
            return Err(vec![mistyped::<Self>(value)]);
        };
        let mut complaints = unknown(table, &["name", "weight", "base"]);
        let name = member::<String>(table, "name", &mut complaints);
        let weight = member::<u16>(table, "weight", &mut complaints).unwrap_or(1);
        let base = member::<u32>(table, "base", &mut complaints).unwrap_or(0);
        let span = Some(value.span());
        if table.get("name").is_none() || name.as_ref().is_some_and(String::is_empty) {
            let complaint = Complaint::new("a capacity provider has no name").hint("add name = \"FARGATE_SPOT\"");
            complaints.push(Complaint {
                span: span.clone(),
                ..complaint
            });
        }
        if weight > Self::WEIGHT_MAX {
            let complaint = Complaint::new(format!("the weight {weight} is not from 0 to {}", Self::WEIGHT_MAX));
            complaints.push(Complaint {
                span: span.clone(),
                ..complaint
            });
        }
        if base > Self::BASE_MAX {
            let complaint = Complaint::new(format!("the base {base} is not from 0 to {}", Self::BASE_MAX));
            complaints.push(Complaint { span, ..complaint });
        }
        match name {
            Some(name) if complaints.is_empty() => Ok(CapacityProvider { name, weight, base }),
            _ => Err(complaints),
        }
    }

    /// What ECS asks of the whole.
    fn fault(&self) -> Option<String> {
        let providers = &self.0;
        if providers.len() > Self::COUNT_MAX {
            return Some(format!("a strategy has at most {} capacity providers", Self::COUNT_MAX));
        }
        if !providers.is_empty() && providers.iter().all(|provider| provider.weight == 0) {
            return Some("no capacity provider has a weight, so that no task is placed".to_owned());
        }
        if providers.iter().filter(|provider| provider.base > 0).count() > 1 {
            return Some("only one capacity provider may have a base".to_owned());
        }
        let twice =
            |provider: &&CapacityProvider| providers.iter().filter(|other| other.name == provider.name).count() > 1;
        let twice = providers.iter().find(twice)?;
        Some(format!("the capacity provider {} is there twice", shown(&twice.name)))
    }
}

impl Setting for CapacityProviders {
    const TYPE: &'static str = "a list of tables";
    const EXAMPLE: &'static str =
        "[{ name = \"FARGATE_SPOT\", weight = 3 }, { name = \"FARGATE\", weight = 1, base = 1 }]";

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        let Raw::Toml(value) = raw else {
            let complaint = Complaint::new("capacity providers stand in the file");
            return Err(vec![complaint.hint("LAUNCH_TYPE says FARGATE, EC2 or EXTERNAL")]);
        };
        let array = value
            .get_ref()
            .as_array()
            .ok_or_else(|| vec![mistyped::<Self>(value)])?;
        let mut providers = Vec::new();
        let mut complaints = Vec::new();
        for item in array {
            match Self::provider(item) {
                Ok(provider) => providers.push(provider),
                Err(wrong) => complaints.extend(wrong),
            }
        }
        let read = Self(providers);
        if let (true, Some(fault)) = (complaints.is_empty(), read.fault()) {
            let complaint = Complaint::new(fault).hint(format!("write it as in {}", Self::EXAMPLE));
            complaints.push(Complaint {
                span: Some(value.span()),
                ..complaint
            });
        }
        if complaints.is_empty() {
            Ok(read)
        } else {
            Err(complaints)
        }
    }

    fn show(&self) -> String {
        let show = |provider: &CapacityProvider| {
            let CapacityProvider { name, weight, base } = provider;
            format!("{{ name = {}, weight = {weight}, base = {base} }}", quoted(name))
        };
        format!("[{}]", self.0.iter().map(show).collect::<Vec<_>>().join(", "))
    }

    fn schema() -> Json {
        json!({
            "type": "array",
            "maxItems": Self::COUNT_MAX,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "weight": {"type": "integer", "minimum": 0, "maximum": Self::WEIGHT_MAX, "default": 1},
                    "base": {"type": "integer", "minimum": 0, "maximum": Self::BASE_MAX, "default": 0},
                },
                "required": ["name"],
                "additionalProperties": false,
            },
        })
    }
}

/// ELBv2 takes no longer pattern.
const PATTERN_MAX: usize = 128;

/// A path pattern of a listener rule: `/api/auth/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern(pub(crate) String);

impl Text for PathPattern {
    const TYPE: &'static str = "a pattern of paths";
    const EXAMPLE: &'static str = "\"/api/auth/*\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.$/~\"'@:+&*?".contains(c);
        if text.starts_with('/') && text.len() <= PATTERN_MAX && text.chars().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(Complaint::new(format!("{} is not a pattern of paths", shown(text))).hint(
            "begin with /, and write at most 128 letters, digits and _-.$/~\"'@:+&, with * for any text and ? for one character",
        ))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// A host-header pattern of a listener rule: `api.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern(pub(crate) String);

impl Text for HostPattern {
    const TYPE: &'static str = "a pattern of hosts";
    const EXAMPLE: &'static str = "\"*.example.com\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-.*?".contains(c);
        if text.contains('.') && text.len() <= PATTERN_MAX && text.chars().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(
            Complaint::new(format!("{} is not a pattern of hosts", shown(text))).hint(
                "write the name of a host with a dot, with * for any text and ? for one character: \"*.example.com\"",
            ),
        )
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

fn within(complaint: Complaint, name: &str, value: &Value<'_>) -> Complaint {
    Complaint {
        span: complaint.span.or_else(|| Some(value.span())),
        within: Some(name.to_owned()),
        ..complaint
    }
}

/// One member of a table, if it is there and good.
fn member<T: Setting>(table: &Table<'_>, name: &str, complaints: &mut Vec<Complaint>) -> Option<T> {
    let value = table.get(name)?;
    match T::read(&Raw::Toml(value)) {
        Ok(read) => Some(read),
        Err(wrong) => {
            complaints.extend(wrong.into_iter().map(|complaint| within(complaint, name, value)));
            None
        }
    }
}

/// A complaint for each member that does not belong there.
fn unknown(table: &Table<'_>, known: &[&str]) -> Vec<Complaint> {
    let strangers = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
    let complaint = |key: &toml::Spanned<std::borrow::Cow<'_, str>>| {
        let hint = suggest::nearest(key.get_ref(), known.iter().copied()).map_or_else(
            || format!("known here: {}", known.join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        Complaint {
            span: Some(key.span()),
            within: Some(key.get_ref().to_string()),
            ..Complaint::new("unknown key").hint(hint)
        }
    };
    strangers.map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_whole_mebibytes() {
        let read = |text: &str| Mebibytes::read(&Raw::Text(text.into())).map(|Mebibytes(mebibytes)| mebibytes);
        assert_eq!(read("256").expect("MiB"), 256);
        assert_eq!(read("1GiB").expect("MiB"), 1024);
        for text in ["", "1kB", "1500kB", "5000000GiB", "-1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_are_those_that_listener_rules_take() {
        for text in ["/api/auth/*", "/", "/a?b"] {
            assert!(PathPattern::parse(text).is_ok(), "{text}");
        }
        for text in ["", "api/*", "/ä", "/a b", &format!("/{}", "a".repeat(128))] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
        for text in ["*.example.com", "api.example.com"] {
            assert!(HostPattern::parse(text).is_ok(), "{text}");
        }
        for text in ["", "*", "api.example.com:443", "api.example.com/x"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
