//! What an `accrue.toml` describes, inside an axum application and below a prefix:
//! `cargo run --example embed_config accrue.toml`; tokens are at `localhost:3000/ably/auth`.
#![expect(clippy::disallowed_methods, reason = "the edge: this is where the environment comes from")]

use std::process::ExitCode;

use accrue::{Config, Environment, Flag, HttpsClient, Moment};
use axum::Router;
use axum::routing::get;

/// The process's own environment and files.
struct Process;

impl Environment for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("say which accrue.toml")?;
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());

    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // what is for this machine only is refused where others can reach it
    let address = Flag { key: "listen", name: "the address", value: listen };
    let config = Config::parse(&path, &text, &Process, &[address])?;
    let listen = config.listen();
    let assembled = config.assemble(HttpsClient::new(), String::new, Moment::now)?;
    let app =
        Router::new().route("/", get(async || "your application")).nest_service("/ably", assembled.service);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
