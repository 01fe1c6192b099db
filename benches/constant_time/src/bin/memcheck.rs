//! For `valgrind --tool=memcheck`, which is told that each secret is undefined, and finds the jumps and the addresses that
//! depend on it.
//!
//! A right text and a wrong one end differently, so one jump at least has to depend on the secret: that on the verdict. For
//! a right text there is no other, so everything before it is the same for all texts; and for a wrong one there is no
//! other, so everything after it is the same for all wrong ones. Hence exactly one finding for each attempt.

use accrue_constant_time::{
    AdminToken, Arena, Control, Grants, ProxySecret, SessionJwts, Verifier, valgrind,
};

#[global_allocator]
static HEAP: Arena = Arena::empty();

fn main() {
    assert!(valgrind::is_there(), "this is for valgrind --tool=memcheck: benches/constant_time/run memcheck");
    valgrind::pause_findings();

    let [inside, outside] = Grants::kept(&Grants::SECRET);
    only_the_verdict("unseal", &marked([&inside, &outside], || Grants::new(&Grants::SECRET)));
    only_the_verdict("admin token", &marked([AdminToken::SECRET.as_bytes()], AdminToken::new));
    only_the_verdict("proxy secret", &marked([ProxySecret::SECRET.as_bytes()], ProxySecret::new));
    only_the_verdict("session JWT", &marked([SessionJwts::SECRET.as_bytes()], SessionJwts::new));

    only_the_verdict("control, constant time", &marked([&Control::SECRET], Control::constant_time));
    more_than_the_verdict("control, early exit", &marked([&Control::SECRET], Control::early_exit));
    more_than_the_verdict("control, table look-up", &marked([&Control::SECRET], Control::table_look_up));
    more_than_the_verdict(
        "control, base64 of the expected digest",
        &marked([&Control::SECRET], Control::base64_of_expected),
    );
}

/// What `make` makes, with each part of the secret marked wherever that keeps it.
fn marked<T, const N: usize>(secret: [&[u8]; N], make: impl FnOnce() -> T) -> T {
    let (made, allocated) = HEAP.watch(make);
    // all are looked for before any is marked: what is undefined is not to be compared
    let places = secret.map(|part| places(part, allocated));
    assert!(places.iter().all(|places| !places.is_empty()), "a part of the secret is not on the heap");
    places.iter().flatten().for_each(|place| valgrind::mark_secret(place));
    made
}

fn places<'a>(part: &[u8], allocated: &'a [u8]) -> Vec<&'a [u8]> {
    allocated.windows(part.len()).filter(|place| *place == part).collect()
}

fn only_the_verdict(name: &str, verifier: &impl Verifier) {
    for (which, findings) in findings(verifier) {
        match findings {
            0 => println!("FAILED  {name}, {which}: not even the verdict depends on what was marked"),
            1 => println!("ok  {name}, {which}: no finding but the verdict"),
            _ => println!("FAILED  {name}, {which}: {} findings beside the verdict", findings - 1),
        }
    }
}

fn more_than_the_verdict(name: &str, control: &Control) {
    match findings(control).into_iter().map(|(_, findings)| findings).max() {
        Some(most @ 2..) => println!("ok  {name}: caught, {} findings beside the verdict", most - 1),
        _ => println!("FAILED  {name}: not caught"),
    }
}

/// How often an instruction jumped, or chose an address, by the secret.
fn findings<V: Verifier>(verifier: &V) -> [(&'static str, usize); 4] {
    [
        ("right", verifier.right().to_owned()),
        ("first byte wrong", verifier.wrong_at(0)),
        ("last byte wrong", verifier.wrong_at_last()),
        ("every byte wrong", verifier.wrong_throughout()),
    ]
    .map(|(which, text)| {
        let received = verifier.receive(&text);
        let before = valgrind::findings();
        valgrind::resume_findings();
        // for what has made no jump on its verdict so far, this is one
        assert_eq!(verifier.verify(received), which == "right", "{which}");
        valgrind::pause_findings();
        (which, valgrind::findings() - before)
    })
}
