//! The real binary while something fails or somebody attacks: what clients see, and what is lost. The README has a table
//! of it.
//!
//! Counted are requests and answers; nothing depends on how fast a machine is. Figures are printed, so `--nocapture`.

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;
#[path = "support/redis.rs"]
mod redis;
#[path = "support/skipped.rs"]
mod skipped;
#[path = "support/stand_in.rs"]
mod stand_in;

#[path = "faults/backend.rs"]
mod backend;
#[path = "faults/client.rs"]
mod client;
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/crowd.rs"]
mod crowd;
#[path = "faults/files.rs"]
mod files;
#[path = "faults/log.rs"]
mod log;
#[path = "faults/stop.rs"]
mod stop;
#[path = "faults/store.rs"]
mod store;
#[path = "faults/wire.rs"]
mod wire;
