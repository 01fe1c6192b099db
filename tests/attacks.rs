//! Attacks, each a test named after what it tries: over HTTP against the service in memory, or against the real binary
//! where sockets or the process matter. [`attacks/README.md`](attacks/README.md) is the whole list, with those that are
//! tested elsewhere.

#[path = "support/answer.rs"]
mod answer;
#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;
#[path = "support/service.rs"]
mod service;

#[path = "attacks/admin.rs"]
mod admin;
#[path = "attacks/browsers.rs"]
mod browsers;
#[path = "attacks/exhaustion.rs"]
mod exhaustion;
#[path = "attacks/forge.rs"]
mod forge;
#[path = "attacks/grants.rs"]
mod grants;
#[path = "attacks/incidents.rs"]
mod incidents;
#[path = "attacks/injection.rs"]
mod injection;
#[path = "attacks/patterns.rs"]
mod patterns;
#[path = "attacks/proxies.rs"]
mod proxies;
#[path = "attacks/replay.rs"]
mod replay;
#[path = "attacks/sessions.rs"]
mod sessions;
