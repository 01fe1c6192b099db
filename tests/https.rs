//! The client against servers that do not behave: every call ends, with what was to be had or with the reason.
//!
//! Nothing here asserts how fast something is, only that it happens.

#[path = "support/nasty.rs"]
mod nasty;

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use accrue::{HttpCall, HttpClient, HttpClientError, HttpsClient};
use bytes::Bytes;
use http::{Request, Response};
use nasty::{Behaviour, Nasty, answer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use Behaviour::{Answers, Closes, Deaf, Drips, Floods, Hangs, Resets};

type Outcome = Result<Response<Bytes>, HttpClientError>;

/// How a call ends.
#[derive(Debug)]
enum End {
    With(u16, &'static str),
    TooSlow,
    TooLarge,
    Encoded,
    /// With an error that has these words.
    Failed(&'static str),
}

impl End {
    fn is(&self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::With(status, body), Ok(answer)) => {
                answer.status() == *status && answer.body() == body.as_bytes()
            }
            (Self::TooSlow, Err(HttpClientError::Timeout(limit))) => *limit == DEADLINE,
            (Self::TooLarge, Err(HttpClientError::TooLarge(limit))) => *limit == MAX_BYTES,
            (Self::Encoded, Err(HttpClientError::Encoded)) => true,
            (Self::Failed(words), Err(HttpClientError::Failed(text))) => text.contains(words),
            _ => false,
        }
    }
}

#[tokio::test]
async fn every_call_ends() {
    let ok = |headers: &[(&str, &str)]| answer(200, headers, "{}");
    let cases = [
        ("well", Answers(ok(&[])), End::With(200, "{}")),
        ("500", Answers(answer(500, &[], "oh")), End::With(500, "oh")),
        ("a redirect", Answers(answer(302, &[("location", "/other")], "")), End::With(302, "")),
        ("nothing", Answers(b"HTTP/1.1 204 No Content\r\n\r\n".into()), End::With(204, "")),
        ("empty", Answers(answer(200, &[], "")), End::With(200, "")),
        (
            "continue first",
            Answers([b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), ok(&[])].concat()),
            End::With(200, "{}"),
        ),
        (
            "chunks",
            Answers(chunked("2\r\n{\"\r\n3\r\na\":\r\n2\r\n1}\r\n0\r\n\r\n")),
            End::With(200, r#"{"a":1}"#),
        ),
        ("until it closes", Closes(b"HTTP/1.1 200 OK\r\n\r\n{}".into()), End::With(200, "{}")),
        // slow
        ("silence", Hangs(vec![]), End::TooSlow),
        ("half a head", Hangs(b"HTTP/1.1 200 OK\r\ncontent-le".into()), End::TooSlow),
        ("half a body", Hangs(head("content-length: 10")), End::TooSlow),
        ("a dripping head", Drips(b"HTTP/1.1 200 OK\r\nx: ".into(), b'x'), End::TooSlow),
        ("a dripping body", Drips(head("content-length: 10000"), b'x'), End::TooSlow),
        ("a dripping body without end", Drips(b"HTTP/1.1 200 OK\r\n\r\n".into(), b'x'), End::TooSlow),
        ("continue for ever", Floods(vec![], b"HTTP/1.1 100 Continue\r\n\r\n".into()), End::TooSlow),
        ("deaf", Deaf, End::TooSlow),
        // cut off
        ("closed before the head", Closes(vec![]), End::Failed("connection closed before message completed")),
        (
            "closed in the head",
            Closes(b"HTTP/1.1 200 OK\r\nx: ".into()),
            End::Failed("closed before message completed"),
        ),
        ("closed in the body", Closes(head("content-length: 10")), End::Failed("reading a body")),
        ("closed in a chunk", Closes(chunked("10\r\n{")), End::Failed("reading a body")),
        ("closed between chunks", Closes(chunked("1\r\n{\r\n")), End::Failed("reading a body")),
        ("reset before the head", Resets(vec![]), End::Failed("reset by peer")),
        ("reset in the head", Resets(b"HTTP/1.1 200 OK\r\nx: ".into()), End::Failed("reset by peer")),
        ("reset in the body", Resets(head("content-length: 10")), End::Failed("reset by peer")),
        (
            "reset instead of an end",
            Resets(b"HTTP/1.1 200 OK\r\n\r\n{}".into()),
            End::Failed("reset by peer"),
        ),
        // not understood
        ("not HTTP", Answers(b"SSH-2.0-OpenSSH_9.2p1\r\n".into()), End::Failed("invalid HTTP version")),
        ("not a status", Answers(b"HTTP/1.1 20x OK\r\n\r\n".into()), End::Failed("invalid HTTP status-code")),
        ("not a header", Answers(head("no colon")), End::Failed("invalid HTTP header")),
        (
            "two lengths",
            Answers(head("content-length: 1\r\ncontent-length: 2")),
            End::Failed("content-length"),
        ),
        ("not a chunk", Answers(chunked("z\r\n{}\r\n0\r\n\r\n")), End::Failed("chunk size")),
        ("a chunk too long", Answers(chunked("1\r\n{}\r\n0\r\n\r\n")), End::Failed("chunk")),
        // much
        ("a claim of 1 GiB", Hangs(head("content-length: 1073741824")), End::TooLarge),
        ("a body without end", Floods(b"HTTP/1.1 200 OK\r\n\r\n".into(), vec![b'x'; 65536]), End::TooLarge),
        ("chunks without end", Floods(chunked(""), b"4\r\nxxxx\r\n".into()), End::TooLarge),
        (
            "a head without end",
            Floods(b"HTTP/1.1 200 OK\r\n".into(), b"x: y\r\n".into()),
            End::Failed("head is too large"),
        ),
        (
            "a header without end",
            Floods(b"HTTP/1.1 200 OK\r\nx: ".into(), b"yyyy".into()),
            End::Failed("head is too large"),
        ),
        ("trailers without end", Floods(chunked("0\r\n"), b"x: y\r\n".into()), End::Failed("trailers")),
        ("extensions without end", Floods(chunked("1;"), b"xxxx".into()), End::Failed("extensions")),
        // encoded
        (
            "gzip",
            Floods(head("content-encoding: gzip\r\ntransfer-encoding: chunked"), b"1\r\nx\r\n".into()),
            End::Encoded,
        ),
        (
            "gzip, said late",
            Answers(ok(&[("Content-Encoding", "identity"), ("Content-Encoding", "x, GZip")])),
            End::Encoded,
        ),
        ("identity", Answers(ok(&[("content-encoding", "Identity,")])), End::With(200, "{}")),
    ];
    let client = HttpsClient::new();
    for (name, behaviour, end) in cases {
        let is_deaf = matches!(behaviour, Deaf);
        let server = Nasty::start(behaviour).await;
        // enough that it does not fit the sockets' buffers
        let body = Bytes::from(vec![b'x'; if is_deaf { 64 << 20 } else { 2 }]);
        let url = server.url().replace("://", "://user:s3cret@") + "?token=s3cret";
        let request = Request::post(url).header("authorization", "Bearer s3cret").body(body);
        let mut call = HttpCall::new(request.expect("well-formed"), LONG);
        if matches!(end, End::TooSlow) {
            call.timeout = DEADLINE;
        }
        call.max_bytes = MAX_BYTES;

        let outcome = soon(client.send(call)).await;
        assert!(end.is(&outcome), "{name}: {outcome:?} is not {end:?}");
        if let Err(error) = outcome {
            assert!(!error.to_string().contains("s3cret"), "{name}: {error}");
            assert!(!error.to_string().contains('\n'), "{name}: {error}");
            // nothing is left behind: the other side sees it closed, if it looks
            if !is_deaf {
                closed(&server).await;
            }
        }
        // once, or not at all where the deadline came first
        let sent = (server.connections(), server.requests().len());
        assert!(sent == (1, 1) || matches!(end, End::TooSlow) && sent <= (1, 1), "{name}: {sent:?}");
    }
}

#[tokio::test]
async fn an_answer_may_be_as_long_as_the_limit() {
    let whole = "x".repeat(MAX_BYTES);
    let chunks = chunked(&format!("{MAX_BYTES:x}\r\n{whole}\r\n0\r\n\r\n"));
    for bytes in [answer(200, &[], &whole), chunks] {
        let server = Nasty::start(Answers(bytes)).await;
        let mut call = get(&server.url());
        call.max_bytes = MAX_BYTES;
        assert_eq!(soon(HttpsClient::new().send(call)).await.expect("a whole answer").body(), &whole);
        let mut call = get(&server.url());
        call.max_bytes = MAX_BYTES - 1;
        let outcome = soon(HttpsClient::new().send(call)).await;
        assert_eq!(outcome.map(|_| ()), Err(HttpClientError::TooLarge(MAX_BYTES - 1)));
    }
}

#[tokio::test]
async fn what_is_sent() {
    let server = Nasty::start(Answers(answer(200, &[], ""))).await;
    let client = HttpsClient::new();
    let request = Request::post(server.url().replace("://", "://user@") + "?a=b#c").body("{}".into());
    ask(&client, HttpCall::new(request.expect("well-formed"), LONG)).await;
    let version = env!("CARGO_PKG_VERSION");
    let address = server.address();
    let expected = format!(
        "POST /some/path?a=b HTTP/1.1\r\nuser-agent: accrue/{version}\r\nhost: {address}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    assert_eq!(server.requests(), [expected]);

    let request = Request::get(server.url()).header("user-agent", "mine").body(Bytes::new());
    ask(&client, HttpCall::new(request.expect("well-formed"), LONG)).await;
    let expected = format!("GET /some/path HTTP/1.1\r\nuser-agent: mine\r\nhost: {address}\r\n\r\n");
    assert_eq!(server.requests()[1], expected);
}

#[tokio::test]
async fn an_ipv6_literal() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // a machine without it
    }
    let server = Nasty::listen("[::1]:0", None, Answers(answer(200, &[], ""))).await;
    ask(&HttpsClient::new(), get(&server.url())).await;
    let host = format!("\r\nhost: [::1]:{}\r\n", server.address().port());
    assert!(server.requests()[0].contains(&host), "{:?}", server.requests());
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Nasty::start(Answers(answer(200, &[], "{}"))).await;
    let client = HttpsClient::new();
    ask(&client, get(&server.url())).await;
    ask(&client.clone(), get(&server.url())).await;
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
    // but not for long
    closed(&server).await;
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_used() {
    let server = Nasty::start(Answers(answer(200, &[], "{}"))).await;
    let client = HttpsClient::new();
    for calls in 1..=10 {
        ask(&client, get(&server.url())).await;
        server.hang_up();
        closed(&server).await;
        assert_eq!((server.requests().len(), server.connections()), (calls, calls));
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    for scheme in ["http", "https"] {
        let server = Nasty::start(Hangs(vec![])).await;
        let url = server.url().replace("http", scheme);
        let client = HttpsClient::new();
        let call = tokio::spawn(async move { client.send(get(&url)).await });
        while server.open() == 0 {
            soon(sleep(POLL)).await;
        }
        call.abort();
        closed(&server).await;
    }
}

#[tokio::test]
async fn not_reached() {
    let cases = [
        ("http://127.0.0.1:1/?s3cret", "tcp connect error: Connection refused"),
        ("https://127.0.0.1:1/?s3cret", "tcp connect error: Connection refused"),
        ("ftp://localhost/?s3cret", "unsupported scheme ftp"),
        ("/only/a/path?s3cret", "AbsoluteUriRequired"),
    ];
    for (url, words) in cases {
        let text = failure(soon(HttpsClient::new().send(get(url))).await);
        assert!(text.contains(words) && !text.contains("s3cret"), "{text:?} for {url}");
    }

    match soon(HttpsClient::new().send(get("http://name.invalid/"))).await {
        Err(HttpClientError::Failed(text)) => assert!(text.contains("dns error: "), "{text:?}"),
        // where there is no name server, nobody says that there is no such name
        outcome => assert_eq!(outcome.map(|_| ()), Err(HttpClientError::Timeout(LONG))),
    }
}

#[tokio::test]
async fn tls_without_an_answer_and_an_answer_in_tls() {
    let silent = Nasty::start(Hangs(vec![])).await;
    let mut call = get(&silent.url().replace("http:", "https:"));
    call.timeout = DEADLINE;
    let outcome = soon(HttpsClient::new().send(call)).await;
    assert_eq!(outcome.map(|_| ()), Err(HttpClientError::Timeout(DEADLINE)));
    closed(&silent).await;

    let (certificates, _) = certificates("127.0.0.1");
    let tls = Nasty::start_tls(certificates, Answers(answer(200, &[], "{}"))).await;
    let text = failure(soon(HttpsClient::new().send(get(&tls.url().replace("https:", "http:")))).await);
    assert!(text.contains("invalid HTTP version"), "{text:?}");
}

#[tokio::test]
async fn a_certificate_of_nobody_known() {
    let (certificates, _) = certificates("127.0.0.1");
    let server = Nasty::start_tls(certificates, Answers(answer(200, &[], "{}"))).await;
    let text = failure(soon(HttpsClient::new().send(get(&server.url()))).await);
    assert_eq!(text, "invalid peer certificate: UnknownIssuer");
    assert_eq!((server.connections(), server.requests().len()), (1, 0));
}

#[tokio::test]
async fn certificates_that_the_environment_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificates, issuer) = certificates("127.0.0.1");
    let file = folder.path().join("issuer.pem");
    std::fs::write(&file, issuer).expect("a file");
    let server = Nasty::start_tls(certificates.clone(), Answers(answer(200, &[], "hello"))).await;
    let elsewhere = server.url().replace("127.0.0.1", "localhost");

    let said = in_child("SSL_CERT_FILE", &file, &server.url()).await;
    assert!(said.contains("<200 hello>"), "{said}");
    let said = in_child("SSL_CERT_DIR", folder.path(), &server.url()).await;
    assert!(said.contains("<200 hello>"), "{said}");
    let said = in_child("SSL_CERT_FILE", &file, &elsewhere).await;
    assert!(
        said.contains("<invalid peer certificate: certificate not valid for name \"localhost\""),
        "{said}"
    );

    // one that is missing does not make the public ones trusted
    let said = in_child("SSL_CERT_FILE", Path::new("/no/such/file"), &server.url()).await;
    assert!(said.contains("<no root certificates: ") && said.contains("at '/no/such/file'>"), "{said}");
    // but where there are none, the bundled ones are
    let nothing = tempfile::tempdir().expect("a folder");
    let said = in_child("SSL_CERT_DIR", nothing.path(), &server.url()).await;
    assert!(said.contains("<invalid peer certificate: UnknownIssuer>"), "{said}");

    // an end that anybody on the way could have made
    let cut = Nasty::start_tls(certificates, Closes(b"HTTP/1.1 200 OK\r\n\r\nhalf".into())).await;
    let said = in_child("SSL_CERT_FILE", &file, &cut.url()).await;
    assert!(said.contains("without sending TLS close_notify"), "{said}");
}

