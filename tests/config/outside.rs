//! What the service talks to, and who may talk to it beside clients: a store, a webhook, an application, Ably's API,
//! and the admin listener.

use super::*;

const CLAIMED: &str = "[authenticate.claimed]\n";
const WEBHOOK: &str = "[permission.webhook]\nurl = \"https://app.example.com/ably/permissions\"\n";
const FORWARD: &str = "[authenticate.forward]\nurl = \"https://app.example.com/ably/whoami\"\n";

/// A permission check and a way to authenticate are added where there is none.
fn completed(text: &str, environment: &Made) -> Result<Config, ConfigError> {
    let has = |section: &str| text.contains(&format!("[{section}"));
    let mut text = format!("{text}\n");
    if !has("permission.") {
        text += RULES;
    }
    if !has("authenticate.") {
        text += CLAIMED;
    }
    parse(&text, environment)
}

#[track_caller]
fn complete(text: &str, environment: &Made) -> Config {
    completed(text, environment).unwrap_or_else(|error| panic!("{text}\nis refused: {error}"))
}

#[track_caller]
fn has_no_secret(shown: &str) {
    for (name, secret) in SECRETS {
        assert!(!shown.contains(secret), "the {name} is in {shown}");
    }
}

/// With what `Display` and `Debug` show of it, which is no secret.
#[track_caller]
fn shown(config: &Config) -> String {
    let shown = config.to_string();
    for text in [&shown, &format!("{config:?}"), &format!("{config:#?}"), &config.warnings().join("\n")] {
        has_no_secret(text);
    }
    shown
}

