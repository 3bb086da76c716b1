//! What the environment says: read once, checked once, and passed on as values. Nothing else in the shop reads the environment.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use crate::{database::Location, text};

/// A company's name or a greeting longer than this is not shown whole by any page.
const SHOWN_MAX: usize = 200;

/// A password, which `{:?}` does not show.
#[derive(Clone)]
pub(crate) struct Password(String);

impl Password {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[derive(Debug)]
pub(crate) struct Settings {
    /// `HOST`: a name or an address to listen on, and nothing but that.
    pub(crate) host: String,
    /// `PORT`; 0 takes a free one, and says which.
    pub(crate) port: u16,
    /// `DATABASE_URL`.
    pub(crate) database: Location,
    /// `APP_PASSWORD`; without it nobody can enter the admin pages.
    pub(crate) password: Option<Password>,
    /// `COMPANY_NAME`.
    pub(crate) company: String,
    /// `USER_ID`: the account that the shop was set up for, shown to its admin.
    pub(crate) user: Option<String>,
    /// `GREETING`: a line at the top of the shop.
    pub(crate) greeting: Option<String>,
    /// `WHARF_INSTANCE_ID`, given back in each answer.
    pub(crate) instance: Option<String>,
}

/// What is wrong with the environment, and what would be right. No value of a secret is repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    #[error("PORT is {0:?}, and has to be a number from 0 to 65535")]
    Port(String),
    #[error(
        "DATABASE_URL is of the scheme {scheme:?}, and this shop keeps its data in SQLite or in PostgreSQL: give sqlite:///folder/file.db or postgresql://user:password@host/database"
    )]
    Scheme { scheme: String },
    #[error("DATABASE_URL has to name a file by its absolute path, without options: sqlite:///folder/file.db")]
    DatabasePath,
    #[error(
        "DATABASE_URL has to have the form postgresql://user:password@host:5432/database, without options that need TLS"
    )]
    DatabaseServer,
    #[error("WHARF_INSTANCE_ID has a character that a response header cannot carry")]
    Instance,
}

impl Settings {
    /// Host and port alone.
    pub(crate) fn address(variable: impl Fn(&'static str) -> Option<OsString>) -> Result<(String, u16), SettingsError> {
        let port = text_of(&variable, "PORT")?.ok_or(SettingsError::Missing("PORT"))?;
        let port = port.parse().map_err(|_| SettingsError::Port(port))?;
        let host = text_of(&variable, "HOST")?.unwrap_or_else(|| "127.0.0.1".to_owned());
        Ok((host, port))
    }

    /// Reads the settings from `variable`, which is `std::env::var_os` outside tests. An empty variable counts as none.
    pub(crate) fn read(variable: impl Fn(&'static str) -> Option<OsString>) -> Result<Self, SettingsError> {
        let optional = |name| text_of(&variable, name);
        let required = |name: &'static str| optional(name)?.ok_or(SettingsError::Missing(name));
        let (host, port) = Self::address(&variable)?;
        let shown = |name: &'static str| -> Result<Option<String>, SettingsError> {
            Ok(optional(name)?.and_then(|text| shown(&text)))
        };

        Ok(Self {
            host,
            port,
            database: location(&required("DATABASE_URL")?)?,
            password: optional("APP_PASSWORD")?.map(Password),
            company: shown("COMPANY_NAME")?.unwrap_or_else(|| "Our shop".to_owned()),
            user: shown("USER_ID")?,
            greeting: shown("GREETING")?,
            instance: optional("WHARF_INSTANCE_ID")?
                .map(|id| {
                    if id.bytes().all(|byte| byte.is_ascii_graphic()) {
                        Ok(id)
                    } else {
                        Err(SettingsError::Instance)
                    }
                })
                .transpose()?,
        })
    }
}

/// An empty variable counts as none.
fn text_of(
    variable: impl Fn(&'static str) -> Option<OsString>,
    name: &'static str,
) -> Result<Option<String>, SettingsError> {
    let value = variable(name).filter(|value| !value.is_empty());
    value
        .map(|value| value.into_string().map_err(|_| SettingsError::NotUtf8(name)))
        .transpose()
}

/// A text for a page's head: what cannot be printed is left out, what is too long is cut. A shop does not stay shut for the sake of its greeting.
fn shown(text: &str) -> Option<String> {
    let text: String = text
        .trim()
        .chars()
        .filter(|c| !text::is_unprintable(*c))
        .take(SHOWN_MAX)
        .collect();
    (!text.is_empty()).then_some(text)
}

/// Where the data are: `postgresql://` and what other libraries write for it (`postgresql+asyncpg`) is a server, `sqlite://` a file.
fn location(url: &str) -> Result<Location, SettingsError> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let kind = scheme.split_once('+').map_or(scheme, |(kind, _)| kind);
    if !matches!(kind, "postgresql" | "postgres") {
        return database_file(url).map(Location::File);
    }
    let plain = format!("postgresql{}", &url[scheme.len()..]);
    let config: postgres::Config = plain.parse().map_err(|_| SettingsError::DatabaseServer)?;
    let is_whole = !config.get_hosts().is_empty() && config.get_user().is_some() && config.get_dbname().is_some();
    if !is_whole || config.get_ssl_mode() == postgres::config::SslMode::Require {
        return Err(SettingsError::DatabaseServer);
    }
    Ok(Location::Server(Box::new(config)))
}

/// The file of `sqlite:///folder/file.db`. An error never repeats the URL: those of other schemes carry passwords.
fn database_file(url: &str) -> Result<PathBuf, SettingsError> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(SettingsError::DatabasePath);
    };
    if scheme != "sqlite" {
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let scheme = if scheme.bytes().all(is_scheme) {
            scheme
        } else {
            "unknown"
        };
        return Err(SettingsError::Scheme {
            scheme: scheme.to_owned(),
        });
    }
    if rest.contains(['?', '#']) {
        return Err(SettingsError::DatabasePath);
    }
    let path = String::from_utf8(percent_decoded(rest)).map_err(|_| SettingsError::DatabasePath)?;
    let names_a_file =
        path.starts_with('/') && !path.ends_with('/') && !path.contains('\0') && Path::new(&path).file_name().is_some();
    if names_a_file {
        Ok(PathBuf::from(path))
    } else {
        Err(SettingsError::DatabasePath)
    }
}

