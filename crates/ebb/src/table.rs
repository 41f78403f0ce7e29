//! The table: entries, dense in a heap of stacks, and the index that finds them.
//!
//! It knows bytes and hashes, not keys: what an entry's hash is and whether it is the one that is looked for, the
//! caller's functions say (`rehash`, `is`). They must not panic on entries that the caller wrote.

use crate::chunks::ChunkArray;
use crate::heap::{Growth, Handle, Heap, Moved, Removed, StackId};
use crate::index::{Fill, Index, Place};
use crate::memory::OutOfMemory;
use crate::order::TableOrder;
use crate::segment::Spot;
use crate::sizes::{CLASSES, MAX_STACKED, class_of, entry_in, write_trailer};
use crate::tags::prefetch;

/// No stack of entries has been used yet.
const NO_STACK: StackId = StackId::MAX;
/// Tables of fewer entries fit in the processor's caches.
const FAR: usize = 1 << 15;

/// How long entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntrySize {
    /// All of so many bytes (more than 0).
    Fixed(usize),
    /// Each of its own length, 1 byte to 4 GiB.
    Variable,
}

/// Where an entry was found: good until the next change of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found(pub(crate) Place);

/// Where a walk over all entries is. It stays good while entries are replaced, not when any is inserted or removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    segment: u32,
    line: u32,
    slot: u32,
}

/// What a table holds, in bytes, and what it has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries.
    pub entries: usize,
    /// Bytes of all entries.
    pub entry_bytes: usize,
    /// Bytes held from the operating system and the allocator: the sum of the four below.
    pub held_bytes: usize,
    /// Bytes of the pages with entries.
    pub page_bytes: usize,
    /// Bytes of the pages with the index's lines, and of the segment array.
    pub index_bytes: usize,
    /// Bytes of emptied pages kept for the next growth.
    pub spare_bytes: usize,
    /// Bytes of the tables of pages, stacks and sizes.
    pub directory_bytes: usize,
    /// Segments of the index.
    pub segments: usize,
    /// Segments split so far.
    pub splits: u64,
    /// Segments merged so far.
    pub merges: u64,
    /// Blocks of memory got so far.
    pub blocks_got: u64,
    /// Blocks of memory given back so far.
    pub blocks_returned: u64,
}

/// A hash table without holes. See the crate's text. `O` keeps its entries in some order, or in none.
#[derive(Debug)]
pub struct Table<O: TableOrder = ()> {
    pub(crate) heap: Heap,
    pub(crate) order: O,
    index: Index,
    size: EntrySize,
    /// The stack of each size class, plus 1; of class 0 alone if entries have a fixed size.
    stacks: ChunkArray<StackId>,
    /// Bytes of all entries, counted where they are not all of one size.
    variable_bytes: usize,
    /// The stack an entry was last taken from or put on: most likely that of the next.
    recent: StackId,
}

impl Table {
    /// An empty table; it holds no memory until the first insert.
    pub fn new(size: EntrySize) -> Self {
        Table::in_order(size, ())
    }

    /// Add an entry of `len` bytes, which `write` fills; it must not be in the table yet.
    ///
    /// O(1): at most one segment (some hundred slots) is rebuilt and one split. If memory can't be had, nothing has
    /// changed.
    #[inline]
    pub fn insert(
        &mut self,
        hash: u64,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), OutOfMemory> {
        self.insert_slot(hash, len, rehash, write).map(drop)
    }
}

impl<O: TableOrder> Table<O> {
    /// An empty table whose entries are kept in an order.
    pub(crate) fn in_order(size: EntrySize, order: O) -> Self {
        Table {
            heap: Heap::new(),
            index: Index::new(fill(size, order.bytes())),
            order,
            size,
            stacks: ChunkArray::new(),
            variable_bytes: 0,
            recent: NO_STACK,
        }
    }

    /// Entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.index.entries
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held now, this struct's own included.
    pub fn bytes(&self) -> usize {
        self.heap.memory.held() + size_of::<Self>()
    }

    /// Bytes of all entries: O(1).
    pub fn entry_bytes(&self) -> usize {
        match self.size {
            EntrySize::Fixed(bytes) => bytes * self.len(),
            EntrySize::Variable => self.variable_bytes,
        }
    }

