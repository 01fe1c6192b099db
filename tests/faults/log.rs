//! Whoever reads the log is gone, or has no room. (No room on the device is in tests/command_line.rs.)

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

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

#[test]
fn a_log_that_nobody_reads_any_more_takes_no_request_with_it() {
    let (reader, writer) = std::io::pipe().expect("there are pipes");
    let mut command = accrue(&["demo", "--listen", "127.0.0.1:0"], &[]);
    let mut child = Guard(command.stdout(Stdio::piped()).stderr(writer).spawn().expect("it starts"));
    drop(command);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("UTF-8");
    let address = line.trim().strip_prefix("listening on http://").expect("it says where").parse().unwrap();
    let mut connection = Connection::to(address);
    let ask = |connection: &mut Connection| {
        connection.send(&get("/auth?clientId=alice&capability=%7B%22chat:1%22:[%22subscribe%22]%7D", ""));
        assert_eq!(connection.answer().status, 200);
    };
    ask(&mut connection);
    drop(reader);
    for _ in 0..100 {
        ask(&mut connection);
    }
}
