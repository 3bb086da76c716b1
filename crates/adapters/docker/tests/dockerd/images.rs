//! Images that cannot be run, each told before or at the start, with what mends it.

use crate::site::{Site, build, load};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wharf_domain::{
    Code, Failure,
    service::{DockerTask, Pull, RunSpec},
};
use wharf_platform::Tasks;

fn assert_is(failure: &Failure, code: Code, words: &str) {
    assert_eq!(failure.code, code, "{failure}");
    assert!(failure.message.contains(words), "{words:?} in {failure}");
    assert!(failure.hint.is_some(), "it says what to do: {failure}");
}

#[tokio::test]
async fn an_image_that_is_not_here_and_not_to_be_pulled_is_told_before_the_start() {
    let site = Site::new().await;
    let task = DockerTask {
        image: "wharf-nothing-like-this:none".into(),
        ..site.task(&["rest"])
    };
    let failure = site.check(&RunSpec::Docker(task.clone()), None).await.unwrap_err();
    assert_is(&failure, Code::TaskImage, "wharf-nothing-like-this:none");
    assert_is(&site.refused(task).await, Code::TaskImage, "not to be pulled");
}

/// Nobody listens there, which is what a machine without a network, or a registry that is down, is like.
#[tokio::test]
async fn a_registry_that_is_not_reached_is_told_from_an_image_that_is_not_there() {
    let site = Site::new().await;
    let task = DockerTask {
        image: "127.0.0.1:1/team/shop:1".into(),
        pull: Pull::Missing,
        ..site.task(&["rest"])
    };
    site.check(&RunSpec::Docker(task.clone()), None)
        .await
        .expect("it may be there by then");
    assert_is(&site.refused(task).await, Code::TaskLost, "127.0.0.1:1/team/shop:1");
}

/// A registry in plain HTTP, which Docker speaks to where it is on the machine itself. It answers every question alike.
async fn registry(answer: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_pull_that_is_refused_is_told_with_what_would_let_us_in() {
    let site = Site::new().await;
    let registry = registry(
        "HTTP/1.1 401 x\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
    .await;
    let task = DockerTask {
        image: format!("{registry}/team/shop:1"),
        pull: Pull::Missing,
        ..site.task(&["rest"])
    };
    let failure = site.refused(task).await;
    assert_is(&failure, Code::TaskImage, "/team/shop:1");
    assert!(failure.hint.unwrap().contains("docker login"), "{}", failure.message);
}

#[tokio::test]
async fn a_pull_of_what_the_registry_does_not_have_is_told_as_that() {
    let site = Site::new().await;
    let registry = registry(
        "HTTP/1.1 404 x\r\ncontent-type: application/json\r\ncontent-length: 69\r\nconnection: close\r\n\r\n\
         {\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}",
    )
    .await;
    let task = DockerTask {
        image: format!("{registry}/team/shop:1"),
        pull: Pull::Always,
        ..site.task(&["rest"])
    };
    assert_is(&site.refused(task).await, Code::TaskImage, "/team/shop:1");
}

#[tokio::test]
async fn an_image_with_nothing_to_run_is_told_before_the_start() {
    let site = Site::new().await;
    let image = "wharf-docker-helper:silent";
    build(&site.docker, image, "EXPOSE 8000").await;
    let task = DockerTask {
        image: image.into(),
        command: None,
        ..site.task(&[])
    };
    let failure = site.check(&RunSpec::Docker(task.clone()), None).await.unwrap_err();
    assert_is(&failure, Code::TaskCommand, "neither an entry point nor a command");
    assert_is(&site.refused(task).await, Code::TaskCommand, image);
}

#[tokio::test]
async fn an_image_for_another_processor_is_told_before_the_start() {
    let site = Site::new().await;
    let (image, other) = (
        "wharf-docker-helper:foreign",
        if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" },
    );
    load(&site.docker, image, other).await;
    let task = DockerTask {
        image: image.into(),
        ..site.task(&["rest"])
    };
    let failure = site.check(&RunSpec::Docker(task.clone()), None).await.unwrap_err();
    assert_is(&failure, Code::TaskImage, other);
    assert_is(&site.refused(task).await, Code::TaskImage, other);
}

#[tokio::test]
async fn a_program_that_is_not_in_the_image_is_told_at_the_start() {
    let site = Site::new().await;
    let task = DockerTask {
        entrypoint: Some(vec!["/not-there".into()]),
        ..site.task(&["rest"])
    };
    assert_is(&site.refused(task).await, Code::TaskCommand, "/not-there");
}

#[tokio::test]
async fn a_user_that_the_image_does_not_have_is_told_at_the_start() {
    let site = Site::new().await;
    let task = DockerTask {
        user: Some("nobody-here".into()),
        ..site.task(&["rest"])
    };
    assert_is(&site.refused(task).await, Code::TaskCommand, "nobody-here");
}

#[tokio::test]
async fn less_memory_than_docker_gives_is_told_at_the_start() {
    let site = Site::new().await;
    let task = DockerTask {
        memory: Some(1 << 20),
        ..site.task(&["rest"])
    };
    assert_is(&site.refused(task).await, Code::TaskPlacement, "memory");
}

#[tokio::test]
async fn without_a_configured_port_it_is_the_one_that_the_image_exposes() {
    let site = Site::new().await;
    let silent = DockerTask {
        container_port: None,
        ..site.task(&["rest"])
    };
    assert_is(
        &site.refused(silent.clone()).await,
        Code::TaskPlacement,
        "exposes no port",
    );
    let image = "wharf-docker-helper:exposing";
    build(&site.docker, image, "EXPOSE 4711\nENTRYPOINT [\"/helper\"]").await;
    let task = DockerTask {
        image: image.into(),
        ..silent
    };
    let running = site.start_task(task).await;
    assert_eq!(site.endpoint(&running).await.port(), 4711);
}
