//! Raw deflate (RFC 1951) of short texts that repeat themselves, and inflate.
//!
//! Most of a cookie's text is the same few words, and every answer deflates one anew. Libraries clear 180 KiB of tables
//! before the first byte, which was a fifth of a whole request; [`with_fixed_codes`] needs 2 KiB. What it does badly
//! (long texts, random names) is the library's, which would make the others up to a third shorter.

use std::cell::RefCell;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

/// The deflated bytes, if they are fewer, and there were 40 at least: one entry, which has little to repeat.
pub(crate) fn deflate(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < SHORTEST {
        return None;
    }
    let fixed = (bytes.len() < LONG).then(|| with_fixed_codes(bytes));
    match fixed {
        // too short for codes of its own, which have to be written too; or repetitive enough without
        Some(fixed) if bytes.len() < SHORT || fixed.len() <= bytes.len() / 5 => {
            (fixed.len() < bytes.len()).then_some(fixed)
        }
        _ => with_own_codes(bytes),
    }
}

/// One block with the codes of section 3.2.6, which need not be written. Every repetition is found once, greedily.
fn with_fixed_codes(bytes: &[u8]) -> Vec<u8> {
    let mut bits = Bits { written: Vec::with_capacity(bytes.len() / 2 + 16), waiting: 0, count: 0 };
    bits.push(0b011, 3); // the last block, of fixed codes
    // by four bytes' hash, one more than where they stood last
    let mut seen = [0_u16; 1 << HASH_BITS];
    let mut at = 0;
    while at < bytes.len() {
        let earlier = match bytes[at..] {
            [a, b, c, d, ..] => {
                let hash = u32::from_le_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
                let here = u16::try_from(at + 1).expect("texts for this are short");
                usize::from(std::mem::replace(&mut seen[hash as usize], here))
            }
            _ => 0,
        };
        let length = match earlier.checked_sub(1) {
            Some(earlier) => same(&bytes[at..], &bytes[earlier..]),
            None => 0,
        };
        if length < SHORTEST_MATCH {
            bits.push_symbol(u16::from(bytes[at]));
            at += 1;
        } else {
            bits.push_match(length, at + 1 - earlier);
            at += length;
        }
    }
    bits.push_symbol(END);
    bits.finish()
}

/// How many bytes are the same at the beginning.
fn same(ours: &[u8], theirs: &[u8]) -> usize {
    let all = ours.iter().zip(theirs).take(LONGEST_MATCH);
    all.take_while(|(one, other)| one == other).count()
}

/// Bits from the least significant one on, as deflate has them.
struct Bits {
    written: Vec<u8>,
    waiting: u64,
    count: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        self.waiting |= u64::from(value) << self.count;
        self.count += count;
        // no value has more than 32 bits
        if self.count >= 32 {
            self.written.extend_from_slice(&self.waiting.to_le_bytes()[..4]);
            self.waiting >>= 32;
            self.count -= 32;
        }
    }

    fn push_symbol(&mut self, symbol: u16) {
        let (code, count) = CODES[usize::from(symbol)];
        self.push(code.into(), count);
    }

    /// The tables of section 3.2.5: four lengths, two distances for each number of extra bits.
    fn push_match(&mut self, length: usize, distance: usize) {
        let [length, distance] =
            [length - 3, distance - 1].map(|n| u32::try_from(n).expect("texts for this are short"));
        if length == 255 {
            self.push_symbol(285);
        } else {
            let extra = length.checked_ilog2().unwrap_or(0).saturating_sub(2);
            self.push_symbol(END + 1 + to_u16(4 * extra + (length >> extra)));
            self.push(length & ((1 << extra) - 1), extra);
        }
        let extra = distance.checked_ilog2().unwrap_or(0).saturating_sub(1);
        self.push(written(to_u16(2 * extra + (distance >> extra)), 5).into(), 5);
        self.push(distance & ((1 << extra) - 1), extra);
    }

    fn finish(mut self) -> Vec<u8> {
        let rest = self.count.div_ceil(8) as usize;
        self.written.extend_from_slice(&self.waiting.to_le_bytes()[..rest]);
        self.written
    }
}

/// The codes of section 3.2.6 for all symbols, as they are written, and how many bits each has.
static CODES: [(u16, u32); 286] = {
    let mut codes = [(0, 0); 286];
    let mut symbol = 0;
    while symbol < 286 {
        let (code, count) = match symbol {
            0..144 => (0x30 + symbol, 8),
            144..256 => (0x190 + symbol - 144, 9),
            256..280 => (symbol - 256, 7),
            _ => (0xc0 + symbol - 280, 8),
        };
        codes[symbol as usize] = (written(code, count), count);
        symbol += 1;
    }
    codes
};

/// Codes begin with their most significant bit.
const fn written(code: u16, count: u32) -> u16 {
    code.reverse_bits() >> (16 - count)
}

