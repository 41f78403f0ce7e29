//! Stacks of equal slots that never have a hole: removing a slot moves the last one of its stack into it, so a stack
//! is full but for its top page, and its memory follows its contents without a compaction pass.
//!
//! A [`Handle`] says where a slot is. It changes when the slot is moved, so only the owner of the index may keep one.
#![allow(unsafe_code)] // slots are raw bytes in raw pages

use crate::chunks::{ChunkArray, Plain};
use crate::memory::{Block, HUGE_PAGE, Memory, OS_PAGE, OutOfMemory};
use crate::pages::{NONE, Page, Pages};
use std::ptr::NonNull;

/// Where a slot is: page number above, slot within the page in the low [`SLOT_BITS`] bits.
pub(crate) type Handle = u32;
/// Which stack.
pub(crate) type StackId = u16;

const SLOT_BITS: u32 = 14;
const MAX_SLOTS: usize = 1 << SLOT_BITS;
/// The last page numbers are left to [`links`](crate::links).
const MAX_PAGES: usize = (1 << (32 - SLOT_BITS)) - 2;
/// No handle is above this.
pub(crate) const LAST_HANDLE: Handle = ((MAX_PAGES as u32) << SLOT_BITS) - 1;
/// The stack of a page that holds one large slot and belongs to no stack.
const LONE: u32 = u32::MAX;
/// While a table is small its pages may be this large: the fixed part of the memory promise.
const SMALL_PAGE: usize = 64 << 10;

/// A page of [`Growth::Blocks`] in a table that is not small: all are of one size, so that what one stack gives up the
/// next one takes. Blocks are of sizes that fill it.
pub(crate) const TILE: usize = 32 << 10;
const TILES_FROM: usize = 512 << 10;
/// From here on they are of 2 MiB.
const HUGE_TILES_FROM: usize = 512 << 20;

/// Emptied pages that a heap keeps.
const SPARES: usize = 8;

/// How large the next page of a stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Growth {
    /// The only stack of entries: a page is at most 1/512 of it, but for the first 64 KiB of page.
    Alone = 0,
    /// One of many stacks of entries: as before, but small ones have smaller pages.
    OneOfMany,
    /// A dozen stacks that share the index between them: a page is at most 1/8192 of all the heap.
    Lines,
    /// A dozen stacks that share all entries between them, in blocks of some kilobytes: see [`TILE`].
    Blocks,
}

#[derive(Debug, Clone, Copy)]
struct Stack {
    /// Bytes in pages.
    bytes: usize,
    /// What the top page leaves of its block, which the next page takes: a block may hold more slots than a page number
    /// can tell apart.
    rest: *mut u8,
    rest_bytes: usize,
    slot_bytes: u32,
    /// The page with the last slots, or `NONE`.
    top: u32,
    /// Slots in use in the top page; at least 1 where there is one.
    used: u32,
    /// Slots of the top page; 0 where there is none.
    room: u32,
    /// The first byte of the top page.
    base: *mut u8,
    growth: Growth,
    tag: u8,
}

// SAFETY: zeros are a stack; `Growth::Alone` is 0.
unsafe impl Plain for Stack {}

/// All stacks of one table. Invariant: every page in use is in a stack, or lone.
#[derive(Debug)]
pub(crate) struct Heap {
    pub(crate) memory: Memory,
    pages: Pages,
    stacks: ChunkArray<Stack>,
    stack_count: usize,
    /// Whether its stacks are of blocks that are rebuilt as the table grows: spare pages soon serve again.
    has_blocks: bool,
    /// Emptied pages kept for the next that needs one of that size, so that work at a boundary does not thrash.
    spare: [Option<Block>; SPARES],
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

impl Heap {
    pub(crate) const fn new() -> Self {
        Heap {
            memory: Memory::new(),
            pages: Pages::new(),
            stacks: ChunkArray::new(),
            stack_count: 0,
            has_blocks: false,
            spare: [const { None }; SPARES],
        }
    }

