//! The administrator's address of the server: a URL as libpq takes it, with TLS as `sslmode` and `sslrootcert` in it mean it.
//!
//! The URL holds a password: no part of it but host and port is ever shown.

use secrecy::{ExposeSecret, SecretString};
use std::{path::PathBuf, time::Duration};
use tokio_postgres::config::{Host, SslMode};
use wharf_domain::{Code, Failure};

use crate::tls::Trust;

const SCHEMES: [&str; 2] = ["postgresql", "postgres"];
const PORT: u16 = 5432;
/// For each address of the host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// After so long without an answer to what was sent the connection counts as dead.
const SILENCE: Duration = Duration::from_secs(15);

/// Where the server is, and as whom Wharf comes to it.
#[derive(Clone)]
pub struct AdminAddress {
    pub(crate) config: tokio_postgres::Config,
    /// What the server's certificate has to be; `None`: TLS is not used.
    pub(crate) trust: Option<Trust>,
    /// `sslrootcert`.
    pub(crate) authorities: Option<PathBuf>,
}

impl std::fmt::Debug for AdminAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AdminAddress").field(&self.place()).finish()
    }
}

fn invalid(why: &str) -> Failure {
    Failure::new(
        Code::ConfigInvalid,
        format!("the database server's URL cannot be used: {why}"),
    )
    .hint(
        "it has the form postgresql://user:password@host:5432/postgres?sslmode=verify-full&sslrootcert=/path/ca.pem; \
         characters such as @ and / in the password are percent-encoded",
    )
}

impl AdminAddress {
    /// Reads a URL. A failure does not repeat it.
    pub fn parse(url: &SecretString) -> Result<Self, Failure> {
        let url = url.expose_secret();
        let (scheme, _) = url.split_once("://").ok_or_else(|| invalid("it has no scheme"))?;
        if !SCHEMES.contains(&scheme) {
            return Err(invalid("its scheme is not postgresql"));
        }
        let (head, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut authorities, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => authorities = Some(value).filter(|value| *value != "system"),
                _ => rest.push(pair),
            }
        }
        let plain = if rest.is_empty() {
            head.to_owned()
        } else {
            format!("{head}?{}", rest.join("&"))
        };
        let mut config: tokio_postgres::Config = plain
            .parse()
            .map_err(|_| invalid("a part of it is not of the form that it should be"))?;
        let authorities = authorities.map(decoded).transpose()?;
        let (ssl_mode, trust) = match mode.unwrap_or("prefer") {
            "disable" => (SslMode::Disable, None),
            "allow" | "prefer" => (SslMode::Prefer, Some(Trust::Any)),
            // As libpq has it: with a file of authorities it looks at them.
            "require" if authorities.is_some() => (SslMode::Require, Some(Trust::Authority)),
            "require" => (SslMode::Require, Some(Trust::Any)),
            "verify-ca" => (SslMode::Require, Some(Trust::Authority)),
            "verify-full" => (SslMode::Require, Some(Trust::Host)),
            _ => {
                return Err(invalid(
                    "its sslmode is none of disable, prefer, require, verify-ca and verify-full",
                ));
            }
        };
        config.ssl_mode(ssl_mode);
        if config.get_hosts().is_empty() {
            return Err(invalid("it names no host"));
        }
        if config.get_user().is_none() {
            return Err(invalid("it names no user"));
        }
        if config.get_dbname().is_none() {
            config.dbname("postgres");
        }
        Ok(Self {
            config,
            trust,
            authorities,
        }
        .bounded())
    }

    /// A server that is reached by a socket in a folder, whose owner the server knows by the system.
    pub(crate) fn local(folder: &std::path::Path, port: u16, user: &str) -> Self {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(folder)
            .port(port)
            .user(user)
            .dbname("postgres")
            .ssl_mode(SslMode::Disable);
        Self {
            config,
            trust: None,
            authorities: None,
        }
        .bounded()
    }

    fn bounded(mut self) -> Self {
        if self.config.get_connect_timeout().is_none() {
            self.config.connect_timeout(CONNECT_TIMEOUT);
        }
        self.config
            .application_name("wharf")
            .keepalives_idle(SILENCE)
            .tcp_user_timeout(SILENCE);
        self
    }

    /// Host and port, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => format!("{host}:{}", self.port()),
            Some(Host::Unix(folder)) => format!("{}/.s.PGSQL.{}", folder.display(), self.port()),
            None => "nowhere".to_owned(),
        }
    }

    /// The host, where it is one that others may use too.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => Some(host),
            _ => None,
        }
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(PORT)
    }

    /// What PostgreSQL's own programs are told it by: variables, because arguments can be read by everybody on the machine.
    pub(crate) fn variables(&self, database: &str) -> Result<Vec<(&'static str, String)>, Failure> {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => return Err(invalid("it names no host")),
        };
        let mut variables = vec![
            ("PGHOST", host),
            ("PGPORT", self.port().to_string()),
            ("PGUSER", self.config.get_user().unwrap_or_default().to_owned()),
            ("PGDATABASE", database.to_owned()),
            ("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.as_secs().to_string()),
            (
                "PGSSLMODE",
                match (self.trust, self.config.get_ssl_mode()) {
                    (None, _) => "disable",
                    (Some(Trust::Any), SslMode::Prefer) => "prefer",
                    (Some(Trust::Any), _) => "require",
                    (Some(Trust::Authority), _) => "verify-ca",
                    (Some(Trust::Host), _) => "verify-full",
                }
                .to_owned(),
            ),
        ];
        match &self.authorities {
            Some(path) => variables.push(("PGSSLROOTCERT", path.display().to_string())),
            None if matches!(self.trust, Some(Trust::Authority | Trust::Host)) => {
                variables.push(("PGSSLROOTCERT", "system".to_owned()));
            }
            None => {}
        }
        if let Some(password) = self.config.get_password() {
            let password = String::from_utf8(password.to_vec()).map_err(|_| invalid("its password is not UTF-8"))?;
            variables.push(("PGPASSWORD", password));
        }
        Ok(variables)
    }
}