/// Makes a call in a process of its own, because this one's environment belongs to all tests.
async fn in_child(variable: &str, value: &Path, url: &str) -> String {
    let mut child = tokio::process::Command::new(std::env::current_exe().expect("this is one"));
    child.args(["--exact", "child", "--ignored", "--nocapture"]);
    child.env_clear().env(variable, value).env(URL_FOR_CHILD, url).stdin(Stdio::null());
    let output = soon(child.output()).await.expect("it starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
#[ignore = "runs in a child of another test, which sets its environment"]
#[expect(clippy::disallowed_methods, reason = "its argument")]
async fn child() {
    let Ok(url) = std::env::var(URL_FOR_CHILD) else { return };
    match soon(HttpsClient::new().send(get(&url))).await {
        Ok(answer) => println!("<{} {}>", answer.status().as_u16(), String::from_utf8_lossy(answer.body())),
        Err(error) => println!("<{error}>"),
    }
}

/// What a server of this name shows, and who says so, as PEM.
fn certificates(name: &str) -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("signed");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .expect("they belong together");
    (Arc::new(config).into(), issuer.pem())
}

fn head(headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n").into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    [head("transfer-encoding: chunked"), body.into()].concat()
}

fn get(url: &str) -> HttpCall {
    HttpCall::new(Request::get(url).body(Bytes::new()).expect("well-formed"), LONG)
}

/// Until the server has no more connections.
async fn closed(server: &Nasty) {
    soon(async {
        while server.open() > 0 {
            sleep(POLL).await;
        }
    })
    .await;
}

/// A call that ends well.
async fn ask(client: &HttpsClient, call: HttpCall) {
    assert_eq!(soon(client.send(call)).await.expect("an answer").status(), 200);
}

#[track_caller]
fn failure(outcome: Outcome) -> String {
    match outcome {
        Err(HttpClientError::Failed(text)) => text,
        outcome => panic!("{outcome:?}"),
    }
}

/// With a generous end, so that nothing hangs for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(2 * LONG, future).await.expect("within its deadline")
}

const URL_FOR_CHILD: &str = "URL_FOR_CHILD";
/// Of calls that are to miss it.
const DEADLINE: Duration = Duration::from_millis(300);
/// Of calls that are not.
const LONG: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
const MAX_BYTES: usize = 100_000;