    /// A new, empty stack of slots of `slot_bytes`; `tag` is the caller's.
    pub(crate) fn new_stack(&mut self, slot_bytes: usize, growth: Growth, tag: u8) -> Result<StackId, OutOfMemory> {
        let slot_bytes = u32::try_from(slot_bytes).map_err(|_| OutOfMemory)?;
        self.stacks.reserve(&mut self.memory, self.stack_count + 1)?;
        let id = self.stack_count;
        *self.stacks.get_mut(id) = Stack { slot_bytes, top: NONE, growth, tag, ..Stack::EMPTY };
        self.stack_count += 1;
        self.has_blocks |= growth == Growth::Blocks;
        Ok(id as StackId)
    }

    #[inline(always)]
    fn page(&self, handle: Handle) -> &Page {
        self.pages.get(handle >> SLOT_BITS)
    }

    /// The first byte of a slot in use.
    #[inline(always)]
    pub(crate) fn address(&self, handle: Handle) -> *mut u8 {
        let page = self.page(handle);
        let slot = (handle & (MAX_SLOTS as u32 - 1)) as usize;
        debug_assert!(slot < page.slots as usize);
        // SAFETY: a handle in use names a slot within its page.
        unsafe { page.base.add(slot * page.slot_bytes as usize) }
    }

    /// The bytes of a slot in use.
    #[inline(always)]
    pub(crate) fn slot(&self, handle: Handle) -> &[u8] {
        // SAFETY: 1. The slot's bytes are initialised: pages come zeroed. 2. `&self` keeps writers out.
        unsafe { std::slice::from_raw_parts(self.address(handle), self.page(handle).slot_bytes as usize) }
    }

    /// The bytes of a slot in use, to write.
    #[inline(always)]
    pub(crate) fn slot_mut(&mut self, handle: Handle) -> &mut [u8] {
        // SAFETY: as in `slot`, and `&mut self` makes it the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.address(handle), self.page(handle).slot_bytes as usize) }
    }

    /// Copy the first `bytes` of one slot to another.
    pub(crate) fn copy_front(&mut self, moved: Moved, bytes: usize) {
        assert_ne!(moved.from, moved.to);
        let front = self.slot(moved.from)[..bytes].as_ptr();
        let to = self.slot_mut(moved.to)[..bytes].as_mut_ptr();
        // SAFETY: the fronts of two slots in use, both at least `bytes` long, and not the same.
        unsafe { std::ptr::copy_nonoverlapping(front, to, bytes) }
    }

    /// The stack of a slot in use; `None` for a lone one.
    #[inline]
    pub(crate) fn stack_of(&self, handle: Handle) -> Option<StackId> {
        let stack = self.page(handle).stack;
        (stack != LONE).then_some(stack as StackId)
    }

    /// The bytes of a slot in use, and its stack's tag; `None` for a lone one.
    #[inline]
    pub(crate) fn tagged_slot(&self, handle: Handle) -> (&[u8], Option<u8>) {
        let stack = self.page(handle).stack;
        (self.slot(handle), (stack != LONE).then_some((stack >> 16) as u8))
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
        Ok((top << SLOT_BITS) | used)
    }

    #[cold]
    fn push_page(&mut self, stack: StackId) -> Result<Handle, OutOfMemory> {
        let Stack { slot_bytes, top, tag, rest, rest_bytes, .. } = *self.stacks.get(stack as usize);
        let slot = slot_bytes as usize;
        let page = |base, bytes, room: usize| {
            let slots = (room / slot).min(MAX_SLOTS) as u32;
            Page { base, bytes, slot_bytes, slots, stack: u32::from(stack) | u32::from(tag) << 16, below: top }
        };
        let of_size = |bytes| page(std::ptr::null_mut(), bytes, bytes);
        let page =
            if rest_bytes >= slot { page(rest, 0, rest_bytes) } else { of_size(self.next_page_bytes(stack, slot)) };
        let (number, page) = match self.new_page(page) {
            Ok(number) => (number, page),
            // There may be memory for less.
            Err(OutOfMemory) if page.bytes > SMALL_PAGE => {
                let page = of_size(page_bytes(slot, SMALL_PAGE));
                (self.new_page(page)?, page)
            }
            Err(OutOfMemory) => return Err(OutOfMemory),
        };
        let Page { bytes, slots, .. } = page;
        let room = if bytes == 0 { rest_bytes } else { bytes };
        let base = self.pages.get(number).base;
        let stack = self.stacks.get_mut(stack as usize);
        (stack.top, stack.used, stack.room, stack.base) = (number, 1, slots, base);
        stack.bytes += bytes;
        stack.rest = base.wrapping_add(slots as usize * slot);
        stack.rest_bytes = room - slots as usize * slot;
        Ok(number << SLOT_BITS)
    }

