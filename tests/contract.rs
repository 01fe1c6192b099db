//! `contract.md`, sections 3, 4 and 6, held against the service without sockets.

#[path = "support/answer.rs"]
mod answer;
#[path = "support/service.rs"]
mod service;

#[path = "contract/browsers.rs"]
mod browsers;
#[path = "contract/cookies.rs"]
mod cookies;
#[path = "contract/errors.rs"]
mod errors;
#[path = "contract/headers.rs"]
mod headers;
#[path = "contract/parameters.rs"]
mod parameters;
#[path = "contract/sessions.rs"]
mod sessions;
