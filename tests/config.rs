//! What is refused at start, where, and what to write instead; what everything is when nothing is written.

#[path = "config/outside.rs"]
mod outside;

use std::collections::BTreeMap;

use accrue::{Config, ConfigError, Environment, Flag, LogFormat};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};

/// An environment out of a table.
#[derive(Clone, Default)]
struct Made {
    variables: BTreeMap<&'static str, String>,
    files: BTreeMap<&'static str, String>,
}

impl Environment for Made {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.files.get(path).cloned().ok_or_else(|| "No such file or directory (os error 2)".to_owned())
    }
}

impl Made {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    fn without(mut self, name: &'static str) -> Self {
        self.variables.remove(name);
        self
    }

    fn with_file(mut self, path: &'static str, content: &str) -> Self {
        self.files.insert(path, content.to_owned());
        self
    }
}

fn nothing_set() -> Made {
    Made::default()
}

fn with_keys() -> Made {
    nothing_set().with("ABLY_API_KEY", ABLY_KEY).with("ACCRUE_SECRETS", SEALING)
}

/// With all that no file needs to say, so that a file of one line can be told apart by that line.
fn usual() -> Made {
    with_keys().with("ACCRUE_AUTHENTICATE__JWT__SECRET", JWT_SECRET)
}

fn parse(text: &str, environment: &Made) -> Result<Config, ConfigError> {
    Config::parse("accrue.toml", text, environment, &[])
}

/// With a permission check at the end, where it moves no line of what stands before.
fn parse_with_rules(text: &str, environment: &Made) -> Result<Config, ConfigError> {
    parse(&format!("{text}\n{RULES}"), environment)
}

#[track_caller]
fn accepted(text: &str, environment: &Made) -> Config {
    match parse_with_rules(text, environment) {
        Ok(config) => config,
        Err(error) => panic!("{text}\nis refused: {error}"),
    }
}

#[track_caller]
fn problems(result: Result<Config, ConfigError>) -> Vec<String> {
    let error = match result {
        Err(error) => error,
        Ok(config) => panic!("not refused:\n{config}"),
    };
    for (name, secret) in SECRETS {
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains(secret), "{shown}\nrepeats the {name}");
        }
    }
    let problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.join("\n"), error.to_string());
    problems
}

/// Refused for one reason only, told at this place and with these words.
#[track_caller]
fn refused_for(result: Result<Config, ConfigError>, place: &str, words: &[&str]) {
    let problems = problems(result);
    let [problem] = problems.as_slice() else { panic!("not one problem but {problems:#?}") };
    let message = match place {
        "" => Some(problem.as_str()),
        _ => problem.strip_prefix(place).and_then(|rest| rest.strip_prefix(": ")),
    };
    let Some(message) = message else { panic!("{problem:?} is not at {place:?}") };
    assert!(!message.starts_with("accrue.toml:"), "{problem:?} has a place");
    for word in words {
        assert!(message.contains(word), "{problem:?} does not say {word:?}");
    }
}

/// The line of a summary that begins with this name, and the lines that go on with it.
#[track_caller]
fn line(config: &Config, name: &str) -> String {
    let text = config.to_string();
    let mut found = Vec::new();
    for line in text.lines() {
        let (label, value) = line.split_at(16.min(line.len()));
        let label = label.trim();
        if label == name || (label.is_empty() && !found.is_empty()) {
            found.push(value);
        } else if !found.is_empty() {
            break;
        }
    }
    assert!(!found.is_empty(), "there is no line {name:?} in\n{text}");
    found.join("\n")
}

fn flag(value: &str) -> Flag {
    Flag { key: "listen", name: "--listen", value: value.to_owned() }
}

#[test]
fn values_out_of_range_are_refused_where_they_stand() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("listen = \"everywhere\"", "1:10", &["ADDRESS:PORT", "127.0.0.1:8080"]),
        ("listen = \"127.0.0.1\"", "1:10", &["ADDRESS:PORT"]),
        ("listen = \"127.0.0.1:99999\"", "1:10", &["ADDRESS:PORT"]),
        ("listen = \"example.com:80\"", "1:10", &["ADDRESS:PORT"]),
        ("listen = 8080", "1:10", &["text in quotes"]),
        ("strategy = \"cookies\"", "1:12", &["one of", "\"cookie\", \"client\", \"server\""]),
        ("log_format = \"xml\"", "1:14", &["one of", "\"text\", \"json\""]),
        ("log = 3", "1:7", &["text in quotes"]),
        ("origins = \"https://a.com\"", "1:11", &["list of texts"]),
        ("origins = [1]", "1:11", &["list of texts"]),
        ("origins = [\"*\"]", "1:11", &["not an origin", "scheme://host[:port]", "https://app.example.com"]),
        ("origins = [\"null\"]", "1:11", &["\"null\" is not an origin"]),
        ("origins = [\"https://App.example.com\"]", "1:11", &["lower-case"]),
        ("origins = [\"https://a.com/\"]", "1:11", &["without a path"]),
        ("origins = [\"https://a.com\", \"b.com\"]", "1:11", &["\"b.com\""]),
        ("origins = [\"https://a.com:443\"]", "1:11", &["as the browser does"]),
        ("limits.connections = 0", "1:22", &["whole number from 1"]),
        ("limits.connections = -1", "1:22", &["whole number"]),
        ("limits.connections = 1.5", "1:22", &["whole number"]),
        ("limits.connections = \"many\"", "1:22", &["whole number"]),
        ("limits.requests = 0", "1:19", &["whole number from 1"]),
        ("limits.requests = 99999999999999999999", "1:19", &[]),
        ("limits.header_timeout = \"0s\"", "1:25", &["duration from 10ms"]),
        ("limits.header_timeout = 5", "1:25", &["duration", "\"5s\""]),
        ("limits.body_timeout = \"2h\"", "1:23", &["duration", "1h"]),
        ("limits.drain_timeout = \"soon\"", "1:24", &["duration", "\"10s\""]),
        ("token.format = \"jws\"", "1:16", &["\"request\", \"jwt\""]),
        ("token.ttl = \"25h\"", "1:13", &["from 1s to 24h", "\"60m\""]),
        ("token.ttl = \"500ms\"", "1:13", &["from 1s"]),
        ("token.ttl = \"0s\"", "1:13", &["from 1s"]),
        ("token.ttl = 3600", "1:13", &["duration"]),
        ("token.jitter = 0.6", "1:16", &["from 0 to 0.5"]),
        ("token.jitter = -0.1", "1:16", &["from 0"]),
        ("token.jitter = nan", "1:16", &["from 0"]),
        ("token.jitter = inf", "1:16", &["from 0"]),
        ("token.jitter = \"10%\"", "1:16", &["a number"]),
        ("grant.recheck_after = \"9m\"", "1:23", &["from 10m to 90d", "\"8h\""]),
        ("grant.recheck_after = \"91d\"", "1:23", &["from 10m to 90d"]),
        ("cookie.name = \"\"", "1:15", &["1 to 64"]),
        ("cookie.name = \"a.b\"", "1:15", &["letters, digits"]),
        ("cookie.name = \"a b\"", "1:15", &["letters, digits"]),
        ("cookie.max_bytes = 4097", "1:20", &["to 4096"]),
        ("cookie.max_bytes = 10", "1:20", &["from 256"]),
        ("cookie.secure = \"no\"", "1:17", &["true or false"]),
        ("cookie.cross_site = 1", "1:21", &["true or false"]),
        ("ably.revocable = \"yes\"", "1:18", &["true or false"]),
        ("ably.revocable = true\ntoken.ttl = \"61m\"", "2:13", &["to 60m"]),
        ("ably.extra_operations = [\"a b\"]", "1:25", &["ably.extra_operations"]),
        ("ably.extra_operations = [\"*\"]", "1:25", &["ably.extra_operations"]),
        ("ably.capability = \"all\"", "1:19", &["table of resources"]),
        ("ably.capability = {}", "1:19", &["permits nothing", "leave it out"]),
        ("[ably.capability]\n\"chat:*\" = [\"teleport\"]", "2:1", &["chat:*", "unknown operation"]),
        ("[ably.capability]\n\"[x]chat\" = [\"*\"]", "2:1", &["[x]chat", "[meta], [queue] and [*]"]),
    ];
    for (text, place, words) in rows {
        eprintln!("{text}");
        refused_for(parse_with_rules(text, &usual()), &format!("accrue.toml:{place}"), words);
    }
}

