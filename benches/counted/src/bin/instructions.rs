//! For `valgrind --tool=callgrind`: `instructions SUBJECT CHANNELS` does one thing within `accrue_counted::counted`, and
//! `instructions` alone says what there is.

use std::env;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments[..] {
        [] => accrue_counted::all().for_each(|(name, channels)| println!("{name}\t{channels}")),
        [name, channels] => {
            let channels = channels.parse().expect("a number of channels");
            accrue_counted::run(name, channels, &mut accrue_counted::counted);
        }
        _ => panic!("instructions, or instructions SUBJECT CHANNELS"),
    }
}
