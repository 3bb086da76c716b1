//! What all pages have around what they are about.

use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};

/// How a page is laid out.
#[derive(Default)]
pub(super) struct Layout {
    /// For a table rather than a column of text.
    pub(super) is_wide: bool,
    /// Without a script, the page loads itself again now and then.
    pub(super) is_moving: bool,
}

pub(super) fn page(title: &str, layout: &Layout, main: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Wharf" }
                link rel="icon" type="image/svg+xml" href=(ICON.path);
                link rel="stylesheet" href=(STYLE.path);
                script type="module" src=(SCRIPT.path) {}
                @if layout.is_moving {
                    noscript { meta http-equiv="refresh" content="2"; }
                }
            }
            body class=[layout.is_wide.then_some("wide")] {
                header.top {
                    a.brand href="/" { img src=(ICON.path) alt="" width="28" height="28"; "Wharf" }
                }
                main id="main" tabindex="-1" { (main) }
                // Outside of what is replaced, so that what is said here is heard.
                p.unseen id="news" role="status" {}
            }
        }
    }
    .into_string()
}
