//! What is safe to show to whom: listening off loopback, open sign-up, and the three origins.

use wharf_domain::Code;

use crate::{Config, keys::system::VERIFY_EMAIL, resolved::Resolved, values::HostName, values::PlatformKind};

pub(super) fn check(resolved: &mut Resolved<'_>, config: &Config) {
    let server = &config.server;
    if server.console_host == server.services_host {
        resolved.report(
            &["server.services_host", "server.console_host"],
            Code::ConfigInvalid,
            "the services have the host of the console, so that they could act in its name",
            "give them a host of their own, for example \"services.localhost\"",
        );
    }
    if resolved.machine.lambda {
        check_open_api(resolved, config);
        return;
    }
    if !server.is_public() {
        return;
    }
    if config.platform.kind == PlatformKind::Process && !server.trust_tenants {
        let (keys, reached, instead) = if server.is_loopback() {
            (
                ["server.console_host", "server.trust_tenants", "platform.kind"],
                format!("people elsewhere come to {} by a proxy", server.console_host),
                "run them as containers, platform.kind = \"docker\"",
            )
        } else {
            (
                ["server.listen", "server.trust_tenants", "platform.kind"],
                format!("other machines reach {}", server.listen),
                "listen on 127.0.0.1",
            )
        };
        resolved.report(
            &keys,
            Code::ListenRefused,
            format!("{reached}, and processes run as your own user"),
            format!(
                "{instead}, or say that you trust what runs in the instances: trust_tenants = true, or --trust-tenants"
            ),
        );
    }
    if config.signup.open {
        resolved.report(
            &["signup.open", "server.listen"],
            Code::ConfigInvalid,
            "off loopback a sign-up has to confirm its e-mail address, which this version cannot do",
            "set open = false (only the admin token provisions then), or listen on 127.0.0.1",
        );
    }
    check_sites(resolved, &server.console_host, &server.tenant_domain);
}

/// Off loopback a tenant's page must not be able to set or to receive the console's cookies.
fn check_sites(resolved: &mut Resolved<'_>, console: &HostName, tenants: &HostName) {
    // What counts is the site of a tenant, which differs from the domain's where anybody can register below it.
    let tenant = HostName::known(&format!("tenant.{tenants}"));
    let site = console.site(resolved.machine);
    if site == tenant.site(resolved.machine) {
        resolved.report(
            &["server.tenant_domain", "server.console_host", "server.listen"],
            Code::ConfigInvalid,
            format!("the console ({console}) and the tenants share the registrable domain {site}, and so cookies"),
            "give the tenants a registrable domain of their own, as in console_host = \"wharf.example.com\", tenant_domain = \"example.net\"",
        );
    }
}

/// On AWS Lambda everybody reaches the API. Requests are limited by the API's own throttling, so that its operator may decide.
fn check_open_api(resolved: &mut Resolved<'_>, config: &Config) {
    let is_waived = resolved.get("signup", &VERIFY_EMAIL) == Some(false);
    if config.signup.open && !is_waived {
        resolved.report(
            &["signup.open", "signup.verify_email"],
            Code::ConfigInvalid,
            "everybody reaches the API, and a sign-up there has to confirm its e-mail address, which this version cannot do",
            "set open = false (only the admin token provisions then), or verify_email = false: whoever finds the API may start tenants then",
        );
    }
}
