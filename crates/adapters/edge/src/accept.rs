//! What a caller would rather have: a page or a problem document (RFC 9457), and a page that waits or an answer that took its time. Pure.

use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, HeaderName},
};

/// What a browser wants an answer for: `navigate` is a visit to an address, and everything else is asked for by a page.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whether JSON is wanted more than a page. Who says nothing, or takes anything, gets the page.
pub(crate) fn prefers_json(accept: Option<&HeaderValue>) -> bool {
    let wanted = Wanted::read(accept);
    wanted.json > wanted.page
}

/// Whether a person sees the answer in a browser, which shows a page and asks again by itself. A form that is sent off is none: the page would
/// forget what is in it. Nor is what a page asks for with a script, whatever it takes.
pub(crate) fn is_visit(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    if let Some(mode) = headers.get(SEC_FETCH_MODE) {
        return mode == "navigate";
    }
    let wanted = Wanted::read(headers.get(ACCEPT));
    wanted.page > 0 && wanted.page >= wanted.json
}

/// What is named, in thousandths; what is not is 0.
#[derive(Default)]
struct Wanted {
    json: u32,
    page: u32,
}

impl Wanted {
    fn read(accept: Option<&HeaderValue>) -> Self {
        let mut wanted = Self::default();
        let Some(accept) = accept.and_then(|accept| accept.to_str().ok()) else {
            return wanted;
        };
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(quality).unwrap_or(1000);
            match kind.as_str() {
                "application/json" | "application/problem+json" | "text/json" => {
                    wanted.json = wanted.json.max(quality);
                }
                "text/html" | "application/xhtml+xml" | "text/*" => wanted.page = wanted.page.max(quality),
                _ => {}
            }
        }
        wanted
    }
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

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    #[test]
    fn only_who_asks_for_json_gets_it() {
        for (accept, json) in [
            ("application/json", true),
            ("application/problem+json, */*", true),
            (BROWSER, false),
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

    #[test]
    fn a_visit_is_what_a_browser_shows_to_a_person() {
        for (method, mode, accept, visit) in [
            (Method::GET, None, BROWSER, true),
            (Method::HEAD, None, BROWSER, true),
            (Method::GET, Some("navigate"), BROWSER, true),
            (Method::GET, Some("navigate"), "*/*", true),
            (Method::GET, Some("cors"), "text/html, application/xhtml+xml", false),
            (Method::GET, Some("no-cors"), "image/avif,image/webp,*/*;q=0.8", false),
            (Method::GET, Some("websocket"), "", false),
            (Method::POST, Some("navigate"), BROWSER, false),
            (Method::POST, None, BROWSER, false),
            (Method::GET, None, "text/html;q=0.9, application/json", false),
            (Method::GET, None, "text/html;q=0", false),
            (Method::GET, None, "*/*", false),
            (Method::GET, None, "application/json", false),
            (Method::GET, None, "", false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(mode) = mode {
                headers.insert(SEC_FETCH_MODE, HeaderValue::from_static(mode));
            }
            if !accept.is_empty() {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(is_visit(&method, &headers), visit, "{method} {mode:?} {accept}");
        }
    }
}