#[test]
fn values_out_of_range_are_refused_where_they_stand() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("admin = \"8081\"", "1:9", &["admin: ", "ADDRESS:PORT", "127.0.0.1:8080"]),
        ("admin = \"http://127.0.0.1:8081\"", "1:9", &["ADDRESS:PORT"]),
        ("admin = 8081", "1:9", &["text in quotes"]),
        ("admin = \"127.0.0.1:8080\"", "1:9", &["the address that clients use", "another port"]),
        ("admin = \"0.0.0.0:8081\"", "1:9", &["0.0.0.0:8081", "ACCRUE_ADMIN_TOKEN", "32 bytes", "127.0.0.1"]),
        ("admin = \"[::]:8081\"", "1:9", &["ACCRUE_ADMIN_TOKEN"]),
        ("admin = \"10.0.0.1:8081\"", "1:9", &["ACCRUE_ADMIN_TOKEN"]),
        ("admin_token = \"a-token-of-thirty-one-bytes-0123\"", "", &[]),
        ("admin_token = \"a-token-of-thirty-one-bytes-012\"", "1:15", &["31 bytes is too short, 32"]),
        ("admin_token = 3", "1:15", &["text in quotes"]),
        ("store.url = \"postgres://localhost\"", "1:13", &["redb:FILE", "redis://HOST:PORT/DB", "memory:"]),
        ("store.url = \"accrue.redb\"", "1:13", &["redb:FILE"]),
        ("store.url = \"memory\"", "1:13", &["\"memory:\""]),
        ("store.url = \"\"", "1:13", &["redb:FILE"]),
        ("store.url = \"redb:\"", "1:13", &["path of a file", "redb:accrue.redb"]),
        ("store.url = \"REDIS://localhost\"", "1:13", &["redis://HOST:PORT/DB"]),
        ("store.url = 6379", "1:13", &["text in quotes"]),
        ("store = \"memory:\"", "1:9", &["write [store] on a line of its own"]),
        ("strategy = \"store\"", "1:12", &["needs [store]", "redb:accrue.redb", "redis://HOST:PORT/DB"]),
        ("strategy = \"stored\"", "1:12", &["\"cookie\", \"client\", \"server\", \"store\""]),
        ("ably.revocable = 1", "1:18", &["true or false"]),
        ("ably.revocable = true\ntoken.ttl = \"61m\"", "2:13", &["from 1s to 60m"]),
        ("ably.rest_url = \"main.realtime.ably.net\"", "1:17", &["ably.rest_url", "not a URL"]),
        ("ably.rest_url = \"wss://main.realtime.ably.net\"", "1:17", &["not a URL"]),
        ("ably.rest_url = \"https://app.key:x@ably.net\"", "1:17", &["user or password", "leave them out"]),
        ("ably.rest_url = \"http://ably.example.com\"", "1:17", &["is sent the Ably key", "https"]),
        ("ably.rest_url = \"https://ably.net/?a=b\"", "1:17", &["without a query"]),
        ("[authenticate.forward]", "1:1", &["needs url", "http://127.0.0.1:3000/ably/whoami"]),
        ("[authenticate.forward]\nurl = \"/whoami\"", "2:7", &["authenticate.forward.url", "not a URL"]),
        ("[authenticate.forward]\nurl = \"\"", "2:7", &["not a URL"]),
        ("[authenticate.forward]\nurl = \"ftp://a/\"", "2:7", &["not a URL"]),
        ("[authenticate.forward]\nurl = \"http://a/#b\"", "2:7", &["not a URL"]),
        ("[authenticate.forward]\nurl = \"http://me:x@a/\"", "2:7", &["user or password"]),
        (
            "[authenticate.forward]\nurl = \"http://localhost/\"\ntimeout = \"0s\"",
            "3:11",
            &["from 10ms to 30s"],
        ),
        ("[authenticate.forward]\nurl = \"http://localhost/\"\ntimeout = \"31s\"", "3:11", &["\"2s\""]),
        ("[authenticate.forward]\nurl = \"http://localhost/\"\ntimeout = 2", "3:11", &["a duration"]),
        ("[permission.webhook]", "1:1", &["needs url", "http://127.0.0.1:3000/ably/permissions"]),
        ("[permission.webhook]\nurl = \"localhost:3000\"", "2:7", &["permission.webhook.url", "not a URL"]),
        ("[permission.webhook]\nurl = \"http://me:x@a/\"", "2:7", &["user or password"]),
        (
            "[permission.webhook]\nurl = \"http://localhost/\"\ntimeout = \"1ms\"",
            "3:11",
            &["from 10ms to 30s"],
        ),
        (
            "[permission.webhook]\nurl = \"http://localhost/\"\ntimeout = \"1m\"",
            "3:11",
            &["from 10ms to 30s"],
        ),
        (
            "[permission.webhook]\nurl = \"http://localhost/\"\nmax_in_flight = 0",
            "3:17",
            &["from 1 to 1000000"],
        ),
        (
            "[permission.webhook]\nurl = \"http://localhost/\"\nmax_in_flight = \"many\"",
            "3:17",
            &["a whole number"],
        ),
        (
            "[permission.webhook]\nurl = \"http://localhost/\"\nmax_in_flight_per_client = 0",
            "3:28",
            &["from 1 to 1000000"],
        ),
        (
            "[permission.webhook]\nurl = \"http://localhost/\"\nbearer = \"short\"",
            "3:10",
            &["too short, 8 are"],
        ),
        (
            "[permission.webhook]\nurl = \"http://localhost/\"\nbearer = \"bearer of-the-webhook\"",
            "3:10",
            &["leave out the word \"Bearer\""],
        ),
        (
            "[permission.webhook]\nurl = \"http://localhost/\"\nbearer = \"two\\nlines of it\"",
            "3:10",
            &["can't be sent in a header"],
        ),
        ("[authenticate.jwt]\njwks = \"https://\"", "2:8", &["authenticate.jwt.jwks", "not a URL"]),
        ("[authenticate.jwt]\njwks = \"https://me:x@a/\"", "2:8", &["user or password"]),
        ("[authenticate.jwt]\njwks = \"ftp://a/jwks.json\"", "2:8", &["not a URL"]),
        ("[authenticate.jwt]\njwks = \"http://10.0.0.1/\"", "2:8", &["keys of their own", "https"]),
        (
            "[authenticate.jwt]\njwks = \"https://a/\"\nalgorithms = [\"HS256\"]",
            "3:14",
            &["HS256 does not fit", "RS256, ES256, EdDSA"],
        ),
        (
            "[authenticate.jwt]\njwks = \"https://a/\"\nalgorithms = [\"none\"]",
            "3:14",
            &["unknown JWT algorithm"],
        ),
    ];
    for (text, place, words) in rows {
        eprintln!("{text}");
        match words {
            [] => drop(complete(text, &with_keys())),
            _ => refused_for(completed(text, &with_keys()), &format!("accrue.toml:{place}"), words),
        }
    }
}

