//! Texts with a form of their own: paths of URLs, headers, patterns, names, variables.

use http::{HeaderName, uri::PathAndQuery};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, path::PathBuf};
use wharf_domain::{DeploymentId, ServiceName, Subdomain, event::Pattern, name::NameError, request::Start};

use crate::{
    document::Value,
    setting::{Complaint, Raw, Setting, Text, mistyped, quoted, shown},
};

fn without_zero(text: &str) -> Result<(), Complaint> {
    if text.contains('\0') {
        Err(Complaint::new("the text has a zero byte"))
    } else {
        Ok(())
    }
}

impl Text for String {
    const TYPE: &'static str = "a text";
    const EXAMPLE: &'static str = "";

    fn parse(text: &str) -> Result<Self, Complaint> {
        without_zero(text)?;
        Ok(text.to_owned())
    }

    fn text(&self) -> String {
        self.clone()
    }

    fn schema() -> Json {
        json!({"type": "string"})
    }
}

impl Text for PathBuf {
    const TYPE: &'static str = "a path";
    const EXAMPLE: &'static str = "\"/var/lib/wharf\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        without_zero(text)?;
        if text.is_empty() {
            return Err(Complaint::new("the path is empty").hint("write \".\" for the folder of the file"));
        }
        Ok(Self::from(text))
    }

    fn text(&self) -> String {
        self.display().to_string()
    }
}

impl Text for ServiceName {
    const TYPE: &'static str = "the name of a service";
    const EXAMPLE: &'static str = "\"storefront\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|failure: wharf_domain::Failure| {
            let complaint = Complaint::new(failure.message);
            match failure.hint {
                Some(hint) => complaint.hint(hint),
                None => complaint,
            }
        })
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Text for DeploymentId {
    const TYPE: &'static str = "the name of a deployment";
    const EXAMPLE: &'static str = "\"wharf-dev\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|_| {
            Complaint::new(format!("{} is not the name of a deployment", shown(text)))
                .hint("write 1 to 32 small letters, digits and hyphens: \"wharf-dev\"")
        })
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

/// A name that a tenant could have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) String);

impl Text for Label {
    const TYPE: &'static str = "a subdomain";
    const EXAMPLE: &'static str = "\"shop\"";
    const LIST: &'static str = "a list of subdomains";
    const LIST_EXAMPLE: &'static str = "[\"shop\", \"intranet\"]";

