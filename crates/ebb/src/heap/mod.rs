//! Stacks of equal slots that never have a hole: removing a slot moves the last one of its stack into it, so a stack
//! is full but for its top page, and its memory follows its contents without a compaction pass.
//!
//! A [`Handle`] says where a slot is. It changes when the slot is moved, so only the owner of the index may keep one.
//! One that is out of date leads to another slot, or to a panic.
//!
//! * [`pages`]: pages by number, and the slots in them.
//! * [`growth`]: how large pages are made.

mod growth;
mod pages;
#[cfg(test)]
mod tests;

use crate::chunks::{ChunkArray, Plain};
use crate::memory::{Memory, OutOfMemory};
use growth::{Wanting, page_bytes};
use pages::{NONE, Page, Pages, SLOT_BITS, Shape, slots_in};

pub(crate) use growth::{Growth, HUGE_FROM, SMALL_PAGE, TILE, TILES_FROM};
pub(crate) use pages::{Handle, LAST_HANDLE, Others, ReadSlots, Slots};

/// Which stack.
pub(crate) type StackId = u16;

/// The stack of a page that holds one large slot and belongs to no stack.
const LONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Stack {
    /// Bytes in pages.
    bytes: usize,
    /// What the top page leaves of its block, which the next page takes: a block may hold more slots than a page number
    /// can tell apart; as far as 32 bits go.
    rest: u32,
    slot_bytes: u32,
    /// The page with the last slots, or `NONE`.
    top: u32,
    /// Slots in use in the top page; at least 1 where there is one.
    used: u32,
    /// Slots of the top page; 0 where there is none.
    room: u32,
    growth: Growth,
    tag: u8,
}

impl Plain for Stack {
    const EMPTY: Stack =
        Stack { bytes: 0, rest: 0, slot_bytes: 0, top: NONE, used: 0, room: 0, growth: Growth::Alone, tag: 0 };
}

/// All stacks of one table. Invariant: every page in use is in a stack, or lone.
#[derive(Debug)]
pub(crate) struct Heap {
    pub(crate) memory: Memory,
    pages: Pages,
    stacks: ChunkArray<Stack>,
    stack_count: usize,
}

/// What a slot was before it was moved, and what it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) from: Handle,
    pub(crate) to: Handle,
}

/// What became of the stack that a slot was taken out of; a lone slot had none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) stack: Option<StackId>,
    pub(crate) moved: Option<Moved>,
}

#[inline(always)]
fn handle_of(page: u32, slot: u32) -> Handle {
    (page << SLOT_BITS) | slot
}