    /// How large the next page of a stack is.
    fn next_page_bytes(&self, stack: StackId, slot: usize) -> usize {
        let held = self.memory.held();
        match self.stacks.get(stack as usize).growth {
            Growth::Blocks if held >= HUGE_TILES_FROM => HUGE_PAGE,
            Growth::Blocks if held >= TILES_FROM => TILE,
            Growth::Blocks if held / 32 < 2 * slot => Memory::block_bytes(slot),
            _ => page_bytes(slot, self.wanted_bytes(stack)),
        }
    }

    /// About how large the next block of a stack should be.
    fn wanted_bytes(&self, stack: StackId) -> usize {
        let &Stack { bytes, slot_bytes, growth, .. } = self.stacks.get(stack as usize);
        let (early, late, huge) = match growth {
            Growth::Alone => (bytes / 4, bytes / 512, huge_pages_fit(bytes, slot_bytes as usize)),
            Growth::OneOfMany => (bytes / 16, bytes / 512, huge_pages_fit(bytes, slot_bytes as usize)),
            Growth::Lines => (bytes / 16, self.memory.held() / 8192, bytes >= 32 * HUGE_PAGE),
            Growth::Blocks => (0, self.memory.held() / 32, false),
        };
        let wanted = if huge { late.max(HUGE_PAGE) } else { late.max(early.min(SMALL_PAGE)) };
        // What is given up at a time where room has to be made.
        wanted.min((self.memory.limit() / 256).max(OS_PAGE))
    }

    /// The last slot of a stack that is not empty, to write.
    #[inline(always)]
    pub(crate) fn last_slot_mut(&mut self, stack: StackId) -> &mut [u8] {
        let stack = self.stacks.get(stack as usize);
        // SAFETY: as in `slot_mut`: the slot is in use.
        unsafe { std::slice::from_raw_parts_mut(stack.slot(stack.used - 1), stack.slot_bytes as usize) }
    }

    /// Take a slot out: the last of its stack moves into its place, which `moved` tells, unless it was the last itself.
    #[inline]
    pub(crate) fn remove(&mut self, handle: Handle) -> Removed {
        let Page { stack: id, .. } = *self.page(handle);
        if id == LONE {
            self.release_lone(handle);
            return Removed { stack: None, moved: None };
        }
        let at = self.address(handle);
        let id = id as StackId;
        let stack = self.stacks.get_mut(id as usize);
        stack.used -= 1;
        let (used, last) = (stack.used, stack.slot(stack.used));
        let from = (stack.top << SLOT_BITS) | used;
        if last != at {
            // SAFETY: two different slots of one stack, both in use, so they don't overlap.
            unsafe { std::ptr::copy_nonoverlapping(last, at, stack.slot_bytes as usize) };
        }
        if used == 0 {
            self.pop_page(id);
        }
        Removed { stack: Some(id), moved: (last != at).then_some(Moved { from, to: handle }) }
    }

