//! The upstream that both proxies have: it answers every request with the same bytes, at next to no cost.

use std::io::Write;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nserver: static\r\n\
    date: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: 14\r\n\r\nHello, World!\n";

/// Serves until it is ended; its port goes to stdout first.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        std::io::stdout().flush().unwrap();
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let mut buffer = vec![0; 4096];
                let mut held = 0;
                while let Ok(count) = stream.read(&mut buffer[held..]).await {
                    if count == 0 {
                        return;
                    }
                    held += count;
                    // One request at a time, without a body: a proxy's connections carry nothing else here.
                    if buffer[..held].ends_with(b"\r\n\r\n") {
                        held = 0;
                        if stream.write_all(ANSWER).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
}
