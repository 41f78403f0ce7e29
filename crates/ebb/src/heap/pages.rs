//! The pages of a heap by number, and the slots in them. Numbers come free in any order, and the memory of their table
//! follows those in use.
//!
//! This file alone reaches into the memory of pages. Whatever it is asked, what it gives is a slot of a page in use, or a
//! panic.
#![allow(unsafe_code)] // slots are bytes of raw blocks

mod check;
mod numbers;

use crate::chunks::{ChunkArray, Plain};
use crate::memory::{Block, Memory};
use std::ptr::NonNull;

/// Where a slot is: page number above, slot within the page in the low [`SLOT_BITS`] bits.
pub(crate) type Handle = u32;

pub(super) const SLOT_BITS: u32 = 14;
/// Slots that a page may have.
pub(super) const MAX_SLOTS: usize = 1 << SLOT_BITS;
/// The last page numbers are left to [`links`](crate::links).
const MAX_PAGES: usize = (1 << (32 - SLOT_BITS)) - 2;
/// No handle is above this.
pub(crate) const LAST_HANDLE: Handle = ((MAX_PAGES as u32) << SLOT_BITS) - 1;

/// No page, or no number.
pub(super) const NONE: u32 = u32::MAX;
/// Page numbers come and go in chunks of this many.
const PER_CHUNK: usize = ChunkArray::<Page>::PER_CHUNK;
/// Blocks are of a multiple of so many bytes.
const UNIT: usize = 64;

/// Slots of one size in a row, all in one block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    /// The first slot. In a free number, no address of memory.
    base: NonNull<u8>,
    /// The length of the block that the page owns; 0 in a page that is a further part of the block of one below.
    units: u32,
    /// How many pages in use are further parts of the block. In a free number, the free one before it.
    parts: u32,
    /// Bytes of a slot.
    slot_bytes: u32,
    /// Slots; 0 in a free number.
    slots: u32,
    /// What the heap keeps of the page: its stack, and that one's tag.
    stack: u32,
    /// The page below in the stack. In a free number, the next free one.
    below: u32,
}

impl Plain for Page {
    const EMPTY: Page =
        Page { base: NonNull::dangling(), units: 0, parts: 0, slot_bytes: 0, slots: 0, stack: 0, below: NONE };
}

// SAFETY: the pages of a table own the blocks that they lead to.
unsafe impl Send for Page {}
// SAFETY: `&Page` gives no access to slots.
unsafe impl Sync for Page {}

impl Page {
    /// Bytes of the block; 0 in a further part of another page's.
    pub(super) fn bytes(&self) -> usize {
        self.units as usize * UNIT
    }

    #[inline(always)]
    pub(super) fn slot_bytes(&self) -> usize {
        self.slot_bytes as usize
    }

    #[inline(always)]
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    /// Bytes of all slots.
    #[inline(always)]
    pub(super) fn used_bytes(&self) -> usize {
        self.slots as usize * self.slot_bytes as usize
    }

    #[inline(always)]
    pub(super) fn stack(&self) -> u32 {
        self.stack
    }

    #[inline(always)]
    pub(super) fn below(&self) -> u32 {
        self.below
    }

    fn is_in_use(&self) -> bool {
        self.slots > 0
    }
}

/// Bytes that are kept of a page.
pub(super) const PAGE_BYTES: usize = size_of::<Page>();

/// What a new page is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) slot_bytes: u32,
    pub(super) stack: u32,
    pub(super) below: u32,
}

/// Slots that a page of so many bytes has.
pub(super) fn slots_in(bytes: usize, slot_bytes: usize) -> usize {
    (bytes / slot_bytes).min(MAX_SLOTS)
}

/// Invariants: every number below `count` is in use, in the free list, or in a released chunk; a chunk but the first
/// has one in use. The slots of a page in use lie within a block that the page owns; or it is a further part of a block,
/// right behind the page below it, and pages below one another lead from it to the one that owns the block. Parts come
/// and go from the end of their block, so that no two pages have a byte in common.
#[derive(Debug)]
pub(crate) struct Pages {
    pages: ChunkArray<Page>,
    /// Pages in use of the first chunk, and of each that follows.
    first_in_use: u16,
    in_use: ChunkArray<u16>,
    /// The first free number.
    free: u32,
    count: usize,
    /// Chunks that were given back, below others that are in use.
    released: usize,
}

