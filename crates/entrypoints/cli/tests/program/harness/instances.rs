//! What most tests begin with: signing up, showing, waiting for a state.

use serde_json::{Value, json};
use std::path::PathBuf;

use super::deployment::Deployment;
use wharf_harness::{
    Answer,
    wait::{eventually, eventually_or},
};

/// A text in a JSON value.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}

/// Whether nothing more happens to an instance by itself.
fn is_at_rest(instance: &Value) -> bool {
    let moves = ["provisioning", "restoring", "stopping"];
    instance["moving"] == false && !moves.contains(&text(&instance["status"]))
}

impl Deployment {
    /// The fields of a sign-up.
    pub(crate) fn sign_up(name: &str) -> Value {
        json!({"subdomain": name, "admin_email": format!("admin@{name}.example"), "company_name": format!("The {name} Company")})
    }

    /// Signs a tenant up, as a visitor would.
    pub(crate) async fn provision(&self, name: &str) -> Value {
        self.console()
            .post("/provision", &Self::sign_up(name))
            .await
            .is(202)
            .json()
    }

    /// Signs a tenant up, and waits until it is ready. Gives the instance.
    pub(crate) async fn ready(&self, name: &str) -> Value {
        let accepted = self.provision(name).await;
        self.becomes(text(&accepted["id"]), "ready").await
    }

    /// An instance as its operator sees it, by id or name; `None` where there is none.
    pub(crate) async fn find(&self, name: &str) -> Option<Value> {
        let answer = self.admin().get(&format!("/instances/{name}")).await;
        (answer.status != 404).then(|| answer.is(200).json())
    }

    pub(crate) async fn show(&self, name: &str) -> Value {
        self.find(name)
            .await
            .unwrap_or_else(|| panic!("there is no instance {name}"))
    }

    /// The instance, as soon as nothing more happens to it by itself.
    pub(crate) async fn rests(&self, name: &str) -> Value {
        eventually("the instance is at rest", async || {
            let instance = self.show(name).await;
            is_at_rest(&instance).then_some(instance)
        })
        .await
    }

    /// The instance, as soon as it is at rest in this state. It may pass through others, but not rest in them.
    pub(crate) async fn becomes(&self, name: &str, status: &str) -> Value {
        let instance = self.rests(name).await;
        assert_eq!(instance["status"], status, "{instance:#}");
        instance
    }

    /// The same of one that may rest in others before.
    pub(crate) async fn comes_to(&self, name: &str, status: &str) -> Value {
        let mut last = Value::Null;
        let there = eventually_or(async || {
            last = self.show(name).await;
            (is_at_rest(&last) && last["status"] == status).then_some(())
        })
        .await;
        assert!(there.is_some(), "it is not {status}: {last:#}");
        last
    }

    /// Asks something of an instance: `stop`, `start`.
    pub(crate) async fn ask(&self, name: &str, what: &str) -> Value {
        self.admin()
            .post(&format!("/instances/{name}/{what}"), &json!({}))
            .await
            .is(202)
            .json()
    }

    /// Every instance that is not over.
    pub(crate) async fn live(&self) -> Vec<Value> {
        let live = self.admin().get("/instances?live=true&limit=1000").await.is(200).json();
        live["instances"].as_array().expect("instances").clone()
    }

    /// The instance, ready with a later attempt than `after`.
    pub(crate) async fn back(&self, name: &str, after: &Value) -> Value {
        eventually("the instance is back, with a new attempt", async || {
            let instance = self.show(name).await;
            let is_later = instance["attempt"].as_u64() > after["attempt"].as_u64();
            assert_ne!(instance["status"], "down", "{instance:#}");
            (is_later && instance["status"] == "ready" && instance["moving"] == false).then_some(instance)
        })
        .await
    }

    /// A tenant's visitors are told this: as a page for a person, as a problem for a program. Gives the page.
    pub(crate) async fn tells(&self, tenant: &str, status: u16, words: &str, code: &str) -> Answer {
        let page = self.tenant(tenant).page("/").await.is(status);
        assert!(page.text().contains(words), "{}", page.text());
        let program = self.tenant(tenant).with("accept", "application/json");
        program.get("/").await.problem(status, code);
        page
    }

    pub(crate) fn secrets_of(&self, id: &str) -> PathBuf {
        self.data().join("secrets").join(format!("{id}.json"))
    }

    pub(crate) fn databases_of(&self, id: &str) -> PathBuf {
        self.data().join("databases").join(id)
    }

    /// Everything comes to rest, and registry and world to agree: nothing is left over, and nothing is missing.
    pub(crate) async fn agrees(&self) {
        let mut last = Value::Null;
        let found = eventually_or(async || {
            // In this order: what repair passes over, because it moves, is seen to move.
            last = self.admin().post("/repair", &json!({})).await.is(200).json();
            let all_rest = self.live().await.iter().all(is_at_rest);
            (last["findings"] == json!([]) && all_rest).then_some(())
        })
        .await;
        assert!(
            found.is_some(),
            "registry and world do not agree: {last:#}\n{:#?}",
            self.live().await
        );
    }

    /// Nothing of the instance is left in the world: no process, no secrets, no database, no port that it holds, no route.
    pub(crate) async fn is_gone(&self, id: &str) {
        let instance = self.show(id).await;
        assert_eq!(instance["clean"], true, "{instance:#}");
        assert_eq!(
            (&instance["port"], &instance["endpoint"], &instance["database"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert_eq!(self.tasks_of(id), [], "processes are left");
        for path in [self.secrets_of(id), self.databases_of(id)] {
            assert!(!path.exists(), "{} is left", path.display());
        }
        if let Some(name) = instance["subdomain"].as_str() {
            assert_eq!(self.tenant(name).get("/").await.status, 404, "a route is left");
        }
    }
}
