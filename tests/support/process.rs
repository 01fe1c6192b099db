//! The real binary, and nothing of the environment that the tests run in; and other processes that serve.
#![allow(dead_code, reason = "every test takes what it needs")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use super::http::Answer;

/// What a process that has ended left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A process of the binary; it is killed when this is dropped, also by a panic.
pub(crate) struct Process {
    child: Child,
    stdout_lines: Mutex<Receiver<String>>,
    stdout: Output,
    stderr: Output,
    readers: Vec<JoinHandle<()>>,
}

type Output = Arc<Mutex<String>>;

/// The binary with an empty environment but for these variables.
pub(crate) fn accrue(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_accrue"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command
}

/// Runs it to its end.
#[track_caller]
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    run_with_input(arguments, variables, "")
}

/// Runs it to its end with this on standard input.
#[track_caller]
pub(crate) fn run_with_input(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Ended {
    let mut process = Process::start(accrue(arguments, variables).stdin(Stdio::piped()));
    let mut stdin = process.child.stdin.take().expect("piped");
    // one that does not read its input may be gone already
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    process.end()
}

impl Process {
    /// Starts it; its outputs are read from now on.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (send, stdout_lines) = channel();
        let (stdout, stderr) = (Output::default(), Output::default());
        let readers = vec![
            collect(child.stdout.take().expect("piped"), &stdout, move |line| {
                let _ = send.send(line.to_owned());
            }),
            collect(child.stderr.take().expect("piped"), &stderr, |_| {}),
        ];
        Self { child, stdout_lines: Mutex::new(stdout_lines), stdout, stderr, readers }
    }

    /// The next line of standard output.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        match self.stdout_lines.lock().expect("no reader panics").recv_timeout(LONG) {
            Ok(line) => line,
            Err(error) => panic!("{error} for a line; standard error: {}", self.stderr()),
        }
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().expect("no reader panics").clone()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().expect("no reader panics").clone()
    }

    /// Standard error, once it holds this.
    #[track_caller]
    pub(crate) fn stderr_with(&self, words: &str) -> String {
        for _ in 0..POLLS {
            let stderr = self.stderr();
            if stderr.contains(words) {
                return stderr;
            }
            sleep(POLL);
        }
        panic!("{words:?} does not appear in {}", self.stderr());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        for _ in 0..POLLS {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                for reader in self.readers.drain(..) {
                    reader.join().expect("no reader panics");
                }
                return Ended { code: status.code(), stdout: self.stdout(), stderr: self.stderr() };
            }
            sleep(POLL);
        }
        panic!("it does not end; standard error: {}", self.stderr());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(
    from: impl Read + Send + 'static,
    into: &Output,
    each: impl Fn(&str) + Send + 'static,
) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut into = into.lock().expect("no reader panics");
            into.push_str(&line);
            into.push('\n');
            drop(into);
            each(&line);
        }
    })
}

/// A process that serves.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the binary.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::of(&mut accrue(arguments, variables))
    }

    /// Starts whatever says in its first line where it listens, and waits for that.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let process = Process::start(command.stdin(Stdio::null()));
        let line = process.line();
        let Some(address) = line.strip_prefix("listening on http://") else {
            panic!("the first line is {line:?}");
        };
        let address: SocketAddr = address.parse().expect("an address and a port");
        Self { process, address }
    }

    /// See [`request`].
    #[track_caller]
    pub(crate) fn request(&self, first_line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        request(self.address, first_line, headers, body)
    }

    /// Whatever bytes, and the answer to them.
    #[track_caller]
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answer {
        raw(self.address, bytes)
    }
}

/// A request with `Host`; a body gets its length, and the connection is closed after the answer.
#[track_caller]
pub(crate) fn request(address: SocketAddr, first_line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut text = format!("{first_line} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        let _ = write!(text, "Host: {address}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(text, "Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    raw(address, format!("{text}\r\n{body}").as_bytes())
}

#[track_caller]
fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("not zero");
    stream.write_all(bytes).expect("it reads");
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("it answers and closes");
    let (answer, _) = Answer::parse(&received)
        .unwrap_or_else(|| panic!("no whole answer: {:?}", String::from_utf8_lossy(&received)));
    answer
}

/// Longer than anything takes, so that nothing hangs for ever.
pub(crate) const LONG: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
const POLLS: usize = 1000;
