use std::time::Duration;

/// What bounds the work that clients can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at once; those beyond are answered with 503. 4096 by default. Each may take up to 128 KiB of memory
    /// for its head, within `header_timeout`.
    pub connections: usize,
    /// Requests in flight; those beyond are answered with 503. 1024 by default.
    pub requests: usize,
    /// For a request's head to arrive, and for a connection to stay idle. 5 seconds by default.
    pub header_timeout: Duration,
    /// For a request's whole body to arrive. 5 seconds by default.
    pub body_timeout: Duration,
    /// For requests in flight to finish after a signal to stop. 10 seconds by default.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            requests: 1024,
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
