//! Blocks that were given up and have their memory still: whoever wants one next does without the system.

use super::area::Block;
use std::cmp::Reverse;
use std::ops::Range;

/// Blocks that are kept at most, and where the system does not take memory back.
const MOST: usize = 64;
const MOST_REFUSED: usize = 4 * MOST;

#[derive(Debug)]
struct Spare {
    block: Block,
    /// Bytes of the area that it is of.
    area: usize,
}

/// The latest last.
#[derive(Debug)]
pub(super) struct Spares {
    spares: Vec<Spare>,
    bytes: usize,
}

impl Spares {
    pub(super) const fn new() -> Self {
        Spares { spares: Vec::new(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A block of so many bytes: of those of just that size, or else a part of the smallest that is larger, the latest of
    /// the smallest area. O(blocks).
    pub(super) fn take(&mut self, bytes: usize) -> Option<Block> {
        let fitting = self.spares.iter().enumerate().rev().filter(|(_, spare)| spare.block.bytes() >= bytes);
        let (at, _) = fitting.min_by_key(|(_, spare)| (spare.block.bytes(), spare.area))?;
        let Spare { block, area } = self.spares.remove(at);
        self.bytes -= bytes;
        if block.bytes() == bytes {
            return Some(block);
        }
        let (block, rest) = block.split(bytes);
        self.spares.insert(at, Spare { block: rest, area });
        Some(block)
    }

    /// Keep a block of an area of so many bytes; `Err` where there are too many, or there is no memory to note it.
    pub(super) fn keep(&mut self, block: Block, area: usize) -> Result<(), Block> {
        if self.spares.len() >= MOST_REFUSED || self.spares.try_reserve(1).is_err() {
            return Err(block);
        }
        self.bytes += block.bytes();
        self.spares.push(Spare { block, area });
        Ok(())
    }

    /// One of the largest area, where more than `most` bytes are kept, or too many blocks: an area that is empty is unmapped,
    /// and the largest first. Of areas of one size, the one of the lowest address: Linux hands out addresses from above, so
    /// that is of the latest. O(blocks).
    pub(super) fn surplus(&mut self, most: usize) -> Option<Block> {
        if self.bytes <= most && self.spares.len() <= MOST {
            return None;
        }
        let ranked = self.spares.iter().enumerate();
        let (at, _) = ranked.max_by_key(|(_, spare)| (spare.area, Reverse(spare.block.address())))?;
        Some(self.remove(at))
    }

    /// One within a range of addresses. O(blocks).
    pub(super) fn take_within(&mut self, addresses: &Range<usize>) -> Option<Block> {
        let at = self.spares.iter().rposition(|spare| addresses.contains(&spare.block.address()))?;
        Some(self.remove(at))
    }

    fn remove(&mut self, at: usize) -> Block {
        let block = self.spares.remove(at).block;
        self.bytes -= block.bytes();
        block
    }
}