#[test]
fn unknown_keys_have_their_nearest() {
    for (text, place, words) in [
        ("admn = \"127.0.0.1:1\"", "1:1", "did you mean \"admin\"?"),
        ("[stor]\nurl = \"memory:\"", "1:2", "did you mean \"store\"?"),
        ("[store]\npath = \"x\"", "2:1", "known here: url"),
        ("ably.revokable = true", "1:6", "did you mean \"revocable\"?"),
        ("ably.resturl = \"x\"", "1:6", "did you mean \"rest_url\"?"),
        (&format!("{WEBHOOK}max_inflight = 3"), "3:1", "did you mean \"max_in_flight\"?"),
        (&format!("{WEBHOOK}secret = \"x\""), "3:1", "did you mean \"authenticate.jwt.secret\"?"),
        (&format!("{FORWARD}tiemout = \"1s\""), "3:1", "did you mean \"timeout\"?"),
    ] {
        refused_for(completed(text, &with_keys()), &format!("accrue.toml:{place}"), &[words]);
    }
}

#[test]
fn there_is_one_permission_check() {
    let both = format!("{WEBHOOK}{RULES}");
    let words = &["one permission check", "[permission.webhook] and [permission.rules]"];
    refused_for(completed(&both, &with_keys()), "accrue.toml:3:1", words);
    let one_by_variable = usual().with("ACCRUE_PERMISSION__WEBHOOK__URL", "http://127.0.0.1:1/");
    refused_for(parse(RULES, &one_by_variable), "accrue.toml:1:1", words);
    refused_for(parse("", &usual()), "", &["there is no permission check", "[permission.webhook]"]);
    assert!(parse("", &one_by_variable).is_ok());
}

#[test]
fn one_way_to_authenticate_may_be_to_ask() {
    let words = &["one way", "[authenticate.forward] and [authenticate.claimed]"];
    refused_for(completed(&format!("{FORWARD}{CLAIMED}"), &with_keys()), "accrue.toml:1:1", words);
    let by_variable = with_keys().with("ACCRUE_AUTHENTICATE__FORWARD__URL", "http://127.0.0.1:1/who");
    assert_eq!(
        line(&parse(RULES, &by_variable).unwrap(), "authenticate"),
        "forward: http://127.0.0.1:1/who is asked, with the caller's Cookie and Authorization, and has 2s"
    );
}

