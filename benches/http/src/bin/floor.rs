//! What HTTP itself costs: hyper and tokio as accrue uses them, answering every request with one answer that accrue
//! gave, without looking at it.
//!
//! `floor FILE` listens on 127.0.0.1:$PORT; FILE is that answer as it came over the wire.
#![expect(
    clippy::disallowed_methods,
    reason = "accrue takes its environment as an argument, this just reads it"
)]

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("floor FILE")?;
    let response = parse(&std::fs::read(file)?)?;
    let port: u16 = std::env::var("PORT")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(port, response))
}

async fn serve(port: u16, response: Response<Full<Bytes>>) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let response = response.clone();
        tokio::spawn(async move {
            let service = service_fn(move |_| {
                let response = response.clone();
                async move { Ok::<_, Infallible>(response) }
            });
            // a connection that fails has failed its own client only, who knows
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// `content-length` and `date` are left out: hyper writes them, here as in accrue.
fn parse(answer: &[u8]) -> Result<Response<Full<Bytes>>, Box<dyn Error>> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("an answer without a head")?;
    let (head, body) = (std::str::from_utf8(&answer[..end])?, &answer[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("an answer without a status")?;
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body)));
    *response.status_mut() = status.parse::<StatusCode>()?;
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or("a line that is no header")?;
        let name = name.parse::<HeaderName>()?;
        if name != CONTENT_LENGTH && name != DATE {
            response.headers_mut().append(name, value.parse::<HeaderValue>()?);
        }
    }
    Ok(response)
}
