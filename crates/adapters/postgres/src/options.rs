//! What an operator chooses of tenants' databases, and the address that tenants are told.

use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::{fmt::Write as _, path::PathBuf, time::Duration};
use wharf_domain::DeploymentId;

/// What a deployment's databases are.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    pub deployment: DeploymentId,
    pub tenant: TenantAddress,
    pub settings: Settings,
}

/// What each tenant's database and role get.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections that a tenant may have open at once.
    pub connection_limit: u32,
    /// How long one of its statements may take, unless the tenant says otherwise for its session. Zero: for ever.
    pub statement_timeout: Duration,
    /// What databases are made from.
    pub template: String,
    /// What is in each database from its beginning.
    pub extensions: Vec<String>,
    /// How many databases are kept in stock.
    pub spare: usize,
    /// What becomes of a removed instance's database.
    pub keeping: Keeping,
    /// How often the stock and what was removed are looked at.
    pub survey: Duration,
}

/// What becomes of a removed database.
#[derive(Clone, Debug, Default)]
pub struct Keeping {
    /// How long it stays on the server under another name, closed. Zero: it is dropped at once.
    pub kept: Duration,
    /// Where it is dumped to before it is dropped. `None`: it is not.
    pub archive: Option<PathBuf>,
    /// The folder of `pg_dump`, where it is not found by itself.
    pub programs: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connection_limit: 20,
            statement_timeout: Duration::ZERO,
            template: "template0".to_owned(),
            extensions: Vec::new(),
            spare: 0,
            keeping: Keeping::default(),
            survey: Duration::from_mins(1),
        }
    }
}

impl Settings {
    /// What databases in stock have to have been made by: a changed template or list of extensions makes another one.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for part in std::iter::once(&self.template).chain(&self.extensions) {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        HEXLOWER.encode(&hash.finalize()[..8])
    }
}

/// The server as tenants see it, which need not be how Wharf reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantAddress {
    /// `postgresql`, or what the tenants' library calls itself: `postgresql+asyncpg`.
    pub scheme: String,
    pub host: String,
    pub port: u16,
    /// What stands behind the question mark (`sslmode=require`).
    pub query: Option<String>,
}

impl TenantAddress {
    /// `DATABASE_URL`. Role and database have the same name.
    pub(crate) fn url(&self, name: &str, password: &SecretString) -> SecretString {
        let mut url = format!("{}://", self.scheme);
        encode(&mut url, name);
        url.push(':');
        encode(&mut url, password.expose_secret());
        url.push('@');
        if self.host.contains(':') {
            let _ = write!(url, "[{}]", self.host);
        } else {
            url.push_str(&self.host);
        }
        // Writing to a String cannot fail.
        let _ = write!(url, ":{}/", self.port);
        encode(&mut url, name);
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(query);
        }
        SecretString::from(url)
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(scheme: &str, host: &str, query: Option<&str>, password: &str) -> String {
        let address = TenantAddress {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port: 5432,
            query: query.map(str::to_owned),
        };
        let url = address.url("user_acme-co", &SecretString::from(password));
        url.expose_secret().to_owned()
    }

    #[test]
    fn a_url_is_as_the_tenants_library_wants_it() {
        assert_eq!(
            url("postgresql+asyncpg", "db.example", None, "s3cret"),
            "postgresql+asyncpg://user_acme-co:s3cret@db.example:5432/user_acme-co"
        );
        assert_eq!(
            url("postgresql", "fd00::1", Some("sslmode=require"), "a@b/c d"),
            "postgresql://user_acme-co:a%40b%2Fc%20d@[fd00::1]:5432/user_acme-co?sslmode=require"
        );
    }

    #[test]
    fn what_a_stock_is_made_from_has_a_fingerprint() {
        let plain = Settings::default();
        let with = |extensions: &[&str]| Settings {
            extensions: extensions.iter().map(ToString::to_string).collect(),
            ..Settings::default()
        };
        assert_eq!(plain.fingerprint(), with(&[]).fingerprint());
        assert_ne!(with(&["a", "b"]).fingerprint(), with(&["ab"]).fingerprint());
        assert_ne!(plain.fingerprint(), with(&["a"]).fingerprint());
    }
}