    #[cold]
    fn pop_page(&mut self, stack: StackId) {
        let number = self.stacks.get(stack as usize).top;
        let page = *self.pages.get(number);
        let (base, used) = match page.below {
            NONE => (std::ptr::null_mut(), 0),
            below => (self.pages.get(below).base, self.pages.get(below).slots),
        };
        let entry = self.stacks.get_mut(stack as usize);
        (entry.top, entry.used, entry.room, entry.base) = (page.below, used, used, base);
        entry.bytes -= page.bytes;
        entry.rest = page.base;
        entry.rest_bytes =
            if page.bytes == 0 { entry.rest_bytes + page.slots as usize * page.slot_bytes as usize } else { 0 };
        self.pages.free(&mut self.memory, number);
        if page.bytes > 0 {
            self.keep_or_release(block_of(&page));
        }
    }

    /// The last slot of a stack.
    pub(crate) fn last(&self, stack: StackId) -> Option<Handle> {
        let Stack { top, used, .. } = *self.stacks.get(stack as usize);
        (top != NONE).then(|| (top << SLOT_BITS) | (used - 1))
    }

    /// A slot with pages of its own, for what is too large to be moved.
    pub(crate) fn push_lone(&mut self, bytes: usize) -> Result<Handle, OutOfMemory> {
        let slot_bytes = u32::try_from(bytes).map_err(|_| OutOfMemory)?;
        let bytes = Memory::block_bytes(bytes);
        let base = std::ptr::null_mut();
        let page = Page { base, bytes, slot_bytes, slots: 1, stack: LONE, below: NONE };
        Ok(self.new_page(page)? << SLOT_BITS)
    }

    fn release_lone(&mut self, handle: Handle) {
        let page = *self.page(handle);
        self.pages.free(&mut self.memory, handle >> SLOT_BITS);
        self.memory.release(block_of(&page));
        self.trim_spare(); // which may be most of what is left
    }

    /// A number for `page`, and memory where it has none yet.
    fn new_page(&mut self, page: Page) -> Result<u32, OutOfMemory> {
        let number = self.pages.next_number(&mut self.memory, MAX_PAGES)?;
        let base = if page.base.is_null() {
            match self.new_block(page.bytes) {
                Ok(block) => block.base.as_ptr(),
                Err(OutOfMemory) => {
                    self.pages.leave(&mut self.memory, number);
                    return Err(OutOfMemory);
                }
            }
        } else {
            page.base
        };
        self.pages.take(number, Page { base, ..page });
        Ok(number)
    }

    fn new_block(&mut self, bytes: usize) -> Result<Block, OutOfMemory> {
        match self.take_spare(bytes) {
            Some(block) => Ok(block),
            None => self.memory.allocate(bytes),
        }
    }

    /// Give the spare pages back.
    pub(crate) fn release_spares(&mut self) {
        for spare in &mut self.spare {
            if let Some(block) = spare.take() {
                self.memory.release(block);
            }
        }
    }

    fn take_spare(&mut self, bytes: usize) -> Option<Block> {
        let spare = self.spare.iter_mut().find(|spare| spare.as_ref().is_some_and(|block| block.bytes == bytes))?;
        spare.take()
    }

    /// Keep an emptied page where that costs little of what is held; the oldest spare ones go first.
    fn keep_or_release(&mut self, block: Block) {
        self.spare.rotate_right(1);
        if let Some(oldest) = self.spare[0].replace(block) {
            self.memory.release(oldest);
        }
        self.trim_spare();
    }

    /// Bytes that spare pages may have: a small part of what is held, or a larger one of a small table's.
    fn most_spare(&self) -> usize {
        let held = self.memory.held();
        if self.has_blocks {
            (held / 128).max((held / 4).min(TILE))
        } else {
            (held / 1024).max((held / 2).min(SMALL_PAGE))
        }
    }

    /// Release what is more than that, and those smaller than an OS page.
    fn trim_spare(&mut self) {
        for i in (0..SPARES).rev() {
            let too_many = self.spare_bytes() > self.most_spare();
            if self.spare[i].as_ref().is_some_and(|block| too_many || block.bytes < OS_PAGE) {
                let block = self.spare[i].take().expect("just seen");
                self.memory.release(block);
            }
        }
    }