#[test]
fn what_is_in_range_is_accepted_as_it_is_written() {
    for (text, name, value) in [
        ("listen = \"localhost:3000\"", "listen", "127.0.0.1:3000"),
        ("listen = \"[::1]:3000\"", "listen", "[::1]:3000"),
        ("listen = \"0.0.0.0:80\"", "listen", "0.0.0.0:80"),
        (
            "grant.recheck_after = \"90d\"",
            "grant",
            "secrets k1 (the first seals, all verify), recheck_after 90d",
        ),
        ("token.ttl = \"24h\"", "token", "TokenRequest, ttl 1d, shortened by up to 10 %"),
        ("token.jitter = 0", "token", "TokenRequest, ttl 1h, shortened by up to 0 %"),
        ("token.jitter = 0.5", "token", "TokenRequest, ttl 1h, shortened by up to 50 %"),
        (
            "token.format = \"jwt\"",
            "token",
            "JWT up to 7 KiB, TokenRequest beyond, ttl 1h, shortened by up to 10 %",
        ),
        ("ably.revocable = true", "token", "TokenRequest, ttl 1h, shortened by up to 10 %"),
        (
            "ably.revocable = true\ntoken.ttl = \"60m\"",
            "token",
            "TokenRequest, ttl 1h, shortened by up to 10 %",
        ),
        (
            "origins = [\"https://a.com\", \"http://localhost:3000\"]",
            "origins",
            "the service's own, https://a.com, http://localhost:3000",
        ),
        (
            "ably.capability = { \"chat:*\" = [\"publish\"] }",
            "ably key",
            "canary.key (secret redacted), may do {\"chat:*\":[\"publish\"]}",
        ),
        (
            "ably.extra_operations = [\"teleport\"]\n[given]\n\"a\" = [\"teleport\"]",
            "given",
            "\"a\" = [\"teleport\"]",
        ),
        (
            "limits.connections = 0x10",
            "limits",
            "16 connections, 1024 requests in flight; timeouts: head 5s, body 5s, drain 10s",
        ),
        (
            "limits.connections = 1_000",
            "limits",
            "1000 connections, 1024 requests in flight; timeouts: head 5s, body 5s, drain 10s",
        ),
        (
            "limits.drain_timeout = \"0s\"",
            "limits",
            "4096 connections, 1024 requests in flight; timeouts: head 5s, body 5s, drain 0s",
        ),
        ("log = \"warn,audit=info\"\nlog_format = \"json\"", "log", "warn,audit=info as JSON"),
    ] {
        assert_eq!(line(&accepted(text, &usual()), name), value, "{text}");
    }
}

#[test]
fn rules_and_what_is_given_are_refused_by_the_line_they_stand_in() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("\"chat:*\" = [\"teleport\"]", "2:1", &["chat:*", "unknown operation \"teleport\""]),
        ("\"chat:*\" = [\"subscirbe\"]", "2:1", &["subscribe"]),
        ("\"chat:*\" = []", "2:1", &["list of operations is empty"]),
        ("\"chat:*\" = [\"*\", \"publish\"]", "2:1", &["must stand alone"]),
        ("\"chat:*\" = \"publish\"", "2:1", &["list of texts", "[\"subscribe\"]"]),
        ("\"chat:*\" = [1]", "2:1", &["list of texts"]),
        ("\"\" = [\"*\"]", "2:1", &["empty"]),
        ("\":a\" = [\"*\"]", "2:1", &["must not start"]),
        ("\"[x]a\" = [\"*\"]", "2:1", &["[meta], [queue] and [*]"]),
        ("\"inbox-{clientId}\" = [\"*\"]", "2:1", &["{clientId}", "whole segment"]),
        ("\"a:{user}\" = [\"*\"]", "2:1", &["{claims.NAME}"]),
        ("\n  \"a:{claims.}\" = [\"*\"]", "3:3", &["{claims.NAME}"]),
    ];
    for (entry, place, words) in rows {
        for section in ["given", "permission.rules"] {
            let text = format!("[{section}]\n{entry}\n");
            let tail = if section == "given" { RULES } else { "" };
            let result = parse(&format!("{text}{tail}"), &usual());
            let in_section = format!("{section}: ");
            let words: Vec<&str> = words.iter().copied().chain([in_section.as_str()]).collect();
            refused_for(result, &format!("accrue.toml:{place}"), &words);
        }
    }
}

#[test]
fn unknown_keys_are_told_with_line_column_and_the_nearest_known_one() {
    for (text, place, words) in [
        ("orgins = []", "1:1", &["unknown key \"orgins\"", "did you mean \"origins\"?"][..]),
        ("\n\n  stratgy = \"cookie\"", "3:3", &["did you mean \"strategy\"?"]),
        ("[tokens]\nttl = \"1h\"", "1:2", &["unknown key \"tokens\"", "\"token\""]),
        ("[token]\nfromat = \"jwt\"", "2:1", &["unknown key \"token.fromat\"", "did you mean \"format\"?"]),
        ("token.tll = \"1h\"", "1:7", &["\"ttl\""]),
        ("ttl = \"1h\"", "1:1", &["did you mean \"token.ttl\"?"]),
        ("[limits]\nconections = 1", "2:1", &["\"connections\""]),
        ("[cookie]\nsame_site = \"lax\"", "2:1", &["known here: cross_site, max_bytes, name, secure"]),
        ("[authenticate.claimed]\nx = 1", "2:1", &["[authenticate.claimed] has no keys"]),
    ] {
        let environment = if text.contains("claimed") { with_keys() } else { usual() };
        refused_for(parse_with_rules(text, &environment), &format!("accrue.toml:{place}"), words);
    }
}

#[test]
fn a_section_that_is_no_table_is_refused() {
    refused_for(parse_with_rules("token = \"jwt\"", &usual()), "accrue.toml:1:9", &["write [token]"]);
    refused_for(
        parse_with_rules("[authenticate]\nclaimed = true", &with_keys()),
        "accrue.toml:2:11",
        &["write [authenticate.claimed]"],
    );
}

#[test]
fn what_is_missing_is_told_with_what_to_write() {
    let rules_only = RULES;
    for (text, environment, words) in [
        (
            rules_only,
            usual().without("ABLY_API_KEY"),
            &["no Ably key", "ABLY_API_KEY", "appId.keyId:secret"][..],
        ),
        (
            rules_only,
            usual().without("ACCRUE_SECRETS"),
            &["no sealing secret", "ACCRUE_SECRETS", "accrue keygen"],
        ),
        // a secret that was mounted empty
        (rules_only, usual().with("ACCRUE_SECRETS", ","), &["no sealing secret"]),
        (
            rules_only,
            usual().without("ACCRUE_SECRETS").with("ACCRUE_SECRETS_FILE", "empty").with_file("empty", "\n"),
            &["no sealing secret"],
        ),
        (rules_only, with_keys(), &["who is calling", "[authenticate.jwt]", "[authenticate.header]"]),
        ("", usual(), &["no permission check", "[permission.rules]", "strategy = \"server\""]),
        ("strategy = \"server\"", usual(), &["no permission check"]),
        ("strategy = \"client\"\n[given]\na = [\"*\"]", usual(), &["no permission check"]),
    ] {
        refused_for(parse(text, &environment), "", words);
    }
    assert!(parse("strategy = \"server\"\n[given]\na = [\"*\"]", &usual().without("ACCRUE_SECRETS")).is_ok());
    assert!(
        accepted("strategy = \"client\"", &usual().without("ACCRUE_SECRETS")).to_string().contains("client")
    );
}

#[test]
fn an_ably_key_that_is_none_is_refused_without_being_repeated() {
    for (key, words) in [
        ("app.key", &["appId.keyId:secret", "no secret"][..]),
        ("app.key:", &["no secret"]),
        ("appkey:hunter2hunter2", &["appId.keyId"]),
        ("a.b.c:hunter2hunter2", &["appId.keyId"]),
        ("a b.c:hunter2hunter2", &["appId.keyId"]),
        (".c:hunter2hunter2", &["appId.keyId"]),
        ("app.key:hunter2:hunter2", &["second colon"]),
    ] {
        let from_environment = parse(RULES, &usual().with("ABLY_API_KEY", key));
        let error = from_environment.as_ref().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        refused_for(from_environment, "ABLY_API_KEY", words);
        let text = format!("ably.key = {key:?}");
        refused_for(parse_with_rules(&text, &usual().without("ABLY_API_KEY")), "accrue.toml:1:12", words);
    }
}

