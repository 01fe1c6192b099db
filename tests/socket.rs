//! The accept loop over real sockets: what clients can make it do, and what bounds that.
//!
//! Nothing here asserts how fast something is, only that it happens.

#[path = "support/http.rs"]
mod http;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use accrue::ably::ApiKey;
use accrue::{
    Asked, AuthService, Capability, Claimed, Decision, Issuer, Limits, Moment, Origins, Outcome,
    PermissionCheck, Question, ServiceSettings, Strategy,
};
use http::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A server on a port of its own.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    responses: Arc<AtomicUsize>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::with_check(limits, async |question: Question| Decision::Granted(all_of(question))).await
    }

    async fn with_check(limits: Limits, check: impl PermissionCheck) -> Self {
        let service = service(check);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it has one");
        let (stop, stopped) = oneshot::channel::<()>();
        let responses = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&responses);
        let on_response = move |response: &mut hyper::Response<accrue::Body>, _took| {
            assert!(response.extensions().get::<Outcome>().is_some(), "every response has its outcome");
            counter.fetch_add(1, Ordering::SeqCst);
        };
        let shutdown = async move {
            let _ = stopped.await;
        };
        let served = tokio::spawn(accrue::serve(listener, service, limits, on_response, |_| {}, shutdown));
        Self { address, stop, served, responses }
    }

    async fn connect(&self) -> Connection {
        let stream = soon(TcpStream::connect(self.address)).await.expect("it listens");
        Connection { stream, received: Vec::new() }
    }

    /// One request on a connection of its own.
    async fn ask(&self, request: &[u8]) -> Answer {
        let mut connection = self.connect().await;
        connection.send(request).await;
        connection.answer().await
    }

    async fn assert_alive(&self) {
        let answer = self.ask(HEALTHZ).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    }
}

fn service(check: impl PermissionCheck) -> AuthService {
    let key = ApiKey::parse("app.key:an-ably-secret").expect("well-formed");
    let issuer = Issuer::new(key, Strategy::Client, check).expect("they go together");
    let mut settings = ServiceSettings::default();
    settings.origins = Origins::new(["https://app.example.com"]).expect("well-formed");
    AuthService::new(issuer, Claimed, settings, Moment::now)
}

/// A client that knows nothing of HTTP but where an answer ends.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    async fn send(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.expect("it reads");
    }

    /// As far as the other side still takes it.
    async fn try_send(&mut self, bytes: &[u8]) -> bool {
        soon(self.stream.write_all(bytes)).await.is_ok()
    }

    /// The next answer.
    async fn answer(&mut self) -> Answer {
        self.answer_or_close().await.expect("an answer before it closes")
    }

    /// The next answer, or `None` if it closes without one.
    async fn answer_or_close(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, taken)) = Answer::parse(&self.received) {
                self.received.drain(..taken);
                return Some(answer);
            }
            let mut buffer = [0; 4096];
            match soon(self.stream.read(&mut buffer)).await {
                Ok(0) | Err(_) => {
                    assert!(
                        self.received.is_empty(),
                        "half an answer: {:?}",
                        String::from_utf8_lossy(&self.received)
                    );
                    return None;
                }
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// That it closes, and what it answers before.
    async fn closes(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer_or_close().await {
            answers.push(answer);
        }
        answers
    }
}

/// With a generous end, so that nothing hangs for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("within 20 seconds")
}

fn all_of(question: Question) -> Capability {
    match question.asked {
        Asked::These(asked) => asked,
        _ => Capability::default(),
    }
}

/// Limits that are met only where a test means to.
fn roomy() -> Limits {
    let mut limits = Limits::default();
    limits.header_timeout = Duration::from_secs(60);
    limits.body_timeout = Duration::from_secs(60);
    // of which a tenth goes by while somebody is idle
    limits.drain_timeout = Duration::from_secs(20);
    limits
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = roomy();
    change(&mut limits);
    limits
}

/// A form that wishes for `chat:1`.
fn wish(more_headers: &str) -> String {
    let body = "clientId=alice&capability=%7B%22chat%3A1%22%3A%5B%22subscribe%22%5D%7D";
    format!(
        "POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n{more_headers}\r\n{body}",
        body.len()
    )
}