    /// Bytes in spare pages.
    pub(crate) fn spare_bytes(&self) -> usize {
        self.spare.iter().flatten().map(|block| block.bytes).sum()
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
                visit((top << SLOT_BITS) | slot);
            }
            top = self.pages.get(top).below;
            used = if top == NONE { 0 } else { self.pages.get(top).slots };
        }
    }

    /// Call `visit` with every lone slot.
    pub(crate) fn each_lone(&self, mut visit: impl FnMut(Handle)) {
        for (number, _) in self.pages.in_use().filter(|(_, page)| page.stack == LONE) {
            visit(number << SLOT_BITS);
        }
    }

    /// Give back everything: O(pages).
    pub(crate) fn clear(&mut self) {
        for (_, page) in self.pages.in_use().filter(|(_, page)| page.bytes > 0) {
            self.memory.release(block_of(page));
        }
        self.release_spares();
        self.pages.clear(&mut self.memory);
        self.stacks.clear(&mut self.memory);
        self.stack_count = 0;
    }

    /// Walk every invariant of this file; the number of bytes the pages and tables add up to must be what is held,
    /// less `others` that the caller got from `memory` itself.
    pub(crate) fn check(&self, others: usize) {
        let mut seen = 0;
        let mut bytes = self.directory_bytes() + self.spare_bytes() + others;
        for id in 0..self.stack_count {
            let stack = self.stacks.get(id);
            let (mut number, mut used, mut stack_bytes) = (stack.top, stack.used, 0);
            while number != NONE {
                let page = self.pages.get(number);
                assert!(
                    !page.base.is_null()
                        && page.stack as u16 == id as u16
                        && page.stack != LONE
                        && page.slot_bytes == stack.slot_bytes
                );
                assert!(used >= 1 && used <= page.slots, "page {number} has {used} of {} slots", page.slots);
                assert!(number != stack.top || page.slots == stack.room && page.base == stack.base);
                assert!(page.bytes == 0 || page.slots as usize * page.slot_bytes as usize <= page.bytes);
                stack_bytes += page.bytes;
                seen += 1;
                number = page.below;
                used = if number == NONE { 0 } else { self.pages.get(number).slots };
            }
            assert_eq!(stack_bytes, stack.bytes);
            bytes += stack_bytes;
        }
        self.each_lone(|handle| {
            bytes += self.page(handle).bytes;
            seen += 1;
        });
        assert_eq!(seen, self.pages.check(), "every page in use is in a stack, or lone");
        assert_eq!(bytes, self.memory.held(), "the parts add up to what the system was asked for");
    }
}

// SAFETY: a heap owns the memory its pointers lead to, and hands out no pointer that outlives a borrow of it.
unsafe impl Send for Heap {}
// SAFETY: `&Heap` only reads.
unsafe impl Sync for Heap {}

impl Drop for Heap {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Stack {
    /// The first byte of a slot of the top page.
    #[inline(always)]
    fn slot(&self, slot: u32) -> *mut u8 {
        self.base.wrapping_add(slot as usize * self.slot_bytes as usize)
    }

