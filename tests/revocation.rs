//! Taking rights back: what Ably is told over a real socket, and what becomes of grants, by a clock that is moved by hand.

#[path = "support/answer.rs"]
mod answer;
#[path = "support/service.rs"]
mod service;
#[path = "support/stand_in.rs"]
mod stand_in;

#[path = "revocation/at_ably.rs"]
mod at_ably;
#[path = "revocation/here.rs"]
mod here;
