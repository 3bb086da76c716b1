//! What is in a deployment's folder of mails.

use std::fs;

use super::deployment::Deployment;
use wharf_harness::wait::eventually;

impl Deployment {
    /// The mail to somebody, as it is written, when it is there.
    pub(crate) async fn mail(&self, to: &str) -> String {
        eventually("the mail", async || {
            let mails = fs::read_dir(self.data().join("mail")).ok()?;
            mails
                .filter_map(|entry| {
                    let path = entry.ok()?.path();
                    (path.extension()? == "eml").then(|| fs::read_to_string(path).ok())?
                })
                .find(|mail| mail.contains(to))
        })
        .await
    }
}

/// What the mail says, without what a transport adds: lines that were broken, signs that were written out.
pub(crate) fn plain(mail: &str) -> String {
    mail.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=")
}

/// The link to the first password.
pub(crate) fn password_link(mail: &str) -> String {
    plain(mail)
        .split_whitespace()
        .find(|word| word.contains("/password/"))
        .expect("a link to the password")
        .trim_matches(|c: char| !c.is_ascii_graphic())
        .to_owned()
}