/// Slots to read.
pub(crate) trait ReadSlots<'a>: Copy {
    /// The bytes of a slot. Panics where there is none, and where it is being written.
    #[inline(always)]
    fn get(self, handle: Handle) -> &'a [u8] {
        self.with_stack(handle).0
    }

    /// As [`get`](Self::get), and what the heap keeps of the slot's page.
    fn with_stack(self, handle: Handle) -> (&'a [u8], u32);

    /// The first `len` bytes of a slot, in fewer steps: `offset` is where in its page it is, as [`Pages::offset_of`] gives
    /// it. Panics where there are no such bytes, and where any are being written.
    fn front(self, handle: Handle, offset: u32, len: usize) -> &'a [u8];
}

/// All slots of a heap, to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots<'a> {
    pages: &'a Pages,
}

impl<'a> ReadSlots<'a> for Slots<'a> {
    #[inline(always)]
    fn with_stack(self, handle: Handle) -> (&'a [u8], u32) {
        let page = self.pages.page_of(handle);
        // SAFETY: 1. `page_of` gives a page in use that has the slot; its bytes are initialised, as those of blocks are.
        // 2. Pages keep their blocks as long as they are borrowed. 3. Who writes to a slot has `&mut Pages`, but for
        // `apart`, which gives no `Slots`.
        let slot = unsafe { std::slice::from_raw_parts(page.slot(handle), page.slot_bytes as usize) };
        (slot, page.stack)
    }

    #[inline(always)]
    fn front(self, handle: Handle, offset: u32, len: usize) -> &'a [u8] {
        let at = self.pages.bytes_at(handle, offset, len);
        // SAFETY: as in `with_stack`, of bytes that lie within the page.
        unsafe { std::slice::from_raw_parts(at, len) }
    }
}

/// All slots of a heap but one, which is being written, to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Others<'a> {
    pages: &'a Pages,
    written: Handle,
}

impl<'a> ReadSlots<'a> for Others<'a> {
    #[inline(always)]
    fn with_stack(self, handle: Handle) -> (&'a [u8], u32) {
        if handle == self.written {
            no_slot(handle);
        }
        let page = self.pages.page_of(handle);
        // SAFETY: as in `Slots::with_stack`; who writes has one slot, which was just left out, and no two slots have a
        // byte in common.
        let slot = unsafe { std::slice::from_raw_parts(page.slot(handle), page.slot_bytes as usize) };
        (slot, page.stack)
    }

    fn front(self, handle: Handle, offset: u32, len: usize) -> &'a [u8] {
        let slot = self.get(handle);
        assert_eq!(offset, self.pages.offset_of(handle), "an offset is that of its slot");
        &slot[..len]
    }
}

impl Page {
    /// The first byte of a slot.
    ///
    /// # Safety
    /// The page has the slot: its number is below `slots`.
    #[inline(always)]
    unsafe fn slot(&self, handle: Handle) -> *mut u8 {
        // SAFETY: as the caller says; the slots of a page follow each other in one block.
        unsafe { self.base.as_ptr().add(slot_of(handle) as usize * self.slot_bytes as usize) }
    }
}

/// A slot that another is to be copied into. Invariant: it is one of `pages`, which is not changed meanwhile.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pages: &'a mut Pages,
    slot: *mut u8,
    slot_bytes: u32,
    stack: u32,
}

impl Target<'_> {
    /// What the heap keeps of the slot's page.
    #[inline(always)]
    pub(super) fn stack(&self) -> u32 {
        self.stack
    }

    /// Copy another slot of the same size here. Panics where there is none.
    #[inline(always)]
    pub(super) fn copy_from(self, handle: Handle) {
        let page = self.pages.page_of(handle);
        assert!(page.slot_bytes == self.slot_bytes, "slots of one size");
        // SAFETY: 1. `page_of` gives a page in use that has the slot; this one is in use too. 2. Slots are the same or have
        // no byte in common. 3. `&mut Pages` makes this the only way to both.
        unsafe { std::ptr::copy(page.slot(handle), self.slot, self.slot_bytes as usize) };
    }
}

#[inline(always)]
fn slot_of(handle: Handle) -> u32 {
    handle & (MAX_SLOTS as u32 - 1)
}

