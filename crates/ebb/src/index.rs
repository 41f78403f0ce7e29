//! Hash to entry: linear hashing over segments that are each as large as their contents need.
//!
//! There are `count` segments; the low bits of a hash choose one (as many bits as `count` needs; a number not in use
//! yet means the segment it will be split from). Growing by one segment splits one in two, shrinking merges two, in
//! an order given by `count` alone: no directory, nothing that doubles. The splits of a doubling are put off until a
//! segment holds some 200 entries on average, and done within a quarter more, so that segments stay within a factor of
//! 2.5 of each other.
//! Within a segment, lines are added and taken away a few at a time (see [`segment`](crate::segment)).
//!
//! What its cells hold is a parameter: handles of entries that are elsewhere, or the entries themselves.

use crate::chunks::ChunkArray;
use crate::classes::ClassStacks;
use crate::fill::Fill;
use crate::head::SATURATED;
use crate::heap::{Handle, Heap, Moved, Slots};
use crate::lines::{Cells, Handles, Inline, Lines};
use crate::memory::OutOfMemory;
use crate::pour::Rehash;
use crate::segment::{Item, MAX_LINES, Segment, Spot, home_of, place, x_of};
use crate::stats::Stats;
use crate::system::{prefetch, prefetch_early};
use crate::walk::Cursor;

mod resize;

/// After a split that got no memory, so many entries pass before the next is tried.
const RETRY_AFTER: usize = 64;

/// Where an entry is in the index: good until the next change of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) spot: Spot,
}

/// Invariants: see [`check`](Index::check).
#[derive(Debug)]
pub(crate) struct Index<C> {
    cells: C,
    segments: ChunkArray<Segment>,
    count: usize,
    /// The least power of two that is not below `count`, less 1.
    mask: usize,
    pub(crate) entries: usize,
    /// The segment that [`any`](Index::any) looks into first.
    hand: usize,
    /// The stack of blocks of so many lines.
    stacks: ClassStacks,
    fill: Fill,
    split_at: usize,
    merge_below: usize,
    pub(crate) splits: u64,
    pub(crate) merges: u64,
}

impl<C: Cells> Index<C> {
    pub(crate) fn new(cells: C, fill: Fill) -> Self {
        let mut index = Index {
            cells,
            fill,
            segments: ChunkArray::new(),
            count: 1,
            mask: 0,
            entries: 0,
            hand: 0,
            stacks: ClassStacks::new(MAX_LINES as u16 + 1),
            split_at: 0,
            merge_below: 0,
            splits: 0,
            merges: 0,
        };
        index.set_count(1);
        index
    }

    fn set_count(&mut self, count: usize) {
        self.count = count;
        self.mask = count.next_power_of_two() - 1;
        self.split_at = self.fill.split_at(count);
        self.merge_below = self.fill.merge_below(count);
    }

    #[inline]
    fn number(&self, hash: u64) -> usize {
        let number = hash as usize & self.mask;
        if number < self.count { number } else { number & (self.mask >> 1) }
    }

    /// What `recognise` makes of what an entry's cell holds, of the entry of this hash that it knows. O(1); touches one
    /// line, rarely two.
    #[inline(always)]
    pub(crate) fn find<'a, T>(
        &self,
        slots: Slots<'a>,
        hash: u64,
        recognise: impl FnMut(C::Content<'a>) -> Option<T>,
    ) -> Option<(Place, T)> {
        let number = self.number(hash);
        let segment = self.segments.find(number)?; // none where there never was an entry
        let (spot, entry) = segment.find(slots, self.cells, hash, recognise)?;
        Some((Place { segment: number as u32, spot }, entry))
    }

    /// The segment of `hash`, and how many of the hash's low bits say so.
    pub(crate) fn part(&self, hash: u64) -> (usize, u32) {
        let half = (self.mask >> 1) + usize::from(self.mask > 0);
        let low = hash as usize & half.wrapping_sub(1);
        let split = half > 0 && low + half < self.count;
        (self.number(hash), self.mask.count_ones() - u32::from(half > 0 && !split))
    }

