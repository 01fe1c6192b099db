//! What is permitted by two capabilities together, by one and not the other, by both: held against a few lines that
//! look at every resource and every operation.
#![no_main]

use std::collections::BTreeSet;

use accrue::{Capability, Resource, Vocabulary};
use accrue_fuzz::{
    Made, Plain, Unstructured, common, covers, permits, printed, read, some_plain, some_resource, union,
    unmet, within,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let _ = resources(&mut u).and_then(|()| capabilities(&mut u));
});

fn resources(u: &mut Unstructured<'_>) -> Made<()> {
    let texts = [some_resource(u)?, some_resource(u)?, some_resource(u)?];
    let [a, b, c] = texts.each_ref().map(|text| Resource::parse(text).expect("well-formed"));
    for (one, other) in [(a, b), (b, a), (b, c), (c, a), (a, a)] {
        assert_eq!(one.contains(other), covers(one.as_str(), other.as_str()), "{one} {other}");
    }
    assert!(!(a.contains(b) && b.contains(c)) || a.contains(c), "{a} {b} {c}");
    assert!(!(a.contains(b) && b.contains(a)) || a == b, "{a} {b}");
    Ok(())
}

fn capabilities(u: &mut Unstructured<'_>) -> Made<()> {
    let [a, b] = [some_plain(u, 6)?, some_plain(u, 6)?];
    let [ours, theirs] = [&a, &b].map(|plain| {
        let text = printed(plain);
        let capability = Capability::parse(&text, &Vocabulary::default()).expect("well-formed");
        assert_eq!(capability.as_str(), text);
        capability
    });
    let rest = unmet(&a, &b);
    is(&ours.union(&theirs), &union([&a, &b]));
    is(&ours.minus(&theirs), &rest);
    is(&ours.permitted_by(&theirs), &without(&a, &rest));
    is(&ours.intersect(&theirs), &common(&a, &b));

    let in_common = read(&ours.intersect(&theirs));
    assert!(within(&in_common, &a) && within(&in_common, &b), "{ours} {theirs}");
    assert_eq!(ours.intersect(&theirs), theirs.intersect(&ours));
    // what lies in both is in what they have in common
    for (resource, operations) in a.iter().chain(&b) {
        for operation in operations {
            let by_both = permits(&a, resource, operation) && permits(&b, resource, operation);
            assert_eq!(
                by_both,
                permits(&in_common, resource, operation),
                "{resource} {operation}: {ours} {theirs}"
            );
        }
    }
    Ok(())
}

/// It says this, in the one text that there is for it.
fn is(capability: &Capability, plain: &Plain) {
    assert_eq!(capability.as_str(), printed(plain));
    assert_eq!(&read(capability), plain);
    assert_eq!(capability.is_empty(), plain.is_empty());
    let again =
        Capability::parse(capability.as_str(), &Vocabulary::default()).expect("what is printed is read");
    assert_eq!(format!("{again:?}"), format!("{capability:?}"));
}

fn without(plain: &Plain, rest: &Plain) -> Plain {
    let none = BTreeSet::new();
    let met = plain
        .iter()
        .map(|(resource, operations)| (resource.clone(), operations - rest.get(resource).unwrap_or(&none)));
    met.filter(|(_, operations)| !operations.is_empty()).collect()
}