#[test]
fn what_is_in_range_is_printed_as_what_it_amounts_to() {
    let token = with_keys().with("ACCRUE_ADMIN_TOKEN", ADMIN_TOKEN);
    for (text, environment, name, expected) in [
        ("admin = \"127.0.0.1:0\"", with_keys(), "admin", "127.0.0.1:0, without a token: /metrics, /revoke"),
        ("admin = \"localhost:9\"", with_keys(), "admin", "127.0.0.1:9, without a token: /metrics, /revoke"),
        (
            "admin = \"[::1]:9\"",
            token.clone(),
            "admin",
            "[::1]:9, with the token (redacted): /metrics, /revoke",
        ),
        (
            "admin = \"0.0.0.0:8081\"",
            token.clone(),
            "admin",
            "0.0.0.0:8081, with the token (redacted): /metrics, /revoke",
        ),
        // two free ports are not the same
        (
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"",
            with_keys(),
            "admin",
            "127.0.0.1:0, without a token: /metrics, /revoke",
        ),
        (
            "strategy = \"store\"\nstore.url = \"memory:\"",
            with_keys().without("ACCRUE_SECRETS"),
            "strategy",
            "store: grants are kept in the store, and checked only where new or older than recheck_after",
        ),
        ("strategy = \"store\"\n[store]", with_keys(), "grant", "recheck_after 8h"),
        ("strategy = \"store\"\n[store]", with_keys(), "store", "redb:accrue.redb: grants and revocations"),
        ("[store]", with_keys(), "store", "redb:accrue.redb: revocations"),
        ("store.url = \"redb:/a/b c\"", with_keys(), "store", "redb:/a/b c: revocations"),
        ("store.url = \"redis://h:1/2\"", with_keys(), "store", "redis://h:1/2: revocations"),
        (
            "strategy = \"client\"\n[store]",
            with_keys(),
            "store",
            "redb:accrue.redb: not used: nothing is kept that could be revoked",
        ),
        (
            "strategy = \"server\"\n[store]",
            with_keys(),
            "store",
            "redb:accrue.redb: not used: nothing is kept that could be revoked",
        ),
        (
            "ably.revocable = true",
            with_keys(),
            "revocation",
            "also of tokens that are out, at https://main.realtime.ably.net/",
        ),
        (
            "ably = { revocable = true, rest_url = \"http://[::1]:8080/v\" }",
            with_keys(),
            "revocation",
            "also of tokens that are out, at http://[::1]:8080/v",
        ),
        (
            "[authenticate.forward]\nurl = \"https://app.example.com/whoami?key=x\"\ntimeout = \"30s\"",
            with_keys(),
            "authenticate",
            "forward: https://app.example.com/whoami is asked, with the caller's Cookie and Authorization, and has 30s",
        ),
        (
            "[authenticate.jwt]\njwks = \"https://id.example.com/jwks.json?key=x\"",
            with_keys(),
            "authenticate",
            "jwt: Authorization: Bearer; keys from https://id.example.com/jwks.json; clientId from \"sub\"",
        ),
        (
            "[authenticate.jwt]\njwks = \"http://localhost:3000/jwks.json\"\ncookie = \"s\"",
            with_keys(),
            "authenticate",
            "jwt: cookie \"s\" or Authorization: Bearer; keys from http://localhost:3000/jwks.json; clientId from \"sub\"",
        ),
        (
            WEBHOOK,
            with_keys(),
            "may be asked",
            "what https://app.example.com/ably/permissions says within 2s; 64 questions at once, 4 of one client",
        ),
        (
            "[permission.webhook]\nurl = \"http://localhost/a?key=x\"\ntimeout = \"10ms\"\nmax_in_flight = 1_000_000\nmax_in_flight_per_client = 1",
            with_keys().with("ACCRUE_PERMISSION__WEBHOOK__BEARER", BEARER),
            "may be asked",
            "what http://localhost/a says within 10ms, asked with a bearer (redacted); 1000000 questions at once, 1 of one client",
        ),
    ] {
        let config = complete(text, &environment);
        assert_eq!(line(&config, name), expected, "{text}");
        shown(&config);
    }
}

#[test]
fn what_is_not_there_is_not_printed() {
    let config = complete("", &with_keys());
    for name in ["admin", "store", "revocation"] {
        assert!(!shown(&config).lines().any(|line| line.starts_with(name)), "{name} in {config}");
    }
    assert_eq!(config.admin(), None);
    let config = complete("strategy = \"store\"\n[store]", &with_keys());
    assert!(!shown(&config).contains("secrets k1") && !shown(&config).contains("cookie "), "{config}");
    assert_eq!(complete("admin = \"127.0.0.1:7\"", &with_keys()).admin().unwrap().port(), 7);
}