    const EMPTY: Stack = Stack {
        bytes: 0,
        rest: std::ptr::null_mut(),
        rest_bytes: 0,
        slot_bytes: 0,
        top: NONE,
        used: 0,
        room: 0,
        base: std::ptr::null_mut(),
        growth: Growth::Alone,
        tag: 0,
    };
}

/// From this size of a stack on, huge pages are worth what touching one first takes: some hundred microseconds at once,
/// milliseconds where the hypervisor has to find the memory.
const HUGE_FROM: usize = 64 << 20;

/// Whether a stack of entries is that large, and what is empty of a huge page costs less than what the memory promise leaves
/// beside the index: of 1/10 of an entry, or of 12 bytes where it is below 64.
fn huge_pages_fit(bytes: usize, slot: usize) -> bool {
    let slack = if slot < 64 { 250 } else { (slot.saturating_sub(64)) * 7 }; // hundredths of a byte, an entry
    bytes >= HUGE_FROM && bytes / slot * slack / 100 >= HUGE_PAGE
}

fn block_of(page: &Page) -> Block {
    Block { base: NonNull::new(page.base).expect("a page in use"), bytes: page.bytes }
}

/// The bytes of a page of slots of `slot` bytes, about `want` large: whole huge pages where slots fill them; else the
/// size between `want` and twice that, in OS pages, that leaves the least behind the last slot; below an OS page, a power
/// of two of slots. A page always has room for a slot.
fn page_bytes(slot: usize, want: usize) -> usize {
    let huge = want / HUGE_PAGE * HUGE_PAGE;
    if huge >= slot && huge % slot * 24 <= huge {
        return huge;
    }
    let want = (want.max(256) / slot).next_power_of_two().max(1) * slot;
    if want < OS_PAGE {
        return Memory::block_bytes(want);
    }
    let least = want.div_ceil(OS_PAGE);
    let loss = |pages: usize| {
        let bytes = pages * OS_PAGE;
        let slots = (bytes / slot).clamp(1, MAX_SLOTS);
        ((bytes - slots * slot) << 20) / bytes
    };
    let best = (least..=least + least.min(15)).min_by_key(|&pages| (loss(pages), pages)).unwrap_or(least);
    best * OS_PAGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::MAX_STACKED;

    #[test]
    fn a_stack_is_dense_through_pushes_and_removals() {
        let mut heap = Heap::new();
        let stack = heap.new_stack(136, Growth::Alone, 0).unwrap();
        let mut handles: Vec<Handle> = Vec::new();
        let mut values: Vec<u8> = Vec::new();
        for i in 0..20_000u32 {
            if i % 3 == 2 {
                let victim = (i as usize * 7919) % handles.len();
                let (handle, value) = (handles.swap_remove(victim), values.swap_remove(victim));
                assert_eq!(heap.slot(handle)[0], value);
                if let Some(moved) = heap.remove(handle).moved {
                    let at = handles.iter().position(|&h| h == moved.from).unwrap();
                    handles[at] = moved.to;
                }
            } else {
                let handle = heap.push(stack).unwrap();
                heap.slot_mut(handle).fill(i as u8);
                handles.push(handle);
                values.push(i as u8);
            }
            if i % 97 == 0 {
                heap.check(0);
            }
        }
        assert!(handles.iter().zip(&values).all(|(&h, &v)| heap.slot(h).iter().all(|&b| b == v)));
        while let Some(last) = heap.last(stack) {
            heap.remove(last);
        }
        heap.check(0);
        assert!(heap.memory.held() < 1024, "{} bytes are left", heap.memory.held());
    }

    #[test]
    fn pages_waste_little() {
        for slot in (8..4096).step_by(8) {
            for want in [0, 4096, 65_536, 1 << 20, 5 << 20] {
                let bytes = page_bytes(slot, want);
                let slots = (bytes / slot).max(1);
                let waste = bytes - slots * slot;
                assert!(
                    want < 65_536 || waste * 24 <= bytes || slots == MAX_SLOTS,
                    "{slot} {want}: {waste} of {bytes}"
                );
            }
        }
    }

    /// Sizes around every threshold of this file and of the sizes of entries.
    fn sizes_around_thresholds() -> impl Iterator<Item = usize> {
        let thresholds = [OS_PAGE, TILE, SMALL_PAGE, MAX_STACKED, HUGE_PAGE, 2 * HUGE_PAGE, 3 * HUGE_PAGE, HUGE_FROM];
        let around = |at: usize| [at - 64, at - 1, at, at + 1, at + 64, at / 2 + 1, at / 3, at + at / 2];
        thresholds.into_iter().flat_map(around)
    }

    #[test]
    fn a_page_has_room_for_a_slot() {
        for slot in sizes_around_thresholds() {
            for want in sizes_around_thresholds().chain([0, 1 << 30]) {
                let bytes = page_bytes(slot, want);
                assert!(bytes >= slot, "{slot} {want}: {bytes}");
            }
        }
    }

    #[test]
    fn slots_of_any_size_are_dense_and_apart() {
        for slot in sizes_around_thresholds().filter(|&slot| slot >= OS_PAGE / 2) {
            for growth in [Growth::Alone, Growth::OneOfMany] {
                let mut heap = Heap::new();
                let stack = heap.new_stack(slot, growth, 0).unwrap();
                // As far as the pages of a stack of `HUGE_FROM` and more, of which only the ends are touched.
                let count = (HUGE_FROM / slot + 4).min(3 * MAX_SLOTS);
                let handles: Vec<Handle> = (0..count)
                    .map(|i| {
                        let handle = heap.push(stack).unwrap();
                        let bytes = heap.slot_mut(handle);
                        (bytes[0], bytes[slot - 1]) = (i as u8, !(i as u8));
                        handle
                    })
                    .collect();
                heap.check(0);
                for (i, &handle) in handles.iter().enumerate() {
                    assert_eq!((heap.slot(handle)[0], heap.slot(handle)[slot - 1]), (i as u8, !(i as u8)), "{slot}");
                }
                while let Some(last) = heap.last(stack) {
                    heap.remove(last);
                }
                heap.check(0);
            }
        }
    }

    #[test]
    fn slots_beyond_what_a_page_can_tell_are_refused() {
        let mut heap = Heap::new();
        assert!(heap.new_stack(1 << 32, Growth::Alone, 0).is_err());
        heap.check(0);
    }

    #[test]
    fn page_numbers_are_given_back_around_those_in_use() {
        let mut heap = Heap::new();
        let mut handles: Vec<Handle> = (0..1000).map(|_| heap.push_lone(OS_PAGE).unwrap()).collect();
        let peak = heap.pages.bytes();
        let kept: Vec<Handle> = [5, 500, 999].iter().map(|&i| handles[i]).collect();
        handles.retain(|handle| !kept.contains(handle));
        for handle in handles {
            heap.remove(handle);
            heap.check(0);
        }
        assert!(heap.pages.bytes() < peak / 2);
        let again: Vec<Handle> = (0..1500).map(|_| heap.push_lone(OS_PAGE).unwrap()).collect();
        heap.check(0);
        for handle in again.into_iter().chain(kept) {
            heap.remove(handle);
        }
        heap.check(0);
        assert_eq!(heap.memory.held(), 0);
    }

    #[test]
    fn one_block_serves_several_pages() {
        let mut heap = Heap::new();
        let stack = heap.new_stack(16, Growth::Alone, 0).unwrap();
        let mut handles = Vec::new();
        for i in 0..2_000_000u32 {
            let handle = heap.push(stack).unwrap();
            heap.slot_mut(handle)[..4].copy_from_slice(&i.to_ne_bytes());
            handles.push(handle);
            if i % 100_003 == 0 {
                heap.check(0);
            }
        }
        let kept = |(i, &handle): (usize, &Handle)| heap.slot(handle)[..4] == (i as u32).to_ne_bytes();
        assert!(handles.iter().enumerate().all(kept));
        assert!(heap.memory.held() < 2_000_000 * 16 + HUGE_PAGE + (64 << 10));
        for (i, &handle) in handles.iter().enumerate().rev() {
            assert_eq!(heap.remove(handle).moved, None);
            if i % 100_003 == 0 {
                heap.check(0);
            }
        }
        assert!(heap.memory.held() < 4096);
    }

    #[test]
    fn lone_slots_come_and_go_at_once() {
        let mut heap = Heap::new();
        let before = heap.memory.held();
        let large = heap.push_lone(1 << 20).unwrap();
        heap.slot_mut(large).fill(7);
        let other = heap.push_lone(40_000).unwrap();
        heap.check(0);
        assert_eq!(heap.remove(large).moved, None);
        assert_eq!(heap.slot(other).len(), 40_000);
        heap.check(0);
        heap.remove(other);
        assert_eq!(heap.memory.held(), before);
    }
}
