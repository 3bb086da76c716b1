//! What the tests of this crate run as a task: small programs that behave well or badly, by name.
//!
//! What must not be here: assertions. A test looks at it from outside.

use rustix::process::setsid;
use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    thread,
};
use wharf_domain::{Attempt, DeploymentId, InstanceId, Timestamp, service::RunSpec};
use wharf_local::{FileLogs, OsIds, ProcessOptions, ProcessTasks};
use wharf_platform::{Owner, TaskSpec, Tasks};
use wharf_saga::Ids;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["rest"] => rest(),
        ["listen"] => listen(env::var("PORT").expect("PORT").parse().expect("a port")),
        ["listen-elsewhere"] => listen(0),
        ["listen-in-a-child"] => {
            let ended = again(&["listen"], Stdio::inherit()).wait();
            panic!("the child ended: {ended:?}")
        }
        ["hoard", mebibytes] => hoard(mebibytes.parse().expect("a number")),
        ["leave"] => {
            start_daemon();
            ExitCode::SUCCESS
        }
        ["keep-a-daemon"] => {
            start_daemon();
            rest()
        }
        ["become-daemon"] => {
            setsid().expect("a child does not lead a group");
            rest()
        }
        ["wharf", data, children] => be_wharf(data, children.parse().expect("a number")),
        other => panic!("unknown: {other:?}"),
    }
}

/// This program once more, as a child.
fn again(arguments: &[&str], output: Stdio) -> Child {
    Command::new(env::current_exe().expect("its own path"))
        .args(arguments)
        .stdout(output)
        .spawn()
        .expect("it runs already")
}

#[expect(
    clippy::zombie_processes,
    reason = "a daemon is not waited for: that is what it is for"
)]
fn start_daemon() {
    again(&["become-daemon"], Stdio::null());
}

fn rest() -> ExitCode {
    loop {
        thread::park();
    }
}

/// Answers everything with a short 200.
fn listen(port: u16) -> ExitCode {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    println!("listening on {}", listener.local_addr().expect("bound").port());
    for connection in listener.incoming() {
        let mut connection = connection.expect("a connection");
        let _ = connection.read(&mut [0; 1024]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    }
    ExitCode::SUCCESS
}

fn hoard(mebibytes: usize) -> ExitCode {
    // Not zero: pages of zeros are not there until they are written.
    let hoard = vec![1_u8; mebibytes << 20];
    println!("has {} bytes", hoard.len());
    rest()
}

/// A whole Wharf, as far as processes go: starts tasks, each with a daemon of its own, says so, and waits to be killed.
#[tokio::main(flavor = "current_thread")]
async fn be_wharf(data: &str, children: u64) -> ExitCode {
    let own_program = env::current_exe().expect("its own path");
    let mut random = [0; 10];
    OsIds.fill(&mut random);
    let deployment = DeploymentId::new(random);
    fs::write(Path::new(data).join("deployment"), deployment.as_str()).expect("a folder");
    let options = ProcessOptions {
        deployment: deployment.clone(),
        data: data.into(),
        base: data.into(),
        own_program,
        ports: 4000..=4999,
    };
    let logs = Arc::new(FileLogs::new(data.as_ref()).expect("logs"));
    let tasks = ProcessTasks::new(options, logs).expect("tasks");
    for number in 0..children {
        let owner = Owner {
            deployment: deployment.clone(),
            instance: InstanceId::new(Timestamp(number), [0; 10]),
            attempt: Attempt(1),
        };
        let spec = TaskSpec {
            owner,
            service: "helper".parse().expect("a name"),
            run: RunSpec::Process {
                command: vec!["wharf".into(), "keep-a-daemon".into()],
                memory: None,
                directory: None,
            },
            port: None,
            environment: [].into(),
            public: false,
            intended_at: Timestamp(0),
        };
        let task = tasks.start(spec).await.expect("started");
        println!("{}", task.id);
    }
    println!("ready");
    std::future::pending().await
}
