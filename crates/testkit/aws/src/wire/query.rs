//! The parameters of the Query protocol (ELBv2, STS, IAM) and of EC2's: form fields whose names carry the structure.

use crate::refusal::Refusal;
use std::collections::BTreeMap;

/// The fields under one prefix, the prefix taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    fields: BTreeMap<String, String>,
}

impl Query {
    pub(crate) fn parse(form: &str) -> Self {
        let fields = form
            .split('&')
            .filter(|field| !field.is_empty())
            .map(|field| {
                let (name, value) = field.split_once('=').unwrap_or((field, ""));
                (decode(name), decode(value))
            })
            .collect();
        Self { fields }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Refusal::validation(format!("1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null")))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.get(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| Refusal::new("MalformedInput", format!("'{value}' is no number for {name}")))
            })
            .transpose()
    }

    /// The structures of a list: `Name.member.1.…` (Query) or `Name.1.…` (EC2), in their order.
    pub(crate) fn structures(&self, name: &str) -> Vec<Self> {
        let mut members: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
        for (field, value) in &self.fields {
            let Some(rest) = field.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let rest = rest.strip_prefix("member.").unwrap_or(rest);
            let (index, inner) = rest.split_once('.').unwrap_or((rest, ""));
            if let Ok(index) = index.parse() {
                members
                    .entry(index)
                    .or_default()
                    .insert(inner.to_owned(), value.clone());
            }
        }
        members.into_values().map(|fields| Self { fields }).collect()
    }

    /// The values of a list of plain values.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        self.structures(name)
            .into_iter()
            .filter_map(|mut member| member.fields.remove(""))
            .collect()
    }

    /// A structure within this one: `Name.…`.
    pub(crate) fn structure(&self, name: &str) -> Self {
        let fields = self
            .fields
            .iter()
            .filter_map(|(field, value)| {
                let inner = field.strip_prefix(name)?.strip_prefix('.')?;
                Some((inner.to_owned(), value.clone()))
            })
            .collect();
        Self { fields }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Undoes form encoding: `+` is a space, `%xx` a byte. What is no such pair stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_their_own_order_and_not_in_that_of_letters() {
        let query = Query::parse("Targets.member.10.Id=ten&Targets.member.2.Id=two&Targets.member.2.Port=80");
        let targets = query.structures("Targets");
        let ids: Vec<_> = targets.iter().map(|target| target.get("Id")).collect();
        assert_eq!(ids, [Some("two"), Some("ten")]);
        assert_eq!(targets[0].number("Port"), Ok(Some(80)));
    }

    #[test]
    fn ec2_lists_need_no_member() {
        let query = Query::parse("InstanceId.1=i-1&InstanceId.2=i-2&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1");
        assert_eq!(query.values("InstanceId"), ["i-1", "i-2"]);
        assert_eq!(query.structures("Filter")[0].values("Value"), ["vpc-1"]);
    }

    #[test]
    fn form_encoding_is_undone() {
        let query = Query::parse("Path=%2Fapi%2Fauth%2F*&Word=a+b&Odd=100%&Letter=%C3%A9");
        assert_eq!(query.get("Path"), Some("/api/auth/*"));
        assert_eq!(query.get("Word"), Some("a b"));
        assert_eq!(query.get("Odd"), Some("100%"));
        assert_eq!(query.get("Letter"), Some("é"));
    }
}
