//! How many channels one grant cookie holds: `cargo run --example capacity`

use accrue::ably::ApiKey;
use accrue::{Capability, ClientId, Grant, Sealing, SealingKeys, SealingSecret, Vocabulary};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = ApiKey::parse("app.key:an-ably-secret")?;
    let secret = SealingSecret::parse("k1:ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE")?;
    let sealing = Sealing::new(SealingKeys::new(&key, vec![secret])?);
    let client = ClientId::try_from("alice")?;

    let numbered = |n: u64| format!("room:{n:04}");
    // as unlike each other as names get: 32 hexadecimal digits, by two rounds of splitmix64
    let random = |n: u64| format!("room:{:016x}{:016x}", splitmix64(2 * n), splitmix64(2 * n + 1));
    let shapes: [(&str, &dyn Fn(u64) -> String); 2] = [("room:0001", &numbered), ("room:<uuid>", &random)];
    for (shape, name) in shapes {
        let mut capability = Capability::default();
        let fits = (0..).take_while(|n| {
            let entry = serde_json::json!({ name(*n): ["publish", "subscribe"] });
            let entry = Capability::from_json(&entry, &Vocabulary::default()).expect("well-formed");
            capability = std::mem::take(&mut capability).union(&entry);
            let grant = Grant { capability: capability.clone(), since: 1_700_000_100 };
            sealing.keys.seal(&client, &grant).is_some_and(|text| text.len() <= sealing.max_bytes)
        });
        println!("{:>5} channels named like {shape}, each with publish and subscribe", fits.count());
    }
    Ok(())
}

fn splitmix64(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
