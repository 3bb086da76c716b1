//! Pictures of the pages, for whoever wants to look at them: a folder of them, and the one of the README.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::chromium::{DESK, PHONE, Page};

/// Looks at the page as it is with each screen in each colour, at the least; takes pictures where that is wanted.
pub(crate) async fn look(page: &Page, name: &str) {
    let folder = asked_for("WHARF_PICTURES");
    for screen in [PHONE.wide(320), PHONE, DESK] {
        page.on(screen).await;
        page.fits(screen).await;
        let Some(folder) = folder.as_ref().filter(|_| screen.width != 320) else {
            continue;
        };
        for scheme in ["light", "dark"] {
            page.in_colours(scheme).await;
            save(
                &folder.join(format!("{name}-{}-{scheme}.png", screen.name)),
                &page.picture().await,
            );
        }
    }
}

/// The README's picture.
pub(crate) async fn of_the_readme(page: &Page) {
    if let Some(path) = asked_for("WHARF_PICTURE") {
        page.on(DESK.wide(1000).high(760)).await;
        page.in_colours("light").await;
        save(&path, &page.picture().await);
    }
}

/// A path in a variable; relative ones count from the workspace, not from this crate, where tests run.
fn asked_for(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).filter(|path| !path.is_empty())?;
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path))
}

fn save(path: &Path, picture: &[u8]) {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).expect("a folder");
    }
    fs::write(path, picture).expect("a file");
}