fn to_u16(symbol: u32) -> u16 {
    u16::try_from(symbol).expect("there are 286 symbols")
}

/// By the library, with codes made for these bytes.
fn with_own_codes(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut deflate = Deflate::new(2, false, WINDOW_BITS);
    let mut deflated = vec![0; bytes.len().saturating_sub(1)];
    let status = deflate.compress(bytes, &mut deflated, DeflateFlush::Finish);
    deflated.truncate(usize::try_from(deflate.total_out()).ok()?);
    matches!(status, Ok(Status::StreamEnd)).then_some(deflated)
}

thread_local! {
    // to make this anew takes longer than to inflate a text
    static INFLATE: RefCell<Inflate> = RefCell::new(Inflate::new(false, WINDOW_BITS));
}

/// What these bytes are the deflated form of, if they end where that ends and it has no more than `most` bytes.
pub(crate) fn inflate(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(false);
        let mut inflated = vec![0; most.min(bytes.len().saturating_mul(8))];
        let (mut read, mut written) = (0, 0);
        loop {
            let status =
                inflate.decompress(&bytes[read..], &mut inflated[written..], InflateFlush::Finish).ok()?;
            read = usize::try_from(inflate.total_in()).ok()?;
            written = usize::try_from(inflate.total_out()).ok()?;
            if status == Status::StreamEnd {
                inflated.truncate(written);
                return (read == bytes.len()).then_some(inflated);
            }
            let larger = most.min(inflated.len().saturating_mul(4));
            if written < inflated.len() || larger == inflated.len() {
                return None;
            }
            inflated.resize(larger, 0);
        }
    })
}

const WINDOW_BITS: u8 = 15;
const HASH_BITS: u32 = 10;
/// Shorter ones, which deflate has too, would save little.
const SHORTEST_MATCH: usize = 4;
const LONGEST_MATCH: usize = 258;
/// The symbol that ends a block.
const END: u16 = 256;
/// Bytes from which on it is tried.
const SHORTEST: usize = 40;
/// Bytes from which on codes made for the text may pay.
const SHORT: usize = 256;
/// Bytes from which on they always do.
const LONG: usize = 2500;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As another library reads it.
    fn read(deflated: &[u8]) -> Vec<u8> {
        miniz_oxide::inflate::decompress_to_vec(deflated).unwrap()
    }

    fn channels(names: impl Iterator<Item = String>) -> String {
        let entries: Vec<String> = names.map(|name| format!(r#""{name}":["publish","subscribe"]"#)).collect();
        format!("{{{}}}", entries.join(","))
    }

    #[test]
    fn every_length_and_distance() {
        let noise: Vec<u8> =
            (0..LONG as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        for length in 0..=300 {
            for distance in [1, 2, 3, 4, 5, 63, 64, 65, 1000, 2000] {
                let bytes: Vec<u8> = noise[..distance]
                    .iter()
                    .chain(noise[..distance].iter().cycle().take(length))
                    .copied()
                    .collect();
                assert_eq!(read(&with_fixed_codes(&bytes)), bytes, "{length} at {distance}");
            }
        }
    }

    #[test]
    fn names_that_are_alike_get_short_and_random_ones_no_longer_than_they_are() {
        let numbered = |n: usize| channels((0..n).map(|n| format!("chat:room-{n:04}")));
        let random =
            |n: u64| channels((1..=n).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
        for (text, at_most) in [
            (numbered(1), None),
            (numbered(10), Some(80)),
            (numbered(50), Some(250)),
            (numbered(700), Some(1900)),
            (random(30), Some(420)),
        ] {
            let deflated = deflate(text.as_bytes());
            assert_eq!(deflated.is_some(), at_most.is_some(), "{text}");
            if let (Some(deflated), Some(at_most)) = (deflated, at_most) {
                assert!(deflated.len() <= at_most, "{} bytes for {text}", deflated.len());
                assert_eq!(inflate(&deflated, text.len()).as_deref(), Some(text.as_bytes()));
                assert_eq!(inflate(&deflated, text.len() - 1), None, "one byte too many");
                assert_eq!(
                    inflate(&[deflated.as_slice(), b"x"].concat(), text.len()),
                    None,
                    "something behind it"
                );
                assert_eq!(inflate(&deflated[..deflated.len() - 1], text.len()), None, "something missing");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_deflated_is_read_as_it_was(
            few in proptest::collection::vec(0..4_u8, 0..600),
            any in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            for bytes in [few.as_slice(), &any, &[few.as_slice(), &any, &few].concat()] {
                prop_assert_eq!(read(&with_fixed_codes(bytes)), bytes);
                if let Some(deflated) = deflate(bytes) {
                    prop_assert!(deflated.len() < bytes.len());
                    prop_assert_eq!(read(&deflated), bytes);
                    prop_assert_eq!(inflate(&deflated, bytes.len()), Some(bytes.to_vec()));
                }
            }
        }
    }
}
