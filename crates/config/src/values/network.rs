//! Addresses and networks as numbers. Nothing is resolved: a configuration means the same on every machine.

use ipnet::IpNet;
use serde_json::{Value as Json, json};
use std::net::{IpAddr, SocketAddr};

use crate::setting::{Complaint, Text, shown};

impl Text for SocketAddr {
    const TYPE: &'static str = "an address with a port";
    const EXAMPLE: &'static str = "\"127.0.0.1:8080\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let text = text.trim();
        text.parse().map_err(|_| {
            let complaint = Complaint::new(format!("{} is not an IP address with a port", shown(text)));
            // What people write elsewhere, turned into what is meant.
            let better = match text.rsplit_once(':') {
                Some(("localhost", port)) => format!("127.0.0.1:{port}"),
                Some(("" | "*", port)) => format!("0.0.0.0:{port}"),
                None if text.parse::<u16>().is_ok() => format!("127.0.0.1:{text}"),
                _ if text.parse::<IpAddr>().is_ok() => {
                    Self::new(text.parse().unwrap_or(IpAddr::from([127, 0, 0, 1])), 8080).to_string()
                }
                _ => "127.0.0.1:8080".to_owned(),
            };
            let better = if better.parse::<Self>().is_ok() {
                better
            } else {
                "127.0.0.1:8080".to_owned()
            };
            complaint.hint(format!("write it as in \"{better}\""))
        })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for IpAddr {
    const TYPE: &'static str = "an IP address";
    const EXAMPLE: &'static str = "\"192.0.2.7\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.trim().parse().map_err(|_| {
            Complaint::new(format!("{} is not an IP address", shown(text))).hint("write it as in \"192.0.2.7\"")
        })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for IpNet {
    const TYPE: &'static str = "a network";
    const EXAMPLE: &'static str = "\"10.0.0.0/8\"";
    const LIST: &'static str = "a list of networks and addresses";
    const LIST_EXAMPLE: &'static str = "[\"127.0.0.1\", \"10.0.0.0/8\"]";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::from(address));
        }
        let network = text.parse::<Self>().map_err(|_| {
            Complaint::new(format!("{} is neither an IP address nor a network", shown(text)))
                .hint("write an address, \"192.0.2.7\", or a network, \"10.0.0.0/8\"")
        })?;
        if network != network.trunc() {
            return Err(
                Complaint::new(format!("the network {} has bits set after its prefix", shown(text)))
                    .hint(format!("write \"{}\"", network.trunc())),
            );
        }
        Ok(network)
    }

    fn text(&self) -> String {
        if self.prefix_len() == self.max_prefix_len() {
            self.addr().to_string()
        } else {
            self.to_string()
        }
    }

    fn schema() -> Json {
        json!({"type": "string", "examples": ["10.0.0.0/8", "127.0.0.1"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_and_is_a_number() {
        assert!(SocketAddr::parse("[::1]:0").is_ok());
        let cases = [
            ("localhost:8080", "127.0.0.1:8080"),
            (":9000", "0.0.0.0:9000"),
            ("*:80", "0.0.0.0:80"),
            ("8081", "127.0.0.1:8081"),
            ("::1", "[::1]:8080"),
            ("0.0.0.0", "0.0.0.0:8080"),
            ("localhost:http", "127.0.0.1:8080"),
            ("", "127.0.0.1:8080"),
        ];
        for (text, better) in cases {
            let complaint = SocketAddr::parse(text).expect_err(text);
            assert_eq!(complaint.hint, Some(format!("write it as in \"{better}\"")), "{text}");
        }
    }

    #[test]
    fn a_network_is_exact() {
        assert_eq!(IpNet::parse("127.0.0.1").expect("an address").text(), "127.0.0.1");
        assert_eq!(IpNet::parse("10.0.0.0/8").expect("a network").text(), "10.0.0.0/8");
        let complaint = IpNet::parse("10.1.2.3/8").expect_err("bits after the prefix");
        assert_eq!(complaint.hint.as_deref(), Some("write \"10.0.0.0/8\""));
        assert!(IpNet::parse("10.0.0.0/33").is_err());
        assert!(IpNet::parse("proxy.example.com").is_err());
    }
}
