//! Wharf's own credentials, which no tenant and no service may ever see: the admin token and the console's cookies are taken
//! out of what is passed on, and no tenant sets a cookie of the console's name.

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE, SET_COOKIE},
};

/// What the admin token begins with.
const TOKEN_PREFIX: &str = "wharf_";
/// What the names of the console's cookies begin with, without and with TLS.
const COOKIE_PREFIXES: [&str; 2] = ["wharf_", "__host-wharf"];

pub(crate) fn strip(headers: &mut HeaderMap, has_authorization: bool, has_cookie: bool) {
    if has_authorization && headers.get_all(AUTHORIZATION).iter().any(is_own_token) {
        headers.remove(AUTHORIZATION);
    }
    if has_cookie && headers.get_all(COOKIE).iter().any(may_hold_own) {
        strip_cookies(headers);
    }
}

fn is_own_token(value: &HeaderValue) -> bool {
    let value = value.as_bytes().trim_ascii();
    let Some((scheme, token)) = value.split_at_checked(b"bearer".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"bearer") && token.trim_ascii_start().starts_with(TOKEN_PREFIX.as_bytes())
}

fn may_hold_own(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .windows(b"wharf".len())
        .any(|window| window.eq_ignore_ascii_case(b"wharf"))
}

fn strip_cookies(headers: &mut HeaderMap) {
    let kept: Vec<Vec<u8>> = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty() && !is_own_cookie(pair))
        .map(<[u8]>::to_vec)
        .collect();
    headers.remove(COOKIE);
    if kept.is_empty() {
        return;
    }
    // Parts of valid values, joined by a valid separator, are one again.
    if let Ok(value) = HeaderValue::from_bytes(&kept.join(b"; ".as_slice())) {
        headers.insert(COOKIE, value);
    }
}

/// A cookie for a whole domain reaches every host below it: one of the console's name would push the console's own aside.
pub(crate) fn strip_answer(headers: &mut HeaderMap) {
    // A cookie without a name comes back as its value alone.
    let is_own = |value: &HeaderValue| {
        let nameless = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
        let begin = value.as_bytes().iter().take_while(|byte| nameless(byte)).count();
        is_own_cookie(&value.as_bytes()[begin..])
    };
    if !headers.get_all(SET_COOKIE).iter().any(is_own) {
        return;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|value| !is_own(value))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

fn is_own_cookie(pair: &[u8]) -> bool {
    COOKIE_PREFIXES.iter().any(|prefix| {
        pair.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(name: http::HeaderName, values: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        strip(&mut headers, true, true);
        headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_admin_token_is_taken_out_and_a_tenants_own_stays() {
        for own in ["Bearer wharf_abc", "bearer  wharf_abc", "BEARER\twharf_abc"] {
            assert!(stripped(AUTHORIZATION, &[own]).is_empty(), "{own}");
        }
        for theirs in ["Bearer abc", "Basic d2hhcmY6", "Bearer", "wharf_abc", ""] {
            assert_eq!(stripped(AUTHORIZATION, &[theirs]), [theirs]);
        }
    }

    #[test]
    fn a_tenant_sets_its_own_cookies_and_not_the_consoles() {
        let mut headers = HeaderMap::new();
        for value in [
            "cart=1; Path=/",
            "wharf_session=x; Domain=localhost",
            "WHARF_session=y",
            " __Host-wharf_session=z; Secure; Path=/",
            "=wharf_session=x; Domain=localhost",
            "last=wharf_2",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(value));
        }
        strip_answer(&mut headers);
        let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(kept, ["cart=1; Path=/", "last=wharf_2"]);
    }

    #[test]
    fn the_consoles_cookies_are_taken_out_one_by_one() {
        assert_eq!(
            stripped(
                COOKIE,
                &["a=1; wharf_session=x; b=wharf_2", "__Host-wharf_session=y; c=3"]
            ),
            ["a=1; b=wharf_2; c=3"]
        );
        assert!(stripped(COOKIE, &["WHARF_SESSION=x"]).is_empty());
        assert_eq!(stripped(COOKIE, &["a=1;b=2", "c=3"]), ["a=1;b=2", "c=3"]);
    }
}