#[test]
fn sealing_secrets_that_are_weak_or_stand_twice_are_refused() {
    let other = "k2:kDfb18qADT_f5_D7c48FZ1QHZSuoTjLz7E5Tk_VXL4w";
    for (secrets, words) in [
        ("xNdTjc6FnMVrM48F", &["KID:BASE64URL", "accrue keygen"][..]),
        (":xNdTjc6FnMVrM48FDOKOY8xTs9mi5kWLyILCqsEmIoA", &["kid", "1 to 16"]),
        ("a.b:kDfb18qADT_f5_D7c48FZ1QHZSuoTjLz7E5Tk_VXL4w", &["kid"]),
        ("abcdefghijklmnopq:kDfb18qADT_f5_D7c48FZ1QHZSuoTjLz7E5Tk_VXL4w", &["kid"]),
        ("k1:not/base64url", &["base64url"]),
        ("k1:kDfb18qADT_f5_D7c48FZ1QHZSuoTjLz7E5Tk_VXL4w=", &["base64url", "padding"]),
        ("k1:c2hvcnQgYnV0IGdvb2Q", &["14 bytes are too short", "32"]),
        ("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &["one repeated byte"]),
        ("k1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc", &["one repeated byte"]),
        ("k1:ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE", &["documentation", "accrue keygen"]),
        // as in the documentation, and only there
        ("k1:BASE64URL", &["base64url", "accrue keygen"]),
        (&format!("{other},k3:kDfb18qADT_f5_D7c48FZ1QHZSuoTjLz7E5Tk_VXL4w"), &["the same as another"]),
        (&format!("{other},k2:9N-Kss1OA-bMR2o_EkVBMBy-ZwMRahloWcfa9Uh8ydQ"), &["\"k2\" stands twice"]),
    ] {
        eprintln!("{secrets}");
        let told = problems(parse(RULES, &usual().with("ACCRUE_SECRETS", secrets)));
        for secret in secrets.split(',').filter_map(|one| one.split_once(':')).map(|(_, secret)| secret) {
            assert!(
                secret == "BASE64URL" || told.iter().all(|problem| !problem.contains(secret)),
                "{told:?}"
            );
        }
        refused_for(parse(RULES, &usual().with("ACCRUE_SECRETS", secrets)), "ACCRUE_SECRETS", words);
    }
    let two =
        usual().with("ACCRUE_SECRETS", &format!("{other}, k3:9N-Kss1OA-bMR2o_EkVBMBy-ZwMRahloWcfa9Uh8ydQ"));
    assert!(line(&accepted("", &two), "grant").starts_with("secrets k2, k3 (the first seals, all verify)"));
}

#[test]
fn secrets_that_are_weak_are_refused_whatever_they_are_for() {
    let sample = "a-string-secret-at-least-256-bits-long";
    let long = "x".repeat(64);
    let encoded = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
    for (secret, words) in [
        ("tiny", &["too short"][..]),
        (long.as_str(), &["one repeated byte", "accrue keygen"]),
        (encoded.as_str(), &["one repeated byte"]),
        (sample, &["documentation"]),
        ("your-256-bit-secret-your-256-bit-secret", &["documentation"]),
    ] {
        for (name, other) in [
            ("ACCRUE_AUTHENTICATE__JWT__SECRET", "authenticate.jwt.secret"),
            ("ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET", "authenticate.header.proxy_secret"),
        ] {
            let result = parse(RULES, &with_keys().with(name, secret));
            let error = result.as_ref().unwrap_err().to_string();
            assert!(!error.contains(secret), "{error}");
            let words: Vec<&str> = words.iter().copied().chain([other]).collect();
            refused_for(result, name, &words);
        }
    }
}

#[test]
fn no_secret_serves_two_purposes_neither_as_text_nor_decoded() {
    let (_, ably_secret) = ABLY_KEY.split_once(':').unwrap();
    let (_, sealing_secret) = SEALING.split_once(':').unwrap();
    let sealing_bytes = BASE64_URL_SAFE_NO_PAD.decode(sealing_secret).unwrap();
    let encodings_of = |bytes: &[u8]| {
        [BASE64_STANDARD.encode(bytes), BASE64_URL_SAFE.encode(bytes), BASE64_URL_SAFE_NO_PAD.encode(bytes)]
    };

    for name in ["ACCRUE_AUTHENTICATE__JWT__SECRET", "ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET"] {
        for (of, secrets) in [
            ("ably.key", vec![ably_secret.to_owned(), ABLY_KEY.to_owned()]),
            ("ably.key", encodings_of(ably_secret.as_bytes()).to_vec()),
            ("grant.secrets", vec![sealing_secret.to_owned(), SEALING.to_owned()]),
            ("grant.secrets", encodings_of(&sealing_bytes).to_vec()),
        ] {
            for secret in secrets {
                let environment = with_keys().with(name, &secret);
                refused_for(
                    parse(RULES, &environment),
                    name,
                    &[&format!("the same as {of}"), "one of its own"],
                );
            }
        }
    }
    let ably_secret_again = format!("k1:{}", BASE64_URL_SAFE_NO_PAD.encode(ably_secret));
    let as_it_is = "k1:9N-Kss1OA-bMR2o_EkVBMBy-ZwMRahloWcfa9Uh8ydQ";
    for (key, sealing) in [
        (ABLY_KEY, ably_secret_again.as_str()),
        ("app.key:9N-Kss1OA-bMR2o_EkVBMBy-ZwMRahloWcfa9Uh8ydQ", as_it_is),
    ] {
        let environment = usual().with("ABLY_API_KEY", key).with("ACCRUE_SECRETS", sealing);
        refused_for(parse(RULES, &environment), "ACCRUE_SECRETS", &["the same as ably.key"]);
    }
}

#[test]
fn there_is_one_way_to_authenticate_and_it_is_complete() {
    let header = "[authenticate.header]\nproxy_secret = \"a-canary-of-a-proxy-secret\"\n";
    let jwt = "[authenticate.jwt]\nsecret = \"a-canary-of-a-session-jwt-secret\"\n";
    for (text, environment, place, words) in [
        (
            format!("{jwt}{header}"),
            with_keys(),
            "accrue.toml:1:1",
            &["one way", "[authenticate.jwt] and [authenticate.header]"][..],
        ),
        (
            format!("[authenticate.claimed]\n{header}"),
            with_keys(),
            "accrue.toml:2:1",
            &["[authenticate.header] and [authenticate.claimed]"],
        ),
        // one in the file, one in the environment
        (header.to_owned(), usual(), "", &["[authenticate.jwt] and [authenticate.header]"]),
        ("[authenticate.header]".to_owned(), with_keys(), "", &["proxy_secret", "x-proxy-secret"]),
        (
            "[authenticate.header]\nname = \"a b\"\nproxy_secret = \"a-canary-of-a-proxy-secret\"".to_owned(),
            with_keys(),
            "accrue.toml:2:8",
            &["\"a b\""],
        ),
        ("[authenticate.jwt]".to_owned(), with_keys(), "accrue.toml:1:1", &["jwks, secret, public_key"]),
        (
            format!("{jwt}not_before_claim = \"\""),
            with_keys(),
            "accrue.toml:3:20",
            &["is empty; leave it out"],
        ),
        (
            format!("[authenticate.header]\nname = \"X-Proxy-Secret\"\nproxy_secret = \"{PROXY_SECRET}\""),
            with_keys(),
            "accrue.toml:2:8",
            &["means something else already", "x-client-id"],
        ),
        (
            format!("[authenticate.header]\nname = \"Sec-Fetch-Site\"\nproxy_secret = \"{PROXY_SECRET}\""),
            with_keys(),
            "accrue.toml:2:8",
            &["means something else already"],
        ),
        (
            format!("[authenticate.header]\nproxy_secret = \"{PROXY_SECRET} \""),
            with_keys(),
            "accrue.toml:2:16",
            &["can't be sent in a header"],
        ),
        (
            format!("{jwt}public_key = \"key.pem\""),
            with_keys(),
            "accrue.toml:1:1",
            &["secret and public_key"],
        ),
        (
            "[authenticate.jwt]\npublic_key = \"key.pem\"".to_owned(),
            with_keys(),
            "accrue.toml:2:14",
            &["can't read \"key.pem\"", "No such file"],
        ),
        (
            "[authenticate.jwt]\njwks = \"keys.json\"".to_owned(),
            with_keys(),
            "accrue.toml:2:8",
            &["can't read \"keys.json\"", "No such file"],
        ),
        (
            "[authenticate.jwt]\njwks = \"http://id.example.com/jwks.json\"".to_owned(),
            with_keys(),
            "accrue.toml:2:8",
            &["keys of their own", "fetch it by https"],
        ),
        (
            "[authenticate.jwt]\npublic_key = \"-----BEGIN nothing\"".to_owned(),
            with_keys(),
            "accrue.toml:2:14",
            &["not a public key in PEM", "-----BEGIN PUBLIC KEY-----"],
        ),
        (
            "[authenticate.webhook]\nurl = \"x\"".to_owned(),
            usual(),
            "accrue.toml:1:15",
            &["unknown key \"authenticate.webhook\""],
        ),
    ] {
        eprintln!("{text}");
        refused_for(parse_with_rules(&text, &environment), place, words);
    }
}

#[test]
fn a_jwt_algorithm_that_does_not_fit_its_key_is_refused() {
    let files = with_keys()
        .with_file("p256.pem", P256)
        .with_file("p384.pem", P384)
        .with_file("rsa.pem", RSA)
        .with_file("pkcs1.pem", RSA_PKCS1)
        .with_file("rsa1024.pem", RSA_1024)
        .with_file("rsa1024.json", RSA_1024_JWKS)
        .with_file("private.pem", &RSA.replace("PUBLIC", "PRIVATE"))
        .with_file("private-pkcs1.pem", &RSA.replace("PUBLIC", "RSA PRIVATE"))
        .with_file("ed25519.pem", ED25519)
        .with_file("jwks.json", JWKS)
        .with_file(
            "oct.json",
            r#"{"keys":[{"kty":"oct","k":"xNdTjc6FnMVrM48FDOKOY8xTs9mi5kWLyILCqsEmIoA"}]}"#,
        )
        .with_file("empty.json", r#"{"keys":[]}"#)
        .with_file("enc.json", &JWKS.replace("\"sig\"", "\"enc\""))
        .with_file("page.html", "<!doctype html>");
    let jwt = |lines: &str| parse_with_rules(&format!("[authenticate.jwt]\n{lines}"), &files);

    for (lines, place, words) in [
        (
            "secret = \"a-canary-of-a-session-jwt-secret\"\nalgorithms = [\"RS256\"]",
            "3:14",
            &["RS256 does not fit", "HS256, HS384, HS512"][..],
        ),
        (
            "secret = \"a-canary-of-a-session-jwt-secret\"\nalgorithms = [\"HS256\", \"ES256\"]",
            "3:14",
            &["ES256 does not fit"],
        ),
        (
            "secret = \"a-canary-of-a-session-jwt-secret\"\nalgorithms = [\"none\"]",
            "3:14",
            &["unknown JWT algorithm \"none\"", "HS256"],
        ),
        ("secret = \"a-canary-of-a-session-jwt-secret\"\nalgorithms = \"HS256\"", "3:14", &["list of texts"]),
        ("public_key = \"p256.pem\"\nalgorithms = [\"HS256\"]", "3:14", &["HS256 does not fit", "ES256"]),
        ("public_key = \"p256.pem\"\nalgorithms = [\"ES384\"]", "3:14", &["ES384 does not fit"]),
        ("public_key = \"p384.pem\"\nalgorithms = [\"ES256\"]", "3:14", &["ES256 does not fit"]),
        ("public_key = \"p256.pem\"\nalgorithms = [\"RS256\"]", "3:14", &["RS256 does not fit"]),
        ("public_key = \"rsa.pem\"\nalgorithms = [\"HS256\"]", "3:14", &["HS256 does not fit", "RS256"]),
        ("public_key = \"rsa.pem\"\nalgorithms = [\"EdDSA\"]", "3:14", &["EdDSA does not fit"]),
        ("public_key = \"ed25519.pem\"\nalgorithms = [\"ES256\"]", "3:14", &["ES256 does not fit", "EdDSA"]),
        ("jwks = \"jwks.json\"\nalgorithms = [\"none\"]", "3:14", &["unknown JWT algorithm \"none\""]),
        (
            "jwks = \"jwks.json\"\nalgorithms = [\"HS256\"]",
            "2:8",
            &["no key that can verify with the algorithms wanted"],
        ),
        (
            "jwks = \"jwks.json\"\nalgorithms = [\"ES384\"]",
            "2:8",
            &["no key that can verify with the algorithms wanted"],
        ),
        ("jwks = \"oct.json\"", "2:8", &["shared secret", "use `secret`"]),
        ("jwks = \"empty.json\"", "2:8", &["no key"]),
        ("jwks = \"rsa1024.json\"", "2:8", &["no key", "2048 bits"]),
        ("public_key = \"rsa1024.pem\"", "2:14", &["2048 bits"]),
        ("public_key = \"private.pem\"", "2:14", &["private key", "-----BEGIN PUBLIC KEY-----"]),
        ("public_key = \"private-pkcs1.pem\"", "2:14", &["private key"]),
        // whoever has the public key could sign
        (&format!("secret = '''\n{RSA}'''"), "2:10", &["not a shared secret", "public_key"]),
        (&format!("secret = '''{JWKS}'''"), "2:10", &["not a shared secret", "jwks"]),
        ("jwks = \"jwks.json\"\ncookie = \"a b;c\"", "3:10", &["no cookie can have the name \"a b;c\""]),
        ("jwks = \"enc.json\"", "2:8", &["no key"]),
        ("jwks = \"page.html\"", "2:8", &["not a JSON Web Key Set"]),
    ] {
        eprintln!("{lines}");
        let result = jwt(lines);
        if let Err(error) = &result {
            assert!(!error.to_string().contains("xNdTjc6FnMVrM48F"), "{error}");
        }
        refused_for(result, &format!("accrue.toml:{place}"), words);
    }

    for (lines, expected) in [
        (
            "secret = \"a-canary-of-a-session-jwt-secret\"",
            "jwt: Authorization: Bearer; 1 key for HS256; clientId from \"sub\"",
        ),
        (
            "secret = \"a-canary-of-a-session-jwt-secret\"\nalgorithms = [\"HS384\", \"HS512\"]",
            "jwt: Authorization: Bearer; 1 key for HS384, HS512; clientId from \"sub\"",
        ),
        (
            "public_key = \"p256.pem\"\nalgorithms = [\"ES256\"]",
            "jwt: Authorization: Bearer; 1 key for ES256; clientId from \"sub\"",
        ),
        (
            "public_key = \"p384.pem\"\nalgorithms = [\"ES384\"]",
            "jwt: Authorization: Bearer; 1 key for ES384; clientId from \"sub\"",
        ),
        ("public_key = \"rsa.pem\"", "jwt: Authorization: Bearer; 1 key for RS256; clientId from \"sub\""),
        ("public_key = \"pkcs1.pem\"", "jwt: Authorization: Bearer; 1 key for RS256; clientId from \"sub\""),
        (
            "public_key = \"rsa.pem\"\nalgorithms = [\"PS256\"]",
            "jwt: Authorization: Bearer; 1 key for PS256; clientId from \"sub\"",
        ),
        (
            "public_key = \"ed25519.pem\"",
            "jwt: Authorization: Bearer; 1 key for EdDSA; clientId from \"sub\"",
        ),
        (
            "jwks = \"jwks.json\"\ncookie = \"session\"\nissuer = \"https://id.example.com\"\naudience = \"chat\"\nclient_id_claim = \"uid\"\nnot_before_claim = \"nbt\"",
            "jwt: cookie \"session\" or Authorization: Bearer; 1 key for ES256; clientId from \"uid\"; issuer \"https://id.example.com\"; audience \"chat\"; not before \"nbt\"",
        ),
    ] {
        match jwt(lines) {
            Ok(config) => assert_eq!(line(&config, "authenticate"), expected, "{lines}"),
            Err(error) => panic!("{lines}\nis refused: {error}"),
        }
    }
    let inline = format!("public_key = '''\n{P256}'''");
    assert!(jwt(&inline).is_ok(), "the key itself in the place of its path");
}

#[test]
fn what_is_for_localhost_only_is_refused_elsewhere() {
    let claimed = "[authenticate.claimed]";
    for (text, environment, place, words) in [
        (
            format!("listen = \"0.0.0.0:8080\"\n{claimed}"),
            with_keys(),
            "accrue.toml:2:1",
            &["believes everybody", "0.0.0.0:8080", "[authenticate.jwt]", "127.0.0.1"][..],
        ),
        (format!("listen = \"[::]:8080\"\n{claimed}"), with_keys(), "accrue.toml:2:1", &["loopback"]),
        (format!("listen = \"192.168.0.1:8080\"\n{claimed}"), with_keys(), "accrue.toml:2:1", &["loopback"]),
        (claimed.to_owned(), with_keys().with("PORT", "8080"), "accrue.toml:1:1", &["loopback"]),
        (
            claimed.to_owned(),
            with_keys().with("ACCRUE_LISTEN", "0.0.0.0:1"),
            "accrue.toml:1:1",
            &["loopback"],
        ),
        (
            "listen = \"0.0.0.0:8080\"\ncookie.secure = false".to_owned(),
            usual(),
            "accrue.toml:2:17",
            &["in the clear", "https", "127.0.0.1"],
        ),
        ("cookie.secure = false".to_owned(), usual().with("PORT", "1"), "accrue.toml:1:17", &["loopback"]),
        (
            String::new(),
            usual().with("PORT", "1").with("ACCRUE_COOKIE__SECURE", "false"),
            "ACCRUE_COOKIE__SECURE",
            &["loopback"],
        ),
        (
            "cookie.secure = false\ncookie.cross_site = true".to_owned(),
            usual(),
            "accrue.toml:2:21",
            &["cookie.cross_site needs cookie.secure"],
        ),
    ] {
        eprintln!("{text}");
        refused_for(parse_with_rules(&text, &environment), place, words);
    }
    for text in [
        format!("listen = \"127.0.0.1:0\"\n{claimed}"),
        format!("listen = \"[::1]:8080\"\n{claimed}"),
        format!("listen = \"127.9.9.9:8080\"\n{claimed}"),
        format!("cookie.secure = false\n{claimed}"),
    ] {
        accepted(&text, &with_keys());
    }
    let flag = [flag("0.0.0.0:0")];
    let result = Config::parse("accrue.toml", &format!("{claimed}\n{RULES}"), &with_keys(), &flag);
    refused_for(result, "accrue.toml:1:1", &["0.0.0.0:0"]);
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let text = format!("listen = \"127.0.0.1:1\"\n{RULES}");
    let flags = [flag("127.0.0.1:3")];
    let set = usual().with("ACCRUE_LISTEN", "127.0.0.1:2");
    let listen = |environment: &Made, flags: &[_]| {
        Config::parse("accrue.toml", &text, environment, flags).unwrap().listen().port()
    };
    assert_eq!(listen(&usual(), &[]), 1);
    assert_eq!(listen(&set, &[]), 2);
    assert_eq!(listen(&set, &flags), 3);
    // the value that counts is the one that is looked at, and told where it stands
    let wrong = usual().with("ACCRUE_LISTEN", "here");
    assert_eq!(listen(&wrong, &flags), 3);
    refused_for(parse(&text, &wrong), "ACCRUE_LISTEN", &["ADDRESS:PORT"]);
    let wrong = [flag("here")];
    refused_for(Config::parse("accrue.toml", &text, &set, &wrong), "--listen", &["ADDRESS:PORT"]);

    let text = "log = \"debug\"\n[token]\nttl = \"2h\"\nformat = \"request\"";
    let config = accepted(text, &usual().with("ACCRUE_TOKEN__FORMAT", "jwt").with("ACCRUE_LOG", "warn"));
    assert_eq!(
        line(&config, "token"),
        "JWT up to 7 KiB, TokenRequest beyond, ttl 2h, shortened by up to 10 %"
    );
    assert_eq!(config.log(), "warn");
}

#[test]
fn port_alone_means_every_address() {
    let listen = |text: &str, environment: Made| accepted(text, &environment).listen().to_string();
    assert_eq!(listen("", usual()), "127.0.0.1:8080");
    assert_eq!(listen("", usual().with("PORT", "3000")), "0.0.0.0:3000");
    assert_eq!(listen("listen = \"127.0.0.1:1\"", usual().with("PORT", "3000")), "127.0.0.1:1");
    assert_eq!(listen("", usual().with("PORT", "3000").with("ACCRUE_LISTEN", "127.0.0.1:2")), "127.0.0.1:2");
    for port in ["http", "70000", "-1", "127.0.0.1:80"] {
        refused_for(parse(RULES, &usual().with("PORT", port)), "", &["PORT", port, "not a port number"]);
    }
}

#[test]
fn every_scalar_and_list_can_be_set_by_a_variable() {
    for (name, value, label, expected) in [
        ("ACCRUE_LISTEN", "127.0.0.1:9", "listen", "127.0.0.1:9"),
        ("ACCRUE_STRATEGY", "client", "strategy", "client: the client lists"),
        ("ACCRUE_ORIGINS", "https://a.com", "origins", "the service's own, https://a.com"),
        (
            "ACCRUE_ORIGINS",
            "https://a.com, https://b.com,",
            "origins",
            "the service's own, https://a.com, https://b.com",
        ),
        ("ACCRUE_LOG", "warn", "log", "warn as text"),
        ("ACCRUE_LOG_FORMAT", "json", "log", "info as JSON"),
        ("ACCRUE_LIMITS__CONNECTIONS", "7", "limits", "7 connections"),
        ("ACCRUE_LIMITS__REQUESTS", "7", "limits", "4096 connections, 7 requests"),
        (
            "ACCRUE_LIMITS__HEADER_TIMEOUT",
            "7s",
            "limits",
            "4096 connections, 1024 requests in flight; timeouts: head 7s,",
        ),
        (
            "ACCRUE_LIMITS__BODY_TIMEOUT",
            "7s",
            "limits",
            "4096 connections, 1024 requests in flight; timeouts: head 5s, body 7s,",
        ),
        (
            "ACCRUE_LIMITS__DRAIN_TIMEOUT",
            "7s",
            "limits",
            "4096 connections, 1024 requests in flight; timeouts: head 5s, body 5s, drain 7s",
        ),
        ("ACCRUE_TOKEN__FORMAT", "jwt", "token", "JWT"),
        ("ACCRUE_TOKEN__TTL", "30m", "token", "TokenRequest, ttl 30m"),
        ("ACCRUE_TOKEN__JITTER", "0.2", "token", "TokenRequest, ttl 1h, shortened by up to 20 %"),
        (
            "ACCRUE_GRANT__RECHECK_AFTER",
            "2h",
            "grant",
            "secrets k1 (the first seals, all verify), recheck_after 2h",
        ),
        ("ACCRUE_COOKIE__NAME", "chat", "cookie", "__Host-chat.*,"),
        ("ACCRUE_COOKIE__SECURE", "false", "cookie", "accrue.*, HttpOnly;"),
        (
            "ACCRUE_COOKIE__CROSS_SITE",
            "true",
            "cookie",
            "__Host-accrue.*, Secure; HttpOnly; SameSite=None; Partitioned;",
        ),
        (
            "ACCRUE_COOKIE__MAX_BYTES",
            "4096",
            "cookie",
            "__Host-accrue.*, Secure; HttpOnly; SameSite=Strict; Path=/; 4096 bytes",
        ),
        (
            "ACCRUE_AUTHENTICATE__JWT__ALGORITHMS",
            "HS384,HS512",
            "authenticate",
            "jwt: Authorization: Bearer; 1 key for HS384, HS512;",
        ),
        (
            "ACCRUE_AUTHENTICATE__JWT__ISSUER",
            "me",
            "authenticate",
            "jwt: Authorization: Bearer; 1 key for HS256; clientId from \"sub\"; issuer \"me\"",
        ),
        (
            "ACCRUE_AUTHENTICATE__JWT__AUDIENCE",
            "me",
            "authenticate",
            "jwt: Authorization: Bearer; 1 key for HS256; clientId from \"sub\"; audience \"me\"",
        ),
        ("ACCRUE_AUTHENTICATE__JWT__COOKIE", "session", "authenticate", "jwt: cookie \"session\""),
        (
            "ACCRUE_AUTHENTICATE__JWT__CLIENT_ID_CLAIM",
            "uid",
            "authenticate",
            "jwt: Authorization: Bearer; 1 key for HS256; clientId from \"uid\"",
        ),
        (
            "ACCRUE_AUTHENTICATE__JWT__NOT_BEFORE_CLAIM",
            "nbt",
            "authenticate",
            "jwt: Authorization: Bearer; 1 key for HS256; clientId from \"sub\"; not before \"nbt\"",
        ),
    ] {
        let config = accepted("", &usual().with(name, value));
        let found = line(&config, label);
        assert!(found.starts_with(expected), "{name}={value} makes it {found}");
    }
    let by_long_name = nothing_set()
        .with("ACCRUE_ABLY__KEY", ABLY_KEY)
        .with("ACCRUE_GRANT__SECRETS", SEALING)
        .with("ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET", PROXY_SECRET)
        .with("ACCRUE_AUTHENTICATE__HEADER__NAME", "x-user");
    let header = "header: x-user, with the proxy's secret in x-proxy-secret";
    assert_eq!(line(&accepted("", &by_long_name), "authenticate"), header);

    let revocable = usual().with("ACCRUE_ABLY__REVOCABLE", "true").with("ACCRUE_TOKEN__TTL", "2h");
    refused_for(parse(RULES, &revocable), "ACCRUE_TOKEN__TTL", &["60m"]);
    let extra = usual().with("ACCRUE_ABLY__EXTRA_OPERATIONS", "teleport,levitate");
    accepted("[given]\na = [\"teleport\", \"levitate\"]", &extra);
}

#[test]
fn variables_that_are_wrong_are_told_by_their_name() {
    for (name, value, words) in [
        ("ACCRUE_STRATEGY", "cookies", &["\"cookie\""][..]),
        ("ACCRUE_LISTEN", "8080", &["ADDRESS:PORT"]),
        ("ACCRUE_ORIGINS", "https://a.com,*", &["\"*\" is not an origin"]),
        ("ACCRUE_LOG_FORMAT", "xml", &["\"json\""]),
        ("ACCRUE_LIMITS__REQUESTS", "0", &["whole number from 1"]),
        ("ACCRUE_LIMITS__BODY_TIMEOUT", "5", &["duration"]),
        ("ACCRUE_TOKEN__TTL", "25h", &["24h"]),
        ("ACCRUE_TOKEN__JITTER", "NaN", &["from 0"]),
        ("ACCRUE_GRANT__RECHECK_AFTER", "1m", &["10m"]),
        ("ACCRUE_COOKIE__SECURE", "no", &["true or false"]),
        ("ACCRUE_COOKIE__MAX_BYTES", "5000", &["4096"]),
        ("ACCRUE_AUTHENTICATE__JWT__ALGORITHMS", "RS256", &["RS256 does not fit"]),
        ("ACCRUE_AUTHENTICATE__JWT__PUBLIC_KEY", "key.pem", &["secret and public_key"]),
    ] {
        let place = if name.ends_with("PUBLIC_KEY") { "" } else { name };
        refused_for(parse(RULES, &usual().with(name, value)), place, words);
    }
}

#[test]
fn a_section_may_be_made_by_variables_alone() {
    let without = with_keys();
    assert_eq!(problems(parse(RULES, &without)).len(), 1);
    let config = accepted("", &without.clone().with("ACCRUE_AUTHENTICATE__JWT__SECRET", JWT_SECRET));
    assert_eq!(
        line(&config, "authenticate"),
        "jwt: Authorization: Bearer; 1 key for HS256; clientId from \"sub\""
    );
    // and completed by one
    let environment = without.with("ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET", PROXY_SECRET);
    let config = accepted("[authenticate.header]\nname = \"x-user\"", &environment);
    assert_eq!(line(&config, "authenticate"), "header: x-user, with the proxy's secret in x-proxy-secret");
}

#[test]
fn empty_variables_count_as_unset() {
    let mut environment = usual();
    for name in [
        "PORT",
        "ABLY_API_KEY_FILE",
        "ACCRUE_SECRETS_FILE",
        "ACCRUE_ABLY__KEY",
        "ACCRUE_GRANT__SECRETS",
        "ACCRUE_LISTEN",
        "ACCRUE_ORIGINS",
        "ACCRUE_STRATEGY",
        "ACCRUE_TOKEN__TTL",
        "ACCRUE_LIMITS__REQUESTS",
        "ACCRUE_COOKIE__SECURE",
        "ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET",
        "ACCRUE_AUTHENTICATE__JWT__PUBLIC_KEY",
    ] {
        environment = environment.with(name, "");
    }
    assert_eq!(accepted("", &environment).to_string(), accepted("", &usual()).to_string());
    let by_file = accepted("origins = [\"https://a.com\"]", &environment);
    assert_eq!(line(&by_file, "origins"), "the service's own, https://a.com");
    let no_key = usual().with("ABLY_API_KEY", "");
    refused_for(parse(RULES, &no_key), "", &["there is no Ably key"]);
}

#[test]
fn secrets_can_be_read_from_files() {
    let files = with_keys()
        .without("ABLY_API_KEY")
        .without("ACCRUE_SECRETS")
        .with("ACCRUE_AUTHENTICATE__JWT__SECRET", JWT_SECRET)
        .with("ABLY_API_KEY_FILE", "/run/secrets/ably")
        .with("ACCRUE_SECRETS_FILE", "/run/secrets/accrue");
    let two = format!("{SEALING},k2:9N-Kss1OA-bMR2o_EkVBMBy-ZwMRahloWcfa9Uh8ydQ");
    for end in ["", "\n", "\r\n"] {
        let there = files
            .clone()
            .with_file("/run/secrets/ably", &format!("{ABLY_KEY}{end}"))
            .with_file("/run/secrets/accrue", &format!("{two}{end}"));
        let config = accepted("", &there);
        assert!(line(&config, "ably key").starts_with("canary.key "), "{config}");
        assert!(line(&config, "grant").starts_with("secrets k1, k2 "), "{config}");
    }

    let there = files.with_file("/run/secrets/accrue", SEALING).with_file("/run/secrets/ably", ABLY_KEY);
    let missing = there.clone().with("ABLY_API_KEY_FILE", "/nowhere");
    let told = problems(parse(RULES, &missing));
    assert_eq!(
        told[0],
        "ABLY_API_KEY_FILE: can't read the file that it names: No such file or directory (os error 2)"
    );
    let weak = there.clone().with_file("/run/secrets/accrue", "k1:c2hvcnQ\n");
    refused_for(parse(RULES, &weak), "ACCRUE_SECRETS_FILE", &["too short"]);
    let empty = there.clone().with_file("/run/secrets/ably", "\n");
    refused_for(parse(RULES, &empty), "ABLY_API_KEY_FILE", &["no secret"]);
    let both = there.clone().with("ABLY_API_KEY", ABLY_KEY);
    refused_for(
        parse(RULES, &both),
        "ABLY_API_KEY_FILE",
        &["ABLY_API_KEY is set as well", "set one of them"],
    );
    let both = there.with("ACCRUE_SECRETS", SEALING);
    refused_for(parse(RULES, &both), "ACCRUE_SECRETS_FILE", &["ACCRUE_SECRETS is set as well"]);
    let both = usual().with("ACCRUE_GRANT__SECRETS", SEALING);
    let told = problems(parse(RULES, &both));
    assert!(told.len() == 1 && told[0].contains("set one of them"), "{told:?}");
}

#[test]
fn a_secret_in_the_place_of_its_file_is_not_repeated() {
    let key = usual().without("ABLY_API_KEY").with("ABLY_API_KEY_FILE", ABLY_KEY);
    assert!(problems(parse(RULES, &key))[0].starts_with("ABLY_API_KEY_FILE: can't read"));
    let sealing = usual().without("ACCRUE_SECRETS").with("ACCRUE_SECRETS_FILE", SEALING);
    assert!(problems(parse(RULES, &sealing))[0].starts_with("ACCRUE_SECRETS_FILE: can't read"));
}

#[test]
fn syntax_errors_have_line_and_column_and_never_repeat_the_line() {
    let secret = "kDfb18qADT_f5_D7c48FZ1QHZSuoTjLz7E5Tk_VXL4w";
    for (text, place) in [
        ("listen = ", "1:10"),
        ("[grant]\nsecrets = [\"k1:SECRET\"\n[token]\n", "3:1"),
        ("[grant]\nsecrets = [k1:SECRET]\n", "2:12"),
        ("[ably]\nkey = app.key:SECRET\n", "2:7"),
        ("[ably]\nkey = \"app.key:SECRET\n", "2:"),
        ("[ably]\nkey = \"app.key:\\SECRET\"\n", "2:"),
        ("[ably]\nkey \"app.key:SECRET\"\n", "2:"),
        ("[ably]\n\"app.key:SECRET\"\n", "2:"),
        ("SECRET", "1:"),
        ("[SECRET\n", "1:"),
        ("[ably]\nkey = \"a\" SECRET\n", "2:"),
        ("[ably]\nkey = SECRET\n", "2:7"),
        ("[ably]\nkey = 'SECRET\n", "2:"),
        ("[ably]\nkey = {a = SECRET}\n", "2:"),
        ("ü = \"SECRET", "1:"),
        ("[ably]\nkey = \"app.key:SECRET\"\nkey = \"app.key:SECRET\"\n", "3:1"),
        ("[ably]\nkey = \"app.key:SECRET\"\n[ably]\n", "3:"),
    ] {
        eprintln!("{text}");
        let told = problems(parse(&text.replace("SECRET", secret), &usual()));
        let [problem] = told.as_slice() else { panic!("not one problem but {told:#?}") };
        assert!(problem.starts_with(&format!("accrue.toml:{place}")), "{problem}");
        assert!(!problem.contains(secret) && !problem.contains("app.key"), "{problem}");
    }
}

#[test]
fn all_problems_are_told_at_once_those_of_the_file_in_its_order() {
    let text = "
strategy = \"cookies\"
orgins = []

[token]
ttl = \"25h\"
fromat = \"jwt\"

[cookie]
max_bytes = 1

[given]
\"a\" = [\"teleport\"]
";
    let environment = nothing_set().with("PORT", "x").with("ACCRUE_LOG_FORMAT", "xml");
    let told = problems(parse(text, &environment));
    let places: Vec<&str> = told.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(
        places[..6],
        [
            "accrue.toml:2:12",
            "accrue.toml:3:1",
            "accrue.toml:6:7",
            "accrue.toml:7:1",
            "accrue.toml:10:13",
            "accrue.toml:13:1",
        ]
    );
    for words in [
        "PORT",
        "ACCRUE_LOG_FORMAT: ",
        "no Ably key",
        "no sealing secret",
        "who is calling",
        "no permission check",
    ] {
        assert_eq!(told.iter().filter(|problem| problem.contains(words)).count(), 1, "{words}: {told:#?}");
    }
    assert_eq!(told.len(), 12, "{told:#?}");
}

#[test]
fn no_problem_is_told_twice() {
    for environment in [
        usual().with("ACCRUE_GRANT__SECRETS", "k1:c2hvcnQ,k2").with("ACCRUE_SECRETS", "k1:c2hvcnQ,k2"),
        usual().without("ABLY_API_KEY").with("ABLY_API_KEY_FILE", "/nowhere"),
        usual().with("ACCRUE_SECRETS_FILE", "/nowhere").with("ACCRUE_SECRETS", "k1:c2hvcnQ,k2:c2hvcnQx"),
    ] {
        let mut told = problems(parse(RULES, &environment));
        let all = told.len();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), all, "{told:#?}");
    }
}

