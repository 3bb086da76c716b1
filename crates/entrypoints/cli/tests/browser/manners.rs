//! What every page keeps to: it asks nobody else, has nothing to complain about, and fits the window.

use crate::{
    chromium::{Page, Screen},
    harness::Deployment,
};

impl Page {
    /// Everything so far was as it has to be, these error pages aside.
    #[track_caller]
    pub(crate) fn behaved_but_for(&self, deployment: &Deployment, expected: &[u16]) {
        assert_eq!(self.complaints(), Vec::<String>::new());
        let refused = self.refused();
        let strange: Vec<_> = refused
            .iter()
            .filter(|(status, _)| !expected.contains(status))
            .collect();
        assert!(strange.is_empty(), "{strange:?}");
        let port = deployment.listen().port();
        for address in self.asked() {
            assert!(is_ours(&address, port), "the page asks somebody else: {address}");
        }
    }

    #[track_caller]
    pub(crate) fn behaved(&self, deployment: &Deployment) {
        self.behaved_but_for(deployment, &[]);
    }

    /// Nothing sticks out at the side.
    pub(crate) async fn fits(&self, screen: Screen) {
        let width = self.run("document.documentElement.scrollWidth").await;
        assert!(
            width.as_u64() <= Some(u64::from(screen.width)),
            "{width} pixels on a {} of {}\n{}",
            screen.name,
            screen.width,
            self.shown().await
        );
    }
}

/// `data:` and `about:` are nobody.
fn is_ours(address: &str, port: u16) -> bool {
    if address.starts_with("data:") || address.starts_with("about:") {
        return true;
    }
    let Some(rest) = address.strip_prefix("http://") else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    host.strip_suffix(&format!(":{port}"))
        .is_some_and(|name| name == "localhost" || name.ends_with(".localhost"))
}