fn post(headers: &str) -> String {
    format!("POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_one_request_after_the_other() {
    let server = Server::start(roomy()).await;
    let mut connection = server.connect().await;
    for n in 1..=3 {
        connection.send(wish("").as_bytes()).await;
        let answer = connection.answer().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["capability"], r#"{"chat:1":["subscribe"]}"#);
        answer.assert_usual();
        assert_eq!(server.responses.load(Ordering::SeqCst), n);
    }
    // errors don't end it either, and what is sent ahead is answered in order
    connection.send(&[b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", HEALTHZ].concat()).await;
    connection.answer().await.assert_error(404, 40400);
    assert_eq!(connection.answer().await.status, 200);
    connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(connection.closes().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_said_all_is_still_answered() {
    let server = Server::start(roomy()).await;
    let mut connection = server.connect().await;
    connection.send(wish("").as_bytes()).await;
    connection.stream.shutdown().await.unwrap();
    assert_eq!(connection.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_arrive_in_time_closes_the_connection() {
    let server = Server::start(limits(|limits| limits.header_timeout = Duration::from_millis(100))).await;
    // nothing at all; half a head; a whole request and then nothing
    for (sent, answers) in [(&b""[..], 0), (b"GET /healthz HTT", 0), (HEALTHZ, 1)] {
        let mut connection = server.connect().await;
        connection.send(sent).await;
        let closed = connection.closes().await;
        let good = closed.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(good, answers, "{}: {closed:?}", String::from_utf8_lossy(sent));
        assert!(closed.iter().all(|answer| matches!(answer.status, 200 | 408)), "{closed:?}");
    }

    // dripping does not help: it is the whole head that has a time
    let mut dripping = server.connect().await;
    dripping.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Drip: ").await;
    soon(async {
        while dripping.try_send(b"x").await {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    server.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_in_time_is_answered_with_408() {
    let server = Server::start(limits(|limits| limits.body_timeout = Duration::from_millis(100))).await;
    let chunked = post("Transfer-Encoding: chunked\r\n");
    let with_length = post("Content-Length: 1000\r\n");
    for (head, piece) in [(with_length, &b"x"[..]), (chunked, b"1\r\nx\r\n")] {
        // the rest never comes
        let mut silent = server.connect().await;
        silent.send(head.as_bytes()).await;
        let answers = silent.closes().await;
        let [answer] = answers.as_slice() else { panic!("not one answer: {answers:?}") };
        answer.assert_error(408, 40800);

        // it comes, but not all of it in time
        let mut dripping = server.connect().await;
        dripping.send(head.as_bytes()).await;
        let (mut reads, mut writes) = dripping.stream.into_split();
        let drips = tokio::spawn(async move {
            while writes.write_all(piece).await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        // closing while more comes may reset the connection, the answer is there before
        while let Ok(read @ 1..) = soon(reads.read(&mut buffer)).await {
            received.extend_from_slice(&buffer[..read]);
        }
        let (answer, _) = Answer::parse(&received).expect("an answer");
        answer.assert_error(408, 40800);
        soon(drips).await.expect("it was closed");
    }
    server.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_told_to_come_back() {
    let server = Server::start(limits(|limits| limits.connections = 2)).await;
    let mut admitted = Vec::new();
    for _ in 0..2 {
        let mut connection = server.connect().await;
        connection.send(HEALTHZ).await;
        assert_eq!(connection.answer().await.status, 200);
        admitted.push(connection);
    }
    for (origin, expected) in [
        ("", None),
        ("Origin: https://app.example.com\r\n", Some("https://app.example.com")),
        ("Origin: https://other.example.com\r\n", None),
    ] {
        let mut beyond = server.connect().await;
        beyond.send(wish(origin).as_bytes()).await;
        let answers = beyond.closes().await;
        let [answer] = answers.as_slice() else { panic!("not one answer: {answers:?}") };
        answer.assert_error(503, 50003);
        assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), expected);
        assert_eq!(answer.header("access-control-allow-credentials"), expected.map(|_| "true"));
        let exposed = answer
            .header("access-control-expose-headers")
            .is_some_and(|all| all.contains("X-Ably-ErrorCode"));
        assert_eq!(exposed, expected.is_some());
        assert_eq!(answer.header("set-cookie"), None);
    }
    // those that were there are served on, and make room when they go
    for connection in &mut admitted {
        connection.send(wish("").as_bytes()).await;
        assert_eq!(connection.answer().await.status, 200);
    }
    drop(admitted);
    soon(async {
        while server.ask(HEALTHZ).await.status != 200 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// A check that tells when it is asked and answers when it is let.
fn waiting() -> (Arc<Semaphore>, Arc<Notify>, impl PermissionCheck) {
    let (asked, answer) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&asked), Arc::clone(&answer));
    let check = move |question: Question| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            // from here on it hears, so whoever is told may let it go at once
            let heard = wait.notified();
            tell.add_permits(1);
            heard.await;
            Decision::Granted(all_of(question))
        }
    };
    (asked, answer, check)
}

async fn is_asked(asked: &Semaphore) {
    soon(asked.acquire()).await.expect("open").forget();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_those_in_flight_are_told_to_come_back() {
    let (asked, answer, check) = waiting();
    let server = Server::with_check(limits(|limits| limits.requests = 2), check).await;
    let mut in_flight = Vec::new();
    for _ in 0..2 {
        let mut connection = server.connect().await;
        connection.send(wish("").as_bytes()).await;
        is_asked(&asked).await;
        in_flight.push(connection);
    }

    // busy is not dead
    server.assert_alive().await;
    let mut beyond = server.connect().await;
    beyond.send(wish("Origin: https://app.example.com\r\n").as_bytes()).await;
    let refused = beyond.answer().await;
    refused.assert_error(503, 50003);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example.com"));

    // to each as it waits: a permit left for later would be only one
    answer.notify_waiters();
    for connection in &mut in_flight {
        let answer = connection.answer().await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    // now there is room, also on the connection that was refused
    beyond.send(HEALTHZ).await;
    assert_eq!(beyond.answer().await.status, 200);
    let mut again = server.connect().await;
    again.send(wish("").as_bytes()).await;
    is_asked(&asked).await;
    answer.notify_waiters();
    assert_eq!(again.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_64_kib_is_413() {
    let server = Server::start(roomy()).await;
    let name = |bytes: usize| format!("{{\"x\":\"{}\",\"clientId\":\"alice\"}}", "x".repeat(bytes - 27));
    let (fits, beyond) = (name(65_536), name(65_537));
    assert_eq!((fits.len(), beyond.len()), (65_536, 65_537));
    let with_length = |body: &str| post(&format!("Content-Length: {}\r\n", body.len())) + body;
    let chunked = |body: &str| {
        let (a, b) = body.split_at(40_000);
        let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
        format!("{}{}{}0\r\n\r\n", post("Transfer-Encoding: chunked\r\n"), chunk(a), chunk(b))
    };

    for (request, large) in [
        (with_length(&fits), false),
        (chunked(&fits), false),
        (with_length(&beyond), true),
        (chunked(&beyond), true),
        // believed before it is sent
        (post("Content-Length: 65537\r\n"), true),
        (post("Content-Length: 99999999999\r\n"), true),
    ] {
        let answer = server.ask(request.as_bytes()).await;
        match large {
            true => answer.assert_error(413, 41300),
            // understood, and nothing is wished for
            false => answer.assert_error(401, 40160),
        }
    }
    server.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_431() {
    let server = Server::start(roomy()).await;
    let header = |bytes: usize| {
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(bytes))
    };
    let target =
        |bytes: usize| format!("GET /healthz?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(bytes));
    let headers = |count: usize| {
        let many: String = (1..count).map(|n| format!("X{n}: x\r\n")).collect();
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")
    };
    for (request, fits) in [
        (header(16_000), true),
        (header(32_000), true),
        (header(33_000), false),
        (header(100_000), false),
        (target(32_000), true),
        (target(33_000), false),
        (headers(100), true),
        (headers(101), false),
        (headers(500), false),
    ] {
        let answer = server.ask(request.as_bytes()).await;
        match fits {
            true => assert_eq!(answer.status, 200, "{} bytes: {answer:?}", request.len()),
            false => answer.assert_error(431, 43100),
        }
    }

    // beyond what is read at all the status is what matters
    for request in [header(500_000), headers(5_000), target(500_000)] {
        let mut connection = server.connect().await;
        // it may be closed before all is written
        connection.try_send(request.as_bytes()).await;
        let answers = connection.closes().await;
        let [answer] = answers.as_slice() else { panic!("not one answer: {answers:?}") };
        assert!(matches!(answer.status, 414 | 431), "{answer:?}");
    }
    let mut connection = server.connect().await;
    connection.send(headers(600).as_bytes()).await;
    assert_eq!(connection.answer().await.status, 431);
    server.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_http_is_400_and_the_server_lives_on() {
    let server = Server::start(roomy()).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n"[..],
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHo st: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"GET /heal thz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /auth HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n",
    ] {
        let mut connection = server.connect().await;
        connection.send(bytes).await;
        let answers = connection.closes().await;
        let sent = String::from_utf8_lossy(bytes);
        let [answer] = answers.as_slice() else { panic!("{sent:?}: not one answer: {answers:?}") };
        assert_eq!(answer.status, 400, "{sent:?}: {answer:?}");
        server.assert_alive().await;
    }
    // where the head is fine and the body is not, the answer is ours
    let mut connection = server.connect().await;
    connection.send((post("Transfer-Encoding: chunked\r\n") + "zz\r\n").as_bytes()).await;
    let answers = connection.closes().await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers[0].assert_error(400, 40000);

    // HTTP/2 is not spoken, and its clients know what a closed connection means
    let mut http2 = server.connect().await;
    http2.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(http2.closes().await.iter().all(|answer| answer.status == 400));

    // and clients that go away in the middle cost nothing
    for part in ["GET /hea", &post("Content-Length: 100\r\n"), &wish("")] {
        server.connect().await.send(part.as_bytes()).await;
    }
    server.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_answers_who_has_connected_once_more_and_says_that_it_was_the_last_time() {
    let mut limits = roomy();
    limits.drain_timeout = Duration::from_secs(200);
    let server = Server::start(limits).await;
    let mut silent = server.connect().await;
    let mut idle = server.connect().await;
    idle.send(HEALTHZ).await;
    assert_eq!(idle.answer().await.header("connection"), None);
    let mut half = server.connect().await;
    half.send(&[HEALTHZ, &HEALTHZ[..20]].concat()).await;
    assert_eq!(half.answer().await.status, 200);

    let Server { address, stop, served, .. } = server;
    stop.send(()).expect("it serves");
    nobody_accepts(address).await;
    half.send(&HEALTHZ[20..]).await;
    for connection in [&mut silent, &mut idle] {
        connection.send(wish("").as_bytes()).await;
    }
    for connection in [&mut half, &mut silent, &mut idle] {
        let answers = connection.closes().await;
        let [answer] = answers.as_slice() else { panic!("not one answer: {answers:?}") };
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{answer:?}");
    }
    soon(served).await.expect("it returns");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_answers_whom_only_the_system_has_accepted_yet() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let stream = soon(TcpStream::connect(address)).await.expect("the system accepts");
        let mut connection = Connection { stream, received: Vec::new() };
        connection.send(HEALTHZ).await;
        waiting.push(connection);
    }
    let service = service(async |question: Question| Decision::Granted(all_of(question)));
    soon(accrue::serve(listener, service, roomy(), |_, _| {}, |_| {}, async {})).await;
    for mut connection in waiting {
        let answers = connection.closes().await;
        let [answer] = answers.as_slice() else { panic!("not one answer: {answers:?}") };
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

async fn nobody_accepts(address: SocketAddr) {
    soon(async {
        while TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_lets_requests_in_flight_finish_and_accepts_no_more() {
    let (asked, answer, check) = waiting();
    let server = Server::with_check(roomy(), check).await;
    let mut idle = server.connect().await;
    idle.send(HEALTHZ).await;
    assert_eq!(idle.answer().await.status, 200);
    let mut in_flight = server.connect().await;
    in_flight.send(wish("").as_bytes()).await;
    is_asked(&asked).await;

    let Server { address, stop, mut served, .. } = server;
    stop.send(()).expect("it serves");
    // what waits for its next request is closed, and nobody new comes in
    assert_eq!(idle.closes().await.len(), 0);
    nobody_accepts(address).await;
    assert!(timeout(Duration::from_millis(100), &mut served).await.is_err(), "a request is in flight");

    answer.notify_one();
    let answers = in_flight.closes().await;
    let [answer] = answers.as_slice() else { panic!("not one answer: {answers:?}") };
    assert_eq!(answer.status, 200, "{answer:?}");
    soon(served).await.expect("it returns");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_does_not_wait_for_ever_for_a_request_that_hangs() {
    let (asked, _answer, check) = waiting();
    let server =
        Server::with_check(limits(|limits| limits.drain_timeout = Duration::from_millis(100)), check).await;
    let mut hanging = server.connect().await;
    hanging.send(wish("").as_bytes()).await;
    is_asked(&asked).await;
    let mut half = server.connect().await;
    half.send(post("Content-Length: 100\r\n").as_bytes()).await;

    server.stop.send(()).expect("it serves");
    soon(server.served).await.expect("it returns");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_an_idle_server_returns() {
    let server = Server::start(roomy()).await;
    server.assert_alive().await;
    let _idle = server.connect().await;
    server.stop.send(()).expect("it serves");
    soon(server.served).await.expect("it returns");
}

const HEALTHZ: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