#[cold]
#[inline(never)]
fn no_slot(handle: Handle) -> ! {
    panic!("there is no slot {handle}, or it is being written");
}

impl Pages {
    pub(super) const fn new() -> Self {
        Pages {
            pages: ChunkArray::new(),
            first_in_use: 0,
            in_use: ChunkArray::new(),
            free: NONE,
            count: 0,
            released: 0,
        }
    }

    /// A page by its number.
    #[inline(always)]
    pub(super) fn get(&self, number: u32) -> &Page {
        self.pages.get(number as usize)
    }

    /// The page in use that has a slot. Panics where there is none.
    #[inline(always)]
    pub(super) fn page_of(&self, handle: Handle) -> &Page {
        let page = self.get(handle >> SLOT_BITS);
        if slot_of(handle) >= page.slots {
            no_slot(handle);
        }
        page
    }

    /// Where in its page a slot is, for [`ReadSlots::front`].
    #[inline(always)]
    pub(super) fn offset_of(&self, handle: Handle) -> u32 {
        slot_of(handle).wrapping_mul(self.page_of(handle).slot_bytes)
    }

    /// The address of so many bytes of a page in use. Panics where it has not as many.
    #[inline(always)]
    fn bytes_at(&self, handle: Handle, offset: u32, len: usize) -> *mut u8 {
        let page = self.get(handle >> SLOT_BITS);
        if (offset as usize).checked_add(len).is_none_or(|end| end > page.used_bytes()) {
            no_slot(handle);
        }
        // SAFETY: the page has so many bytes; no bytes at all may be anywhere.
        unsafe { page.base.as_ptr().add(offset as usize) }
    }

    /// As [`ReadSlots::front`], to write.
    #[inline(always)]
    pub(super) fn front_mut(&mut self, handle: Handle, offset: u32, len: usize) -> &mut [u8] {
        let at = self.bytes_at(handle, offset, len);
        // SAFETY: as in `slot_mut`, of bytes that lie within the page.
        unsafe { std::slice::from_raw_parts_mut(at, len) }
    }

