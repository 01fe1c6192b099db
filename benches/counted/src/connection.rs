use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use accrue::Body;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::{Builder, Runtime};

use crate::support::Scene;

/// A connection in memory that is kept alive, with hyper at its other end.
pub(crate) struct Connection {
    runtime: Runtime,
    client: DuplexStream,
    request: Vec<u8>,
    /// What the first request was answered with, and all others have to be.
    answer: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    /// To accrue.
    pub(crate) fn served(scene: Arc<Scene>) -> Self {
        let request = written(&scene);
        Self::new(request, move |request| scene.handle(request))
    }

    /// To what gives accrue's answer without looking at the request.
    pub(crate) fn floor(scene: &Scene) -> Self {
        let (parts, body) = scene.handle(scene.request()).into_parts();
        let mut response = Response::new(body);
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        Self::new(written(scene), move |_| response.clone())
    }

    fn new(
        request: Vec<u8>,
        respond: impl Fn(Request<Incoming>) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let (client, server) = tokio::io::duplex(256 * 1024);
        let service = service_fn(move |request| {
            let response = respond(request);
            async move { Ok::<_, Infallible>(response) }
        });
        // as in src/serve.rs; but a date would be another one in the next second, and a timer needs one
        let connection = http1::Builder::new()
            .auto_date_header(false)
            .max_buf_size(128 * 1024)
            .max_headers(512)
            .half_close(true)
            .writev(false)
            .serve_connection(TokioIo::new(server), service);
        runtime.spawn(async move { connection.await.expect("a connection that stays") });

        let mut connection = Self { runtime, client, request, answer: Vec::new(), buffer: Vec::new() };
        connection.answer = connection.first();
        connection.buffer = vec![0; connection.answer.len()];
        connection.exchange();
        assert_eq!(connection.buffer, connection.answer);
        connection
    }

    /// One request, and its answer.
    pub(crate) fn exchange(&mut self) {
        let Self { runtime, client, request, buffer, .. } = self;
        runtime.block_on(async {
            client.write_all(request).await.expect("an open connection");
            client.read_exact(buffer).await.expect("a whole answer");
        });
    }

    /// The answer to the first request, of which nobody knows yet how long it is.
    fn first(&mut self) -> Vec<u8> {
        let Self { runtime, client, request, .. } = self;
        runtime.block_on(async {
            client.write_all(request).await.expect("an open connection");
            let mut answer = Vec::new();
            while !is_whole(&answer) {
                client.read_buf(&mut answer).await.expect("an open connection");
            }
            answer
        })
    }
}

/// The request as it is sent.
fn written(scene: &Scene) -> Vec<u8> {
    let request = scene.request();
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        write!(text, "{name}: {}\r\n", value.to_str().expect("ASCII")).expect("room");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = std::str::from_utf8(&answer[..end]).expect("ASCII");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let length = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.parse::<HeaderName>().is_ok_and(|name| name == CONTENT_LENGTH))
        .map(|(_, length)| length.parse::<usize>().expect("a number"))
        .expect("a length");
    answer.len() == end + 4 + length
}
