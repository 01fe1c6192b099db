//! How often each subject asks for memory, for the first time or for more: lines of SUBJECT, CHANNELS, TIMES.

fn main() {
    for (name, channels) in accrue_counted::all() {
        let mut times = None;
        accrue_counted::run(name, channels, &mut |what| {
            times = Some(allocation_counter::measure(what).count_total);
        });
        println!("{name}\t{channels}\t{}", times.expect("it was done"));
    }
}
