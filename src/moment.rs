use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;

/// When a request is answered, and 32 random bytes for it: the only time and the only chance that it sees.
///
/// The edge makes one for each request and passes it in, so tests own both.
///
/// ```
/// use accrue::Moment;
///
/// let moment = Moment::new(1_700_000_000_123, [7; 32]);
/// assert_eq!(moment.now_secs(), 1_700_000_000);
/// ```
#[derive(Clone)]
pub struct Moment {
    now_ms: u64,
    random: [u8; 32],
    stopwatch: fn() -> Duration,
    started: Duration,
}

impl Moment {
    /// A moment from Unix milliseconds and bytes of a cryptographic random source, fresh for every request.
    pub fn new(now_ms: u64, random: [u8; 32]) -> Self {
        Self { now_ms, random, stopwatch: || Duration::ZERO, started: Duration::ZERO }
    }

    /// With a clock that never goes back, to measure by how long things take: for counters, never for deciding.
    #[must_use]
    pub fn with_stopwatch(self, stopwatch: fn() -> Duration) -> Self {
        Self { stopwatch, started: stopwatch(), ..self }
    }

    /// How long ago this moment was; zero without a stopwatch.
    pub fn elapsed(&self) -> Duration {
        (self.stopwatch)().saturating_sub(self.started)
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Unix seconds.
    pub fn now_secs(&self) -> u64 {
        self.now_ms / 1000
    }

    /// 144 random bits as 24 characters: Ably wants 16 characters at least.
    pub fn nonce(&self) -> String {
        BASE64URL.encode(&self.random[..18])
    }

    /// 64 other random bits, as a name for the request.
    pub fn request_id(&self) -> String {
        BASE64URL.encode(&self.random[18..26])
    }

    /// A random fraction, 0 or above and below 1.
    pub fn fraction(&self) -> f64 {
        let bits = u32::from_be_bytes([self.random[26], self.random[27], self.random[28], self.random[29]]);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

impl std::fmt::Debug for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn time_and_chance() {
        static SECONDS: AtomicU64 = AtomicU64::new(5);
        let moment = Moment::new(1_999, [7; 32]);
        assert_eq!((moment.now_secs(), moment.elapsed()), (1, Duration::ZERO));
        let moment = moment.with_stopwatch(|| Duration::from_secs(SECONDS.fetch_add(1, Ordering::Relaxed)));
        assert_eq!([moment.elapsed(), moment.elapsed()], [1, 2].map(Duration::from_secs));

        let fraction = |byte| Moment::new(0, [byte; 32]).fraction();
        assert_eq!([fraction(0), fraction(0x80)], [0.0, f64::from(0x8080_8080_u32) / 4_294_967_296.0]);
        assert!(fraction(0xff) < 1.0);
    }
}
