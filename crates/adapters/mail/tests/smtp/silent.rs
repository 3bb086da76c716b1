//! SMTP servers that keep their clients waiting, which Debian's does not.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

pub(crate) struct Silent {
    pub(crate) port: u16,
    go: Arc<Notify>,
    serving: JoinHandle<()>,
}

impl Silent {
    /// One that takes connections, and says nothing at all.
    pub(crate) async fn listen() -> Self {
        Self::serve(|stream, go, _| async move {
            go.notified().await;
            drop(stream);
        })
        .await
    }

    /// One that takes the mail of its first transaction and answers when it is told to; that of every later one it refuses.
    pub(crate) async fn answers_late() -> Self {
        Self::serve(|stream, go, mails| async move {
            let _ = talk(stream, go, mails).await;
        })
        .await
    }

    async fn serve<F>(talk: impl Fn(TcpStream, Arc<Notify>, Arc<AtomicUsize>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let go = Arc::new(Notify::new());
        let (told, mails) = (go.clone(), Arc::new(AtomicUsize::new(0)));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, told.clone(), mails.clone()));
            }
        });
        Self { port, go, serving }
    }

    pub(crate) fn answer_now(&self) {
        self.go.notify_one();
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn talk(stream: TcpStream, go: Arc<Notify>, mails: Arc<AtomicUsize>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 slow.example\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let word = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        let answer: &[u8] = match word.as_str() {
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                while lines.next_line().await?.is_some_and(|line| line != ".") {}
                if mails.fetch_add(1, Ordering::SeqCst) == 0 {
                    go.notified().await;
                    b"250 taken\r\n"
                } else {
                    b"554 not taken\r\n"
                }
            }
            "QUIT" => return write.write_all(b"221 bye\r\n").await,
            _ => b"250 slow.example\r\n",
        };
        write.write_all(answer).await?;
    }
    Ok(())
}
