use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::moment::Moment;

impl Moment {
    /// This moment by the system's clock, with bytes of a thread-local CSPRNG that the system seeds.
    #[expect(clippy::disallowed_methods, reason = "the edge: this is where time and chance come from")]
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut random = [0; 32];
        rand::fill(&mut random);
        Self::new(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX), random).with_stopwatch(uptime)
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: this is where time comes from")]
fn uptime() -> Duration {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}
