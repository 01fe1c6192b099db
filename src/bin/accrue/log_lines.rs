//! Log lines on their way to standard error: one by one, or, while a runtime is there to do it, all that have come up
//! since the last time. A system call for every line took more than signing the token that the line is about.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

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

/// Begins to write lines together, as soon as the tasks that are ready have run: at once where there is little to do. In
/// a runtime.
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

impl State {
    /// A log that can't be written must not take requests with it.
    fn write_out(&mut self) {
        let _ = io::stderr().write_all(&self.waiting);
        self.waiting.clear();
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        if !state.batching || state.waiting.len() > MOST_WAITING {
            state.write_out();
        } else if is_first {
            drop(state);
            self.come.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().write_out();
        Ok(())
    }
}

/// Bytes.
const MOST_WAITING: usize = 64 * 1024;