#[test]
fn every_scalar_can_be_set_by_a_variable() {
    let webhook = with_keys().with("ACCRUE_PERMISSION__WEBHOOK__URL", "http://127.0.0.1:1/may");
    let forward = with_keys().with("ACCRUE_AUTHENTICATE__FORWARD__URL", "http://127.0.0.1:1/who");
    let revocable = with_keys().with("ACCRUE_ABLY__REVOCABLE", "true");
    for (base, name, value, label, part) in [
        (with_keys(), "ACCRUE_ADMIN", "127.0.0.1:9", "admin", "127.0.0.1:9, without a token"),
        (with_keys(), "ACCRUE_STORE__URL", "memory:", "store", "memory:: revocations"),
        (
            revocable.clone(),
            "ACCRUE_ABLY__REST_URL",
            "http://localhost:9",
            "revocation",
            "at http://localhost:9/",
        ),
        (
            webhook.clone(),
            "ACCRUE_PERMISSION__WEBHOOK__BEARER",
            BEARER,
            "may be asked",
            "a bearer (redacted)",
        ),
        (webhook.clone(), "ACCRUE_PERMISSION__WEBHOOK__TIMEOUT", "3s", "may be asked", "within 3s;"),
        (
            webhook.clone(),
            "ACCRUE_PERMISSION__WEBHOOK__MAX_IN_FLIGHT",
            "7",
            "may be asked",
            "7 questions at once",
        ),
        (
            webhook.clone(),
            "ACCRUE_PERMISSION__WEBHOOK__MAX_IN_FLIGHT_PER_CLIENT",
            "2",
            "may be asked",
            "2 of one client",
        ),
        (forward.clone(), "ACCRUE_AUTHENTICATE__FORWARD__TIMEOUT", "3s", "authenticate", "has 3s"),
    ] {
        let check = if base.variables.contains_key("ACCRUE_PERMISSION__WEBHOOK__URL") { "" } else { RULES };
        let who = if base.variables.contains_key("ACCRUE_AUTHENTICATE__FORWARD__URL") { "" } else { CLAIMED };
        let config = parse(&format!("{check}{who}"), &base.with(name, value));
        let config = config.unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = line(&config, label);
        assert!(found.contains(part), "{name}={value} makes it {found}");
        shown(&config);
    }
    for (name, value, words) in [
        ("ACCRUE_ADMIN", "everywhere", "ADDRESS:PORT"),
        ("ACCRUE_ADMIN", "0.0.0.0:8081", "ACCRUE_ADMIN_TOKEN"),
        ("ACCRUE_ADMIN", "127.0.0.1:8080", "another port"),
        ("ACCRUE_STORE__URL", "mysql:", "redb:FILE"),
        ("ACCRUE_ABLY__REST_URL", "http://a", "https"),
        ("ACCRUE_ADMIN_TOKEN", "short", "too short"),
    ] {
        refused_for(completed("", &with_keys().with(name, value)), name, &[words]);
    }
}

#[test]
fn the_admin_token_comes_from_a_file_the_environment_or_the_text() {
    let open = "admin = \"0.0.0.0:8081\"";
    let by_file = with_keys().with("ACCRUE_ADMIN_TOKEN_FILE", "/run/secrets/admin");
    let there = by_file.clone().with_file("/run/secrets/admin", &format!("{ADMIN_TOKEN}\n"));
    for (text, environment) in [
        (open.to_owned(), there.clone()),
        (open.to_owned(), with_keys().with("ACCRUE_ADMIN_TOKEN", ADMIN_TOKEN)),
        (format!("{open}\nadmin_token = \"{ADMIN_TOKEN}\""), with_keys()),
    ] {
        let config = complete(&text, &environment);
        assert!(shown(&config).contains("0.0.0.0:8081, with the token (redacted)"), "{config}");
    }
    let told = problems(completed(open, &by_file));
    assert!(told.iter().any(|told| told.starts_with("ACCRUE_ADMIN_TOKEN_FILE: can't read")), "{told:?}");
    let instead = with_keys().with("ACCRUE_ADMIN_TOKEN_FILE", ADMIN_TOKEN);
    assert!(problems(completed("", &instead))[0].starts_with("ACCRUE_ADMIN_TOKEN_FILE: can't read"));
    let both = there.clone().with("ACCRUE_ADMIN_TOKEN", ADMIN_TOKEN);
    refused_for(completed("", &both), "ACCRUE_ADMIN_TOKEN_FILE", &["ACCRUE_ADMIN_TOKEN is set as well"]);
    let short = by_file.with_file("/run/secrets/admin", "short\n");
    refused_for(completed("", &short), "ACCRUE_ADMIN_TOKEN_FILE", &["too short"]);
    let empty = with_keys().with("ACCRUE_ADMIN_TOKEN", "");
    refused_for(completed(open, &empty), "accrue.toml:1:9", &["ACCRUE_ADMIN_TOKEN"]);
}

