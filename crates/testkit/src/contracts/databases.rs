//! The contract of [`Databases`], as checks that run one by one against any adapter.
//!
//! A crate with an adapter writes an `async fn make() -> Fixture` and says `wharf_testkit::databases_contract!(real
//! make)` (or `paused make`) in a test module of its own. That a tenant cannot reach another's database it tests
//! itself, as that tenant.

use secrecy::{ExposeSecret, SecretString};
use std::{any::Any, fmt, sync::Arc};
use wharf_domain::InstanceId;
use wharf_platform::{Database, Databases};

use super::harness::some_instance;

/// Makes a `#[test]` of every check, with platforms that `$make` (an `async fn() -> Fixture`) gives; `$time` is `real`
/// or `paused`.
#[macro_export]
macro_rules! databases_contract {
    ($time:ident $make:path) => {
        $crate::contract_tests! { databases, $time $make:
            a_database_is_made_and_listed,
            a_database_made_again_is_the_same,
            a_database_is_opened_where_it_is_and_never_made_by_that,
            two_instances_have_two_databases,
            a_removed_database_is_gone,
            a_removal_said_again_is_a_success,
            a_removal_leaves_the_others,
            a_url_does_not_show_itself,
        }
    };
}

/// A platform without databases, and what must live as long as it does.
pub struct Fixture {
    pub databases: Arc<dyn Databases>,
    pub keeps: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl Fixture {
    async fn create(&self, instance: &InstanceId, name: &str) -> Database {
        let password = SecretString::from("correct horse");
        self.databases
            .create(instance, name, &password)
            .await
            .expect("it can be made")
    }

    async fn open(&self, instance: &InstanceId, name: &str) -> Option<Database> {
        let password = SecretString::from("correct horse");
        self.databases
            .open(instance, name, &password)
            .await
            .expect("it can be looked for")
    }

    async fn remove(&self, instance: &InstanceId, name: &str) {
        self.databases.remove(instance, name).await.expect("it can be removed");
    }

    async fn all(&self) -> Vec<(InstanceId, String)> {
        let mut all = self.databases.all().await.expect("they can be listed");
        all.sort();
        all
    }
}

pub async fn a_database_is_made_and_listed(fixture: Fixture) {
    let instance = some_instance();
    assert_eq!(fixture.all().await, []);
    let database = fixture.create(&instance, "user_acme").await;
    assert_eq!(database.name, "user_acme");
    assert!(database.url.expose_secret().contains("user_acme"));
    assert_eq!(fixture.all().await, [(instance, "user_acme".to_owned())]);
}

pub async fn a_database_made_again_is_the_same(fixture: Fixture) {
    let instance = some_instance();
    let first = fixture.create(&instance, "user_acme").await;
    let again = fixture.create(&instance, "user_acme").await;
    assert_eq!(first.url.expose_secret(), again.url.expose_secret());
    assert_eq!(fixture.all().await.len(), 1);
}

pub async fn a_database_is_opened_where_it_is_and_never_made_by_that(fixture: Fixture) {
    let instance = some_instance();
    assert!(fixture.open(&instance, "user_acme").await.is_none());
    assert_eq!(fixture.all().await, []);
    let made = fixture.create(&instance, "user_acme").await;
    let opened = fixture.open(&instance, "user_acme").await.expect("it is there");
    assert_eq!(opened.name, made.name);
    assert_eq!(opened.url.expose_secret(), made.url.expose_secret());
    assert!(fixture.open(&instance, "user_bolt").await.is_none());
    fixture.remove(&instance, "user_acme").await;
    assert!(fixture.open(&instance, "user_acme").await.is_none());
    assert_eq!(fixture.all().await, []);
}

pub async fn two_instances_have_two_databases(fixture: Fixture) {
    let (one, other) = (some_instance(), some_instance());
    let acme = fixture.create(&one, "user_acme").await;
    let bolt = fixture.create(&other, "user_bolt").await;
    assert_ne!(acme.url.expose_secret(), bolt.url.expose_secret());
    assert_eq!(fixture.all().await.len(), 2);
}

pub async fn a_removed_database_is_gone(fixture: Fixture) {
    let instance = some_instance();
    fixture.create(&instance, "user_acme").await;
    fixture.remove(&instance, "user_acme").await;
    assert_eq!(fixture.all().await, []);
    // The name is free for whoever comes next.
    fixture.create(&some_instance(), "user_acme").await;
}

pub async fn a_removal_said_again_is_a_success(fixture: Fixture) {
    let instance = some_instance();
    fixture.remove(&instance, "user_acme").await;
    fixture.create(&instance, "user_acme").await;
    fixture.remove(&instance, "user_acme").await;
    fixture.remove(&instance, "user_acme").await;
    assert_eq!(fixture.all().await, []);
}

pub async fn a_removal_leaves_the_others(fixture: Fixture) {
    let (one, other) = (some_instance(), some_instance());
    fixture.create(&one, "user_acme").await;
    fixture.create(&other, "user_bolt").await;
    fixture.remove(&one, "user_acme").await;
    fixture.remove(&one, "user_bolt").await;
    assert_eq!(fixture.all().await, [(other, "user_bolt".to_owned())]);
}

pub async fn a_url_does_not_show_itself(fixture: Fixture) {
    let database = fixture.create(&some_instance(), "user_acme").await;
    assert!(!format!("{database:?}").contains(database.url.expose_secret()));
}