#[test]
fn what_is_not_written_has_the_documented_default() {
    assert_eq!(
        accepted("", &usual()).to_string(),
        "\
listen          127.0.0.1:8080
ably key        canary.key (secret redacted), may do {\"*\":[\"*\"]}
strategy        cookie: grants are kept by the client, sealed, and checked only where new or older than recheck_after
grant           secrets k1 (the first seals, all verify), recheck_after 8h
cookie          __Host-accrue.*, Secure; HttpOnly; SameSite=Strict; Path=/; 2560 bytes at most
token           TokenRequest, ttl 1h, shortened by up to 10 %
authenticate    jwt: Authorization: Bearer; 1 key for HS256; clientId from \"sub\"
origins         the service's own only
given           none
may be asked    \"chat:*\" = [\"subscribe\"]
limits          4096 connections, 1024 requests in flight; timeouts: head 5s, body 5s, drain 10s
log             info as text
"
    );
    let config = accepted(
        "[authenticate.header]",
        &with_keys().with("ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET", PROXY_SECRET),
    );
    assert_eq!(
        line(&config, "authenticate"),
        "header: x-client-id, with the proxy's secret in x-proxy-secret"
    );
    assert_eq!((config.log(), config.log_format()), ("info", LogFormat::Text));
}

#[test]
fn the_first_production_file_starts() {
    let text = r#"
listen  = "0.0.0.0:8080"
origins = ["https://app.example.com"]     # pages on another origin than this service; leave out if /auth is on the page's own

[authenticate.jwt]                        # who is calling: your app's own session token
jwks   = "/etc/accrue/jwks.json"
cookie = "session"                        # leave out for Authorization: Bearer

[permission.rules]                        # may they
"public:*" = ["subscribe", "presence", "history"]
"team:{claims.team}:*" = ["*"]

[given]                                   # what every client has without asking
"inbox:{clientId}" = ["subscribe"]
"#;
    let config = parse(text, &with_keys().with_file("/etc/accrue/jwks.json", JWKS)).unwrap();
    for (name, expected) in [
        ("listen", "0.0.0.0:8080"),
        ("origins", "the service's own, https://app.example.com"),
        (
            "authenticate",
            "jwt: cookie \"session\" or Authorization: Bearer; 1 key for ES256; clientId from \"sub\"",
        ),
        ("given", "\"inbox:{clientId}\" = [\"subscribe\"]"),
        (
            "may be asked",
            "\"public:*\" = [\"subscribe\", \"presence\", \"history\"]\n\"team:{claims.team}:*\" = [\"*\"]",
        ),
    ] {
        assert_eq!(line(&config, name), expected);
    }
    assert_eq!(
        config.warnings(),
        [
            "a permission that is withdrawn is gone from every token after 9h at most (recheck_after + ttl); while the check is down, after 16h 5m (twice recheck_after + 5 minutes)"
        ]
    );
}

#[test]
fn warnings() {
    let given = "[given]\na = [\"*\"]\n";
    for (text, expected) in [
        (
            "",
            &[
                "nothing is given: a first connect that wishes for nothing will be refused",
                "gone from every token after 9h at most",
            ][..],
        ),
        (
            given,
            &[
                "gone from every token after 9h at most (recheck_after + ttl); while the check is down, after 16h 5m",
            ],
        ),
        (
            &format!("grant.recheck_after = \"10m\"\ntoken.ttl = \"10m\"\n{given}"),
            &[
                "grant.recheck_after (10m) is not above token.ttl (10m)",
                "after 20m at most (recheck_after + ttl); while the check is down, after 25m",
            ],
        ),
        (&format!("grant.recheck_after = \"11m\"\ntoken.ttl = \"10m\"\n{given}"), &["after 21m at most"]),
        // what was signed before an outage lives as long as ever
        (
            &format!("grant.recheck_after = \"8h\"\ntoken.ttl = \"24h\"\n{given}"),
            &[
                "grant.recheck_after (8h) is not above token.ttl (1d)",
                "after 1d 8h at most (recheck_after + ttl); while the check is down, too",
            ],
        ),
        (&format!("strategy = \"client\"\n{given}"), &["gone from every token after 1h at most (ttl)"]),
        (
            &format!("{given}\"[meta]log\" = [\"subscribe\"]"),
            &[
                "given: \"[meta]log\" is never granted: ably.capability is {\"*\":[\"*\"]}",
                "gone from every token",
            ],
        ),
    ] {
        let warnings = accepted(text, &usual()).warnings();
        assert_eq!(warnings.len(), expected.len(), "{text}: {warnings:#?}");
        for (warning, words) in warnings.iter().zip(expected) {
            assert!(warning.contains(words), "{warning}");
        }
    }
}

#[test]
fn variables_that_set_nothing_are_told_with_what_may_have_been_meant() {
    let read = [
        "PATH",
        "ACCRUE_SECRETS",
        "ACCRUE_SECRETS_FILE",
        "ACCRUE_ADMIN",
        "ACCRUE_ADMIN_TOKEN",
        "ACCRUE_ADMIN_TOKEN_FILE",
        "ACCRUE_STORE__URL",
        "ACCRUE_TOKEN__FORMAT",
        "ACCRUE_LOG_FORMAT",
    ];
    // what Kubernetes sets for services that are called accrue and accrue-admin
    let foreign = [
        "ACCRUE_PORT",
        "ACCRUE_SERVICE_HOST",
        "ACCRUE_PORT_8080_TCP_ADDR",
        "ACCRUE_ADMIN_SERVICE_HOST",
        "ACCRUE_ADMIN_PORT_8081_TCP_ADDR",
    ];
    assert_eq!(Config::check_variables(read.into_iter().chain(foreign)), Ok(vec![]));
    for (name, note) in [
        ("ACCRUE_SECRET", "ACCRUE_SECRET is not read; did you mean ACCRUE_SECRETS?"),
        ("ACCRUE_ADMIN_TOKN", "ACCRUE_ADMIN_TOKN is not read; did you mean ACCRUE_ADMIN_TOKEN?"),
        ("ACCRUE_TOKEN_FORMAT", "ACCRUE_TOKEN_FORMAT is not read; did you mean ACCRUE_TOKEN__FORMAT?"),
    ] {
        assert_eq!(Config::check_variables([name]), Ok(vec![note.to_owned()]));
    }
    for (name, message) in [
        ("ACCRUE_TOKEN__FORMT", "unknown key \"token.formt\"; did you mean \"format\"?"),
        ("ACCRUE_GIVEN", "a table can't be set by the environment; write [given] in the file"),
        (
            "ACCRUE_ABLY__CAPABILITY",
            "a table can't be set by the environment; write [ably.capability] in the file",
        ),
        (
            "ACCRUE_AUTHENTICATE__CLAIMED",
            "a table can't be set by the environment; write [authenticate.claimed] in the file",
        ),
        (
            "ACCRUE_ABLY__KEY_FILE",
            "only ABLY_API_KEY, ACCRUE_SECRETS and ACCRUE_ADMIN_TOKEN have a _FILE form; set ABLY_API_KEY_FILE",
        ),
        (
            "ACCRUE_PERMISSION__WEBHOOK__BEARER_FILE",
            "only ABLY_API_KEY, ACCRUE_SECRETS and ACCRUE_ADMIN_TOKEN have a _FILE form; set ACCRUE_PERMISSION__WEBHOOK__BEARER",
        ),
        ("ACCRUE_STORE", "a table can't be set by the environment; write [store] in the file"),
        (
            "ACCRUE_LISTEN_FILE",
            "only ABLY_API_KEY, ACCRUE_SECRETS and ACCRUE_ADMIN_TOKEN have a _FILE form; set ACCRUE_LISTEN",
        ),
        (
            "ACCRUE_AUTHENTICATE__JWT__SECRET_FILE",
            "only ABLY_API_KEY, ACCRUE_SECRETS and ACCRUE_ADMIN_TOKEN have a _FILE form; set ACCRUE_AUTHENTICATE__JWT__SECRET",
        ),
    ] {
        let error = Config::check_variables(["ACCRUE_LISTEN", name]).unwrap_err();
        assert_eq!(error.to_string(), format!("{name}: {message}"));
    }
}

#[test]
fn no_secret_is_shown() {
    let environments = [usual(), with_keys().with("ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET", PROXY_SECRET)];
    for environment in environments {
        let config = accepted("", &environment);
        let shown =
            [config.to_string(), format!("{config:?}"), format!("{config:#?}"), config.warnings().join("\n")];
        for (name, secret) in SECRETS {
            let bytes = format!("{:?}", secret.as_bytes());
            for shown in &shown {
                assert!(!shown.contains(secret) && !shown.contains(bytes.as_str()), "the {name} in {shown}");
            }
        }
    }
}

const RULES: &str = "[permission.rules]\n\"chat:*\" = [\"subscribe\"]\n";
const ABLY_KEY: &str = "canary.key:a-canary-of-an-ably-key-secret-x";
const SEALING: &str = "k1:j7fMDw30HaDYL7NJJBRVGHRm6X5Fe85SB8GFwBoShlc";
const JWT_SECRET: &str = "a-canary-of-a-session-jwt-secret";
const PROXY_SECRET: &str = "a-canary-of-a-proxy-secret";
const ADMIN_TOKEN: &str = "a-canary-of-an-admin-token-of-32-bytes";
const BEARER: &str = "a-canary-of-a-webhook-bearer";
const REDIS_PASSWORD: &str = "a-canary-of-a-redis-password";
const SECRETS: [(&str, &str); 7] = [
    ("Ably key's secret", "a-canary-of-an-ably-key-secret-x"),
    ("sealing secret", "j7fMDw30HaDYL7NJJBRVGHRm6X5Fe85SB8GFwBoShlc"),
    ("session JWT's secret", JWT_SECRET),
    ("proxy's secret", PROXY_SECRET),
    ("admin token", ADMIN_TOKEN),
    ("webhook's bearer", BEARER),
    ("Redis password", REDIS_PASSWORD),
];

const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEIw9uIqxEAqa5iUdrLyrQU3qF/sPb
SFAojjdzgsylccS3lUhQmeYQgm+H43NYTgcschJAMZvs/kNhELXoh9gqmw==
-----END PUBLIC KEY-----
";
const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAET1pKl1VGDsZYVKKEn1k6x7h6dwouLFdu
hoFNKAsBsiX/qtOrSCIm0HWj7xKSUXJeeeb5BDlvPB1GYokNzfO/vLYw0THCNOkZ
ty4OW/RDBDnqRgxCiZp6whffkNMwl3Gt
-----END PUBLIC KEY-----
";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEApjVT3iR7gkoOnD1llsIhFuOz5CO8l/XghtoiWjTeJuM=
-----END PUBLIC KEY-----
";
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1oPPLK9LJ8eo90BDKSPl
aPDHfWGHe9aLgCM5CJTANzdQup+4pmjWtcb5NWCry1hIXInrbfWz7t+9sTjaTVdh
+FSOpoEgJkCoXb8vPMrl6VaSXBoRso98QneScOHJfe2iLzOpYUJM5FDs1EQNttCJ
h9tS8zFNCTwOTuaOI6MoGZ2TNMmvuDH4l5SiOHM/1cx7Qt5fcWqXHZIX1jLEjQ+5
uNNVlg2wHCzZjSFeXb4sBIZoNKSrfDUuOstmthD+gO5wu97mUuPrAvK2fJUY/OtI
fD3UGKfC/09gderv/XNnLrd2LBaNwzSZ6lxgOnEb9lwEhzx0nry8VdoJhR2B9HWx
uQIDAQAB
-----END PUBLIC KEY-----
";
/// With less than RFC 7518 demands.
const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCkGQGwEIfUKRHh0klsUonG3vGZ
dXs5NSmx9MN5O2Pxvw4PBiydbQhr8NSv/sSuNY7ZLWXE7xJjN9Da5w3TVuyOcbMb
J/1CtDq2keYAjrZWi/C5et9XLH9p4yv/vkqGRC47akxd9ghEKvcAx/mp/HvSnYTn
sRKXDDmi4qqpHgl8IQIDAQAB
-----END PUBLIC KEY-----
";
const RSA_1024_JWKS: &str = r#"{"keys":[{"kty":"RSA","e":"AQAB",
    "n":"pBkBsBCH1CkR4dJJbFKJxt7xmXV7OTUpsfTDeTtj8b8ODwYsnW0Ia_DUr_7ErjWO2S1lxO8SYzfQ2ucN01bsjnGzGyf9QrQ6tpHmAI62VovwuXrfVyx_aeMr_75KhkQuO2pMXfYIRCr3AMf5qfx70p2E57ESlww5ouKqqR4JfCE"}]}"#;
const RSA_PKCS1: &str = "-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAwOP3dv4bluCz7HA23SC2cQDqz4ZYGFrHE5mXeb8TALdpOqYqzLBO
OI4A+H01WTlmJEy7K/3f7Pv8pYeIPnxXwyroKwO6k1//huh4+pEtmddBIwbk9FSr
Wg/ZEXjdxtNSyDHW+fq+0ukPFx8mfvw+pEXVo8h0DeLuckR4meYyGEOGvdEyCyai
xHDoF/mOGr1DwI38hOQiAqWxheu0KJPiRwx30D9VVSFUesDHS2MdWO2PWSj4rxtd
trK6wGK/rP6S+h5esEBBtS0EJuQP4tANWESAXkBRLbw+JwKM3zPNhqy5HOSM5rUy
KUmoSsdrdjwDwIXxTY3Xqzzb4ezhXrkzmwIDAQAB
-----END RSA PUBLIC KEY-----
";
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","use":"sig","alg":"ES256",
    "x":"Iw9uIqxEAqa5iUdrLyrQU3qF_sPbSFAojjdzgsylccQ","y":"t5VIUJnmEIJvh-NzWE4HLHISQDGb7P5DYRC16IfYKps"}]}"#;
