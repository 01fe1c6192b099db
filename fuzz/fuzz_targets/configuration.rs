//! A configuration: a text, variables and files. Whatever stands there, what is wrong is told at a place that exists and
//! without a secret; what is accepted is told without one too, and serves.
//!
//! An input is the text; lines behind one of `---` are variables, `NAME=VALUE`, and files, `PATH<CONTENT`.
#![no_main]

use std::collections::BTreeMap;

use accrue::{Config, ConfigError, Environment, Moment, NoHttpClient};
use accrue_fuzz::{NOW, at_once};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;

struct Made<'a> {
    variables: BTreeMap<&'a str, &'a str>,
    files: BTreeMap<&'a str, &'a str>,
}

impl Environment for Made<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.files.get(path).map(|content| (*content).to_owned()).ok_or_else(|| "there is none".to_owned())
    }
}

fuzz_target!(|input: &str| {
    let said = all_that_is_said(input);
    for secret in secrets(input) {
        // with another secret, what is said in our own words stands there still
        let told = |said: &str| said.contains(secret.as_str());
        if told(&said) {
            let another = all_that_is_said(&input.replace(secret.as_str(), &rotated(&secret)));
            assert!(told(&another), "{secret:?} is told: {said}");
        }
    }
});

fn split(input: &str) -> (&str, Made<'_>) {
    let (text, outside) = input.split_once("\n---\n").unwrap_or((input, ""));
    let variables = outside.lines().filter_map(|line| line.split_once('=')).collect();
    let files = outside.lines().filter_map(|line| line.split_once('<')).collect();
    (text, Made { variables, files })
}

/// Errors, warnings, the summary, and all debug forms.
fn all_that_is_said(input: &str) -> String {
    let (text, environment) = split(input);
    let mut said = String::new();
    if let Err(error) = Config::check_variables(environment.variables.keys().copied()) {
        said += &error.to_string();
    }
    let config = match Config::parse("accrue.toml", text, &environment, &[]) {
        Ok(config) => config,
        Err(error) => {
            places_exist(&error, text);
            return format!("{said}\n{error}\n{error:?}");
        }
    };
    let summary = config.to_string();
    said += &format!("\n{summary}\n{config:?}\n{}", config.warnings().join("\n"));
    let again = Config::parse("accrue.toml", text, &environment, &[]).expect("it was accepted");
    assert_eq!(again.to_string(), summary);
    match config.assemble(NoHttpClient, String::new, || Moment::new(NOW * 1000, [7; 32])) {
        Ok(assembled) => {
            let request = Request::get("/healthz").header("host", "localhost");
            let request = request.body(Full::<Bytes>::default()).expect("a request");
            assert_eq!(at_once(assembled.service.handle(request)).status(), 200);
            format!("{said}\n{assembled:?}")
        }
        Err(error) => format!("{said}\n{error}"),
    }
}

/// Another one of the same characters' kinds.
fn rotated(secret: &str) -> String {
    let next = |c: char| match c {
        'a'..='y' | 'A'..='Y' | '0'..='8' => char::from(c as u8 + 1),
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        c => c,
    };
    secret.chars().map(next).collect()
}

/// Each problem names a line that there is, or says what it is about.
fn places_exist(error: &ConfigError, text: &str) {
    assert!(!error.problems().is_empty());
    for problem in error.problems() {
        let said = problem.to_string();
        assert!(said.len() > 10, "{said}");
        if let Some(place) = said.strip_prefix("accrue.toml:") {
            let mut numbers = place.splitn(3, ':').map(|number| number.parse::<usize>());
            let (Some(Ok(line)), Some(Ok(column))) = (numbers.next(), numbers.next()) else {
                panic!("{said}")
            };
            let lines: Vec<&str> = text.split('\n').collect();
            assert!(line >= 1 && line <= lines.len(), "{said}: {} lines", lines.len());
            assert!(
                column >= 1 && column <= lines[line - 1].chars().count() + 1,
                "{said}: {:?}",
                lines[line - 1]
            );
        }
    }
}

const IN_THE_FILE: [&str; 6] = [
    "ably.key",
    "admin_token",
    "authenticate.jwt.secret",
    "authenticate.header.proxy_secret",
    "permission.webhook.bearer",
    "store.url",
];
const IN_THE_ENVIRONMENT: [&str; 9] = [
    "ABLY_API_KEY",
    "ACCRUE_ABLY__KEY",
    "ACCRUE_SECRETS",
    "ACCRUE_GRANT__SECRETS",
    "ACCRUE_ADMIN_TOKEN",
    "ACCRUE_AUTHENTICATE__JWT__SECRET",
    "ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET",
    "ACCRUE_PERMISSION__WEBHOOK__BEARER",
    "ACCRUE_STORE__URL",
];

/// What must not be told: the secrets, so far as they are told apart from whatever else stands there.
fn secrets(input: &str) -> Vec<String> {
    let (text, environment) = split(input);
    let mut found = Vec::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        let at = |path: &str| {
            let mut parts = path.split('.');
            let first = table.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part)).cloned()
        };
        found.extend(
            IN_THE_FILE.into_iter().filter_map(|path| at(path)?.as_str().map(|text| secret_part(path, text))),
        );
        let list = at("grant.secrets").and_then(|list| list.as_array().cloned()).unwrap_or_default();
        found.extend(
            list.iter().filter_map(|item| item.as_str().map(|text| secret_part("grant.secrets", text))),
        );
    }
    for name in IN_THE_ENVIRONMENT {
        let file = environment.variables.get(format!("{name}_FILE").as_str());
        let content = file.and_then(|path| environment.files.get(path));
        for value in environment.variables.get(name).into_iter().chain(content) {
            let path = if name.contains("STORE") {
                "store.url"
            } else if name.contains("KEY") {
                "ably.key"
            } else {
                ""
            };
            let values = if name.contains("SECRETS") { value.split(',').collect() } else { vec![*value] };
            found.extend(values.into_iter().map(|value| {
                secret_part(if name.contains("SECRETS") { "grant.secrets" } else { path }, value.trim())
            }));
        }
    }
    found.retain(|secret| secret.chars().count() >= 8 && input.matches(secret.as_str()).count() == 1);
    found
}

/// What follows the name.
fn secret_part(path: &str, text: &str) -> String {
    let secret = match path {
        "ably.key" | "grant.secrets" => text.split_once(':').map_or(text, |(_, secret)| secret),
        "store.url" => {
            text.rsplit_once('@').and_then(|(user, _)| user.splitn(3, ':').nth(2)).unwrap_or_default()
        }
        _ => text,
    };
    secret.to_owned()
}