    /// Entries of so many bytes have come, and others have gone.
    #[inline(always)]
    fn count_bytes(&mut self, come: usize, gone: usize) {
        if self.size == EntrySize::Variable {
            self.variable_bytes = self.variable_bytes + come - gone;
        }
    }

    /// The entry of this hash that `is` recognises. O(1); usually two cache misses.
    #[inline(always)]
    pub fn find(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<Found> {
        self.locate(hash, is).map(|(found, _)| found)
    }

    /// The bytes of the entry of this hash that `is` recognises: in fewer steps than [`find`](Self::find) and
    /// [`entry`](Self::entry).
    #[inline(always)]
    pub fn get(&self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&[u8]> {
        self.locate(hash, is).map(|(_, entry)| entry)
    }

    /// As [`get`](Self::get), to write; the part that the entry's hash is made from must stay as it is.
    #[inline(always)]
    pub fn get_mut(&mut self, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Option<&mut [u8]> {
        let (found, entry) = self.locate(hash, is)?;
        let (from, len) = (self.order.bytes(), entry.len());
        Some(&mut self.heap.slot_mut(found.0.spot.handle)[from..from + len])
    }

    /// The entry of this hash that `is` recognises: where it is, and its bytes.
    #[inline(always)]
    pub fn locate(&self, hash: u64, mut is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])> {
        if self.is_empty() {
            return None;
        }
        let (segment, candidates) = self.index.candidates(hash);
        let all = candidates.are_all();
        for spot in candidates {
            let entry = self.body(spot.handle);
            if is(entry) {
                return Some((Found(Place { segment, spot }), entry));
            }
        }
        if all { None } else { self.locate_displaced(hash, is) }
    }

    #[cold]
    fn locate_displaced(&self, hash: u64, mut is: impl FnMut(&[u8]) -> bool) -> Option<(Found, &[u8])> {
        let found = Found(self.index.find(&self.heap, hash, |handle| is(self.body(handle)))?);
        Some((found, self.entry(found)))
    }

    /// The bytes of an entry.
    #[inline]
    pub fn entry(&self, found: Found) -> &[u8] {
        self.body(found.0.spot.handle)
    }

    /// The bytes of an entry, to write; the part that its hash is made from must stay as it is.
    #[inline]
    pub fn entry_mut(&mut self, found: Found) -> &mut [u8] {
        let (from, len) = (self.order.bytes(), self.entry(found).len());
        &mut self.heap.slot_mut(found.0.spot.handle)[from..from + len]
    }

    #[inline(always)]
    pub(crate) fn body(&self, handle: Handle) -> &[u8] {
        self.shape().body(&self.heap, handle)
    }

    #[inline(always)]
    fn shape(&self) -> Shape {
        Shape { size: self.size, ordering: self.order.bytes() }
    }

    /// The entry in a slot.
    pub(crate) fn found_at(&self, handle: Handle, rehash: &impl Fn(&[u8]) -> u64) -> Found {
        let place = self.index.find(&self.heap, rehash(self.body(handle)), |candidate| candidate == handle);
        Found(place.expect("every slot is indexed"))
    }

    /// As [`insert`](Table::insert); where the entry is.
    #[inline(always)]
    pub(crate) fn insert_slot(
        &mut self,
        hash: u64,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Handle, OutOfMemory> {
        self.order.prepare(&mut self.heap.memory)?;
        let handle = self.new_slot(len, write)?;
        self.order.start(self.heap.slot_mut(handle));
        let rehash = by_handle(self.shape(), rehash);
        if let Err(error) = self.index.insert(&mut self.heap, hash, handle, &rehash) {
            self.heap.remove(handle); // the last of its stack: nothing moves
            return Err(error);
        }
        self.count_bytes(len, 0);
        Ok(handle)
    }

    /// Give an entry new contents of `len` bytes, with the same hash; where it is then.
    ///
    /// O(1), and the length. If memory can't be had, nothing has changed.
    pub fn replace(
        &mut self,
        mut found: Found,
        len: usize,
        rehash: &impl Fn(&[u8]) -> u64,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Found, OutOfMemory> {
        let old = found.0.spot.handle;
        let old_len = self.entry(found).len();
        let ordering = self.order.bytes();
        if self.fits(old, old_len, len) {
            let slot = self.heap.slot_mut(old);
            write(&mut slot[ordering..ordering + len]);
            if len != old_len {
                write_trailer(slot, class_of(len).trailer, len + ordering);
            }
        } else {
            let handle = self.new_slot(len, write)?;
            self.index.set_handle(&mut self.heap, found.0, handle);
            found.0.spot.handle = handle;
            self.order.succeed(&mut self.heap, Moved { from: old, to: handle });
            self.release_slot(old, rehash); // another stack than the new slot's
        }
        self.count_bytes(len, old_len);
        Ok(found)
    }

    /// Whether an entry of `len` bytes has the kind of slot that one of `old_len` bytes is in.
    fn fits(&self, old: Handle, old_len: usize, len: usize) -> bool {
        match self.heap.stack_of(old) {
            _ if len == old_len => true,
            Some(_) => len <= MAX_STACKED && class_of(len) == class_of(old_len),
            None => false,
        }
    }

    /// Take an entry out; the last entry of its size takes its place.
    ///
    /// O(1): at most one segment is rebuilt and two merged. Never fails: where memory is too short to shrink, that is
    /// left for later.
    #[inline(always)]
    pub fn remove(&mut self, found: Found, rehash: &impl Fn(&[u8]) -> u64) {
        let rehash_by_handle = by_handle(self.shape(), rehash);
        self.count_bytes(0, self.entry(found).len());
        self.order.prefetch(&self.heap, found.0.spot.handle);
        self.index.remove(&mut self.heap, found.0, &rehash_by_handle);
        self.order.leave(&mut self.heap, found.0.spot.handle);
        self.release_slot(found.0.spot.handle, rehash);
    }

    /// Have the cache line on its way that the next removal will need beside the removed entry's own: that of the entry
    /// which will move into its place. Worth calling before the search for the entry.
    #[inline]
    pub fn prefetch_removal(&self, rehash: &impl Fn(&[u8]) -> u64) {
        if self.len() > FAR
            && self.recent != NO_STACK
            && let Some(last) = self.heap.last(self.recent)
        {
            self.index.prefetch_line(rehash(self.body(last)));
            self.order.prefetch(&self.heap, last);
        }
    }

    #[inline(always)]
    fn release_slot(&mut self, handle: Handle, rehash: &impl Fn(&[u8]) -> u64) {
        let Removed { stack, moved } = self.heap.remove(handle);
        self.recent = stack.unwrap_or(self.recent);
        if let Some(moved) = moved {
            let hash = rehash(self.body(moved.to));
            self.index.relocate(&mut self.heap, hash, moved);
            self.order.moved(&mut self.heap, moved);
        }
    }

    /// Remove everything and give all memory back. O(pages).
    pub fn clear(&mut self) {
        self.index.clear(&mut self.heap);
        self.order.clear(&mut self.heap.memory);
        self.stacks.clear(&mut self.heap.memory);
        self.heap.clear();
        (self.variable_bytes, self.recent) = (0, NO_STACK);
    }

    #[inline]
    fn new_slot(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> Result<Handle, OutOfMemory> {
        let from = self.order.bytes();
        let all = from + len;
        let (number, slot_bytes, trailer) = match self.size {
            EntrySize::Fixed(bytes) => (0, bytes + from, 0),
            EntrySize::Variable if len > MAX_STACKED => {
                let handle = self.heap.push_lone(all)?;
                write(&mut self.heap.slot_mut(handle)[from..]);
                return Ok(handle);
            }
            EntrySize::Variable => {
                let class = class_of(len);
                (class.number, class.slot_bytes + from, class.trailer)
            }
        };
        let stack = self.stack(number, slot_bytes, trailer)?;
        self.recent = stack;
        let handle = self.heap.push(stack)?;
        let slot = self.heap.last_slot_mut(stack);
        write(&mut slot[from..all]);
        if trailer > 0 {
            write_trailer(slot, trailer, all);
        }
        Ok(handle)
    }

    #[inline]
    fn stack(&mut self, number: usize, slot_bytes: usize, trailer: usize) -> Result<StackId, OutOfMemory> {
        if self.size != EntrySize::Variable && self.recent != NO_STACK {
            return Ok(self.recent); // there is only one
        }
        if number < self.stacks.capacity() && *self.stacks.get(number) != 0 {
            return Ok(*self.stacks.get(number) - 1);
        }
        self.new_stack(number, slot_bytes, trailer)
    }

    #[cold]
    fn new_stack(&mut self, number: usize, slot_bytes: usize, trailer: usize) -> Result<StackId, OutOfMemory> {
        let (classes, growth) = match self.size {
            EntrySize::Fixed(_) => (1, Growth::Alone),
            EntrySize::Variable => (CLASSES, Growth::OneOfMany),
        };
        self.stacks.reserve(&mut self.heap.memory, classes)?;
        let stack = self.heap.new_stack(slot_bytes, growth, trailer as u8)?;
        *self.stacks.get_mut(number) = stack + 1;
        Ok(stack)
    }

    /// Have the index's lines on their way that lookups of `hashes` read first.
    #[inline]
    pub fn prefetch_lines(&self, hashes: &[u64]) {
        if !self.is_empty() {
            hashes.iter().for_each(|&hash| self.index.prefetch_line(hash));
        }
    }

    /// Have the entries on their way that lookups of `hashes` will most likely read: best once their lines are there.
    #[inline]
    pub fn prefetch_entries(&self, hashes: &[u64]) {
        if self.is_empty() {
            return;
        }
        for handle in hashes.iter().filter_map(|&hash| self.index.likely(hash)) {
            let entry = self.heap.slot(handle);
            for line in entry[..entry.len().min(256)].chunks(64) {
                prefetch(line.as_ptr());
            }
            if let Some(last) = entry.last() {
                prefetch(last);
            }
        }
    }

    /// The next entry of a walk in no particular order. O(1) on average.
    pub fn next(&self, cursor: &mut Cursor) -> Option<&[u8]> {
        self.next_handle(cursor).map(|handle| self.body(handle))
    }

    pub(crate) fn next_handle(&self, cursor: &mut Cursor) -> Option<Handle> {
        while (cursor.segment as usize) < self.index.segment_count() {
            let lines = self.index.lines_of(&self.heap, cursor.segment as usize);
            while let Some(line) = lines.get(cursor.line as usize) {
                if cursor.slot == 0 {
                    self.prefetch_walk(lines, cursor.line as usize);
                }
                if (cursor.slot as usize) < line.count() {
                    cursor.slot += 1;
                    return Some(line.handle(cursor.slot as usize - 1));
                }
                (cursor.line, cursor.slot) = (cursor.line + 1, 0);
            }
            *cursor = Cursor { segment: cursor.segment + 1, line: 0, slot: 0 };
        }
        None
    }

    /// A walk has come to `line`: its entries (at the first line) and those of the next will be wanted.
    fn prefetch_walk(&self, lines: &[crate::line::Line], line: usize) {
        let from = if line == 0 { 0 } else { line + 1 };
        for line in lines.iter().take(line + 2).skip(from) {
            (0..line.count()).for_each(|slot| prefetch(self.heap.address(line.handle(slot))));
        }
    }

    /// Some entry, or `None` if there is none. O(1) on average.
    pub fn any(&self) -> Option<Found> {
        (0..self.index.segment_count()).rev().find_map(|number| {
            let lines = self.index.lines_of(&self.heap, number);
            let line = lines.iter().rposition(|line| line.count() > 0)?;
            let slot = lines[line].count() - 1;
            let spot = Spot { line: line as u32, slot: slot as u32, handle: lines[line].handle(slot) };
            Some(Found(Place { segment: number as u32, spot }))
        })
    }

    /// What the table holds and has done. O(sizes of entries there are).
    pub fn stats(&self) -> Stats {
        let (blocks_got, blocks_returned) = self.heap.memory.traffic();
        let held_bytes = self.bytes();
        let index_bytes = self.index.block_bytes(&self.heap) + self.index.table_bytes();
        let spare_bytes = self.heap.spare_bytes();
        let directory_bytes = self.heap.directory_bytes() + self.stacks.bytes() + self.order.held() + size_of::<Self>();
        Stats {
            entries: self.len(),
            entry_bytes: self.entry_bytes(),
            held_bytes,
            page_bytes: held_bytes - index_bytes - spare_bytes - directory_bytes,
            index_bytes,
            spare_bytes,
            directory_bytes,
            segments: self.index.segment_count(),
            splits: self.index.splits,
            merges: self.index.merges,
            blocks_got,
            blocks_returned,
        }
    }

    /// Call `visit` with every entry of a part of the table, and give the position of the next part; `None` after the last.
    /// A walk begins at 0. It stays good whatever happens to the table meanwhile: what is there all along is visited
    /// exactly once. O(a segment).
    pub fn visit_part(
        &self,
        position: u64,
        rehash: &impl Fn(&[u8]) -> u64,
        mut visit: impl FnMut(Found),
    ) -> Option<u64> {
        // Positions are hashes with their bits reversed: then a segment is a range of them, split and merged in place.
        let (number, bits) = self.index.part(position.reverse_bits());
        self.index.each_place(&self.heap, number, |place| {
            if rehash(self.body(place.spot.handle)).reverse_bits() >= position {
                visit(Found(place));
            }
        });
        (position | u64::MAX.checked_shr(bits).unwrap_or(0)).checked_add(1)
    }

    /// Let only `allocations` more succeed, for tests of what happens then; `u64::MAX` lifts the limit.
    pub fn set_allowance(&mut self, allocations: u64) {
        self.heap.memory.set_allowance(allocations);
    }

    /// What is left of [`set_allowance`](Self::set_allowance).
    pub fn allowance(&self) -> u64 {
        self.heap.memory.allowance()
    }

    /// Walk every invariant of the table, and panic where one is broken: every handle resolves, every entry is indexed
    /// once and where its hash says, stacks are dense, counts and bytes add up to what the system was asked for. O(n).
    pub fn check(&self, rehash: &impl Fn(&[u8]) -> u64) {
        let mut handles = std::collections::HashSet::new();
        let mut bytes = 0;
        self.heap.check(self.index.table_bytes() + self.stacks.bytes() + self.order.held());
        self.order.check(&self.heap, self.len());
        self.index.check(&self.heap, &|_, handle| rehash(self.body(handle)), |handle| {
            assert!(handles.insert(handle), "an entry is indexed once");
            bytes += self.body(handle).len();
        });
        assert_eq!(bytes, self.entry_bytes());
        let mut slots = 0;
        let mut visit = |handle| {
            assert!(handles.contains(&handle), "every slot is indexed");
            slots += 1;
        };
        for class in 0..self.stacks.capacity().min(CLASSES) {
            if let Some(stack) = self.stacks.get(class).checked_sub(1) {
                self.heap.each_slot(stack, &mut visit);
            }
        }
        if self.size == EntrySize::Variable {
            self.heap.each_lone(|handle| {
                if !self.index.owns_block(handle) {
                    visit(handle);
                }
            });
        }
        assert_eq!(slots, self.len());
    }
}

/// How full the index may be: as full as it gets where a tenth of an entry is all that may be held beside the entries.
fn fill(size: EntrySize, ordering: usize) -> Fill {
    match size {
        EntrySize::Fixed(64..80) if ordering == 0 => Fill::DENSE,
        _ => Fill::ROOMY,
    }
}

/// An entry's hash by its handle: of one type for each `rehash`, so that the index is compiled once for each.
#[inline(always)]
fn by_handle(shape: Shape, rehash: &impl Fn(&[u8]) -> u64) -> impl Fn(&Heap, Handle) -> u64 {
    move |heap, handle| rehash(shape.body(heap, handle))
}

/// How entries lie in slots: the order's own bytes, then the entry.
#[derive(Debug, Clone, Copy)]
struct Shape {
    size: EntrySize,
    ordering: usize,
}

impl Shape {
    /// The bytes of the entry at `handle`.
    #[inline(always)]
    fn body(self, heap: &Heap, handle: Handle) -> &[u8] {
        let slot = match self.size {
            EntrySize::Fixed(_) => heap.slot(handle),
            EntrySize::Variable => match heap.tagged_slot(handle) {
                (slot, Some(trailer)) => entry_in(slot, trailer),
                (slot, None) => slot,
            },
        };
        &slot[self.ordering..]
    }
}