#[test]
fn an_admin_token_that_no_header_carries_is_refused() {
    for token in [
        "an admin token of several words, 32 bytes",
        "an-admin-token-of-thirty-two-bytes ",
        "an-admin-token-of-thirty-two-bytes\\n",
        "ein-schl\u{fc}ssel-von-mehr-als-32-bytes",
    ] {
        let text = format!("admin_token = \"{token}\"");
        refused_for(
            completed(&text, &with_keys()),
            "accrue.toml:1:15",
            &["admin_token", "ASCII", "accrue keygen"],
        );
    }
}

#[test]
fn secrets_that_are_weak_are_refused_whatever_they_are_for() {
    let webhook = with_keys().with("ACCRUE_PERMISSION__WEBHOOK__URL", "http://127.0.0.1:1/");
    let long = "x".repeat(64);
    let encoded = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
    for (secret, words) in [
        (long.as_str(), "one repeated byte"),
        (encoded.as_str(), "one repeated byte"),
        ("a-string-secret-at-least-256-bits-long", "documentation"),
        ("your-256-bit-secret-your-256-bit-secret", "documentation"),
    ] {
        let redis = format!("redis://:{secret}@localhost/0");
        for (name, value, key, environment) in [
            ("ACCRUE_ADMIN_TOKEN", secret, "admin_token", with_keys()),
            ("ACCRUE_PERMISSION__WEBHOOK__BEARER", secret, "permission.webhook.bearer", webhook.clone()),
            ("ACCRUE_STORE__URL", &redis, "store.url", with_keys()),
        ] {
            let check = if name.contains("WEBHOOK") { "" } else { RULES };
            let result = parse(&format!("{check}{CLAIMED}"), &environment.with(name, value));
            assert!(!result.as_ref().unwrap_err().to_string().contains(secret), "{result:?}");
            refused_for(result, name, &[key, words]);
        }
    }
}

/// The variable, how a secret is written there, and the key that it sets.
type Purpose = (&'static str, fn(&str) -> String, &'static str);

#[test]
fn no_secret_serves_two_purposes() {
    // all of one kind, so that each can stand in the place of each
    let shared = "one-secret-for-everything-of-32-bytes-0123";
    let encoded = BASE64_URL_SAFE_NO_PAD.encode(shared);
    let percent = shared.replace('-', "%2D");
    // in the order in which they are read: the later one is told
    let places: [Purpose; 6] = [
        ("ABLY_API_KEY", |secret| format!("app.key:{secret}"), "ably.key"),
        ("ACCRUE_SECRETS", |secret| format!("k1:{}", BASE64_URL_SAFE_NO_PAD.encode(secret)), "grant.secrets"),
        ("ACCRUE_STORE__URL", |secret| format!("redis://user:{secret}@redis.internal:6379/1"), "store.url"),
        ("ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET", str::to_owned, "authenticate.header.proxy_secret"),
        ("ACCRUE_ADMIN_TOKEN", str::to_owned, "admin_token"),
        ("ACCRUE_PERMISSION__WEBHOOK__BEARER", str::to_owned, "permission.webhook.bearer"),
    ];
    let distinct = with_keys()
        .with("ACCRUE_STORE__URL", &format!("redis://:{REDIS_PASSWORD}@redis.internal"))
        .with("ACCRUE_AUTHENTICATE__HEADER__PROXY_SECRET", PROXY_SECRET)
        .with("ACCRUE_ADMIN_TOKEN", ADMIN_TOKEN)
        .with("ACCRUE_PERMISSION__WEBHOOK__URL", "http://127.0.0.1:1/")
        .with("ACCRUE_PERMISSION__WEBHOOK__BEARER", BEARER);
    shown(&parse("", &distinct).unwrap());
    for (at, (first, write_first, key)) in places.iter().enumerate() {
        for (second, write_second, _) in &places[at + 1..] {
            for again in [shared, &encoded] {
                // sealing secrets are encoded anyway
                let again = if *second == "ACCRUE_SECRETS" { shared } else { again };
                let environment = distinct.clone().with(first, &write_first(shared));
                let result = parse("", &environment.with(second, &write_second(again)));
                assert!(!result.as_ref().unwrap_err().to_string().contains(again), "{result:?}");
                refused_for(result, second, &[&format!("the same as {key}"), "one of its own"]);
            }
        }
    }
    let in_url = distinct.with("ACCRUE_STORE__URL", &format!("redis://:{percent}@redis.internal"));
    let result = parse("", &in_url.with("ACCRUE_ADMIN_TOKEN", shared));
    refused_for(result, "ACCRUE_ADMIN_TOKEN", &["the same as store.url"]);
}

