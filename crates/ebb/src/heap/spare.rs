//! Emptied pages that are kept for the next that needs one of that size, so that work at a boundary does not thrash.

use super::growth::{SMALL_PAGE, TILE};
use crate::memory::{Block, Memory, OS_PAGE};

/// Emptied pages that a heap keeps.
const SPARES: usize = 8;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Spares {
    /// The latest first.
    blocks: [Option<Block>; SPARES],
    /// Whether stacks are of blocks that are rebuilt as the table grows: spare pages soon serve again.
    pub(super) has_blocks: bool,
}

impl Spares {
    pub(super) const fn new() -> Self {
        Spares { blocks: [const { None }; SPARES], has_blocks: false }
    }

    /// Bytes in spare pages.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.iter().flatten().map(Block::bytes).sum()
    }

    /// One of so many bytes.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Block> {
        let is_wanted = |spare: &&mut Option<Block>| spare.as_ref().is_some_and(|block| block.bytes() == bytes);
        self.blocks.iter_mut().find(is_wanted)?.take()
    }

    /// Keep an emptied page where that costs little of what is held; the oldest spare ones go first.
    pub(super) fn keep_or_release(&mut self, memory: &mut Memory, block: Block) {
        self.blocks.rotate_right(1);
        if let Some(oldest) = self.blocks[0].replace(block) {
            memory.release(oldest);
        }
        self.trim(memory);
    }

    /// Bytes that spare pages may have: a small part of what is held, or a larger one of a small table's.
    fn most_bytes(&self, held: usize) -> usize {
        if self.has_blocks {
            (held / 128).max((held / 4).min(TILE))
        } else {
            (held / 1024).max((held / 2).min(SMALL_PAGE))
        }
    }

    /// Release what is more than that, and those smaller than an OS page.
    pub(super) fn trim(&mut self, memory: &mut Memory) {
        for i in (0..SPARES).rev() {
            let too_many = self.bytes() > self.most_bytes(memory.held());
            if let Some(block) = self.blocks[i].take_if(|block| too_many || block.bytes() < OS_PAGE) {
                memory.release(block);
            }
        }
    }

    /// Give all back.
    pub(super) fn release(&mut self, memory: &mut Memory) {
        self.blocks.iter_mut().filter_map(Option::take).for_each(|block| memory.release(block));
    }
}
