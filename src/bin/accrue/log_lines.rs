//! Log lines on their way to standard error: one by one, or, while a runtime is there to do it, all that have come up
//! since the last time. A system call for every line took more than signing the token that the line is about. An audit
//! line is written at once, with those before it.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// Where `tracing` writes.
pub(crate) static LINES: Lines =
    Lines { state: Mutex::new(State { batching: false, waiting: Vec::new() }), come: Notify::const_new() };

pub(crate) struct Lines {
    state: Mutex<State>,
    come: Notify,
}

struct State {
    batching: bool,
    waiting: Vec<u8>,
}

/// Lines are written together until this is dropped.
pub(crate) struct Batching(());

/// Begins to write lines together, as soon as the tasks that are ready have run: at once where there is little to do.
/// Must be called in a runtime.
pub(crate) fn batch() -> Batching {
    LINES.lock().batching = true;
    tokio::spawn(async {
        loop {
            LINES.come.notified().await;
            // who is woken comes first, and others are ready already
            tokio::task::yield_now().await;
            LINES.lock().write_out();
        }
    });
    Batching(())
}

impl Drop for Batching {
    fn drop(&mut self) {
        let mut state = LINES.lock();
        state.batching = false;
        state.write_out();
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for &'static Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { lines: self, at_once: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        // whoever is killed must have said what it permitted
        Line { lines: self, at_once: metadata.target() == "audit" }
    }
}

/// Takes one line.
pub(crate) struct Line {
    lines: &'static Lines,
    at_once: bool,
}

impl State {
    /// A log that can't be written must not take requests with it.
    fn write_out(&mut self) {
        let _ = io::stderr().write_all(&self.waiting);
        self.waiting.clear();
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.lines.lock();
        if state.waiting.len() + line.len() > MOST_WAITING {
            state.write_out();
        }
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        if self.at_once || !state.batching {
            state.write_out();
        } else if is_first {
            drop(state);
            self.lines.come.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.lock().write_out();
        Ok(())
    }
}

/// Bytes that are written together: as many as a pipe takes in one piece, whoever else writes into it.
const MOST_WAITING: usize = 4096;
