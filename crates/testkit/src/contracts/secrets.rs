//! The contract of [`Secrets`], as checks that run one by one against any adapter.
//!
//! A crate with an adapter writes an `async fn make() -> Fixture` and says `wharf_testkit::secrets_contract!(real
//! make)` (or `paused make`) in a test module of its own. That nobody else can read them it tests itself.

use futures::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use std::{any::Any, collections::BTreeMap, fmt, sync::Arc};
use wharf_domain::InstanceId;
use wharf_platform::Secrets;

use super::harness::some_instance;

/// Makes a `#[test]` of every check, with platforms that `$make` (an `async fn() -> Fixture`) gives; `$time` is `real`
/// or `paused`.
#[macro_export]
macro_rules! secrets_contract {
    ($time:ident $make:path) => {
        $crate::contract_tests! { secrets, $time $make:
            what_was_put_is_got,
            the_first_put_stays_in_force,
            puts_at_once_agree,
            where_nothing_was_put_nothing_is_got,
            every_character_is_kept,
            removed_secrets_are_gone,
            after_a_removal_a_put_is_a_first_one,
            every_instance_with_secrets_is_listed,
        }
    };
}

/// A platform without secrets, and what must live as long as it does.
pub struct Fixture {
    pub secrets: Arc<dyn Secrets>,
    pub keeps: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

type Plain = BTreeMap<String, String>;

fn plain(values: BTreeMap<String, SecretString>) -> Plain {
    let plain = |(name, value): (String, SecretString)| (name, value.expose_secret().to_owned());
    values.into_iter().map(plain).collect()
}

fn one(value: &str) -> Plain {
    [("APP_PASSWORD".to_owned(), value.to_owned())].into()
}

impl Fixture {
    async fn put(&self, instance: &InstanceId, values: Plain) -> Plain {
        let secret = |(name, value): (String, String)| (name, SecretString::from(value));
        let values = values.into_iter().map(secret).collect();
        plain(self.secrets.put(instance, values).await.expect("they can be put"))
    }

    async fn get(&self, instance: &InstanceId) -> Option<Plain> {
        self.secrets.get(instance).await.expect("they can be got").map(plain)
    }
}

pub async fn what_was_put_is_got(fixture: Fixture) {
    let instance = some_instance();
    let values: Plain = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())].into();
    assert_eq!(fixture.put(&instance, values.clone()).await, values);
    assert_eq!(fixture.get(&instance).await, Some(values));
}

pub async fn the_first_put_stays_in_force(fixture: Fixture) {
    let instance = some_instance();
    fixture.put(&instance, one("first")).await;
    assert_eq!(fixture.put(&instance, one("second")).await, one("first"));
    assert_eq!(fixture.get(&instance).await, Some(one("first")));
}

pub async fn puts_at_once_agree(fixture: Fixture) {
    let instance = some_instance();
    let values: Vec<String> = (0..8).map(|number| format!("value {number}")).collect();
    let answers = join_all(values.iter().map(|value| fixture.put(&instance, one(value)))).await;
    let in_force = fixture.get(&instance).await.expect("there are some now");
    assert!(answers.iter().all(|answer| *answer == in_force), "{answers:?}");
}

pub async fn where_nothing_was_put_nothing_is_got(fixture: Fixture) {
    assert_eq!(fixture.get(&some_instance()).await, None);
}

pub async fn every_character_is_kept(fixture: Fixture) {
    let instance = some_instance();
    let values: Plain = [
        ("EMPTY".to_owned(), String::new()),
        ("ODD".to_owned(), "\"'\\\n\t{}$ é 日本 \u{1f512}".to_owned()),
        ("LONG".to_owned(), "x".repeat(4096)),
    ]
    .into();
    fixture.put(&instance, values.clone()).await;
    assert_eq!(fixture.get(&instance).await, Some(values));
}

pub async fn removed_secrets_are_gone(fixture: Fixture) {
    let instance = some_instance();
    fixture
        .secrets
        .remove(&instance)
        .await
        .expect("gone already is a success");
    fixture.put(&instance, one("first")).await;
    for _ in 0..2 {
        fixture.secrets.remove(&instance).await.expect("removed");
    }
    assert_eq!(fixture.get(&instance).await, None);
    assert_eq!(fixture.secrets.all().await.expect("listed"), []);
}

pub async fn after_a_removal_a_put_is_a_first_one(fixture: Fixture) {
    let instance = some_instance();
    fixture.put(&instance, one("first")).await;
    fixture.secrets.remove(&instance).await.expect("removed");
    assert_eq!(fixture.put(&instance, one("second")).await, one("second"));
}

pub async fn every_instance_with_secrets_is_listed(fixture: Fixture) {
    let instances = [some_instance(), some_instance()];
    for instance in &instances {
        fixture.put(instance, one("value")).await;
    }
    let mut all = fixture.secrets.all().await.expect("listed");
    all.sort();
    assert_eq!(all, instances);
}
