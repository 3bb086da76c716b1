//! Credentials of registries, from a file in the form of Docker's own (`~/.docker/config.json`), which `docker login` writes. It is read at each
//! pull, so that what is renewed counts at once.
//!
//! What must not be here: the credentials in a failure.

use bollard::auth::DockerCredentials;
use data_encoding::BASE64;
use serde::Deserialize;
use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};
use wharf_domain::{Code, Failure};

/// Where images are from that name no registry, as Docker's file has it.
const HUB: &str = "index.docker.io";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    /// `user:password` in base 64.
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: Option<String>,
}

/// Those of the repository's registry. A file that is not there has none.
pub(crate) fn find(file: Option<&Path>, repository: &str) -> Result<Option<DockerCredentials>, Failure> {
    let Some(path) = file else { return Ok(None) };
    let unreadable = |why: &str| {
        Failure::new(
            Code::ConfigInvalid,
            format!("the file of credentials {} cannot be read: {why}", path.display()),
        )
        .hint("it has the form of Docker's config.json: {\"auths\": {\"registry.example.com\": {\"auth\": \"…\"}}}")
    };
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| unreadable(&error.to_string()))?,
    };
    // Words of the parser could show what is in the file.
    let file: File = serde_json::from_str(&text).map_err(|error| unreadable(&format!("line {}", error.line())))?;
    let registry = registry(repository);
    let Some((server, entry)) = file.auths.into_iter().find(|(server, _)| host(server) == registry) else {
        return Ok(None);
    };
    let decoded = BASE64
        .decode(entry.auth.trim().as_bytes())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    // Docker's file may hold an empty entry where a credential store has the rest.
    let named = decoded.split_once(':').filter(|(user, _)| !user.is_empty());
    if named.is_none() && entry.identitytoken.is_none() {
        return Ok(None);
    }
    Ok(Some(DockerCredentials {
        username: named.map(|(user, _)| user.to_owned()),
        password: named.map(|(_, password)| password.trim_end_matches('\0').to_owned()),
        serveraddress: Some(server),
        identitytoken: entry.identitytoken,
        ..DockerCredentials::default()
    }))
}

/// The registry of a repository's name: its first part, where that looks like a host.
fn registry(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => match first {
            "docker.io" => HUB,
            other => other,
        },
        _ => HUB,
    }
}

/// The host in a key of the file, which may be a URL.
fn host(server: &str) -> &str {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_images_registry() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        let auth = |text: &str| BASE64.encode(text.as_bytes());
        let text = serde_json::json!({"auths": {
            "https://index.docker.io/v1/": {"auth": auth("hub:one:two")},
            "registry.example.com:5000": {"auth": auth("team:secret")},
            "stored.example.com": {},
        }});
        fs::write(&path, text.to_string()).expect("written");
        let of = |repository: &str| {
            let found = find(Some(&path), repository).expect("readable")?;
            Some((found.username?, found.password?))
        };
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of("shop"), pair("hub", "one:two"));
        assert_eq!(of("docker.io/library/shop"), pair("hub", "one:two"));
        assert_eq!(of("registry.example.com:5000/team/shop"), pair("team", "secret"));
        assert_eq!(of("stored.example.com/shop"), None);
        assert_eq!(of("other.example.com/shop"), None);
        assert!(find(Some(&folder.path().join("none")), "shop").expect("none").is_none());
    }

    #[test]
    fn a_broken_file_is_told_without_what_is_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        fs::write(&path, "{\"auths\": {\"a\": {\"auth\": hunter2}}}").expect("written");
        let failure = find(Some(&path), "shop").expect_err("broken");
        assert_eq!(failure.code, Code::ConfigInvalid);
        assert!(!failure.message.contains("hunter2"), "{failure}");
    }
}
