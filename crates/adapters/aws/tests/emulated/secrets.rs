//! Secrets of instances, and Wharf's own.

use futures::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use wharf_aws::{AwsSecrets, WharfSecrets};
use wharf_domain::{Code, InstanceId, Timestamp};
use wharf_platform::Secrets;
use wharf_testkit::contracts::secrets::Fixture;

use crate::way::{Fault, Way, deployment, governor};

async fn make() -> Fixture {
    let way = Way::open().await;
    Fixture {
        secrets: Arc::new(secrets(&way)),
        keeps: Box::new(way),
    }
}

mod contract {
    wharf_testkit::secrets_contract!(real super::make);
}

fn secrets(way: &Way) -> AwsSecrets {
    AwsSecrets::new(way.clients(), governor(), deployment(1))
}

fn own(way: &Way) -> WharfSecrets {
    WharfSecrets::new(way.clients(), governor())
}

fn instance(number: u64) -> InstanceId {
    InstanceId::new(Timestamp(number), [7; 10])
}

fn name(instance: &InstanceId) -> String {
    format!("wharf/{}/{instance}", deployment(1))
}

fn values(value: &str) -> BTreeMap<String, SecretString> {
    [("APP_PASSWORD".to_owned(), SecretString::from(value))].into()
}

fn password(values: &BTreeMap<String, SecretString>) -> &str {
    values["APP_PASSWORD"].expose_secret()
}

#[tokio::test]
async fn a_secret_is_named_and_tagged_after_its_owner_and_has_an_arn() {
    let way = Way::open().await;
    let secrets = secrets(&way);
    assert_eq!(secrets.arn(&instance(1)).await, Ok(None));
    secrets.put(&instance(1), values("first")).await.expect("put");
    let arn = secrets.arn(&instance(1)).await.expect("read").expect("it has one");
    let clients = way.clients();
    let described = clients
        .secretsmanager()
        .await
        .describe_secret()
        .secret_id(&arn)
        .send()
        .await;
    let described = described.expect("it is there");
    assert_eq!(described.name(), Some(name(&instance(1)).as_str()));
    let tags = described.tags().iter().filter_map(|tag| tag.key().zip(tag.value()));
    let tags: BTreeMap<_, _> = tags.collect();
    assert_eq!(tags["wharf:deployment"], deployment(1).as_str());
    assert_eq!(tags["wharf:instance"], instance(1).as_str());
}

#[tokio::test]
async fn another_deployment_sees_nothing_of_it() {
    let way = Way::open().await;
    secrets(&way).put(&instance(1), values("first")).await.expect("put");
    let other = AwsSecrets::new(way.clients(), governor(), deployment(2));
    assert_eq!(other.all().await, Ok(Vec::new()));
    assert!(other.get(&instance(1)).await.expect("asked").is_none());
    other.remove(&instance(1)).await.expect("there is none");
    assert!(secrets(&way).get(&instance(1)).await.expect("asked").is_some());
}

#[tokio::test]
async fn more_than_one_page_is_listed() {
    let way = Way::open().await;
    let secrets = secrets(&way);
    let instances: Vec<_> = (1..=130).map(instance).collect();
    for some in instances.chunks(10) {
        let put = join_all(some.iter().map(|instance| secrets.put(instance, values("x")))).await;
        assert!(put.iter().all(Result::is_ok));
    }
    let mut all = secrets.all().await.expect("listed");
    all.sort();
    assert_eq!(all, instances);
    assert!(way.calls("ListSecrets").len() > 1);
}

#[tokio::test]
async fn a_secret_that_somebody_scheduled_for_deletion_is_restored_with_its_values() {
    let way = Way::open().await;
    let secrets = secrets(&way);
    secrets.put(&instance(1), values("first")).await.expect("put");
    let clients = way.clients();
    let delete = clients
        .secretsmanager()
        .await
        .delete_secret()
        .secret_id(name(&instance(1)));
    delete.recovery_window_in_days(7).send().await.expect("scheduled");
    assert!(secrets.get(&instance(1)).await.expect("asked").is_none());
    let in_force = secrets.put(&instance(1), values("second")).await.expect("put");
    assert_eq!(password(&in_force), "first");
    let got = secrets
        .get(&instance(1))
        .await
        .expect("asked")
        .expect("it is there again");
    assert_eq!(password(&got), "first");
}

#[tokio::test]
async fn a_secret_that_is_being_removed_just_now_passes() {
    let way = Way::open().await;
    let secrets = secrets(&way);
    let going = "You can't create this secret because a secret with this name is already scheduled for deletion.";
    way.fault("CreateSecret", Fault::Refused("InvalidRequestException", going), 1);
    let failure = secrets.put(&instance(1), values("first")).await.expect_err("it goes");
    assert_eq!(failure.code, Code::SecretsFailed);
    assert!(failure.code.is_passing());
    let in_force = secrets.put(&instance(1), values("first")).await.expect("it is gone");
    assert_eq!(password(&in_force), "first");
}

