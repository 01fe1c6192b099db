//! A server that does not behave.
#![allow(dead_code, reason = "every test takes what it needs")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// What it does with every request. The bytes are what it says, as they are.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Says this and reads the next request.
    Answers(Vec<u8>),
    /// Says this after a while and reads the next request.
    Late(Duration, Vec<u8>),
    /// Says this and closes, without TLS's own goodbye.
    Closes(Vec<u8>),
    /// Says this and resets the connection.
    Resets(Vec<u8>),
    /// Says this and nothing else for ever.
    Hangs(Vec<u8>),
    /// Says this, then this byte every 50 ms for ever.
    Drips(Vec<u8>, u8),
    /// Says this, then the other for ever, as fast as it is taken.
    Floods(Vec<u8>, Vec<u8>),
    /// Reads nothing and says nothing.
    Deaf,
}

/// An answer that is well, with its length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

/// The server, until it is dropped.
pub(crate) struct Nasty {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    /// With requests that have these words in them.
    particular: Mutex<BTreeMap<String, Behaviour>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    hang_up: Notify,
}

impl Shared {
    fn behaviour_for(&self, request: &str) -> Behaviour {
        let particular = self.particular.lock().expect("nobody panics");
        match particular.iter().find(|(words, _)| request.contains(words.as_str())) {
            Some((_, behaviour)) => behaviour.clone(),
            None => self.behaviour.lock().expect("nobody panics").clone(),
        }
    }
}

impl Nasty {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        Self::listen("127.0.0.1:0", None, behaviour).await
    }

    pub(crate) async fn start_tls(acceptor: TlsAcceptor, behaviour: Behaviour) -> Self {
        Self::listen("127.0.0.1:0", Some(acceptor), behaviour).await
    }

    pub(crate) async fn listen(address: &str, tls: Option<TlsAcceptor>, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("it has one");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            particular: Mutex::default(),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            hang_up: Notify::new(),
        });
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { address, scheme, shared, accepting }
    }

    /// Does this with requests from now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().expect("nobody panics") = behaviour;
    }

    /// Does this from now on with requests that have these words in them.
    pub(crate) fn behave_for(&self, words: &str, behaviour: Behaviour) {
        self.shared.particular.lock().expect("nobody panics").insert(words.to_owned(), behaviour);
    }

    /// Closes all connections, whatever they are at.
    pub(crate) fn hang_up(&self) {
        self.shared.hang_up.notify_waiters();
    }

    /// Its URL, with a path.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}/some/path", self.scheme, self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().expect("nobody panics").clone()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many of them neither side has closed.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Nasty {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // dropped with this task, which ends what they do
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let _open = Open(Arc::clone(&shared));
            tokio::select! {
                _ = welcome(stream, tls, &shared) => {}
                () = shared.hang_up.notified() => {}
            }
        });
    }
}

async fn welcome(stream: TcpStream, tls: Option<TlsAcceptor>, shared: &Shared) -> Option<()> {
    match tls {
        None => converse(stream, shared).await,
        Some(tls) => converse(tls.accept(stream).await.ok()?, shared).await,
    }
}

struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Lets the other side be told of a reset.
    fn reset(self);
}

impl Stream for TcpStream {
    fn reset(self) {
        self.set_zero_linger().expect("it is open");
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(self) {
        self.into_inner().0.reset();
    }
}

/// Until either side has enough; `None` too.
async fn converse(mut stream: impl Stream, shared: &Shared) -> Option<()> {
    loop {
        if matches!(*shared.behaviour.lock().expect("nobody panics"), Behaviour::Deaf) {
            std::future::pending::<()>().await;
        }
        let request = read_request(&mut stream).await?;
        let behaviour = shared.behaviour_for(&request);
        shared.requests.lock().expect("nobody panics").push(request);
        match behaviour {
            Behaviour::Answers(bytes) => stream.write_all(&bytes).await.ok()?,
            Behaviour::Late(pause, bytes) => {
                sleep(pause).await;
                stream.write_all(&bytes).await.ok()?;
            }
            Behaviour::Closes(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                stream.flush().await.ok()?;
                return None;
            }
            Behaviour::Resets(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                // a reset overtakes what has been said
                sleep(A_MOMENT).await;
                stream.reset();
                return None;
            }
            Behaviour::Hangs(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                let mut buffer = [0; 64];
                while stream.read(&mut buffer).await.ok()? > 0 {}
                return None;
            }
            Behaviour::Drips(bytes, byte) => {
                stream.write_all(&bytes).await.ok()?;
                loop {
                    sleep(A_MOMENT).await;
                    stream.write_all(&[byte]).await.ok()?;
                    stream.flush().await.ok()?;
                }
            }
            Behaviour::Floods(bytes, again) => {
                stream.write_all(&bytes).await.ok()?;
                loop {
                    stream.write_all(&again).await.ok()?;
                }
            }
            Behaviour::Deaf => {}
        }
        stream.flush().await.ok()?;
    }
}

/// The next request; `None` if there is none.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
            if received.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&received).into_owned());
            }
        }
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
    }
}

const A_MOMENT: Duration = Duration::from_millis(50);
