//! The admin port of the real binary, without a token on loopback, and a page in a browser on the same machine.

use std::net::SocketAddr;

use crate::process::{Server, request};
use crate::service::K1;

const CONFIG: &str = "admin = \"127.0.0.1:0\"\n[authenticate.claimed]\n[permission.rules]\nx = [\"*\"]\n[store]\nurl = \"memory:\"\n";

#[test]
fn a_page_in_a_browser_revokes_and_reads_nothing_at_the_admin_port() {
    let config = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(&config, CONFIG).unwrap();
    let variables = [("ABLY_API_KEY", "app.key:an-ably-key-secret"), ("ACCRUE_SECRETS", K1)];
    let path = config.path().to_str().unwrap();
    let server = Server::start(&["serve", "--config", path, "--listen", "127.0.0.1:0"], &variables);
    let line = server.process.line();
    let admin: SocketAddr = line.strip_prefix("admin on http://").unwrap().parse().unwrap();

    let own = format!("http://{admin}");
    let rebound = format!("evil.example:{}", admin.port());
    let rebound_origin = format!("http://{rebound}");
    let contexts: [(&[(&str, &str)], u16); 12] = [
        // a form, a fetch, an image, a frame, a link of a foreign page
        (
            &[
                ("Origin", "https://evil.example"),
                ("Sec-Fetch-Site", "cross-site"),
                ("Sec-Fetch-Mode", "navigate"),
            ],
            403,
        ),
        (
            &[
                ("Origin", "https://evil.example"),
                ("Sec-Fetch-Site", "cross-site"),
                ("Sec-Fetch-Mode", "no-cors"),
            ],
            403,
        ),
        (&[("Origin", "null"), ("Sec-Fetch-Site", "cross-site")], 403),
        (&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Dest", "image")], 403),
        (&[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors")], 403),
        // of a page on another port, and of this one, if it had any
        (&[("Origin", "http://localhost:3000"), ("Sec-Fetch-Site", "same-site")], 403),
        (&[("Origin", &own), ("Sec-Fetch-Site", "same-origin")], 403),
        (&[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")], 403),
        // without Fetch metadata, which browsers leave out for a name that is not to be trusted: rebound
        (&[("Host", &rebound)], 421),
        (&[("Host", &rebound), ("Origin", &rebound_origin)], 403),
        (&[("Host", "localhost.evil.example")], 421),
        (&[("Host", "127.0.0.1.nip.io")], 421),
    ];
    for (context, status) in contexts {
        for line in ["GET /metrics", "POST /revoke", "PUT /revoke", "OPTIONS /revoke", "GET /"] {
            for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
                let headers = [context, &[("Content-Type", content_type)]].concat();
                let answer = request(admin, line, &headers, r#"{"everybody":true}"#);
                assert_eq!(answer.status, status, "{line} {headers:?}");
                assert!(!answer.body.contains("accrue_"), "{answer:?}");
                let allows = answer.headers.iter().find(|(name, _)| name.starts_with("access-control-"));
                assert_eq!(allows, None, "{line} {headers:?}");
            }
        }
    }
    // what a form can send is no question, whoever sends it
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
    {
        let answer =
            request(admin, "POST /revoke", &[("Content-Type", content_type)], r#"{"everybody":true}"#);
        assert_eq!(answer.status, 415, "{content_type}");
    }
    // none of all that has revoked anybody, which would be told as done; and it is not on the other port
    let metrics = request(admin, "GET /metrics", &[], "");
    assert_eq!(metrics.status, 200);
    assert!(
        !metrics.body.contains(r#"accrue_revocations_total{half="mark",result="done"} 1"#),
        "{}",
        metrics.body
    );
    for line in ["GET /metrics", "POST /revoke"] {
        assert_eq!(server.request(line, &[], "").status, 404, "{line}");
    }
    let json = [("Content-Type", "application/json")];
    assert_eq!(request(admin, "POST /revoke", &json, r#"{"everybody":true}"#).status, 200, "it works at all");
}
