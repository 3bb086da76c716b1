//! The configuration of AWS Lambda's function: a file that came with its package, or none, and the environment. It reads that one file and
//! writes nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use wharf_domain::{Code, Failure};

use crate::{Config, Machine, Overrides, read_file};

/// Names the file; one that is named has to be there.
const CONFIG: &str = "WHARF_CONFIG";
/// Where Lambda unpacks a function's package, which it says itself.
const TASK_ROOT: &str = "LAMBDA_TASK_ROOT";
const TASK_ROOT_DEFAULT: &str = "/var/task";
const FILE: &str = "wharf.toml";

impl Config {
    /// What Lambda's function runs with: the file that `WHARF_CONFIG` names (a relative path counts from the package), or `wharf.toml` of the
    /// package where there is one, and the environment.
    ///
    /// # Errors
    /// Everything that is wrong, as one failure; `config.invalid` where the named file is not there.
    pub fn on_lambda(environment: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let given = |name: &str| environment.get(name).filter(|text| !text.is_empty());
        let root = given(TASK_ROOT).map_or(TASK_ROOT_DEFAULT, String::as_str);
        let named = given(CONFIG).map(|path| Path::new(root).join(path));
        let path: PathBuf = named.clone().unwrap_or_else(|| Path::new(root).join(FILE));
        let text = read_file(&path)?;
        if text.is_none() && named.is_some() {
            return Err(
                Failure::new(Code::ConfigInvalid, format!("there is no file {}", path.display()))
                    .hint("put it into the function's package, or unset WHARF_CONFIG"),
            );
        }
        let file = text.as_deref().map(|text| (path.as_path(), text));
        Self::load(file, environment, &Overrides::default(), Machine::lambda()).map_err(Failure::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(environment: &[(&str, &str)]) -> Result<Config, Failure> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::on_lambda(&environment.iter().map(own).collect())
    }

    #[test]
    fn the_file_of_the_package_is_read_where_there_is_one() {
        let package = tempfile::tempdir().expect("a folder");
        let root = package.path().to_str().expect("UTF-8");
        let capacity =
            |environment: &[(&str, &str)]| load(environment).map(|config| config.platform.capacity_wait.as_secs());
        assert_eq!(capacity(&[(TASK_ROOT, root)]), Ok(900), "none is needed");
        std::fs::write(package.path().join(FILE), "platform.capacity_wait = \"1m\"").expect("written");
        std::fs::write(package.path().join("other.toml"), "platform.capacity_wait = \"2m\"").expect("written");
        assert_eq!(capacity(&[(TASK_ROOT, root)]), Ok(60));
        assert_eq!(capacity(&[(TASK_ROOT, root), (CONFIG, "")]), Ok(60));
        assert_eq!(capacity(&[(TASK_ROOT, root), (CONFIG, "other.toml")]), Ok(120));
        let missing = load(&[(TASK_ROOT, root), (CONFIG, "missing.toml")]).expect_err("named, and not there");
        assert_eq!(missing.code, Code::ConfigInvalid);
        assert!(missing.message.contains("missing.toml"), "{missing}");
    }
}