#[test]
fn a_redis_password_is_never_shown() {
    for (url, printed) in [
        ("redis://SECRET@h:1/2", "redis://h:1/2"),
        ("redis://:SECRET@h:1/2", "redis://h:1/2"),
        ("redis://user:SECRET@h:1/2", "redis://h:1/2"),
        ("rediss://user:SECRET@h", "rediss://h"),
        ("redis://user:SECRET@[::1]:6379", "redis://[::1]:6379"),
        ("redis://user:with:SECRET@h/0", "redis://h/0"),
        ("redis://us%40er:with%2FSECRET@h/0", "redis://h/0"),
        ("redis://h:1/2?password=SECRET", "redis://h:1/2"),
        ("redis://h?a=b&password=SECRET", "redis://h"),
        ("redis://:x-SECRET@h/0?password=SECRET", "redis://h/0"),
    ] {
        let url = url.replace("SECRET", REDIS_PASSWORD);
        let config = complete("", &with_keys().with("ACCRUE_STORE__URL", &url));
        assert_eq!(line(&config, "store"), format!("{printed}: revocations"));
        shown(&config);
    }
    // where one could not tell what is the password and what the host
    for url in [
        "redis://user:SECRET/@h/0",
        "redis://user:SECRET?@h/0",
        "redis://user:SECRET#@h/0",
        "redis://user:/SECRET@h",
        "redis://h/0?password=@SECRET",
        "redis://h/0?password=x@SECRET/0",
        "redis://h/0#SECRET",
        "redis://user:a@SECRET@h/0",
    ] {
        let url = url.replace("SECRET", REDIS_PASSWORD);
        refused_for(
            completed("", &with_keys().with("ACCRUE_STORE__URL", &url)),
            "ACCRUE_STORE__URL",
            &["store.url", "%40", "%2F"],
        );
    }
}

#[test]
fn what_a_url_has_in_its_query_is_never_shown() {
    let query = |url: &str| format!("{url}?key={BEARER}");
    let environment = with_keys()
        .with("ACCRUE_PERMISSION__WEBHOOK__URL", &query("http://10.0.0.1/may"))
        .with("ACCRUE_AUTHENTICATE__FORWARD__URL", &query("http://10.0.0.1/who"));
    shown(&parse("", &environment).unwrap());
    let environment = with_keys().with("ACCRUE_AUTHENTICATE__JWT__JWKS", &query("https://id.example.com/"));
    shown(&parse(RULES, &environment).unwrap());
    for (name, url) in [
        ("ACCRUE_AUTHENTICATE__JWT__JWKS", "http://id.example.com/"),
        ("ACCRUE_ABLY__REST_URL", "https://ably.example.com/"),
        ("ACCRUE_AUTHENTICATE__FORWARD__URL", "ftp://app.example.com/"),
    ] {
        let who = if name.contains("AUTHENTICATE") { "" } else { CLAIMED };
        let result = parse(&format!("{RULES}{who}"), &with_keys().with(name, &query(url)));
        assert_eq!(problems(result).len(), 1, "{name}");
    }
}