/// `%20` becomes a blank; a `%` that starts no such triple stays what it is.
fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if let (b'%', Some(high), Some(low)) = (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            decoded.push((high * 16 + low) as u8);
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let value = |name: &str| {
            variables
                .iter()
                .rev()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        Settings::read(value)
    }

    const NEEDED: [(&str, &str); 2] = [("PORT", "8000"), ("DATABASE_URL", "sqlite:///data/shop.db")];

    fn with(name: &str, value: &str) -> Result<Settings, SettingsError> {
        read(&[NEEDED[0], NEEDED[1], (name, value)])
    }

    #[test]
    fn only_port_and_database_are_needed() {
        let settings = read(&NEEDED).unwrap();
        assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 8000));
        assert!(matches!(settings.database, Location::File(path) if path == Path::new("/data/shop.db")));
        assert_eq!(settings.company, "Our shop");
        assert!(settings.password.is_none() && settings.greeting.is_none());

        assert_eq!(read(&NEEDED[..1]).unwrap_err(), SettingsError::Missing("DATABASE_URL"));
        assert_eq!(read(&NEEDED[1..]).unwrap_err(), SettingsError::Missing("PORT"));
        assert_eq!(with("PORT", "").unwrap_err(), SettingsError::Missing("PORT"));
    }

    #[test]
    fn port_has_to_be_a_port() {
        for port in ["http", "-1", "65536", "80 ", "8000\n"] {
            assert_eq!(with("PORT", port).unwrap_err(), SettingsError::Port(port.to_owned()));
        }
    }

    #[test]
    fn another_database_is_refused_without_repeating_its_password() {
        let error = with("DATABASE_URL", "mysql+aiomysql://shop:hunter2@db/shop").unwrap_err();
        assert_eq!(
            error,
            SettingsError::Scheme {
                scheme: "mysql+aiomysql".to_owned()
            }
        );
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_server_is_read_whatever_library_its_url_was_written_for() {
        for url in [
            "postgresql://shop:hunter2@db:6000/shop",
            "postgresql+asyncpg://shop:hunter2@db:6000/shop",
        ] {
            let Location::Server(config) = with("DATABASE_URL", url).unwrap().database else {
                panic!("{url} is a server")
            };
            assert_eq!((config.get_user(), config.get_ports()), (Some("shop"), &[6000][..]));
            assert!(!format!("{config:?}").contains("hunter2"));
        }
        for url in [
            "postgresql://",
            "postgresql://db",
            "postgresql://shop:hunter2@db/shop?sslmode=require",
        ] {
            let error = with("DATABASE_URL", url).unwrap_err();
            assert_eq!(error, SettingsError::DatabaseServer, "{url}");
        }
    }

    #[test]
    fn a_database_has_to_be_a_file_with_an_absolute_path() {
        for url in [
            "shop.db",
            "/data/shop.db",
            "sqlite://shop.db",
            "sqlite:///",
            "sqlite:///data/",
            "sqlite:///a.db?mode=ro",
            "sqlite:///a%00.db",
            "sqlite:///%ff",
            "sqlite:///..",
        ] {
            assert_eq!(
                read(&[NEEDED[0], ("DATABASE_URL", url)]).unwrap_err(),
                SettingsError::DatabasePath,
                "{url:?}"
            );
        }
    }

    #[test]
    fn a_database_path_is_decoded_as_a_url_is() {
        assert_eq!(
            database_file("sqlite:///my%20data/100%/%C3%A9.db").unwrap(),
            PathBuf::from("/my data/100%/é.db")
        );
    }

    #[test]
    fn texts_are_cleaned_and_cut() {
        assert_eq!(
            with("COMPANY_NAME", " Acme\u{7} & Sons ").unwrap().company,
            "Acme & Sons"
        );
        assert_eq!(with("GREETING", " \n ").unwrap().greeting, None);
        assert_eq!(
            with("COMPANY_NAME", &"ö".repeat(10_000))
                .unwrap()
                .company
                .chars()
                .count(),
            SHOWN_MAX
        );
    }

    #[test]
    fn an_instance_id_has_to_fit_a_header() {
        assert_eq!(
            with("WHARF_INSTANCE_ID", "i-1\r\nset-cookie: x").unwrap_err(),
            SettingsError::Instance
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", with("APP_PASSWORD", "hunter2").unwrap()).contains("hunter2"));
    }
}
