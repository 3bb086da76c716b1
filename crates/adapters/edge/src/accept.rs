//! Whether a caller would rather read a page or a problem document (RFC 9457). Pure.

use http::HeaderValue;

/// Whether JSON is wanted more than a page. Who says nothing, or takes anything, gets the page.
pub(crate) fn prefers_json(accept: Option<&HeaderValue>) -> bool {
    let Some(accept) = accept.and_then(|accept| accept.to_str().ok()) else {
        return false;
    };
    let mut json = 0;
    let mut page = 0;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(quality).unwrap_or(1000);
        match kind.as_str() {
            "application/json" | "application/problem+json" | "text/json" => json = json.max(quality),
            "text/html" | "application/xhtml+xml" | "text/*" => page = page.max(quality),
            _ => {}
        }
    }
    json > page
}

/// `q=0.5` in thousandths.
fn quality(parameter: &str) -> Option<u32> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let value: f32 = value.parse().ok()?;
    Some((value.clamp(0.0, 1.0) * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_for_json_gets_it() {
        for (accept, json) in [
            ("application/json", true),
            ("application/problem+json, */*", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("application/json, text/html", false),
            ("application/json, text/html;q=0.9", true),
            ("application/json;q=0.5, text/html;q=0.9", false),
            ("*/*", false),
            ("", false),
            ("application/json;q=nonsense", true),
            ("application/json;q=0", false),
        ] {
            let value = HeaderValue::from_static(accept);
            assert_eq!(prefers_json(Some(&value)), json, "{accept}");
        }
        assert!(!prefers_json(None));
    }
}
