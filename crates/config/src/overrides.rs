//! The options of the command line that outrank everything else.

use std::{collections::BTreeMap, path::PathBuf};
use wharf_domain::Code;

use crate::{Problem, Problems, Source};

/// What was given on the command line; the default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`: `server.listen`.
    pub listen: Option<String>,
    /// `--data-dir`: `server.data_dir`.
    pub data_dir: Option<PathBuf>,
    /// `--trust-tenants`: `server.trust_tenants`. Without it, the configuration says.
    pub trust_tenants: bool,
    /// `--platform`: `platform.kind`.
    pub platform: Option<String>,
    /// `--log-level`: `log.level`.
    pub log_level: Option<String>,
    /// `--log-format`: `log.format`.
    pub log_format: Option<String>,
}

impl Overrides {
    /// The texts of the options that were given, by their names in the table of keys; they are read as variables are.
    pub(crate) fn texts(&self) -> (BTreeMap<&'static str, String>, Problems) {
        let mut problems = Problems::default();
        let data_dir = self.data_dir.as_ref().and_then(|path| {
            let text = path.to_str().map(str::to_owned);
            if text.is_none() {
                problems.push(Problem {
                    key: "server.data_dir".into(),
                    source: Source::Flag {
                        flag: "--data-dir".into(),
                    },
                    message: "the path is no UTF-8".into(),
                    hint: Some("name another folder".into()),
                    code: Code::ConfigInvalid,
                });
            }
            text
        });
        let texts = [
            ("--listen", self.listen.clone()),
            ("--data-dir", data_dir),
            ("--trust-tenants", self.trust_tenants.then(|| "true".to_owned())),
            ("--platform", self.platform.clone()),
            ("--log-level", self.log_level.clone()),
            ("--log-format", self.log_format.clone()),
        ];
        (
            texts
                .into_iter()
                .filter_map(|(flag, text)| Some((flag, text?)))
                .collect(),
            problems,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ROOT;
    use std::collections::BTreeSet;

    #[test]
    fn every_option_sets_a_key_and_every_flag_of_a_key_is_an_option() {
        let all = Overrides {
            listen: Some("127.0.0.1:1".into()),
            data_dir: Some("x".into()),
            trust_tenants: true,
            platform: Some("ecs".into()),
            log_level: Some("info".into()),
            log_format: Some("text".into()),
        };
        let mut keys = Vec::new();
        ROOT.keys("", &mut keys);
        let flags: BTreeSet<_> = keys.iter().filter_map(|(_, key)| key.facts().flag).collect();
        assert_eq!(all.texts().0.into_keys().collect::<BTreeSet<_>>(), flags);
    }
}