    /// What the cell at `place` holds.
    #[inline(always)]
    pub(crate) fn content<'a>(&self, slots: Slots<'a>, place: Place) -> C::Content<'a> {
        let (lines, line) = self.line(slots, place.segment as usize, place.spot.line as usize);
        lines.content(line, place.spot.slot as usize)
    }

    /// Call `visit` with every place in use of a segment, and what its cell holds.
    pub(crate) fn each_place<'a>(&self, slots: Slots<'a>, number: usize, mut visit: impl FnMut(Place, C::Content<'a>)) {
        for at in 0..self.line_count(slots, number) {
            let (lines, line) = self.line(slots, number, at);
            for slot in 0..lines.head(line).count() {
                let spot = Spot { line: at as u32, slot: slot as u32 };
                visit(Place { segment: number as u32, spot }, lines.content(line, slot));
            }
        }
    }

    /// Ask for what a lookup of `hash`, which comes in a moment, reads first.
    #[inline]
    pub(crate) fn prefetch_line(&self, slots: Slots<'_>, hash: u64) {
        if self.entries > 0 {
            self.prefetch_home(slots, hash, prefetch);
        }
    }

    /// Ask for what lookups of `hashes` read first, all of them later.
    #[inline]
    pub(crate) fn prefetch_lines(&self, slots: Slots<'_>, hashes: &[u64]) {
        if self.entries > 0 {
            hashes.iter().for_each(|&hash| self.prefetch_home(slots, hash, prefetch_early));
        }
    }

    #[inline(always)]
    fn prefetch_home(&self, slots: Slots<'_>, hash: u64, ask: impl Fn(*const u8)) {
        self.segments.get(self.number(hash)).prefetch_home(slots, self.cells, hash, ask);
    }

    /// The entry that a lookup of `hash` will most likely read.
    #[inline]
    pub(crate) fn likely<'a>(&self, slots: Slots<'a>, hash: u64) -> Option<C::Content<'a>> {
        self.segments.get(self.number(hash)).likely(slots, self.cells, hash)
    }

    /// Index a new entry, to which `content` leads. O(1): at most one segment is rebuilt and one split.
    pub(crate) fn insert(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        content: C::Content<'_>,
        rehash: &impl Rehash<C>,
    ) -> Result<(), OutOfMemory> {
        if self.segments.capacity() == 0 {
            self.segments.reserve(&mut heap.memory, self.count)?;
        }
        let number = self.number(hash);
        let item = Item { content, x: x_of(hash) };
        let (cells, fill) = (self.cells, self.fill);
        let segment = self.segments.get_mut(number);
        let home_lines = segment.home_lines();
        let roomy = segment.count() < fill.capacity(home_lines);
        if roomy && place(&mut segment.lines_mut(heap, cells), item) {
            segment.add(1);
        } else {
            self.grow(heap, number, item, rehash)?;
        }
        self.entries += 1;
        self.split_if_due(heap, rehash);
        Ok(())
    }

    /// Take the entry at `place` out. O(1): at most one segment is rebuilt and two are merged.
    #[inline(always)]
    pub(crate) fn remove(&mut self, heap: &mut Heap, place: Place, rehash: &impl Rehash<C>) {
        let number = place.segment as usize;
        let segment = self.segments.get_mut(number);
        segment.remove(heap, self.cells, place.spot);
        let segment = *segment;
        self.entries -= 1;
        self.shrink_if_too_large(heap, number, segment, rehash);
        self.merge_if_due(heap, rehash);
    }

    /// Let the cell at `place` hold something else.
    #[inline(always)]
    pub(crate) fn set_content(&mut self, heap: &mut Heap, place: Place, content: C::Content<'_>) {
        let segment = self.segments.get(place.segment as usize);
        let (mut lines, line) = segment.lines_with_mut(heap, self.cells, place.spot.line as usize);
        lines.set_content(line, place.spot.slot as usize, content);
    }

    /// Lines of segment `number`, with those of its stash.
    #[inline]
    pub(crate) fn line_count(&self, slots: Slots<'_>, number: usize) -> usize {
        if number < self.segments.capacity() { self.segments.get(number).total_lines(slots, self.cells) } else { 0 }
    }

    /// Line `at` of segment `number`: which it is of which lines.
    #[inline]
    pub(crate) fn line<'a>(&self, slots: Slots<'a>, number: usize, at: usize) -> (Lines<'a, C>, usize) {
        self.segments.get(number).lines_with(slots, self.cells, at)
    }

    /// What the next cell of a walk in no particular order holds. O(1) on average.
    pub(crate) fn next<'a>(&self, slots: Slots<'a>, cursor: &mut Cursor) -> Option<C::Content<'a>> {
        while (cursor.segment as usize) < self.count {
            let number = cursor.segment as usize;
            while (cursor.line as usize) < self.line_count(slots, number) {
                let (lines, line) = self.line(slots, number, cursor.line as usize);
                if cursor.slot == 0 {
                    self.prefetch_walk(slots, &lines, line);
                }
                if (cursor.slot as usize) < lines.head(line).count() {
                    cursor.slot += 1;
                    return Some(lines.content(line, cursor.slot as usize - 1));
                }
                (cursor.line, cursor.slot) = (cursor.line + 1, 0);
            }
            *cursor = Cursor { segment: cursor.segment + 1, line: 0, slot: 0 };
        }
        None
    }

    /// A walk has come to `line`: its entries (at the first line) and those of the next will be wanted.
    fn prefetch_walk(&self, slots: Slots<'_>, lines: &Lines<'_, C>, line: usize) {
        let from = if line == 0 { 0 } else { line + 1 };
        for line in from..(line + 2).min(lines.len()) {
            (0..lines.head(line).count()).for_each(|slot| self.cells.prefetch(slots, lines.content(line, slot)));
        }
    }

    /// Some entry, or `None` if there is none. O(1) on average: segments take turns, each until it is empty. Were one
    /// always the first, it would stay empty, with all that come after it, and the others would fill without end where
    /// as many entries are set as are taken.
    pub(crate) fn any<'a>(&mut self, slots: Slots<'a>) -> Option<(Place, C::Content<'a>)> {
        if self.entries == 0 {
            return None;
        }
        let hand = self.hand.min(self.count);
        let has_entries = |&number: &usize| self.segments.get(number).count() > 0;
        self.hand = (hand..self.count).chain(0..hand).find(has_entries)?;
        self.last_of(slots, self.hand)
    }

    /// The last entry of a segment.
    fn last_of<'a>(&self, slots: Slots<'a>, number: usize) -> Option<(Place, C::Content<'a>)> {
        (0..self.line_count(slots, number)).rev().find_map(|at| {
            let (lines, line) = self.line(slots, number, at);
            let slot = lines.head(line).count().checked_sub(1)?;
            let spot = Spot { line: at as u32, slot: slot as u32 };
            Some((Place { segment: number as u32, spot }, lines.content(line, slot)))
        })
    }

    /// See [`RawTable::visit_part`](crate::table::RawTable::visit_part).
    pub(crate) fn visit_part<'a>(
        &self,
        slots: Slots<'a>,
        position: u64,
        rehash: &impl Rehash<C>,
        mut visit: impl FnMut(u64, Place, C::Content<'a>),
    ) -> Option<u64> {
        // Positions are hashes with their bits reversed: then a segment is a range of them, split and merged in place.
        let (number, bits) = self.part(position.reverse_bits());
        self.each_place(slots, number, |place, content| {
            let hash = rehash.hash(slots, content);
            if hash.reverse_bits() >= position {
                visit(hash, place, content);
            }
        });
        (position | u64::MAX.checked_shr(bits).unwrap_or(0)).checked_add(1)
    }

    /// What a table with this index holds, of which so many bytes are the index's, and so many are neither in `heap`
    /// nor the index's; but for the bytes of its entries.
    pub(crate) fn stats(&self, heap: &Heap, index_bytes: usize, own_bytes: usize, elsewhere: usize) -> Stats {
        let (blocks_got, blocks_returned) = heap.memory.traffic();
        let held_bytes = heap.memory.held() + own_bytes;
        let directory_bytes = heap.directory_bytes() + elsewhere + own_bytes;
        Stats {
            entries: self.entries,
            entry_bytes: 0,
            held_bytes,
            page_bytes: held_bytes - index_bytes - directory_bytes,
            index_bytes,
            directory_bytes,
            segments: self.count,
            splits: self.splits,
            merges: self.merges,
            blocks_got,
            blocks_returned,
        }
    }

    /// Forget everything; the blocks are the heap's to give back.
    pub(crate) fn clear(&mut self, heap: &mut Heap) {
        self.segments.clear(&mut heap.memory);
        self.stacks.clear(&mut heap.memory);
        let (splits, merges) = (self.splits, self.merges);
        *self = Index { splits, merges, ..Index::new(self.cells, self.fill) };
    }

    /// Whether a segment's block is at `handle`: O(segments), for the checker.
    pub(crate) fn owns_block(&self, handle: Handle) -> bool {
        let existing = 0..self.count.min(self.segments.capacity());
        existing.map(|number| self.segments.get(number)).any(|segment| segment.has_block() && segment.handle == handle)
    }

    /// Bytes of the tables of segments and stacks.
    pub(crate) fn table_bytes(&self) -> usize {
        self.segments.bytes() + self.stacks.bytes()
    }

    /// Bytes of the pages the blocks are in.
    pub(crate) fn block_bytes(&self, heap: &Heap) -> usize {
        self.stacks.iter().map(|stack| heap.stack_bytes(stack)).sum()
    }

    /// Walk every invariant: each entry is in the segment and near the home its hash names; counts and overflow counts
    /// are exact. `visit` is called with what every cell holds.
    pub(crate) fn check<'a>(&self, slots: Slots<'a>, rehash: &impl Rehash<C>, mut visit: impl FnMut(C::Content<'a>)) {
        let mut entries = 0;
        for number in 0..self.count.min(self.segments.capacity()) {
            entries += self.check_segment(slots, number, rehash, &mut visit);
        }
        assert_eq!(entries, self.entries);
    }

    fn check_segment<'a>(
        &self,
        slots: Slots<'a>,
        number: usize,
        rehash: &impl Rehash<C>,
        visit: &mut impl FnMut(C::Content<'a>),
    ) -> usize {
        let segment = self.segments.get(number);
        let lines = segment.lines(slots, self.cells);
        let mut elsewhere = [0u32; MAX_LINES];
        let mut count = 0;
        assert_eq!(segment.has_stash(), segment.total_lines(slots, self.cells) > lines.len());
        self.each_place(slots, number, |place, content| {
            let (at, slot) = (place.spot.line as usize, place.spot.slot as usize);
            let (block, line) = segment.lines_with(slots, self.cells, at);
            let hash = rehash.hash(slots, content);
            let (x, home) = (x_of(hash), home_of(x_of(hash), lines.len()));
            assert_eq!(self.number(hash), number, "an entry is in its segment");
            assert_eq!(block.head(line).tag(slot), x as u8);
            if at >= lines.len() {
                assert_eq!(lines.head(home).overflow(), SATURATED, "the stash is announced");
            } else {
                let displacement = block.head(line).displacement(slot);
                assert_eq!((home + displacement) % lines.len(), at, "an entry is near its home");
                elsewhere[home] += u32::from(displacement > 0);
            }
            count += 1;
            visit(content);
        });
        for (line, &elsewhere) in elsewhere.iter().enumerate().take(lines.len()) {
            let overflow = lines.head(line).overflow();
            assert!(overflow == elsewhere.min(SATURATED) || overflow == SATURATED);
        }
        assert_eq!(segment.count(), count);
        assert_eq!(count == 0, lines.is_empty(), "an empty segment has no block");
        count
    }
}