#[tokio::test]
async fn what_somebody_else_put_there_is_foreign_and_is_not_shown() {
    let way = Way::open().await;
    let secrets = secrets(&way);
    secrets.put(&instance(1), values("first")).await.expect("put");
    let clients = way.clients();
    let change = clients
        .secretsmanager()
        .await
        .put_secret_value()
        .secret_id(name(&instance(1)));
    change
        .secret_string("{\"APP_PASSWORD\": hidden}")
        .send()
        .await
        .expect("changed");
    let failure = secrets.get(&instance(1)).await.expect_err("no secret of Wharf's");
    assert_eq!(failure.code, Code::ResourceForeign);
    assert!(!format!("{failure:?}").contains("hidden"), "{failure:?}");
}

#[tokio::test]
async fn each_denied_call_names_its_action_and_its_resource() {
    let way = Way::open().await;
    let secrets = secrets(&way);
    for (operation, number) in [
        ("CreateSecret", 1),
        ("GetSecretValue", 2),
        ("ListSecrets", 3),
        ("DeleteSecret", 4),
        ("RestoreSecret", 5),
    ] {
        let instance = instance(number);
        if operation == "RestoreSecret" {
            let going = "a secret with this name is already scheduled for deletion.";
            way.fault("CreateSecret", Fault::Refused("InvalidRequestException", going), 1);
        }
        way.fault(operation, Fault::Denied, 1);
        let life = async {
            secrets.put(&instance, values("first")).await?;
            secrets.get(&instance).await?;
            secrets.all().await?;
            secrets.remove(&instance).await
        };
        let failure = life.await.expect_err(operation);
        assert_eq!(failure.code, Code::AwsDenied);
        let hint = failure.hint.expect("a hint");
        let resource = if operation == "ListSecrets" {
            "*".to_owned()
        } else {
            name(&instance)
        };
        for part in [format!("secretsmanager:{operation}"), resource] {
            assert!(
                failure.message.contains(&part) && hint.contains(&part),
                "{}",
                failure.message
            );
        }
        way.mend();
    }
}

#[tokio::test]
async fn lost_answers_change_nothing() {
    let way = Way::open().await;
    let secrets = secrets(&way);
    for operation in ["CreateSecret", "GetSecretValue", "ListSecrets", "DeleteSecret"] {
        way.fault(operation, Fault::AnswerLost, 1);
    }
    let in_force = secrets.put(&instance(1), values("first")).await.expect("put");
    assert_eq!(password(&in_force), "first");
    let got = secrets.get(&instance(1)).await.expect("asked").expect("there");
    assert_eq!(password(&got), "first");
    assert_eq!(secrets.all().await, Ok(vec![instance(1)]));
    secrets.remove(&instance(1)).await.expect("removed");
    assert!(secrets.get(&instance(1)).await.expect("asked").is_none());
}

async fn given(way: &Way, name: &str, text: &str) -> String {
    let clients = way.clients();
    let create = clients.secretsmanager().await.create_secret().name(name);
    let made = create.secret_string(text).send().await.expect("made");
    made.arn.expect("an ARN")
}

#[tokio::test]
async fn what_wharf_is_given_is_read_by_name_by_arn_and_by_key() {
    let way = Way::open().await;
    let arn = given(&way, "admin", "the token").await;
    given(&way, "keys", r#"{"resend": "re_1", "number": 5}"#).await;
    let own = own(&way);
    for name in ["admin", arn.as_str()] {
        assert_eq!(own.get(name).await.expect("read").expose_secret(), "the token");
    }
    assert_eq!(own.get("keys#resend").await.expect("read").expose_secret(), "re_1");
    for name in ["keys#number", "keys#missing", "admin#any"] {
        let failure = own.get(name).await.expect_err(name);
        assert_eq!(failure.code, Code::ConfigInvalid, "{name}");
        assert!(!format!("{failure:?}").contains("the token"), "{failure:?}");
    }
    let failure = own.get("missing").await.expect_err("there is none");
    assert!(
        failure.code == Code::AwsRefused && failure.message.contains("missing"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn what_wharf_is_given_is_read_once_in_five_minutes_and_outlives_an_outage() {
    let way = Way::open().await;
    given(&way, "admin", "first").await;
    let own = own(&way);
    let read = join_all((0..8).map(|_| own.get("admin"))).await;
    assert!(read.iter().all(Result::is_ok));
    assert_eq!(way.calls("GetSecretValue").len(), 1);
    let later = async || {
        tokio::time::pause();
        tokio::time::advance(Duration::from_mins(5)).await;
        tokio::time::resume();
    };
    let clients = way.clients();
    let change = clients.secretsmanager().await.put_secret_value().secret_id("admin");
    change.secret_string("second").send().await.expect("changed");
    assert_eq!(own.get("admin").await.expect("kept").expose_secret(), "first");
    later().await;
    assert_eq!(own.get("admin").await.expect("read anew").expose_secret(), "second");
    later().await;
    way.fault(
        "GetSecretValue",
        Fault::Refused("InternalServiceError", "try later"),
        1000,
    );
    assert_eq!(own.get("admin").await.expect("as before").expose_secret(), "second");
    // A permission that is gone is no outage.
    way.mend();
    way.fault("GetSecretValue", Fault::Denied, 1);
    let failure = own.get("admin").await.expect_err("denied");
    assert_eq!(failure.code, Code::AwsDenied);
}
