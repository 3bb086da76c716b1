//! The services of these tests: this test binary itself, started once more by the server, in one of a few roles. A program
//! apart would have to be found, and built, by whoever runs a single test.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// Which role a service has.
const ROLE: &str = "TEST_SERVICE";
/// A file: until it is there, the service does not listen.
const GATE: &str = "TEST_GATE";

/// Not a fact about Wharf: without a role it does nothing.
#[test]
fn run() {
    match env::var(ROLE).as_deref() {
        Ok("answer") => serve(env::var("PORT").expect("PORT").parse().expect("a port"), 200),
        Ok("broken") => serve(env::var("PORT").expect("PORT").parse().expect("a port"), 500),
        Ok("elsewhere") => serve(0, 200),
        Ok("daemon") => leave_a_daemon(),
        Ok("hoard") => hoard(),
        Ok(other) => panic!("there is no role {other}"),
        Err(_) => {}
    }
}

/// The lines of a service's section that say what runs: one of the roles.
pub(crate) fn runs(role: &str) -> String {
    lines(role, "", "")
}

/// One that answers as soon as there is a file of this name.
pub(crate) fn runs_behind(gate: &Path) -> String {
    lines("answer", &format!(", {GATE} = {}", serde_json::json!(gate)), "")
}

/// One with a limit of memory.
pub(crate) fn runs_within(role: &str, memory: &str) -> String {
    lines(role, "", &format!("memory = \"{memory}\", "))
}

/// The section of a service for tenants, with further lines of its own.
pub(crate) fn app(further: &str, runs: &str) -> String {
    format!("[services.app]\ntenant = true\n{further}\n{runs}\n")
}

fn lines(role: &str, environment: &str, process: &str) -> String {
    let own = env::current_exe().expect("this program");
    // A JSON string is one of TOML's.
    let command = serde_json::json!([own, "service::run", "--exact", "--nocapture"]);
    format!("environment = {{ {ROLE} = \"{role}\"{environment} }}\nprocess = {{ {process}command = {command} }}\n")
}

/// Goes away, and leaves a process that answers.
#[expect(
    clippy::zombie_processes,
    reason = "a daemon is not waited for: that is what it is for"
)]
fn leave_a_daemon() {
    let own = env::current_exe().expect("this program");
    Command::new(own)
        .args(["service::run", "--exact", "--nocapture"])
        .env(ROLE, "answer")
        .spawn()
        .expect("it runs already");
}

fn hoard() {
    // Not zero: pages of zeros are not there until they are written.
    let hoard = vec![1_u8; 256 << 20];
    println!("has {} bytes", hoard.len());
    loop {
        thread::park();
    }
}

/// Answers everything with what it is: a JSON object of its process, its request and its environment.
///
/// `/hold` is answered when somebody asks for `/release`, in whatever folder they are.
fn serve(port: u16, status: u16) {
    if let Ok(gate) = env::var(GATE) {
        while !Path::new(&gate).exists() {
            thread::park_timeout(Duration::from_millis(5));
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    println!("listening on {}", listener.local_addr().expect("bound"));
    let released = Arc::new((Mutex::new(false), Condvar::new()));
    for connection in listener.incoming() {
        let released = released.clone();
        thread::spawn(move || answer(&connection.expect("a connection"), status, &released));
    }
}

fn answer(mut connection: &TcpStream, status: u16, released: &(Mutex<bool>, Condvar)) {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path.ends_with("/release") {
        *released.0.lock().expect("nobody panicked") = true;
        released.1.notify_all();
    }
    if path.ends_with("/hold") {
        let (lock, condition) = released;
        println!("holding");
        let _released = condition
            .wait_while(lock.lock().expect("nobody panicked"), |released| !*released)
            .expect("nobody panicked");
    }
    let environment: BTreeMap<String, String> = env::vars().collect();
    let body =
        serde_json::json!({"pid": std::process::id(), "path": path, "headers": headers, "environment": environment})
            .to_string();
    let _ = write!(
        connection,
        "HTTP/1.1 {status} As Asked\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}
