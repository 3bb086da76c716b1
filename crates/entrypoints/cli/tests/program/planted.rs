//! Secrets as they are looked for: what each is, the forms in which it could have come out, and where it may be.
//!
//! What must not be here: a run that could let one out, which is `whole_run`.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use std::collections::BTreeSet;

/// A secret, and the only places where it may be found.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) name: &'static str,
    forms: Vec<(&'static str, Vec<u8>)>,
    /// Beginnings of places' names.
    may_be_in: Vec<String>,
}

impl Secret {
    pub(crate) fn new(name: &'static str, value: &[u8], may_be_in: &[&str]) -> Self {
        assert!(value.len() >= 16, "{name} is too short to be looked for");
        Self {
            name,
            forms: forms(value),
            may_be_in: may_be_in.iter().map(|&place| place.to_owned()).collect(),
        }
    }

    /// The form in which it stands in these bytes.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        self.forms
            .iter()
            .find(|(_, form)| holds(bytes, form))
            .map(|(name, _)| *name)
    }

    fn may_be_in(&self, place: &str) -> bool {
        self.may_be_in.iter().any(|allowed| place.starts_with(allowed.as_str()))
    }
}

/// All places that were looked at, and what was found there.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    secrets: &'a [Secret],
    places: BTreeSet<String>,
    /// Which secret was seen where it may be: a search that finds nothing anywhere has looked for the wrong things.
    pub(crate) seen: BTreeSet<&'static str>,
    leaks: Vec<String>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(secrets: &'a [Secret]) -> Self {
        Self {
            secrets,
            places: BTreeSet::new(),
            seen: BTreeSet::new(),
            leaks: Vec::new(),
        }
    }

    pub(crate) fn look(&mut self, place: &str, bytes: &[u8]) {
        self.places.insert(place.to_owned());
        for secret in self.secrets {
            match secret.found_in(bytes) {
                Some(_) if secret.may_be_in(place) => _ = self.seen.insert(secret.name),
                Some(form) => self.leaks.push(format!("{} ({form}) is in {place}", secret.name)),
                None => {}
            }
        }
    }

    /// Nothing was found where it may not be, in so many places at least; gives the number of places.
    pub(crate) fn must_be_clean(self, at_least: usize) -> usize {
        assert!(self.leaks.is_empty(), "{:#?}", self.leaks);
        assert!(self.places.len() >= at_least, "only {:#?} were looked at", self.places);
        self.places.len()
    }
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((&first, rest)) = needle.split_first() else {
        return false;
    };
    let mut at = 0;
    while let Some(found) = haystack[at..].iter().position(|byte| *byte == first) {
        at += found + 1;
        if haystack[at..].starts_with(rest) {
            return true;
        }
    }
    false
}

fn percent(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"))
}

/// A secret as it is, and as programs write bytes.
fn forms(value: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms: Vec<(&'static str, Vec<u8>)> = vec![
        ("as it is", value.to_vec()),
        ("in hexadecimal", HEXLOWER.encode(value).into()),
        ("in hexadecimal capitals", HEXUPPER.encode(value).into()),
        ("in percent signs", percent(value).into()),
        (
            "as numbers",
            value.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into(),
        ),
        ("as an escaped text", value.escape_ascii().to_string().into()),
        ("backwards", value.iter().rev().copied().collect()),
    ];
    // In base 64 a text looks otherwise behind one byte or two: what of it does not depend on its neighbours is looked for.
    for (name, before) in [
        ("in base 64", 0),
        ("in base 64 behind a byte", 1),
        ("in base 64 behind two", 2),
    ] {
        let padded = [vec![b'x'; before], value.to_vec()].concat();
        let whole = padded.len() / 3 * 3;
        let start = if before == 0 { 0 } else { 4 };
        forms.push((name, BASE64.encode(&padded[..whole]).as_bytes()[start..].to_vec()));
        forms.push((
            name,
            BASE64URL_NOPAD.encode(&padded[..whole]).as_bytes()[start..].to_vec(),
        ));
    }
    forms.retain(|(_, form)| form.len() >= 12);
    forms.dedup_by(|one, other| one.1 == other.1);
    forms
}

#[test]
fn a_secret_is_found_in_every_form_and_wherever_it_stands() {
    let value = b"wharf_0123456789abcdef/+&=";
    let secret = Secret::new("it", value, &["here"]);
    let long = [b"before ".as_slice(), value, b" behind"].concat();
    for (form, text) in [
        ("as it is", long.clone()),
        ("in hexadecimal", HEXLOWER.encode(&long).into_bytes()),
        ("in hexadecimal capitals", HEXUPPER.encode(&long).into_bytes()),
        ("in percent signs", percent(&long).into_bytes()),
        ("as numbers", format!("{long:?}").into_bytes()),
        ("backwards", long.iter().rev().copied().collect()),
    ] {
        assert_eq!(secret.found_in(&text), Some(form));
    }
    for before in 0..7 {
        let text = [vec![b'y'; before], value.to_vec(), vec![b'z'; 5]].concat();
        for encoded in [BASE64.encode(&text), BASE64URL_NOPAD.encode(&text)] {
            assert!(
                secret.found_in(encoded.as_bytes()).is_some(),
                "behind {before}: {encoded}"
            );
        }
    }
    assert_eq!(secret.found_in(b"wharf_0123456789abcdef"), None);
    let key = [7, 0, 255, 10, 92, 34, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200];
    let escaped = format!("{}", key.escape_ascii());
    assert_eq!(
        Secret::new("key", &key, &[]).found_in(escaped.as_bytes()),
        Some("as an escaped text")
    );
}

#[test]
fn a_search_tells_a_leak_from_a_secret_in_its_place() {
    let secrets = [Secret::new("it", b"0123456789abcdef", &["file a"])];
    let mut search = Search::new(&secrets);
    search.look("file a", b"0123456789abcdef");
    assert_eq!((search.seen.len(), search.leaks.len()), (1, 0));
    search.look("file b", b"{\"token\": \"0123456789abcdef\"}");
    assert_eq!(search.leaks, ["it (as it is) is in file b"]);
}