/// `%2F` becomes a slash.
fn decoded(text: &str) -> Result<PathBuf, Failure> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if let (b'%', Some(high), Some(low)) = (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            plain.push((high * 16 + low) as u8);
            at += 3;
        } else {
            plain.push(byte);
            at += 1;
        }
    }
    String::from_utf8(plain)
        .map(PathBuf::from)
        .map_err(|_| invalid("its sslrootcert is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<AdminAddress, Failure> {
        AdminAddress::parse(&SecretString::from(url))
    }

    #[test]
    fn tls_is_as_sslmode_says() {
        let trust = |query: &str| {
            let address = parse(&format!("postgresql://admin:secret@db/{query}")).unwrap();
            (address.trust, address.config.get_ssl_mode())
        };
        assert_eq!(trust(""), (Some(Trust::Any), SslMode::Prefer));
        assert_eq!(trust("?sslmode=disable"), (None, SslMode::Disable));
        assert_eq!(trust("?sslmode=require"), (Some(Trust::Any), SslMode::Require));
        assert_eq!(
            trust("?sslmode=require&sslrootcert=/ca.pem"),
            (Some(Trust::Authority), SslMode::Require)
        );
        assert_eq!(
            trust("?application_name=x&sslmode=verify-full"),
            (Some(Trust::Host), SslMode::Require)
        );
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_its_password() {
        for url in [
            "",
            "db",
            "mysql://admin:hunter2@db/x",
            "postgresql://admin:hunter2@db/x?sslmode=maybe",
            "postgresql://admin:hunter2@db/x?nonsense=hunter2",
            "postgresql://admin:hunter2@db:port/x",
        ] {
            let failure = parse(url).expect_err(url);
            assert_eq!(failure.code, Code::ConfigInvalid);
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
        let address = parse("postgres://admin:hunter2@db.example:6000").unwrap();
        assert_eq!(format!("{address:?}"), "AdminAddress(\"db.example:6000\")");
        assert_eq!(address.config.get_dbname(), Some("postgres"));
    }

    #[test]
    fn programs_are_told_by_variables() {
        let address =
            parse("postgresql://admin:p%40ss@db:6000/main?sslmode=verify-full&sslrootcert=%2Fca.pem").unwrap();
        let variables = address.variables("user_acme").unwrap();
        for expected in [
            ("PGHOST", "db"),
            ("PGPORT", "6000"),
            ("PGDATABASE", "user_acme"),
            ("PGPASSWORD", "p@ss"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
        ] {
            assert!(
                variables
                    .iter()
                    .any(|(name, value)| (*name, value.as_str()) == expected),
                "{expected:?}"
            );
        }
    }
}