#[test]
fn warnings_about_what_is_outside() {
    let admin = "there is no admin listener, so nothing can be revoked: set admin = \"127.0.0.1:8081\"";
    let memory = "store.url is \"memory:\": grants and revocations are lost when the process ends";
    let webhook =
        "permission.webhook.url is plain http to another machine: questions and answers can be read";
    let forward =
        "authenticate.forward.url is plain http to another machine: your users' sessions can be read";
    let withdrawn = "a permission that is withdrawn is gone from every token after ";
    let asking = |section: &str, url: &str| format!("[{section}]\nurl = \"{url}\"");
    let rows: &[(&str, &[&str])] = &[
        ("", &[withdrawn]),
        ("admin = \"127.0.0.1:1\"", &[withdrawn]),
        ("[store]", &[admin, withdrawn]),
        ("admin = \"127.0.0.1:1\"\n[store]", &[withdrawn]),
        ("store.url = \"memory:\"", &[memory, admin, withdrawn]),
        ("strategy = \"store\"\nadmin = \"127.0.0.1:1\"\nstore.url = \"memory:\"", &[memory, withdrawn]),
        ("strategy = \"store\"\n[store]", &[admin, withdrawn]),
        // nothing is kept that could be revoked
        ("strategy = \"client\"\n[store]", &[withdrawn]),
        ("strategy = \"server\"\n[store]", &[withdrawn]),
        ("strategy = \"client\"\nably.revocable = true", &[admin, withdrawn]),
        ("ably.revocable = true", &[admin, withdrawn]),
        ("ably.revocable = true\nadmin = \"127.0.0.1:1\"", &[withdrawn]),
        (
            "strategy = \"store\"\ntoken.ttl = \"10m\"\ngrant.recheck_after = \"10m\"\nadmin = \"127.0.0.1:1\"\n[store]",
            &["grant.recheck_after (10m) is not above token.ttl (10m)", withdrawn],
        ),
        (&asking("permission.webhook", "http://app.internal/may"), &[webhook, withdrawn]),
        (&asking("permission.webhook", "http://localhost.example.com/may"), &[webhook, withdrawn]),
        (&asking("permission.webhook", "http://127.0.0.1.example.com/may"), &[webhook, withdrawn]),
        (&asking("permission.webhook", "http://LOCALHOST/may"), &[withdrawn]),
        (&asking("permission.webhook", "http://127.9.9.9:3000/may"), &[withdrawn]),
        (&asking("permission.webhook", "http://[::1]:3000/may"), &[withdrawn]),
        (&asking("permission.webhook", "https://app.internal/may"), &[withdrawn]),
        (&asking("authenticate.forward", "http://10.0.0.1/who"), &[forward, withdrawn]),
        (&asking("authenticate.forward", "http://localhost:3000/who"), &[withdrawn]),
        (&asking("authenticate.forward", "https://app.internal/who"), &[withdrawn]),
    ];
    for (text, expected) in rows {
        let warnings = complete(&format!("{text}\n[given]\na = [\"*\"]"), &with_keys()).warnings();
        assert_eq!(warnings.len(), expected.len(), "{text}: {warnings:#?}");
        for (warning, words) in warnings.iter().zip(*expected) {
            assert!(warning.contains(words), "{text}: {warning}");
        }
    }
}

#[test]
fn the_first_production_file_with_a_webhook_starts() {
    let text = r#"
listen  = "0.0.0.0:8080"
origins = ["https://app.example.com"]

[authenticate.jwt]
jwks   = "https://id.example.com/.well-known/jwks.json"
cookie = "session"

[permission.webhook]
url = "http://127.0.0.1:3000/ably/permissions"

[given]
"inbox:{clientId}" = ["subscribe"]
"#;
    let config = parse(text, &with_keys()).unwrap();
    assert_eq!(
        line(&config, "authenticate"),
        "jwt: cookie \"session\" or Authorization: Bearer; keys from https://id.example.com/.well-known/jwks.json; clientId from \"sub\""
    );
    assert_eq!(config.warnings().len(), 1, "{:#?}", config.warnings());
}