impl Index<Inline> {
    /// The bytes of the entry of this hash that `is` recognises, to write.
    #[inline(always)]
    pub(crate) fn find_mut<'a>(
        &self,
        heap: &'a mut Heap,
        hash: u64,
        is: impl FnMut(&[u8]) -> bool,
    ) -> Option<&'a mut [u8]> {
        let segment = self.segments.find(self.number(hash))?;
        segment.find_mut(heap, self.cells, hash, is)
    }

    /// The bytes of the entry at `place`, to write.
    #[inline(always)]
    pub(crate) fn content_mut<'a>(&self, heap: &'a mut Heap, place: Place) -> &'a mut [u8] {
        let segment = self.segments.get(place.segment as usize);
        segment.entry_mut(heap, self.cells, place.spot)
    }

    /// Walk over the blocks of a heap that has no others: each is some segment's.
    pub(crate) fn check_blocks(&self, heap: &Heap) {
        let mut blocks = 0;
        let mut visit = |handle| {
            assert!(self.owns_block(handle), "every block is a segment's");
            blocks += 1;
        };
        self.stacks.iter().for_each(|stack| heap.each_slot(stack, &mut visit));
        heap.each_lone(&mut visit);
        let numbers = 0..self.count.min(self.segments.capacity());
        assert_eq!(blocks, numbers.filter(|&number| self.segments.get(number).has_block()).count());
    }
}

impl Index<Handles> {
    /// The entry that was at handle `moved.from` is at `moved.to`.
    #[inline(always)]
    pub(crate) fn relocate(&mut self, heap: &mut Heap, hash: u64, moved: Moved) {
        let segment = self.segments.get(self.number(hash));
        segment.relocate(heap, self.cells, hash, moved);
    }
}
