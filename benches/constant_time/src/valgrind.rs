//! Requests to the Valgrind that this program runs under. Without one they do nothing, and answer 0.
//!
//! Five instructions that change nothing together are recognised by Valgrind, which takes the address of six words from
//! `rax` (a request and its arguments) and puts its answer into `rdx`. These instructions and the numbers are its stable
//! interface, and stand in its `valgrind.h`, `memcheck.h` and `callgrind.h`.
#![expect(unsafe_code, reason = "these instructions can only be had as assembly")]

use std::arch::asm;
use std::ffi::CStr;

fn request(number: usize, first: usize, second: usize) -> usize {
    let words = [number, first, second, 0, 0, 0];
    let mut answer = 0;
    // SAFETY: rdi is rotated by 128 bits in all, and rbx exchanged with itself: only flags change. Of the requests below
    // none makes Valgrind write to memory, and what it reads was borrowed by the caller.
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") &raw const words,
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}

/// Whether there is a Valgrind.
pub fn is_there() -> bool {
    request(0x1001, 0, 0) != 0
}

/// How often memcheck has found something: a jump or an address that depends on what is undefined. The same place counts
/// as often as it is passed.
pub fn findings() -> usize {
    request(0x1201, 0, 0)
}

/// Makes memcheck find nothing for a while.
pub fn pause_findings() {
    request(0x1801, 1, 0);
}

/// Ends that.
pub fn resume_findings() {
    request(0x1801, usize::MAX, 0);
}

/// Makes memcheck take these bytes for undefined, and with them all that is computed from them.
pub fn mark_secret(bytes: &[u8]) {
    request(MEMCHECK + 1, bytes.as_ptr().addr(), bytes.len());
}

/// Makes callgrind begin to count, or stop.
pub fn toggle_count() {
    request(CALLGRIND + 2, 0, 0);
}

/// Makes callgrind write down what it has counted, under this name, and begin again at zero.
pub fn write_count(name: &CStr) {
    request(CALLGRIND + 3, name.as_ptr().addr(), 0);
}

const MEMCHECK: usize = u32::from_be_bytes(*b"MC\0\0") as usize;
const CALLGRIND: usize = u32::from_be_bytes(*b"CT\0\0") as usize;