    /// A slot that another is to be copied into. Panics where there is none.
    #[inline(always)]
    pub(super) fn target(&mut self, handle: Handle) -> Target<'_> {
        let page = self.page_of(handle);
        let (slot_bytes, stack) = (page.slot_bytes, page.stack);
        // SAFETY: `page_of` gives a page in use that has the slot.
        let slot = unsafe { page.slot(handle) };
        Target { pages: self, slot, slot_bytes, stack }
    }

    /// All slots, to read.
    #[inline(always)]
    pub(super) fn slots(&self) -> Slots<'_> {
        Slots { pages: self }
    }

    /// A slot, to write. Panics where there is none.
    #[inline(always)]
    pub(super) fn slot_mut(&mut self, handle: Handle) -> &mut [u8] {
        let page = self.page_of(handle);
        // SAFETY: as in `Slots::with_stack`, and `&mut self` makes it the only reference to any slot.
        unsafe { std::slice::from_raw_parts_mut(page.slot(handle), page.slot_bytes as usize) }
    }

    /// A slot to write, and all others to read. Panics where there is no such slot.
    #[inline(always)]
    pub(super) fn apart(&mut self, handle: Handle) -> (&mut [u8], Others<'_>) {
        let page = self.page_of(handle);
        // SAFETY: as in `slot_mut`, but for the others that are given with it, which leave it out.
        let slot = unsafe { std::slice::from_raw_parts_mut(page.slot(handle), page.slot_bytes as usize) };
        (slot, Others { pages: self, written: handle })
    }

    /// All pages in use, with their numbers.
    pub(super) fn in_use(&self) -> impl Iterator<Item = (u32, &Page)> {
        (0..self.count).filter_map(|number| {
            let page = self.pages.has_chunk(number / PER_CHUNK).then(|| self.pages.get(number))?;
            page.is_in_use().then_some((number as u32, page))
        })
    }

    /// Bytes of the table.
    pub(super) fn bytes(&self) -> usize {
        self.pages.bytes() + self.in_use.bytes()
    }

    /// Use the next number for a page of as many slots as the block has room for.
    pub(super) fn take(&mut self, number: u32, block: Block, shape: Shape) {
        let (base, bytes) = block.into_parts();
        let units = u32::try_from(bytes / UNIT).expect("a block of less than 256 GiB");
        // SAFETY: a block, which nobody else has.
        unsafe { self.put(number, base, bytes, units, shape) };
    }

    /// Use the next number for a page that is what `room` bytes of the same block have room for behind the page
    /// `shape.below`.
    pub(super) fn take_part(&mut self, number: u32, room: usize, shape: Shape) {
        let owner = self.owner_below_all_parts(shape.below);
        let (first, before) = (*self.get(owner), *self.get(shape.below));
        let used = before.base.addr().get() - first.base.addr().get() + before.used_bytes();
        assert!(room <= first.bytes() - used, "a part lies within its block");
        // SAFETY: the slots of the page before end within the block.
        let base = unsafe { before.base.add(before.used_bytes()) };
        self.pages.get_mut(owner as usize).parts += 1;
        // SAFETY: so much is left of the block behind the page below, which is the last in it and is counted as such.
        unsafe { self.put(number, base, room, 0, shape) };
    }

    /// The page that owns the block that a page is in, and how many parts of the block are at or below the page.
    fn owner_of(&self, mut number: u32) -> (u32, u32) {
        let mut parts = 0;
        while self.get(number).units == 0 {
            number = self.get(number).below;
            parts += 1;
        }
        (number, parts)
    }

    /// The page that owns the block that a page is in. Panics where a part of the block is above the page: then it is
    /// not at the end of what is in use.
    fn owner_below_all_parts(&self, number: u32) -> u32 {
        let (owner, parts) = self.owner_of(number);
        assert_eq!(parts, self.get(owner).parts, "a part of the block is above page {number}");
        owner
    }

    /// Use the next number for a page over `room` bytes at `base`. Panics where it is not the next.
    ///
    /// # Safety
    /// They are a block of so many [`UNIT`]s, which the page is to own; or, of 0, they lie in the block of the page
    /// `shape.below`, behind it and all its parts, of which the page has been counted as one.
    unsafe fn put(&mut self, number: u32, base: NonNull<u8>, room: usize, units: u32, shape: Shape) {
        let Shape { slot_bytes, stack, below } = shape;
        let slots = slots_in(room, slot_bytes as usize) as u32;
        assert!(slots > 0, "a page of {room} bytes has no slot of {slot_bytes}");
        assert!(number as usize == self.count || self.free == number, "page number {number} is not the next");
        *self.in_chunk_mut(number as usize / PER_CHUNK) += 1;
        if number as usize == self.count {
            self.count += 1;
        } else {
            self.unlink(number);
        }
        let page = Page { base, units, parts: 0, slot_bytes, slots, stack, below };
        *self.pages.get_mut(number as usize) = page;
    }

    /// A page has gone; its block, if it owns one. Panics where a further part of its block is in use behind it.
    pub(super) fn free(&mut self, memory: &mut Memory, number: u32) -> Option<Block> {
        let page = *self.get(number);
        assert!(page.is_in_use(), "page {number} is in use");
        let owner = self.owner_below_all_parts(number);
        if owner != number {
            self.pages.get_mut(owner as usize).parts -= 1;
        }
        *self.pages.get_mut(number as usize) = Page::EMPTY;
        self.link(number);
        let chunk = number as usize / PER_CHUNK;
        let in_use = self.in_chunk_mut(chunk);
        *in_use -= 1;
        if *in_use == 0 && (chunk > 0 || self.count <= PER_CHUNK) {
            self.release_chunk(memory, chunk);
        } else if self.count <= PER_CHUNK {
            self.trim(memory);
        }
        // SAFETY: the page owned the block, no part of it is in use, and it is forgotten.
        (page.units > 0).then(|| unsafe { Block::from_parts(page.base, page.bytes()) })
    }

    /// Forget all pages, and give their blocks and the table back.
    pub(super) fn clear(&mut self, memory: &mut Memory) {
        for (_, page) in self.in_use().filter(|(_, page)| page.units > 0) {
            // SAFETY: the page owns the block, and all pages are forgotten here.
            memory.release(unsafe { Block::from_parts(page.base, page.bytes()) });
        }
        self.pages.clear(memory);
        self.in_use.clear(memory);
        (self.first_in_use, self.count, self.released, self.free) = (0, 0, 0, NONE);
    }
}