/// The stack that a page's word names, and its tag; `None` for a lone slot's.
#[inline(always)]
fn stack_in(word: u32) -> Option<(StackId, u8)> {
    (word != LONE).then_some((word as StackId, (word >> 16) as u8))
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Heap { memory: Memory::new(), pages: Pages::new(), stacks: ChunkArray::new(), stack_count: 0 }
    }

    /// A new, empty stack of slots of `slot_bytes`; `tag` is the caller's.
    pub(crate) fn new_stack(&mut self, slot_bytes: usize, growth: Growth, tag: u8) -> Result<StackId, OutOfMemory> {
        let slot_bytes = u32::try_from(slot_bytes).map_err(|_| OutOfMemory)?;
        self.stacks.reserve(&mut self.memory, self.stack_count + 1)?;
        let id = self.stack_count;
        *self.stacks.get_mut(id) = Stack { slot_bytes, growth, tag, ..Stack::EMPTY };
        self.stack_count += 1;
        Ok(id as StackId)
    }

    /// All slots, to read.
    #[inline(always)]
    pub(crate) fn slots(&self) -> Slots<'_> {
        self.pages.slots()
    }

    /// The bytes of a slot in use.
    #[inline(always)]
    pub(crate) fn slot(&self, handle: Handle) -> &[u8] {
        self.slots().get(handle)
    }

    /// The bytes of a slot in use, to write.
    #[inline(always)]
    pub(crate) fn slot_mut(&mut self, handle: Handle) -> &mut [u8] {
        self.pages.slot_mut(handle)
    }

    /// Where in its page a slot in use is, for [`ReadSlots::front`].
    pub(crate) fn offset_of(&self, handle: Handle) -> u32 {
        self.pages.offset_of(handle)
    }

    /// As [`ReadSlots::front`], to write.
    #[inline(always)]
    pub(crate) fn front_mut(&mut self, handle: Handle, offset: u32, len: usize) -> &mut [u8] {
        self.pages.front_mut(handle, offset, len)
    }

    /// The bytes of a slot in use, to write, and all other slots, to read meanwhile.
    #[inline(always)]
    pub(crate) fn apart(&mut self, handle: Handle) -> (&mut [u8], Others<'_>) {
        self.pages.apart(handle)
    }

    /// Copy the first `bytes` of one slot to another.
    pub(crate) fn copy_front(&mut self, moved: Moved, bytes: usize) {
        let (to, others) = self.apart(moved.to);
        to[..bytes].copy_from_slice(&others.get(moved.from)[..bytes]);
    }

    /// The stack of a slot in use; `None` for a lone one.
    #[inline]
    pub(crate) fn stack_of(&self, handle: Handle) -> Option<StackId> {
        stack_in(self.pages.page_of(handle).stack()).map(|(stack, _)| stack)
    }

    /// Put a slot on top of `stack`. Its bytes are whatever they were.
    #[inline]
    pub(crate) fn push(&mut self, stack: StackId) -> Result<Handle, OutOfMemory> {
        let entry = self.stacks.get_mut(stack as usize);
        let Stack { top, used, room, .. } = *entry;
        if used == room {
            return self.push_page(stack);
        }
        entry.used = used + 1;
        Ok(handle_of(top, used))
    }

    #[cold]
    fn push_page(&mut self, stack: StackId) -> Result<Handle, OutOfMemory> {
        let Stack { slot_bytes, top, tag, rest, growth, bytes, .. } = *self.stacks.get(stack as usize);
        let shape = Shape { slot_bytes, stack: u32::from(stack) | u32::from(tag) << 16, below: top };
        let (slot_bytes, rest) = (slot_bytes as usize, rest as usize);
        if slots_in(rest, slot_bytes) > 0 {
            let number = self.pages.next_number(&mut self.memory)?;
            self.pages.take_part(number, rest, shape);
            return Ok(self.put_on_top(stack, number, rest));
        }
        let (held, limit) = (self.memory.held(), self.memory.limit());
        let bytes = Wanting { growth, bytes, slot_bytes, held, limit }.page_bytes();
        let (number, room) = match self.new_page(bytes, shape) {
            Ok(number) => (number, bytes),
            // There may be memory for less.
            Err(OutOfMemory) if bytes > SMALL_PAGE => {
                let less = page_bytes(slot_bytes, SMALL_PAGE);
                (self.new_page(less, shape)?, less)
            }
            Err(OutOfMemory) => return Err(OutOfMemory),
        };
        Ok(self.put_on_top(stack, number, room))
    }

    /// A page is the top of its stack, with one slot in use; it was made of `room` bytes.
    fn put_on_top(&mut self, stack: StackId, number: u32, room: usize) -> Handle {
        let page = *self.pages.get(number);
        let stack = self.stacks.get_mut(stack as usize);
        (stack.top, stack.used, stack.room) = (number, 1, page.slots());
        stack.bytes += page.bytes();
        stack.rest = u32::try_from(room - page.used_bytes()).unwrap_or(u32::MAX);
        handle_of(number, 0)
    }

    /// Take a slot out: the last of its stack moves into its place, which `moved` tells, unless it was the last itself.
    #[inline(always)]
    pub(crate) fn remove(&mut self, handle: Handle) -> Removed {
        let target = self.pages.target(handle);
        let Some((id, _)) = stack_in(target.stack()) else {
            self.release_lone(handle);
            return Removed { stack: None, moved: None };
        };
        let stack = self.stacks.get_mut(id as usize);
        stack.used -= 1;
        let used = stack.used;
        let last = handle_of(stack.top, used);
        if last != handle {
            target.copy_from(last);
        }
        if used == 0 {
            self.pop_page(id);
        }
        Removed { stack: Some(id), moved: (last != handle).then_some(Moved { from: last, to: handle }) }
    }

    #[cold]
    fn pop_page(&mut self, stack: StackId) {
        let number = self.stacks.get(stack as usize).top;
        let page = *self.pages.get(number);
        let below = page.below();
        let used = if below == NONE { 0 } else { self.pages.get(below).slots() };
        let entry = self.stacks.get_mut(stack as usize);
        (entry.top, entry.used, entry.room) = (below, used, used);
        entry.bytes -= page.bytes();
        match self.pages.free(&mut self.memory, number) {
            None => entry.rest = entry.rest.saturating_add(page.used_bytes() as u32),
            Some(block) => {
                entry.rest = 0;
                self.memory.release(block);
            }
        }
    }

    /// The last slot of a stack.
    pub(crate) fn last(&self, stack: StackId) -> Option<Handle> {
        let Stack { top, used, .. } = *self.stacks.get(stack as usize);
        (top != NONE).then(|| handle_of(top, used - 1))
    }

    /// A slot with pages of its own, for what is too large to be moved.
    pub(crate) fn push_lone(&mut self, bytes: usize) -> Result<Handle, OutOfMemory> {
        let slot_bytes = u32::try_from(bytes).map_err(|_| OutOfMemory)?;
        let shape = Shape { slot_bytes, stack: LONE, below: NONE };
        let number = self.new_page(Memory::block_bytes(bytes), shape)?;
        Ok(handle_of(number, 0))
    }

    fn release_lone(&mut self, handle: Handle) {
        if let Some(block) = self.pages.free(&mut self.memory, handle >> SLOT_BITS) {
            self.memory.release(block);
        }
    }

    /// A page with a block of its own; its number.
    fn new_page(&mut self, bytes: usize, shape: Shape) -> Result<u32, OutOfMemory> {
        let number = self.pages.next_number(&mut self.memory)?;
        match self.memory.allocate(bytes) {
            Ok(block) => self.pages.take(number, block, shape),
            Err(OutOfMemory) => {
                self.pages.leave(&mut self.memory, number);
                return Err(OutOfMemory);
            }
        }
        Ok(number)
    }

    /// Bytes in the pages of a stack.
    pub(crate) fn stack_bytes(&self, stack: StackId) -> usize {
        self.stacks.get(stack as usize).bytes
    }

    /// Bytes of the tables of pages and stacks.
    pub(crate) fn directory_bytes(&self) -> usize {
        self.pages.bytes() + self.stacks.bytes()
    }

    /// Call `visit` with every slot of a stack, from the last to the first.
    pub(crate) fn each_slot(&self, stack: StackId, mut visit: impl FnMut(Handle)) {
        let Stack { mut top, mut used, .. } = *self.stacks.get(stack as usize);
        while top != NONE {
            for slot in (0..used).rev() {
                visit(handle_of(top, slot));
            }
            top = self.pages.get(top).below();
            used = if top == NONE { 0 } else { self.pages.get(top).slots() };
        }
    }

    /// Call `visit` with every lone slot.
    pub(crate) fn each_lone(&self, mut visit: impl FnMut(Handle)) {
        for (number, _) in self.pages.in_use().filter(|(_, page)| page.stack() == LONE) {
            visit(handle_of(number, 0));
        }
    }

    /// Give back everything: O(pages).
    pub(crate) fn clear(&mut self) {
        self.pages.clear(&mut self.memory);
        self.stacks.clear(&mut self.memory);
        self.stack_count = 0;
    }

    /// Walk every invariant of this folder; the number of bytes the pages and tables add up to must be what is held,
    /// less `others` that the caller got from `memory` itself.
    pub(crate) fn check(&self, others: usize) {
        let mut seen = 0;
        let mut bytes = self.directory_bytes() + others;
        for id in 0..self.stack_count {
            let stack = self.stacks.get(id);
            let mut stack_bytes = 0;
            self.each_page(stack, |number, page, used| {
                assert_eq!(stack_in(page.stack()), Some((id as StackId, stack.tag)));
                assert_eq!(page.slot_bytes(), stack.slot_bytes as usize);
                assert!(used >= 1 && used <= page.slots(), "page {number} has {used} of {} slots", page.slots());
                assert!(number != stack.top || page.slots() == stack.room);
                stack_bytes += page.bytes();
                seen += 1;
            });
            assert_eq!(stack_bytes, stack.bytes);
            bytes += stack_bytes;
        }
        self.each_lone(|handle| {
            bytes += self.pages.page_of(handle).bytes();
            seen += 1;
        });
        assert_eq!(seen, self.pages.check(), "every page in use is in a stack, or lone");
        assert_eq!(bytes, self.memory.held(), "the parts add up to what the system was asked for");
    }

    /// Call `visit` with every page of a stack, from the top down, and how many of its slots are in use.
    fn each_page(&self, stack: &Stack, mut visit: impl FnMut(u32, &Page, u32)) {
        let (mut number, mut used) = (stack.top, stack.used);
        while number != NONE {
            let page = self.pages.get(number);
            visit(number, page, used);
            number = page.below();
            used = if number == NONE { 0 } else { self.pages.get(number).slots() };
        }
    }
}

/// A slot of the heap, with the tag of its stack; `None` for a lone one.
#[inline(always)]
pub(crate) fn tagged<'a>(slots: impl ReadSlots<'a>, handle: Handle) -> (&'a [u8], Option<u8>) {
    let (slot, stack) = slots.with_stack(handle);
    (slot, stack_in(stack).map(|(_, tag)| tag))
}

impl Drop for Heap {
    fn drop(&mut self) {
        self.clear();
    }
}
