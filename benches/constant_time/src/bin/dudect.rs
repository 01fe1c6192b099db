//! How long attempts take: of two kinds at a time, in random order, with Welch's t-test between them. `run` judges.
//!
//! Where the name begins with `public_`, the two may differ: the text itself or the answer tells them apart.

use std::cell::Cell;

use accrue_constant_time::{AdminToken, Control, Grants, ProxySecret, SessionJwts, Verifier};
use dudect_bencher::rand::RngExt as _;
use dudect_bencher::{BenchRng, Class, CtRunner, ctbench_main};

const BATCHES: usize = 100;
const BATCH: usize = 1000;

fn control_null(runner: &mut CtRunner, rng: &mut BenchRng) {
    let grants = Grants::new(&Grants::SECRET);
    time(runner, rng, &grants, &grants.wrong_at(0), &grants.wrong_at(0));
}

fn control_early_exit(runner: &mut CtRunner, rng: &mut BenchRng) {
    time_first_or_last(runner, rng, &Control::early_exit());
}

fn unseal_first_or_last_byte_wrong(runner: &mut CtRunner, rng: &mut BenchRng) {
    time_first_or_last(runner, rng, &Grants::new(&Grants::SECRET));
}

fn admin_token_first_or_last_byte_wrong(runner: &mut CtRunner, rng: &mut BenchRng) {
    time_first_or_last(runner, rng, &AdminToken::new());
}

fn proxy_secret_first_or_last_byte_wrong(runner: &mut CtRunner, rng: &mut BenchRng) {
    time_first_or_last(runner, rng, &ProxySecret::new());
}

fn session_jwt_first_or_last_byte_wrong(runner: &mut CtRunner, rng: &mut BenchRng) {
    time_first_or_last(runner, rng, &SessionJwts::new());
}

/// The right one is refused as well, just after its digest was found right: it is from the future.
fn public_unseal_wrong_or_right(runner: &mut CtRunner, rng: &mut BenchRng) {
    let grants = Grants::new(&Grants::SECRET);
    time(runner, rng, &grants, &grants.wrong_at_last(), grants.ahead());
}

fn public_unseal_unknown_or_known_kid(runner: &mut CtRunner, rng: &mut BenchRng) {
    let grants = Grants::new(&Grants::SECRET);
    time(runner, rng, &grants, &grants.unknown_kid(), &grants.wrong_at_last());
}

fn public_admin_token_wrong_or_right(runner: &mut CtRunner, rng: &mut BenchRng) {
    time_wrong_or_right(runner, rng, &AdminToken::new());
}

fn public_proxy_secret_wrong_or_right(runner: &mut CtRunner, rng: &mut BenchRng) {
    time_wrong_or_right(runner, rng, &ProxySecret::new());
}

fn public_session_jwt_wrong_or_right(runner: &mut CtRunner, rng: &mut BenchRng) {
    time_wrong_or_right(runner, rng, &SessionJwts::new());
}

fn time_first_or_last(runner: &mut CtRunner, rng: &mut BenchRng, verifier: &impl Verifier) {
    time(runner, rng, verifier, &verifier.wrong_at(0), &verifier.wrong_at_last());
}

fn time_wrong_or_right(runner: &mut CtRunner, rng: &mut BenchRng, verifier: &impl Verifier) {
    time(runner, rng, verifier, &verifier.wrong_at_last(), verifier.right());
}

fn time<V: Verifier>(runner: &mut CtRunner, rng: &mut BenchRng, verifier: &V, left: &str, right: &str) {
    for _ in 0..BATCHES {
        // beforehand, so that the processor has forgotten from where each was copied when it is measured
        let batch: Vec<_> = (0..BATCH)
            .map(|_| if rng.random() { (Class::Left, left) } else { (Class::Right, right) })
            .map(|(class, text)| (class, Cell::new(Some(verifier.receive(text)))))
            .collect();
        for (class, received) in batch {
            runner.run_one(class, || verifier.verify(received.take().expect("each is verified once")));
        }
    }
}

ctbench_main!(
    control_null,
    control_early_exit,
    unseal_first_or_last_byte_wrong,
    admin_token_first_or_last_byte_wrong,
    proxy_secret_first_or_last_byte_wrong,
    session_jwt_first_or_last_byte_wrong,
    public_unseal_unknown_or_known_kid,
    public_unseal_wrong_or_right,
    public_admin_token_wrong_or_right,
    public_proxy_secret_wrong_or_right,
    public_session_jwt_wrong_or_right
);
