use std::process::ExitCode;

use accrue::{Config, Environment, Flag, LogFormat, Outcome, Page};
use http::{HeaderValue, Response};
use tracing::info;

use crate::process::Process;
use crate::run::run;
use crate::{keygen, process, telemetry};

/// What a stranger may play with. The page explains it.
const CONFIG: &str = r#"
[authenticate.claimed]

[given]
"inbox:{clientId}" = ["subscribe"]

[permission.rules]
"public:*" = ["subscribe", "presence", "history"]
"chat:*" = ["publish", "subscribe", "presence", "history"]
"dm:{clientId}:*" = ["*"]

[cookie]
secure = false
"#;

const PAGE: &str = include_str!("demo.html");
/// Where ably-js comes from and connects to; only with `--with-ably`.
const ABLY_HOSTS: &str =
    " https://*.ably.net wss://*.ably.net https://*.ably-realtime.com wss://*.ably-realtime.com";
const MADE_UP_KEY: &str = "demo.key:not-a-key-that-ably-knows";

/// An Ably key and a secret that nobody else has, and nothing of the process's own environment.
struct DemoEnvironment {
    key: String,
    secret: String,
}

impl Environment for DemoEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "ABLY_API_KEY" => Some(self.key.clone()),
            "ACCRUE_SECRETS" => Some(self.secret.clone()),
            _ => None,
        }
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("the demo reads no files".to_owned())
    }
}

pub(crate) fn demo(listen: &str, with_ably: bool) -> Result<ExitCode, String> {
    let key = match with_ably {
        true => {
            Process.variable("ABLY_API_KEY").ok_or("--with-ably: set ABLY_API_KEY to appId.keyId:secret")?
        }
        false => MADE_UP_KEY.to_owned(),
    };
    let environment = DemoEnvironment { key, secret: keygen::fresh("demo") };
    let listen = Flag { key: "listen", name: "--listen", value: listen.to_owned() };
    let config = Config::parse("demo", CONFIG, &environment, &[])
        .and_then(|config| config.for_demonstration(&listen, page(with_ably)))
        .map_err(|error| process::explain(&error))?;
    if with_ably && !config.listen().ip().is_loopback() {
        return Err(format!(
            "--listen: with --with-ably anybody who reaches {} gets tokens for your Ably app; use a loopback address",
            config.listen()
        ));
    }

    telemetry::start("info", LogFormat::Text)?;
    run(config, report_cookies, |address| {
        info!("open http://localhost:{}/ in a browser; stop with Ctrl-C", address.port());
    })
}

fn page(with_ably: bool) -> Page {
    let connect = if with_ably { ABLY_HOSTS } else { "" };
    Page {
        html: PAGE.replace("{with_ably}", if with_ably { "true" } else { "false" }),
        content_security_policy: format!(
            "default-src 'none'; script-src 'nonce-{{nonce}}'; style-src 'nonce-{{nonce}}'; connect-src 'self'{connect}; \
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    }
}

/// Tells the page how many cookies there are and how large: its script can't see them, they are HttpOnly.
fn report_cookies(response: &mut Response<accrue::Body>, outcome: &Outcome) {
    let Some(carried) = outcome.carried else { return };
    let text = format!(
        "cookies={}; bytes={}; set={}; deleted={}",
        carried.grants, carried.bytes, carried.set, carried.deleted
    );
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert("accrue-demo", value);
    }
}
