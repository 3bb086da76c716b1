//! What the pages load, from the binary: script, style, icon. The hash of the content stands in the name, so that browsers keep
//! a file for ever and never an old one.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use wharf_domain::Code;

use crate::{
    operation::{Access, Operation, Tag},
    problem::{Answer, Problem},
    request::Word,
};

/// A file that pages load.
pub(super) struct Asset {
    /// `/assets/app.0f1e2d3c4b5a6978.js`.
    pub(super) path: String,
    media: &'static str,
    content: &'static str,
}

impl Asset {
    fn new(stem: &str, ending: &str, media: &'static str, content: &'static str) -> Self {
        let hash = HEXLOWER.encode(&Sha256::digest(content)[..8]);
        Self {
            path: format!("/assets/{stem}.{hash}.{ending}"),
            media,
            content,
        }
    }
}

pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "app",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("../assets/app.js"),
    )
});
pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "app",
        "css",
        "text/css; charset=utf-8",
        include_str!("../assets/app.css"),
    )
});
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")));

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/assets/{file}", "asset", Tag::Pages, Access::Anyone, file)
            .says(
                "A file of the pages",
                "Kept by browsers for ever: another content has another name.",
            )
            .sends(200, "text/javascript; charset=utf-8", "The file")
            .sends(200, "text/css; charset=utf-8", "The file")
            .sends(200, "image/svg+xml", "The file")
            .fails(&[Code::RequestNotFound]),
    ]
}

async fn file(Word(name): Word) -> Answer<Response> {
    let known = [&SCRIPT, &STYLE, &ICON];
    let asset = known
        .into_iter()
        .find(|asset| asset.path.strip_prefix("/assets/") == Some(name.as_str()))
        .ok_or_else(|| Problem::new(Code::RequestNotFound, "there is no such file", "reload the page"))?;
    let headers = [
        (header::CONTENT_TYPE, asset.media),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok((headers, asset.content).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small() {
        assert!(SCRIPT.content.len() < 10 * 1024, "{} bytes", SCRIPT.content.len());
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in [&SCRIPT, &STYLE] {
            for foreign in ["http://", "https://", "//cdn", "@import"] {
                assert!(!asset.content.contains(foreign), "{}: {foreign}", asset.path);
            }
        }
    }
}
