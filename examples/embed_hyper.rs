//! accrue inside a hyper server of your own, for callers with a session JWT: `cargo run --example embed_hyper`, then
//!
//! ```sh
//! part() { openssl base64 -A | tr '+/' '-_' | tr -d =; }
//! JWT=$(printf '{"alg":"HS256"}' | part).$(printf '{"sub":"alice","exp":%d}' $(($(date +%s) + 600)) | part)
//! JWT=$JWT.$(printf %s "$JWT" | openssl dgst -binary -sha256 -hmac 'what your application signs its sessions with' | part)
//! curl -i -H "authorization: Bearer $JWT" -G localhost:3000/auth --data-urlencode 'capability={"alice:1":["publish"]}'
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use accrue::ably::ApiKey;
use accrue::{
    AuthService, Body, Issuer, Moment, Rules, Sealing, SealingKeys, SealingSecret, ServiceSettings,
    SessionJwt, Strategy, Vocabulary,
};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

fn auth_service() -> Result<AuthService, Box<dyn Error>> {
    // these come from your secret store; the names before the colons are no secrets
    let key = ApiKey::parse("app.key:an-ably-secret")?;
    let secret = SealingSecret::parse("k1:ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE")?;
    let session = SessionJwt::with_secret("what your application signs its sessions with", &["HS256"])?;

    let sealing = Sealing::new(SealingKeys::new(&key, vec![secret])?);
    let mut rules = Rules::default();
    rules.add("{clientId}:*", &["subscribe", "publish"], &Vocabulary::default())?;
    let issuer = Issuer::new(key, Strategy::Cookie(sealing), rules)?;
    Ok(AuthService::new(issuer, session, ServiceSettings::default(), Moment::now))
}

async fn answer(service: AuthService, request: Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/auth" => service.handle(request).await,
        _ => Response::new(Body::from("your application\n")),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = auth_service()?;
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&connections).acquire_owned().await?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // the peer is gone already, or this process has no more files: neither lasts
            Err(error) => {
                eprintln!("not accepted: {error}");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = service.clone();
        // the service has no timers: who is slow is cut off here
        let answer = service_fn(move |request| timeout(REQUEST, answer(service.clone(), request)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("a connection failed: {error}");
            }
            drop(permit);
        });
    }
}

/// At once, each a file of this process: fewer than `ulimit -n`.
const CONNECTIONS: usize = 512;
const HEAD: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(10);
