//! Which of the three origins a request is for: the console, the services' host, or a tenant. Pure: names in, decision out.

use http::{HeaderMap, Uri, header::HOST};
use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use crate::config::EdgeConfig;

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin<'a> {
    /// Sign-up, console and API.
    Control,
    /// The services' path prefixes.
    Services,
    /// A tenant, by its whole host name in lower case.
    Tenant(Cow<'a, str>),
    /// Nobody: a 421.
    Unknown,
}

/// Why a request has no usable host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadHost(pub(crate) &'static str);

/// The hosts that this edge serves, in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    console: Box<str>,
    services: Box<str>,
    /// `.<tenant_domain>`
    tenant_suffix: Box<str>,
    listen: IpAddr,
}

impl Hosts {
    pub(crate) fn new(config: &EdgeConfig) -> Self {
        Self {
            console: config.console_host.to_ascii_lowercase().into(),
            services: config.services_host.to_ascii_lowercase().into(),
            tenant_suffix: format!(".{}", config.tenant_domain.to_ascii_lowercase()).into(),
            listen: config.listen.ip(),
        }
    }

    pub(crate) fn services(&self) -> &str {
        &self.services
    }

    /// The origin of a host as it was sent. Wharf's own names win over tenants'.
    pub(crate) fn origin<'a>(&self, host: &'a str) -> Result<Origin<'a>, BadHost> {
        let name = without_port(host)?;
        if let Some(literal) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            let ip: Ipv6Addr = literal
                .parse()
                .map_err(|_| BadHost("its host is not an IPv6 address"))?;
            return Ok(self.by_address(ip.into()));
        }
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(BadHost("its host has a character that a host name does not have"));
        }
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        if name == *self.console || name == "localhost" {
            return Ok(Origin::Control);
        }
        if name == *self.services {
            return Ok(Origin::Services);
        }
        if let Some(label) = name.strip_suffix(&*self.tenant_suffix) {
            let one_label = !label.is_empty() && !label.contains('.');
            return Ok(if one_label {
                Origin::Tenant(name)
            } else {
                Origin::Unknown
            });
        }
        Ok(match name.parse::<IpAddr>() {
            Ok(ip) => self.by_address(ip),
            Err(_) => Origin::Unknown,
        })
    }

    fn by_address(&self, ip: IpAddr) -> Origin<'static> {
        if ip.to_canonical().is_loopback() || ip == self.listen {
            Origin::Control
        } else {
            Origin::Unknown
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn without_port(host: &str) -> Result<&str, BadHost> {
    let port_at = match host.rfind(']') {
        Some(end) => host[end..].find(':').map(|colon| end + colon),
        None => host.find(':'),
    };
    let Some(port_at) = port_at else { return Ok(host) };
    let port = &host[port_at + 1..];
    if port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()) {
        Ok(&host[..port_at])
    } else {
        Err(BadHost("the port in its host is not a number"))
    }
}

/// The host that a request names: in its absolute target, or in its one `Host` header. Both, and different, is refused.
pub(crate) fn requested<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, BadHost> {
    let mut hosts = headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else {
        return Err(BadHost("it has no Host header"));
    };
    if hosts.next().is_some() {
        return Err(BadHost("it has more than one Host header"));
    }
    let host = host
        .to_str()
        .map_err(|_| BadHost("its Host header is not plain text"))?;
    let Some(authority) = uri.authority() else {
        return Ok(host);
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(BadHost("its target has a scheme that is not served here"));
    }
    if !authority.as_str().eq_ignore_ascii_case(host) {
        return Err(BadHost("its target and its Host header name different hosts"));
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn hosts() -> Hosts {
        Hosts::new(&EdgeConfig::new(([192, 0, 2, 1], 8080).into()))
    }

    #[test]
    fn every_host_has_its_origin() {
        let hosts = hosts();
        for (host, origin) in [
            ("localhost", Origin::Control),
            ("LOCALHOST:8080", Origin::Control),
            ("127.0.0.1:8080", Origin::Control),
            ("127.9.9.9", Origin::Control),
            ("[::1]:8080", Origin::Control),
            ("192.0.2.1", Origin::Control),
            ("192.0.2.2", Origin::Unknown),
            ("services.localhost:80", Origin::Services),
            ("acme.localhost", Origin::Tenant("acme.localhost".into())),
            ("Acme.Localhost:8080", Origin::Tenant("acme.localhost".into())),
            ("a.b.localhost", Origin::Unknown),
            (".localhost", Origin::Unknown),
            ("localhost.", Origin::Unknown),
            ("acme.localhost.", Origin::Unknown),
            ("example.com", Origin::Unknown),
            ("notlocalhost", Origin::Unknown),
        ] {
            assert_eq!(hosts.origin(host), Ok(origin), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            ":80",
            "a b",
            "acme.localhost:",
            "acme.localhost:x",
            "acme.localhost:123456",
            "acme.localhost:65536",
            "acme.localhost:+80",
            "a@b",
            "a/b",
            "[::1",
            "[::g]",
            "::1",
            "a,b",
            "acme\u{e9}.localhost",
        ] {
            let found = hosts().origin(host);
            assert!(found.is_err() || host == "acme.localhost:", "{host}: {found:?}");
        }
    }

    #[test]
    fn wharfs_own_names_win_over_a_tenant() {
        let hosts = Hosts::new(&EdgeConfig {
            console_host: "console.localhost".to_owned(),
            ..EdgeConfig::new(([127, 0, 0, 1], 0).into())
        });
        assert_eq!(hosts.origin("console.localhost"), Ok(Origin::Control));
        assert_eq!(hosts.origin("services.localhost"), Ok(Origin::Services));
    }

    #[test]
    fn an_absolute_target_and_the_host_have_to_agree() {
        let headers = |hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            headers
        };
        let absolute: Uri = "http://acme.localhost:80/x".parse().unwrap();
        let plain: Uri = "/x".parse().unwrap();
        assert_eq!(
            requested(&absolute, &headers(&["ACME.localhost:80"])),
            Ok("ACME.localhost:80")
        );
        assert!(requested(&absolute, &headers(&["other.localhost"])).is_err());
        assert!(requested(&"ftp://a.localhost/".parse().unwrap(), &headers(&["a.localhost"])).is_err());
        assert!(requested(&plain, &headers(&[])).is_err());
        assert!(requested(&plain, &headers(&["a.localhost", "a.localhost"])).is_err());
    }
}
