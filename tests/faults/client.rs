//! A service, and clients that know nothing of HTTP but where an answer ends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::http::Answer;
use crate::process::{self, Server, accrue};

/// The binary with a configuration and a directory of its own, which is `HERE` in the configuration.
pub(crate) struct Service {
    pub(crate) server: Server,
    pub(crate) directory: TempDir,
    commands: String,
}

impl Service {
    pub(crate) fn start(config: &str) -> Self {
        Self::after("", config)
    }

    /// Starts it in a shell, after these commands.
    #[track_caller]
    pub(crate) fn after(commands: &str, config: &str) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let here = directory.path().to_str().expect("UTF-8");
        let config = format!("listen = \"127.0.0.1:0\"\n{config}").replace("HERE", here);
        std::fs::write(directory.path().join("accrue.toml"), config).expect("it can be written");
        let commands = commands.replace("HERE", here);
        Self { server: serve(&directory, &commands), directory, commands }
    }

    /// The same again.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.server = serve(&self.directory, &self.commands);
    }

    /// What this client gets, wishing for these chats and holding what this cookie says.
    #[track_caller]
    pub(crate) fn ask(&self, client: &str, chats: &[usize], cookie: &str) -> Answer {
        let cookie = [("Cookie", cookie)];
        let headers = if cookie[0].1.is_empty() { &[][..] } else { &cookie };
        self.server.request(&format!("GET {}", target(client, chats)), headers, "")
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> Connection {
        Connection::to(self.server.address)
    }

    #[track_caller]
    pub(crate) fn assert_alive(&self) {
        assert_eq!(self.server.request("GET /healthz", &[], "").status, 200);
    }

    /// Of its memory, what is in RAM.
    pub(crate) fn resident_kib(&self) -> usize {
        let status = format!("/proc/{}/status", self.server.process.id());
        let status = std::fs::read_to_string(status).expect("it runs, on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

#[track_caller]
fn serve(directory: &TempDir, commands: &str) -> Server {
    let config = directory.path().join("accrue.toml");
    let program = accrue(&[], &[]).get_program().to_owned();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{commands}\nexec \"$0\" serve --config \"$1\"")])
        .arg(program)
        .arg(config)
        .env_clear()
        .envs(VARIABLES)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Server::of(&mut shell)
}

/// How this client wishes for these chats.
pub(crate) fn target(client: &str, chats: &[usize]) -> String {
    if chats.is_empty() {
        return format!("/auth?clientId={client}");
    }
    let wishes: Vec<String> = chats.iter().map(|n| format!("%22chat:{n:04}%22:[%22subscribe%22]")).collect();
    format!("/auth?clientId={client}&capability=%7B{}%7D", wishes.join(","))
}

/// A request on a connection that is kept.
pub(crate) fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

/// The grant that an answer sets.
#[track_caller]
pub(crate) fn cookie(answer: &Answer) -> String {
    let set = answer.all("set-cookie").into_iter().filter(|set| !set.contains("Max-Age=0"));
    let cookies: Vec<&str> = set.filter_map(|set| set.split(';').next()).collect();
    let [cookie] = cookies.as_slice() else { panic!("not one grant: {answer:?}") };
    (*cookie).to_owned()
}

/// Come back later: nothing was decided, and nothing is lost.
#[track_caller]
pub(crate) fn assert_unavailable(answer: &Answer) {
    answer.assert_error(503, 50003);
    assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{answer:?}");
    assert!(answer.all("set-cookie").is_empty(), "{answer:?}");
}

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    #[track_caller]
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::try_to(address).expect("it listens")
    }

    pub(crate) fn try_to(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(process::LONG)).expect("not zero");
        Some(Self { stream, received: Vec::new() })
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it reads");
    }

    /// As far as the other side still takes it.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// That nothing more will be said.
    pub(crate) fn end(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_or_close().expect("an answer before it closes")
    }

    /// The next answer, or `None` if it closes without one.
    #[track_caller]
    pub(crate) fn answer_or_close(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, taken)) = Answer::parse(&self.received) {
                self.received.drain(..taken);
                return Some(answer);
            }
            let mut buffer = [0; 16_384];
            match self.stream.read(&mut buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!(
                        "neither an answer nor the end; so far {:?}",
                        String::from_utf8_lossy(&self.received)
                    )
                }
                Ok(0) | Err(_) => {
                    let half = String::from_utf8_lossy(&self.received);
                    assert!(self.received.is_empty(), "half an answer: {half:?}");
                    return None;
                }
                Ok(read) => self.received.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// That it closes, and what it answers before.
    #[track_caller]
    pub(crate) fn closes(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer_or_close() {
            answers.push(answer);
        }
        answers
    }

    /// Whether there is something to read within a short while.
    pub(crate) fn hears_something(&self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(1))).expect("not zero");
        let heard = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_read_timeout(Some(process::LONG)).expect("not zero");
        heard
    }
}

/// Numbers that look random, the same each time: xorshift64.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What comes of an attempt, once it succeeds.
#[track_caller]
pub(crate) fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(done) = attempt() {
            return done;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("it never comes to that")
}

/// How often something is tried: as often as `FAULT_RUNS` says, for figures, or a few times.
#[expect(clippy::disallowed_methods, reason = "how whoever wants more of it says so")]
pub(crate) fn runs(few: usize) -> usize {
    std::env::var("FAULT_RUNS").map_or(few, |runs| runs.parse().expect("FAULT_RUNS is a number"))
}

pub(crate) const ANYBODY: &str = "[authenticate.claimed]\n";
pub(crate) const CHATS: &str = "[permission.rules]\n\"chat:*\" = [\"subscribe\"]\n";
const VARIABLES: [(&str, &str); 2] = [
    ("ABLY_API_KEY", "app.key:an-ably-secret"),
    ("ACCRUE_SECRETS", "k1:3SE8zIQCZXN0mJTEi_D-a_xdOrWPfufospSBDHUzPSY"),
];
