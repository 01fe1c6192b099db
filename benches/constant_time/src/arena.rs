//! A heap in which secrets can be found, and attempts begin alike.
#![expect(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::fmt;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An allocator that hands out one piece of memory from front to back, and takes nothing back: for programs that end soon.
///
/// So what a value has allocated, copies that it has dropped included, stands between two places. And what an attempt
/// costs does not depend on what was allocated before it: neither in the allocator, nor in what goes by alignment and by
/// the distance to the end of a page, as `memchr` and `memcmp` do.
#[repr(align(4096))]
pub struct Arena {
    memory: UnsafeCell<[u8; Self::BYTES]>,
    used: AtomicUsize,
}

impl Arena {
    const BYTES: usize = 64 << 20;
    const PAGE: usize = align_of::<Self>();
    const LINE: usize = 64;

    /// An empty one.
    pub const fn empty() -> Self {
        Self { memory: UnsafeCell::new([0; Self::BYTES]), used: AtomicUsize::new(0) }
    }

    /// Goes on with a new page.
    pub fn turn_page(&self) {
        self.used.store(self.used().next_multiple_of(Self::PAGE), Ordering::Relaxed);
    }

    /// What `make` makes, and what that has allocated. For programs with one thread.
    pub fn watch<T>(&'static self, make: impl FnOnce() -> T) -> (T, &'static [u8]) {
        let before = self.used();
        let made = make();
        let length = self.used() - before;
        // SAFETY: it is within the memory, all of which began as zeroes (padding of values that were moved there since is
        // only compared), and the one thread does not write to it here.
        let allocated = unsafe { slice::from_raw_parts(self.memory.get().cast::<u8>().add(before), length) };
        (made, allocated)
    }

    fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed).min(Self::BYTES)
    }
}

// SAFETY: places are handed out by one atomic addition each, so to one caller each.
unsafe impl Sync for Arena {}

// SAFETY: every answer is aligned, as long as was asked for, and given once: of `memory`, or else of the system.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size().next_multiple_of(Self::LINE);
        let start = self.used.fetch_add(size, Ordering::Relaxed);
        if layout.align() > Self::LINE || start + size > Self::BYTES {
            // nothing is looked for there, but a panic can still say what it has to
            // SAFETY: what the caller has promised.
            return unsafe { System.alloc(layout) };
        }
        // SAFETY: `size` bytes from there on are within the memory.
        unsafe { self.memory.get().cast::<u8>().add(start) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("used", &self.used).finish_non_exhaustive()
    }
}
