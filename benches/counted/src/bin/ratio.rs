//! How long a request takes, in multiples of its own HMACs: in one process, in turns. For reading; nothing fails.

use std::hint::black_box;
use std::time::{Duration, Instant};

use accrue_counted::Hashed;

const ROUNDS: usize = 400;
const BATCH: usize = 50;

fn main() {
    for channels in [1, 10, 50] {
        let hashed = Hashed::new(channels);
        let mut rounds: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let requests: Vec<_> = (0..BATCH).map(|_| hashed.request()).collect();
                let whole =
                    time(|| requests.into_iter().for_each(|request| drop(black_box(hashed.handle(request)))));
                let hmacs = time(|| (0..BATCH).for_each(|_| hashed.hash()));
                (whole, hmacs, whole.as_secs_f64() / hmacs.as_secs_f64())
            })
            .collect();
        let whole = median(&mut rounds, |round| round.0.as_secs_f64());
        let hmacs = median(&mut rounds, |round| round.1.as_secs_f64());
        let ratio = median(&mut rounds, |round| round.2);
        println!(
            "--  {channels} channels: {:.2} µs for a request, {:.2} µs for the HMACs of its {} bytes: {ratio:.2} times as long",
            whole * 1e6 / BATCH as f64,
            hmacs * 1e6 / BATCH as f64,
            hashed.bytes(),
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "this is a stopwatch")]
fn time(what: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    what();
    begun.elapsed()
}

fn median<T>(rounds: &mut [T], of: impl Fn(&T) -> f64) -> f64 {
    rounds.sort_by(|a, b| of(a).total_cmp(&of(b)));
    of(&rounds[rounds.len() / 2])
}
