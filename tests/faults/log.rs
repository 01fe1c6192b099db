//! Whoever reads the log is gone, or has no room. (No room on the device is in tests/command_line.rs.)

use std::io::{BufRead as _, BufReader, PipeReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::client::{Connection, get};
use crate::process::accrue;

/// Kills it also by a panic.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A demo, where it listens, and its log, which nobody reads yet.
fn logging_into_a_pipe() -> (Guard, SocketAddr, PipeReader) {
    let (reader, writer) = std::io::pipe().expect("there are pipes");
    let mut command = accrue(&["demo", "--listen", "127.0.0.1:0"], &[]);
    let mut child = Guard(command.stdout(Stdio::piped()).stderr(writer).spawn().expect("it starts"));
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("UTF-8");
    let address = line.trim().strip_prefix("listening on http://").expect("it says where").parse();
    (child, address.expect("an address"), reader)
}

const ASK: &str = "/auth?clientId=alice&capability=%7B%22chat:1%22:[%22subscribe%22]%7D";

#[test]
fn a_log_that_nobody_reads_any_more_takes_no_request_with_it() {
    let (_service, address, log) = logging_into_a_pipe();
    drop(log);
    let mut connection = Connection::to(address);
    for _ in 0..100 {
        connection.send(&get(ASK, ""));
        assert_eq!(connection.answer().status, 200);
    }
}

/// Who permits says so, and waits where that can't be said.
#[test]
fn a_log_that_is_read_late_has_every_line_and_every_request_its_answer() {
    let (mut service, address, mut log) = logging_into_a_pipe();
    // more than a pipe takes
    let requests = 600;
    let mut connection = Connection::to(address);
    connection.send(&get(ASK, "").repeat(requests));
    for _ in 0..150 {
        assert_eq!(connection.answer().status, 200);
    }
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).expect("UTF-8");
        text
    });
    for _ in 150..requests {
        assert_eq!(connection.answer().status, 200);
    }
    let id = service.0.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().expect("there is a kill").success());
    assert_eq!(service.0.wait().expect("it ends").code(), Some(0));
    let text = reading.join().expect("it reads");
    assert!(text.len() > 128 << 10, "{} bytes", text.len());
    for words in [" INFO audit: permitted request=", " INFO accrue::request: request request="] {
        assert_eq!(text.matches(words).count(), requests, "{words}");
    }
}
