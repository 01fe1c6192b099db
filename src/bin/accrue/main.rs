//! The command line: `accrue demo`, `serve`, `check`, `keygen`, `inspect`, `revoke`; and AWS Lambda.

mod admin;
mod check;
mod demo;
mod inspect;
mod keygen;
#[cfg(feature = "lambda")]
mod lambda;
mod log_fields;
mod log_lines;
mod metrics;
mod process;
mod revoke;
mod run;
mod serve;
mod telemetry;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// An auth server for Ably clients that need one more channel.
///
/// It answers Ably SDKs (authUrl, authCallback) with signed token requests, checks only what is new,
/// and lets the client keep the list of what it was permitted, sealed, in a cookie.
#[derive(Parser)]
#[command(
    version,
    after_help = "Start with `accrue demo`. Exit status: 0 done, 1 the answer is no, 2 bad usage or configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try it out: a made-up key, sample rules, and a page to play with
    ///
    /// Needs no configuration. It believes whatever clientId it is told, so it answers to localhost only.
    Demo {
        /// Where to listen; port 0 takes a free one
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
        listen: String,
        /// Sign with the key in ABLY_API_KEY, so that the page connects for real; on loopback only
        #[arg(long)]
        with_ably: bool,
    },
    /// Run the service
    ///
    /// Refuses to start on anything insecure or unclear, and says what to write instead. Secrets are best set in the
    /// environment: ABLY_API_KEY, ACCRUE_SECRETS, ACCRUE_ADMIN_TOKEN, or with _FILE behind it the path of a file that
    /// holds it. Every other key can be set there too: token.format is ACCRUE_TOKEN__FORMAT.
    Serve(Configured),
    /// Read the configuration as `serve` would, and print what it amounts to, secrets redacted
    Check(Configured),
    /// Make one fresh secret to seal grants with, ready to paste: k1:BASE64URL
    Keygen {
        /// The secret's name: 1 to 16 letters, digits, "_" and "-"
        #[arg(long, value_name = "NAME", default_value = "k1")]
        kid: String,
    },
    /// Explain a sealed grant, TokenRequest or JWT: contents, age, which secret sealed it, whether it verifies
    ///
    /// Exit status 1 if it does not verify, or could not be verified for want of a key or a clientId. Keys come from
    /// the configuration file, from ABLY_API_KEY and from ACCRUE_SECRETS.
    Inspect {
        /// The text, or - for standard input; a whole cookie (NAME=VALUE) will do
        text: String,
        /// Whose grant it should be
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        /// Where the keys are
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Take back what a client was permitted, by asking a running service's admin listener
    ///
    /// Withdraw the permission itself first: what is revoked is only checked again. Sends ACCRUE_ADMIN_TOKEN, or what is in
    /// the file that ACCRUE_ADMIN_TOKEN_FILE names, if one of them is set. Exit status 1 if half of it failed.
    #[command(group(clap::ArgGroup::new("whom").required(true).args(["client_id", "everybody"])))]
    Revoke {
        /// Whose rights
        #[arg(value_name = "ID")]
        client_id: Option<String>,
        /// All clients' rights (their tokens at Ably live on until they expire)
        #[arg(long)]
        everybody: bool,
        /// Where the admin listener is
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
        admin: String,
    },
}

#[derive(Args)]
struct Configured {
    /// The TOML file; without it, the environment alone
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, such as 0.0.0.0:8080; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

fn main() -> ExitCode {
    match done() {
        Ok(code) => code,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "accrue: {message}");
            ExitCode::from(2)
        }
    }
}

fn done() -> Result<ExitCode, String> {
    // Lambda starts it without arguments; with some, somebody wants to try a command out there
    #[cfg(feature = "lambda")]
    if let (Some(runtime_api), 1) = (lambda::runtime_api(), std::env::args_os().len()) {
        return lambda::lambda(&runtime_api);
    }
    match Cli::parse().command {
        Command::Demo { listen, with_ably } => demo::demo(&listen, with_ably),
        Command::Serve(configured) => serve::serve(&configured),
        Command::Check(configured) => check::check(&configured),
        Command::Keygen { kid } => keygen::keygen(&kid),
        Command::Inspect { text, client_id, config } => {
            inspect::inspect(&text, client_id.as_deref(), config.as_deref())
        }
        Command::Revoke { client_id, admin, .. } => revoke::revoke(client_id.as_deref(), &admin),
    }
}
