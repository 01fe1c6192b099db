//! What the README shows is what there is.

#[path = "support/skipped.rs"]
mod skipped;

use std::io::Write as _;
use std::process::{Command, Stdio};

use accrue::{Config, Environment};
use skipped::skipped;

const README: &str = include_str!("../README.md");

/// The README's code blocks in one language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The secrets that the README's reader makes, and a key set with the RSA key of RFC 7517, appendix A.1.
struct Reader;

impl Environment for Reader {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "ABLY_API_KEY" => Some("app.key:an-ably-secret".to_owned()),
            "ACCRUE_SECRETS" => Some("k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY".to_owned()),
            _ => None,
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        assert!(path.ends_with("jwks.json"), "{path}");
        Ok(r#"{"keys":[{"kty":"RSA","kid":"2011-04-29","alg":"RS256","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}]}"#.to_owned())
    }
}

#[test]
fn its_configurations_are_accepted_and_the_last_one_says_the_defaults() {
    let blocks = blocks("toml");
    assert_eq!(blocks.len(), 2);
    let [production, every_key] = [blocks[0], blocks[1]]
        .map(|text| Config::parse("README.md", text, &Reader, &[]).unwrap_or_else(|error| panic!("{error}")));
    assert!(production.to_string().contains("issuer \"https://id.example.com\""), "{production}");

    // what it shows apart from the defaults is how to authenticate and what may be done
    let (from, to) = (blocks[1].find("[authenticate.jwt]").unwrap(), blocks[1].len());
    let defaults = Config::parse("defaults", &blocks[1][from..to], &Reader, &[]).unwrap();
    assert_eq!(every_key.to_string(), defaults.to_string());
}

/// Tried with the known answers of another implementation. Where there is no Python it is skipped, but not in CI.
#[test]
fn its_python_verifies_grants() {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sealed-grant.json");
    let program = format!(
        r#"{}
import json, sys
vectors = json.load(open(sys.argv[1], encoding="utf-8"))["vectors"]
for v in vectors:
    app_id = v["keyName"].split(".")[0]
    assert verifies(v["grant"], v["clientId"], v["secret"], app_id), v["name"]
    assert not verifies(v["grant"], v["clientId"] + "x", v["secret"], app_id), v["name"]
    assert not verifies(v["grant"], v["clientId"], v["secret"], app_id + "x"), v["name"]
    changed = v["grant"].replace(".17", ".16")
    assert not verifies(changed, v["clientId"], v["secret"], app_id), v["name"]
print(len(vectors))
"#,
        blocks("python").iter().find(|block| block.contains("def verifies")).unwrap()
    );
    let python = Command::new("python3")
        .args(["-", vectors])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else {
        assert!(option_env!("CI").is_none(), "CI has python3");
        skipped("there is no python3 here");
        return;
    };
    python.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "12");
}