    fn parse(text: &str) -> Result<Self, Complaint> {
        match Subdomain::check(text) {
            Ok(()) | Err(NameError::Reserved(_)) => Ok(Self(text.to_owned())),
            Err(why) => Err(Complaint::new(format!(
                "{} is no subdomain that could be reserved: {why}",
                shown(text)
            ))),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

impl Text for Pattern {
    const TYPE: &'static str = "a pattern";
    const EXAMPLE: &'static str = "\"auth-*\"";
    const LIST: &'static str = "a list of patterns";
    const LIST_EXAMPLE: &'static str = "[\"auth-*\", \"my-cluster\"]";

    fn parse(text: &str) -> Result<Self, Complaint> {
        Self::new(text).ok_or_else(|| {
            Complaint::new(format!("{} is not a pattern", shown(text)))
                .hint("write a name or an ARN of letters, digits and -_.:/, with * for any text")
        })
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

/// The name of an HTTP header, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header(pub(crate) String);

impl Text for Header {
    const TYPE: &'static str = "the name of a header";
    const EXAMPLE: &'static str = "\"x-wharf-instance\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let name = HeaderName::try_from(text).map_err(|_| {
            Complaint::new(format!("{} is not the name of a header", shown(text)))
                .hint("write it as in \"x-wharf-instance\"")
        })?;
        Ok(Self(name.as_str().to_owned()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

/// Whether a text is a path of a URL as it stands, so that nothing rewrites it on its way.
fn is_path(text: &str) -> bool {
    let plain = text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|b| b.is_ascii_graphic())
        && text.len() <= 1024;
    plain && !text.contains(['#', '\\', '{', '}']) && text.parse::<PathAndQuery>().is_ok()
}

/// The path of a request, with or without a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UrlPath(pub(crate) String);

impl Text for UrlPath {
    const TYPE: &'static str = "the path of a URL";
    const EXAMPLE: &'static str = "\"/healthz\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        if is_path(text) {
            return Ok(Self(text.to_owned()));
        }
        let complaint = Complaint::new(format!("{} is not the path of a URL", shown(text)));
        let better = format!("/{text}");
        Err(complaint.hint(if is_path(&better) {
            format!("write \"{better}\"")
        } else {
            "write it as in \"/healthz\"".to_owned()
        }))
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^/", "examples": ["/healthz"]})
    }
}

/// The path below which requests go to a service: `/api/auth`. It fits whole segments, and so has no slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPrefix(pub(crate) String);

impl Text for PathPrefix {
    const TYPE: &'static str = "the prefix of a path";
    const EXAMPLE: &'static str = "\"/api/auth\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let better = format!("/{}", text.trim_matches('/'));
        let good = |text: &str| {
            let segments = text
                .split('/')
                .skip(1)
                .all(|segment| !matches!(segment, "" | "." | ".."));
            is_path(text) && !text.contains(['?', '*', '%']) && (text == "/" || segments)
        };
        if good(text) {
            return Ok(Self(text.to_owned()));
        }
        let complaint = Complaint::new(format!("{} is not the prefix of a path", shown(text)));
        Err(complaint.hint(if good(&better) {
            format!("write \"{better}\"")
        } else {
            "begin with /, and use no ?, *, % and no empty, . or .. part: \"/api/auth\"".to_owned()
        }))
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^/([^/?*%].*[^/])?$", "examples": ["/api/auth"]})
    }
}

/// Variables of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment(pub(crate) BTreeMap<String, String>);

impl Environment {
    /// The variables that are good, and what is wrong with the others.
    fn parts(raw: &Raw<'_>) -> (Self, Vec<Complaint>) {
        let mut variables = BTreeMap::new();
        let mut complaints = Vec::new();
        match raw {
            Raw::Text(_) => complaints.push(Complaint::new("variables of a task stand in the file")),
            Raw::Toml(value) => match value.get_ref().as_table() {
                None => complaints.push(mistyped::<Self>(value)),
                Some(table) => {
                    for (name, value) in table {
                        let within = name.get_ref().chars().filter(|c| !c.is_control()).take(64).collect();
                        let located = |complaint| Complaint {
                            span: Some(value.span()),
                            within: Some(within),
                            ..complaint
                        };
                        match Self::variable(name.get_ref(), value) {
                            Ok(one) => variables.extend(one),
                            Err(complaint) => complaints.push(located(complaint)),
                        }
                    }
                }
            },
        }
        (Self(variables), complaints)
    }

    fn variable(name: &str, value: &Value<'_>) -> Result<BTreeMap<String, String>, Complaint> {
        let Some(text) = value.get_ref().as_str() else {
            return Err(mistyped::<String>(value).hint("put it between quotation marks"));
        };
        // The same rules as for what a request adds; they are asked for one at a time, so that each is reported.
        let one = BTreeMap::from([(name.to_owned(), text.to_owned())]);
        match Start::check_environment(&one) {
            Ok(()) => Ok(one),
            Err(failure) => Err(Complaint {
                hint: failure.hint,
                ..Complaint::new(failure.message)
            }),
        }
    }
}

impl Setting for Environment {
    const TYPE: &'static str = "a table of texts";
    const EXAMPLE: &'static str = "{ GREETING = \"Hello\" }";

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        let (variables, complaints) = Self::parts(raw);
        if complaints.is_empty() {
            Ok(variables)
        } else {
            Err(complaints)
        }
    }

    fn salvage(raw: &Raw<'_>) -> Option<Self> {
        Some(Self::parts(raw).0)
    }

    fn show(&self) -> String {
        let pairs: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name} = {}", quoted(value)))
            .collect();
        if pairs.is_empty() {
            "{}".to_owned()
        } else {
            format!("{{ {} }}", pairs.join(", "))
        }
    }

    fn schema() -> Json {
        json!({
            "type": "object",
            "propertyNames": {"pattern": "^(?!WHARF_)[A-Za-z_][A-Za-z0-9_]*$", "maxLength": 128},
            "additionalProperties": {"type": "string", "maxLength": 4096},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_fits_whole_segments() {
        for text in ["/", "/api", "/api/auth", "/v1.2/x-y_z"] {
            assert!(PathPrefix::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "api",
            "/api/",
            "//",
            "/api//auth",
            "/a/../b",
            "/a?b",
            "/a*",
            "/%2e",
            "/a b",
            "/ä",
            "/{x}",
        ] {
            assert!(PathPrefix::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            PathPrefix::parse("api/auth/").expect_err("refused").hint.as_deref(),
            Some("write \"/api/auth\"")
        );
    }

    #[test]
    fn a_header_is_held_in_lower_case() {
        assert_eq!(
            Header::parse("X-Wharf-Instance").expect("a header").0,
            "x-wharf-instance"
        );
        for text in ["", "a b", "a:b", "ä", "a\r\nb"] {
            assert!(Header::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_of_a_url_begins_with_a_slash() {
        assert!(UrlPath::parse("/healthz?full=1").is_ok());
        assert_eq!(
            UrlPath::parse("healthz").expect_err("refused").hint.as_deref(),
            Some("write \"/healthz\"")
        );
        for text in ["", "//host/x", "/a b", "/a#b", "http://a/b"] {
            assert!(UrlPath::parse(text).is_err(), "{text}");
        }
    }
}
