//! nginx set up to do what the edge does: the same headers replaced and removed, the same credentials taken out, the same
//! time and size limits, unbuffered both ways, kept connections, no access log.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    edge::HOST,
    process::{Process, wait_for},
};

/// Starts nginx on a free port with its files in `folder`.
pub(crate) fn start(folder: &Path, upstream: u16, workers: usize) -> (Process, u16) {
    let port = free_port();
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration(folder, port, upstream, workers)).unwrap();
    let child = Command::new("nginx")
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg(folder.join("error.log"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("nginx is installed (Debian: nginx-light)");
    let process = Process::new(child);
    wait_for(port);
    (process, port)
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn configuration(folder: &Path, port: u16, upstream: u16, workers: usize) -> String {
    let folder = folder.display();
    format!(
        r#"
daemon off;
user root;
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
        server 127.0.0.1:{upstream};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 30s;
    }}
    server {{
        listen 127.0.0.1:{port} default_server reuseport backlog=1024;
        return 421;
    }}
    server {{
        listen 127.0.0.1:{port};
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
