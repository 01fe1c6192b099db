//! What is counted: each part of a request, and the whole of it, without and with hyper around it. `run` compares.

#[path = "../../support/mod.rs"]
mod support;

mod connection;
mod hashed;

use std::hint::black_box;
use std::sync::Arc;

use connection::Connection;
pub use hashed::Hashed;
use support::{CHANNELS, Scene};

/// How many channels are held where growth is looked at.
const MANY: usize = 1000;

/// A name, and what is done under it, within a meter.
type Subject = (&'static str, fn(Scene, Meter<'_>));

/// What does something, and counts meanwhile.
pub type Meter<'a> = &'a mut dyn FnMut(&mut dyn FnMut());

/// What can be counted.
const SUBJECTS: [Subject; 13] = [
    ("parse", |scene, meter| warm(meter, || scene.parse())),
    ("union", |scene, meter| warm(meter, || scene.union())),
    ("minus", |scene, meter| warm(meter, || scene.minus())),
    ("intersect", |scene, meter| warm(meter, || scene.intersect())),
    ("print", |scene, meter| warm(meter, || scene.print())),
    ("seal", |scene, meter| warm(meter, || scene.seal())),
    ("unseal", |scene, meter| warm(meter, || scene.unseal())),
    ("token_request", |scene, meter| warm(meter, || scene.token_request())),
    ("jwt", |scene, meter| warm(meter, || scene.jwt())),
    ("flow", |scene, meter| warm(meter, || scene.flow())),
    ("handle", |scene, meter| {
        let mut requests = [scene.request(), scene.request()].into_iter();
        warm(meter, || scene.handle(requests.next().expect("one for each time")));
    }),
    ("served", |scene, meter| {
        let mut connection = Connection::served(Arc::new(scene));
        warm(meter, || connection.exchange());
    }),
    ("floor", |scene, meter| {
        let mut connection = Connection::floor(&scene);
        warm(meter, || connection.exchange());
    }),
];

/// Everything that can be counted: a subject, and how many channels are held.
pub fn all() -> impl Iterator<Item = (&'static str, usize)> {
    let usual = SUBJECTS.iter().flat_map(|(name, _)| CHANNELS.map(|channels| (*name, channels)));
    usual.chain([("handle", MANY)])
}

/// Does it once, and then once more within the meter.
///
/// # Panics
/// When there is no such subject.
pub fn run(name: &str, channels: usize, meter: Meter<'_>) {
    let (_, run) = SUBJECTS.iter().find(|(known, _)| *known == name).expect("a subject");
    run(Scene::new(channels), meter);
}

/// The function in which Valgrind is told to count.
#[inline(never)]
pub fn counted(what: &mut dyn FnMut()) {
    what();
}

/// Once before, so that what is made only once is there. What is made is thrown away within the meter too.
fn warm<T>(meter: Meter<'_>, mut what: impl FnMut() -> T) {
    let mut what = || drop(black_box(what()));
    what();
    meter(&mut what);
}
