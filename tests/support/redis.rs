//! A Redis of one's own: on loopback, in a directory that goes with it.
#![allow(dead_code, reason = "every test takes what it needs")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

pub(crate) struct Redis {
    pub(crate) port: u16,
    directory: TempDir,
    arguments: Vec<String>,
    process: Child,
    /// Kept open, so that it can go on writing.
    log: BufReader<ChildStdout>,
}

impl Redis {
    /// With these arguments beside its own.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at(free_port(), tempfile::tempdir().expect("there is room"), arguments)
    }

    #[track_caller]
    pub(crate) fn start_at(port: u16, directory: TempDir, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (process, log) = run(port, &directory, &arguments);
        Self { port, directory, arguments, process, log }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it has ended");
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
    }

    /// The same again, on the same port and directory.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        (self.process, self.log) = run(self.port, &self.directory, &self.arguments);
    }

    /// What redis-cli prints.
    #[track_caller]
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(words);
        let output = command.output().expect("there is a redis-cli");
        String::from_utf8(output.stdout).expect("is text").trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    listener.local_addr().expect("is bound").port()
}

/// Runs it until it listens; what it logs says that it is this one and no other on the port.
#[track_caller]
fn run(port: u16, directory: &TempDir, arguments: &Vec<String>) -> (Child, BufReader<ChildStdout>) {
    let mut process = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--dir"])
        .arg(directory.path())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is installed");
    let mut log = BufReader::new(process.stdout.take().expect("piped"));
    let mut text = String::new();
    while !text.contains("Ready to accept connections") {
        let read = log.read_line(&mut text).expect("is text");
        assert!(read > 0, "redis-server does not start: {text}");
    }
    (process, log)
}
