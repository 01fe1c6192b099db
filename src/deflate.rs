//! Raw deflate (RFC 1951) of short texts.

use std::cell::RefCell;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

thread_local! {
    // 300 KiB together: to make them anew for every text would cost more than all else that is done with it
    /// With fixed codes.
    static FAST: RefCell<Deflate> = RefCell::new(Deflate::new(1, false, WINDOW_BITS));
    static INFLATE: RefCell<Inflate> = RefCell::new(Inflate::new(false, WINDOW_BITS));
}

/// The deflated bytes, if they are fewer.
pub(crate) fn deflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let fixed = (bytes.len() < LONG).then(|| {
        FAST.with_borrow_mut(|deflate| {
            deflate.reset();
            shorter(deflate, bytes)
        })
    });
    match fixed {
        // too short for codes of its own, which have to be written too; or repetitive enough without
        Some(deflated) if bytes.len() < SHORT => deflated,
        Some(Some(deflated)) if deflated.len() <= bytes.len() / 3 => Some(deflated),
        _ => shorter(&mut Deflate::new(2, false, WINDOW_BITS), bytes),
    }
}

fn shorter(deflate: &mut Deflate, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut deflated = vec![0; bytes.len().saturating_sub(1)];
    let status = deflate.compress(bytes, &mut deflated, DeflateFlush::Finish);
    deflated.truncate(usize::try_from(deflate.total_out()).ok()?);
    matches!(status, Ok(Status::StreamEnd)).then_some(deflated)
}

/// What these bytes are the deflated form of, if they end where that ends and it has no more than `most` bytes.
pub(crate) fn inflate(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(false);
        let mut inflated = vec![0; most.min(bytes.len().saturating_mul(8))];
        let (mut read, mut written) = (0, 0);
        loop {
            let status = inflate.decompress(&bytes[read..], &mut inflated[written..], InflateFlush::Finish).ok()?;
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

/// The window's size, which is deflate's own.
const WINDOW_BITS: u8 = 15;
/// Bytes from which on codes made for the text may pay, and from which on they always do.
const SHORT: usize = 256;
const LONG: usize = 2500;
