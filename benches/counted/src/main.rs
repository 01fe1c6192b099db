//! One thing, done once where Valgrind counts: `counted SUBJECT CHANNELS`. The folder's `run` compares what it counts.

#[path = "../../support/mod.rs"]
mod support;

use std::env;
use std::hint::black_box;

use support::{CHANNELS, Scene};

/// What can be counted.
const SUBJECTS: [(&str, fn(&Scene)); 11] = [
    ("parse", |scene| counted(|| scene.parse())),
    ("union", |scene| counted(|| scene.union())),
    ("minus", |scene| counted(|| scene.minus())),
    ("intersect", |scene| counted(|| scene.intersect())),
    ("print", |scene| counted(|| scene.print())),
    ("seal", |scene| counted(|| scene.seal())),
    ("unseal", |scene| counted(|| scene.unseal())),
    ("token_request", |scene| counted(|| scene.token_request())),
    ("jwt", |scene| counted(|| scene.jwt())),
    ("flow", |scene| counted(|| scene.flow())),
    ("handle", |scene| {
        let request = scene.request();
        counted(|| scene.handle(request));
    }),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            for (name, _) in SUBJECTS {
                CHANNELS.iter().for_each(|channels| println!("{name} {channels}"));
            }
        }
        [name, channels] => {
            let scene = Scene::new(channels.parse().expect("a number of channels"));
            let (_, run) = SUBJECTS.iter().find(|(known, _)| *known == name).expect("one of `list`");
            run(&scene);
        }
        _ => panic!("counted list, or counted SUBJECT CHANNELS"),
    }
}

/// Valgrind is told to count in here. What is made is thrown away in here too.
#[inline(never)]
fn counted<T>(what: impl FnOnce() -> T) {
    black_box(what());
}
