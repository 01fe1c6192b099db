//! For `valgrind --tool=callgrind`, which counts the instructions of each attempt and writes them down under its name.
//! `run` compares them.

use std::ffi::CString;

use accrue_constant_time::{
    AdminToken, Arena, Control, Grants, ProxySecret, SessionJwts, Verifier, valgrind,
};

#[global_allocator]
static HEAP: Arena = Arena::empty();

fn main() {
    assert!(
        valgrind::is_there(),
        "this is for valgrind --tool=callgrind: benches/constant_time/run callgrind"
    );

    let grants = Grants::new(&Grants::SECRET);
    count_all("unseal", &grants);
    count("unseal", "right, but from the future", &grants, grants.ahead());
    for other in 1..8 {
        // other secrets: other keys, and other digests of the same text
        let grants = Grants::new(&Grants::SECRET.map(|byte| byte.rotate_left(other)));
        count_all("unseal", &grants);
    }
    count_all("admin token", &AdminToken::new());
    count_all("proxy secret", &ProxySecret::new());
    count_all("session JWT", &SessionJwts::new());
    count_all("control, constant time", &Control::constant_time());
    count_all("control, early exit", &Control::early_exit());
}

fn count_all(name: &str, verifier: &impl Verifier) {
    count(name, "right", verifier, verifier.right());
    for place in 0..32 {
        count(name, "wrong", verifier, &verifier.wrong_at(place));
    }
    count(name, "wrong", verifier, &verifier.wrong_throughout());
}

fn count<V: Verifier>(name: &str, which: &str, verifier: &V, text: &str) {
    // what happens only once (looking at the processor's features, say) has happened then
    verifier.verify(verifier.receive(text));

    let name = CString::new(format!("{name}: {which}")).expect("no zero in it");
    HEAP.turn_page();
    let received = verifier.receive(text);
    valgrind::toggle_count();
    verifier.verify(received);
    valgrind::toggle_count();
    valgrind::write_count(&name);
}
