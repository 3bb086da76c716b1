//! The deployment's HTTP: what a visitor and an operator are answered. The same on every platform.

use http::Method;
use serde_json::{Value, json};
use std::{fs, net::SocketAddr, path::PathBuf};
use wharf_harness::{Answer, Client};

/// Live instances that are listed at the most: chaos keeps far fewer.
const LISTED: usize = 1000;

#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    /// Where the admin token is, once the first start has made it.
    pub(crate) token: PathBuf,
}

/// An instance, as its operator sees it.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) attempt: u64,
    pub(crate) port: Option<u64>,
    /// Something is under way or asked for.
    pub(crate) is_moving: bool,
    pub(crate) is_clean: bool,
    pub(crate) was_ready: bool,
    pub(crate) database: Option<String>,
    /// What it waits for, and what went wrong: for people.
    pub(crate) why: String,
}

impl Instance {
    fn of(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let mut why = Vec::new();
        for (label, part) in [
            ("step", &value["step"]),
            ("waits for", &value["waits_for"]),
            ("stuck at", &value["stuck_at"]),
            ("cause", &value["cause"]["code"]),
            ("because", &value["cause"]["message"]),
        ] {
            why.extend(part.as_str().map(|part| format!("{label} {part}")));
        }
        let status = text("status");
        let moves = ["provisioning", "queued", "restoring", "stopping"];
        Self {
            id: text("id"),
            name: text("subdomain"),
            attempt: value["attempt"].as_u64().unwrap_or_default(),
            port: value["port"].as_u64(),
            is_moving: value["moving"] != false || moves.contains(&status.as_str()),
            is_clean: value["clean"] == true,
            was_ready: !value["first_ready_at"].is_null(),
            database: value["database"].as_str().map(str::to_owned),
            why: why.join(", "),
            status,
        }
    }
}

/// What repair found, and what it did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repair {
    pub(crate) findings: Vec<String>,
    pub(crate) failed: Vec<String>,
}

impl Door {
    fn host(&self, name: &str) -> Client {
        Client {
            address: self.address,
            host: format!("{name}:{}", self.address.port()),
            headers: Vec::new(),
        }
    }

    pub(crate) fn visitor(&self) -> Client {
        self.host("localhost")
    }

    pub(crate) fn tenant(&self, name: &str) -> Client {
        self.host(&format!("{name}.localhost"))
    }

    pub(crate) fn admin(&self) -> Client {
        let token = fs::read_to_string(&self.token).unwrap_or_default();
        self.visitor().with("authorization", format!("Bearer {}", token.trim()))
    }

    /// What somebody who signs up says. Its company has the tenant's name in it.
    pub(crate) fn sign_up(name: &str) -> Value {
        json!({"subdomain": name, "admin_email": Self::address_of(name), "company_name": Self::company_of(name)})
    }

    pub(crate) fn company_of(name: &str) -> String {
        format!("The {name} Company")
    }

    pub(crate) fn address_of(name: &str) -> String {
        format!("admin@{name}.example")
    }

    /// An instance by name, while it lives, or by id at any time.
    pub(crate) async fn find(&self, word: &str) -> Result<Option<Instance>, String> {
        let answer = self.admin().try_get(&format!("/instances/{word}")).await?;
        match answer.status {
            200 => Ok(Some(Instance::of(&value(&answer)?))),
            404 => Ok(None),
            _ => Err(told("show", &answer)),
        }
    }

    /// Every instance that is not over.
    pub(crate) async fn live(&self) -> Result<Vec<Instance>, String> {
        let answer = self
            .admin()
            .try_get(&format!("/instances?live=true&limit={LISTED}"))
            .await?;
        if answer.status != 200 {
            return Err(told("list", &answer));
        }
        let value = value(&answer)?;
        let all = value["instances"].as_array().ok_or("the list has no instances")?;
        Ok(all.iter().map(Instance::of).collect())
    }

    pub(crate) async fn repair(&self, apply: bool) -> Result<Repair, String> {
        let answer = self
            .admin()
            .try_ask(Method::POST, "/repair", Some(&json!({"apply": apply})))
            .await?;
        if answer.status != 200 {
            return Err(told("repair", &answer));
        }
        let value = value(&answer)?;
        let texts = |list: &Value, what: fn(&Value) -> Option<String>| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(what).collect()
        };
        Ok(Repair {
            findings: texts(&value["findings"], |finding| {
                finding["what"].as_str().map(str::to_owned)
            }),
            failed: texts(&value["mended"], |mended| {
                let text = mended["text"].as_str().unwrap_or_default();
                (mended["outcome"] == "failed").then(|| text.to_owned())
            }),
        })
    }
}

fn value(answer: &Answer) -> Result<Value, String> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| format!("an answer that is not JSON: {error}: {}", answer.text()))
}

/// An answer in a few words: its status, and its code where it is a problem.
pub(crate) fn told(what: &str, answer: &Answer) -> String {
    let code = serde_json::from_slice::<Value>(&answer.body)
        .ok()
        .and_then(|value| Some(format!(" {}", value["code"].as_str()?)));
    format!("{what}: {}{}", answer.status, code.unwrap_or_default())
}
