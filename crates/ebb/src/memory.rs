//! Every byte that a table holds is asked for, counted and given back here.

use crate::pool;

pub(crate) use crate::pool::{Block, Held, PIECES};
pub(crate) use crate::system::{HUGE_PAGE, OS_PAGE};

/// Memory could not be had. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("out of memory")
    }
}

impl std::error::Error for OutOfMemory {}

/// Added to an allowance: the allocation after it panics instead of being refused, as if the engine had a fault.
const PANIC: u64 = 1 << 63;

/// Counts what one table holds, and can be told to refuse.
#[derive(Debug)]
pub(crate) struct Memory {
    held: usize,
    got: u64,
    returned: u64,
    /// How many more allocations succeed; tests lower it, and may add [`PANIC`].
    allowance: u64,
    /// No more than this is held at any moment.
    limit: usize,
    /// Whether something was refused because of the limit.
    limited: bool,
}

impl Memory {
    pub(crate) const fn new() -> Self {
        Memory { held: 0, got: 0, returned: 0, allowance: u64::MAX, limit: usize::MAX, limited: false }
    }

    /// Hold at most `limit` bytes from now on.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether an allocation was refused because of the limit since this was last asked.
    pub(crate) fn was_limited(&mut self) -> bool {
        std::mem::take(&mut self.limited)
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Blocks got and given back so far.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.got, self.returned)
    }

    /// Let only `allocations` more succeed; `u64::MAX` lifts the limit. With the highest bit set, the next one panics
    /// instead of being refused. For tests.
    pub(crate) fn set_allowance(&mut self, allocations: u64) {
        self.allowance = allocations;
    }

    pub(crate) fn allowance(&self) -> u64 {
        self.allowance
    }

    /// The size of the block that `allocate(bytes)` would make.
    pub(crate) fn block_bytes(bytes: usize) -> usize {
        pool::block_bytes(bytes)
    }

    /// A block of at least `bytes` (more than 0).
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<Block, OutOfMemory> {
        if self.allowance & !PANIC == 0 {
            assert!(self.allowance & PANIC == 0, "a test asked for this panic");
            return Err(OutOfMemory);
        }
        // Sizes beyond the address space must not wrap when rounded.
        if bytes > isize::MAX as usize / 2 {
            return Err(OutOfMemory);
        }
        let bytes = Self::block_bytes(bytes.max(1));
        if self.held + bytes > self.limit {
            self.limited = true;
            return Err(OutOfMemory);
        }
        let block = pool::allocate(bytes).ok_or(OutOfMemory)?;
        if self.allowance != u64::MAX {
            self.allowance -= 1;
        }
        self.held += bytes;
        self.got += 1;
        Ok(block)
    }

    /// Give a block back. Never panics, also where a block was counted elsewhere: who gives back several is not left half
    /// done.
    pub(crate) fn release(&mut self, block: Block) {
        self.held = self.held.wrapping_sub(block.bytes());
        self.returned += 1;
        pool::release(block);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        debug_assert!(self.held == 0 || std::thread::panicking(), "{} bytes were not given back", self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_it_holds_and_gives_it_back() {
        let mut memory = Memory::new();
        let small = memory.allocate(100).unwrap();
        let large = memory.allocate(5000).unwrap();
        assert_eq!((small.bytes(), large.bytes()), (128, 8192));
        assert_eq!(memory.held(), 128 + 8192);
        memory.release(small);
        memory.release(large);
        assert_eq!(memory.held(), 0);
        assert_eq!(memory.traffic(), (2, 2));
    }

    #[test]
    fn refuses_when_told_and_when_the_size_is_absurd() {
        let mut memory = Memory::new();
        memory.set_allowance(0);
        assert_eq!(memory.allocate(64).unwrap_err(), OutOfMemory);
        memory.set_allowance(u64::MAX);
        assert_eq!(memory.allocate(usize::MAX).unwrap_err(), OutOfMemory);
        assert_eq!(memory.allocate(1 << 60).unwrap_err(), OutOfMemory);
        assert_eq!(memory.held(), 0);
    }
}
