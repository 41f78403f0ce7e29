//! Blocks that were given up and have their memory still: whoever wants one next does without the system.

use super::area::Block;

/// Blocks that are kept at most, and where the system does not take memory back.
const MOST: usize = 64;
const MOST_REFUSED: usize = 4 * MOST;

/// The latest last.
#[derive(Debug)]
pub(super) struct Spares {
    blocks: Vec<Block>,
    bytes: usize,
}

impl Spares {
    pub(super) const fn new() -> Self {
        Spares { blocks: Vec::new(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A block of so many bytes: the latest of just that size, or a part of the smallest that is larger. O(blocks).
    pub(super) fn take(&mut self, bytes: usize) -> Option<Block> {
        let fitting = self.blocks.iter().enumerate().rev().filter(|(_, block)| block.bytes() >= bytes);
        let (at, _) = fitting.min_by_key(|(_, block)| block.bytes())?;
        let block = self.blocks.remove(at);
        self.bytes -= bytes;
        if block.bytes() == bytes {
            return Some(block);
        }
        let (block, rest) = block.split(bytes);
        self.blocks.insert(at, rest);
        Some(block)
    }

    /// Keep a block; `Err` where there are too many, or there is no memory to note it.
    pub(super) fn keep(&mut self, block: Block) -> Result<(), Block> {
        if self.blocks.len() >= MOST_REFUSED || self.blocks.try_reserve(1).is_err() {
            return Err(block);
        }
        self.bytes += block.bytes();
        self.blocks.push(block);
        Ok(())
    }

    /// The one of the lowest address, where more than `most` bytes are kept, or too many blocks. Linux hands out addresses
    /// from above, so the latest areas, which are the largest, come to be empty first.
    pub(super) fn surplus(&mut self, most: usize) -> Option<Block> {
        if self.blocks.is_empty() || (self.bytes <= most && self.blocks.len() <= MOST) {
            return None;
        }
        let (lowest, _) = self.blocks.iter().enumerate().min_by_key(|(_, block)| block.address())?;
        let block = self.blocks.remove(lowest);
        self.bytes -= block.bytes();
        Some(block)
    }
}
