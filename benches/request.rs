//! How long the parts of one request take, and the whole of it without I/O: `cargo bench`. Allocations are counted.

mod support;

use divan::{AllocProfiler, Bencher};
use support::{CHANNELS, Scene};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

macro_rules! benches {
    ($($name:ident)*) => {$(
        #[divan::bench(args = CHANNELS)]
        fn $name(bencher: Bencher<'_, '_>, channels: usize) {
            let scene = Scene::new(channels);
            bencher.bench(|| scene.$name());
        }
    )*};
}

benches! { parse print minus union intersect seal unseal token_request jwt flow }

#[divan::bench(args = CHANNELS)]
fn handle(bencher: Bencher<'_, '_>, channels: usize) {
    let scene = Scene::new(channels);
    bencher.with_inputs(|| scene.request()).bench_values(|request| scene.handle(request));
}
