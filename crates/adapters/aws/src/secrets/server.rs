//! The URL of a PostgreSQL server, out of the forms in which Secrets Manager has it. Nothing is fetched here.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::fmt::Write;
use wharf_domain::{Code, Failure};

const PORT: u16 = 5432;
const DATABASE: &str = "postgres";

/// As RDS keeps it. Of a password that RDS itself changes there are the first two only.
#[derive(Deserialize)]
struct Parts {
    username: String,
    password: SecretText,
    host: Option<String>,
    port: Option<PortText>,
    dbname: Option<String>,
}

/// A text that does not show itself.
#[derive(Deserialize)]
#[serde(transparent)]
struct SecretText(String);

/// RDS writes a number; a person may write a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum PortText {
    Number(u16),
    Text(String),
}

/// The URL in this secret, or the one that its parts make; `address` is host and port where the secret does not say them.
///
/// # Errors
/// `config.invalid`: it is neither. Nothing of the secret is in the failure.
pub fn postgres_url(secret: &SecretString, address: Option<&str>) -> Result<SecretString, Failure> {
    let text = secret.expose_secret().trim();
    if !text.starts_with('{') {
        // Whether it is a URL, whoever connects sees.
        return Ok(SecretString::from(text));
    }
    let parts: Parts =
        serde_json::from_str(text).map_err(|_| unusable("it is a JSON object without username and password"))?;
    let (host, port) = match (&parts.host, address) {
        (Some(host), _) => (host.clone(), parts.port.map(port).transpose()?),
        (None, Some(address)) => split(address)?,
        (None, None) => return Err(unusable("it does not say where the server is")),
    };
    let mut url = "postgresql://".to_owned();
    percent_encode(&parts.username, &mut url);
    url.push(':');
    percent_encode(&parts.password.0, &mut url);
    url.push('@');
    url.push_str(&host);
    // Writing to a String cannot fail.
    let _ = write!(url, ":{}/", port.unwrap_or(PORT));
    percent_encode(parts.dbname.as_deref().unwrap_or(DATABASE), &mut url);
    Ok(SecretString::from(url))
}

fn port(written: PortText) -> Result<u16, Failure> {
    match written {
        PortText::Number(port) => Ok(port),
        PortText::Text(text) => text.trim().parse().map_err(|_| unusable("its port is none")),
    }
}

/// `10.0.0.5:5432`, `db.internal`, `[fd00::1]:5432`.
fn split(address: &str) -> Result<(String, Option<u16>), Failure> {
    let behind_host = address.rfind(']').map_or(0, |at| at + 1);
    match address[behind_host..].find(':') {
        None => Ok((address.to_owned(), None)),
        Some(at) => {
            let (host, port) = address.split_at(behind_host + at);
            let port = port[1..].parse().map_err(|_| {
                Failure::new(
                    Code::ConfigInvalid,
                    format!("aws.postgres_address: {address:?} has a port that is none"),
                )
                .hint("it is a host, and its port behind a colon: 10.0.0.5:5432")
            })?;
            Ok((host.to_owned(), Some(port)))
        }
    }
}

fn unusable(why: &str) -> Failure {
    Failure::new(
        Code::ConfigInvalid,
        format!("the secret aws.postgres_secret does not tell the database server: {why}"),
    )
    .hint("it holds postgresql://user:password@host:5432/postgres, or username and password (and host) as JSON; where it has no host, set aws.postgres_address")
}

fn percent_encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(secret: &str, address: Option<&str>) -> Result<String, Failure> {
        let url = postgres_url(&SecretString::from(secret), address)?;
        Ok(url.expose_secret().to_owned())
    }

    #[test]
    fn a_url_is_taken_as_it_is() {
        let secret = "postgresql://wharf:s@db:5432/postgres?sslmode=verify-full\n";
        assert_eq!(url(secret, Some("elsewhere")).as_deref(), Ok(secret.trim()));
    }

    #[test]
    fn parts_make_a_url() {
        let here = Some("10.0.0.5:6000");
        let owner = r#"{"username": "postgres", "password": "p@ss/1"}"#;
        assert_eq!(
            url(owner, here).as_deref(),
            Ok("postgresql://postgres:p%40ss%2F1@10.0.0.5:6000/postgres")
        );
        assert_eq!(
            url(owner, Some("[fd00::1]")).as_deref(),
            Ok("postgresql://postgres:p%40ss%2F1@[fd00::1]:5432/postgres")
        );
        let of_rds =
            r#"{"username": "a", "password": "b", "engine": "postgres", "host": "db", "port": 5433, "dbname": "main"}"#;
        assert_eq!(url(of_rds, here).as_deref(), Ok("postgresql://a:b@db:5433/main"));
        assert_eq!(
            url(&of_rds.replace("5433", "\"5434\""), None).as_deref(),
            Ok("postgresql://a:b@db:5434/main")
        );
    }

    #[test]
    fn what_tells_no_server_is_refused_without_what_is_in_it() {
        for (secret, address) in [
            (r#"{"username": "a", "password": "hunter2"}"#, None),
            (r#"{"username": "a", "password": "hunter2"}"#, Some("db:port")),
            (r#"{"password": "hunter2"}"#, Some("db")),
            (
                r#"{"username": "a", "password": "hunter2", "host": "db", "port": "hunter2"}"#,
                None,
            ),
            (r#"{"username": "hunter2""#, Some("db")),
        ] {
            let failure = url(secret, address).expect_err(secret);
            assert_eq!(failure.code, Code::ConfigInvalid);
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }
}
