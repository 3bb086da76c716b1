//! Placeholders: `{port}` and the like, in commands and environment values. What is not a known placeholder stays as it is.

/// Replaces each `{name}` by its value. Values are not looked into again, so that a company called `{port}` stays one.
#[must_use]
pub fn fill(text: &str, values: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let tail = &rest[open..];
        let known = values.iter().find_map(|(name, value)| {
            let after = tail[1..].strip_prefix(name)?.strip_prefix('}')?;
            Some((value, after))
        });
        if let Some((value, after)) = known {
            out.push_str(value);
            rest = after;
        } else {
            out.push('{');
            rest = &tail[1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_filled_in_once() {
        let values = [("port", "80".to_owned()), ("company_name", "{port} & {x".to_owned())];
        assert_eq!(fill("--port={port}", &values), "--port=80");
        assert_eq!(fill("{company_name}", &values), "{port} & {x");
        assert_eq!(fill("{unknown} {", &values), "{unknown} {");
        assert_eq!(fill("{{port}}", &values), "{80}");
    }
}
