//! nginx, set up to do what the edge does: the same headers replaced and removed, the same credentials taken out, the same
//! time-outs and limits, unbuffered both ways, kept connections, no access log, a worker a core with a queue of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{load, proxy::HOST};
use crate::{Result, children::Running};

const STARTED_WITHIN: Duration = Duration::from_secs(10);

/// Starts it on a free port, with everything that it writes in `folder`.
pub(crate) fn start(folder: &Path, upstream: SocketAddr) -> Result<(Running, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(folder, address, upstream, workers))?;
    let process = Running::start_family(
        Command::new(load::program("nginx")?)
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )?;
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if began.elapsed() > STARTED_WITHIN || process.has_ended() {
            let log = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            return Err(format!("nginx does not start: {log}").into());
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    Ok((process, address))
}

fn configuration(folder: &Path, address: SocketAddr, upstream: SocketAddr, workers: usize) -> String {
    let folder = folder.display();
    // Only root's workers would become another user, who may not write below the folder.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        r#"
daemon off;
{user}
worker_processes {workers};
pid {folder}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 75s;
    client_header_timeout 10s;
    client_body_timeout 300s;
    send_timeout 300s;
    client_header_buffer_size 1k;
    large_client_header_buffers 4 8k;
    client_max_body_size 0;
    tcp_nodelay on;
    map $http_upgrade $connection_upgrade {{ default ""; websocket upgrade; }}
    map $http_authorization $kept_authorization {{ default $http_authorization; "~*^bearer\s+wharf_" ""; }}
    map $http_cookie $kept_cookie {{ default $http_cookie; "~*(^|;\s*)(wharf_|__host-wharf)" ""; }}
    upstream backend {{
        server {upstream};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 30s;
    }}
    server {{
        listen {address} default_server reuseport backlog=1024;
        return 421;
    }}
    server {{
        listen {address};
        server_name {HOST};
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_connect_timeout 5s;
            proxy_read_timeout 60s;
            proxy_send_timeout 60s;
            proxy_set_header Host $http_host;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header Forwarded "for=$remote_addr;host=\"$http_host\";proto=$scheme";
            proxy_set_header X-Real-IP "";
            proxy_set_header X-Forwarded-Port "";
            proxy_set_header Proxy "";
            proxy_set_header Proxy-Authorization "";
            proxy_set_header Authorization $kept_authorization;
            proxy_set_header Cookie $kept_cookie;
        }}
    }}
}}
"#
    )
}
