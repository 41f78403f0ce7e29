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
use crate::fill::Fill;
use crate::head::{SATURATED, SLOTS};
use crate::heap::{Handle, Heap, Moved, StackId};
use crate::lines::{Cells, Handles, Inline, Lines, block_bytes, lines_in};
use crate::memory::OutOfMemory;
use crate::segment::{Item, MAX_LINES, Segment, Spot, home_of, place, place_or_stash, pour, slots, x_of};
use crate::table::{Cursor, Stats};
use crate::tags::{prefetch, prefetch_all, prefetch_early};
use std::cell::RefCell;

/// After a split that got no memory, so many entries pass before the next is tried.
const RETRY_AFTER: usize = 64;

/// Where an entry is in the index: good until the next change of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) spot: Spot,
}

/// Gives an entry's hash from what its cell holds.
pub(crate) trait Rehash<C: Cells>: Fn(&Heap, C::Content) -> u64 {}
impl<C: Cells, F: Fn(&Heap, C::Content) -> u64> Rehash<C> for F {}

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
    /// The stack of blocks of so many lines, plus 1; 0 if there is none yet.
    stacks: [StackId; MAX_LINES + 1],
    fill: Fill,
    split_at: usize,
    merge_below: usize,
    pub(crate) splits: u64,
    pub(crate) merges: u64,
}

/// Entries on their way from block to block.
type Items<C> = Vec<Item<<C as Cells>::Content>>;

/// Cells of which there are two such lists for each thread: at most a few segments' worth is kept.
pub(crate) trait Scratch: Cells {
    fn with_scratch<R>(work: impl FnOnce(&mut Items<Self>, &mut Items<Self>) -> R) -> R;
}

macro_rules! scratch {
    ($cells:ty) => {
        impl Scratch for $cells {
            fn with_scratch<R>(work: impl FnOnce(&mut Items<Self>, &mut Items<Self>) -> R) -> R {
                thread_local! {
                    static SCRATCH: RefCell<[Items<$cells>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
                }
                SCRATCH.with_borrow_mut(|[first, second]| {
                    first.clear(); // of what a panic left
                    second.clear();
                    let result = work(first, second);
                    for items in [first, second] {
                        items.clear();
                        items.shrink_to(SCRATCH_KEPT);
                    }
                    result
                })
            }
        }
    };
}

scratch!(Handles);
scratch!(Inline);
const SCRATCH_KEPT: usize = 2048;

impl<C: Scratch> Index<C> {
    pub(crate) fn new(cells: C, fill: Fill) -> Self {
        let mut index = Index {
            cells,
            fill,
            segments: ChunkArray::new(),
            count: 1,
            mask: 0,
            entries: 0,
            hand: 0,
            stacks: [0; MAX_LINES + 1],
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
    pub(crate) fn find<T>(
        &self,
        heap: &Heap,
        hash: u64,
        recognise: impl FnMut(C::Content) -> Option<T>,
    ) -> Option<(Place, T)> {
        if self.entries == 0 {
            return None;
        }
        let number = self.number(hash);
        let (spot, entry) = self.segments.get(number).find(heap, self.cells, hash, recognise)?;
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
    pub(crate) fn content(&self, heap: &Heap, place: Place) -> C::Content {
        let segment = self.segments.get(place.segment as usize);
        let (lines, line) = segment.lines_with(heap, self.cells, place.spot.line as usize);
        lines.content(line, place.spot.slot as usize)
    }

    /// Call `visit` with every place in use of a segment, and what its cell holds.
    pub(crate) fn each_place(&self, heap: &Heap, number: usize, mut visit: impl FnMut(Place, C::Content)) {
        for at in 0..self.line_count(heap, number) {
            let (lines, line) = self.line(heap, number, at);
            for slot in 0..lines.head(line).count() {
                let spot = Spot { line: at as u32, slot: slot as u32 };
                visit(Place { segment: number as u32, spot }, lines.content(line, slot));
            }
        }
    }

    /// Ask for what a lookup of `hash`, which comes in a moment, reads first.
    #[inline]
    pub(crate) fn prefetch_line(&self, hash: u64) {
        if self.entries > 0 {
            prefetch(self.home_line(hash));
        }
    }

    /// Ask for what lookups of `hashes` read first, all of them later.
    #[inline]
    pub(crate) fn prefetch_lines(&self, hashes: &[u64]) {
        if self.entries > 0 {
            hashes.iter().for_each(|&hash| prefetch_early(self.home_line(hash)));
        }
    }

    #[inline]
    fn home_line(&self, hash: u64) -> *const u8 {
        self.segments.get(self.number(hash)).home_line(self.cells, hash)
    }

    /// The entry that a lookup of `hash` will most likely read.
    #[inline]
    pub(crate) fn likely(&self, hash: u64) -> Option<C::Content> {
        self.segments.get(self.number(hash)).likely(self.cells, hash)
    }

    /// Index a new entry, to which `content` leads. O(1): at most one segment is rebuilt and one split.
    pub(crate) fn insert(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        content: C::Content,
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
        if self.entries >= self.split_at && self.split(heap, rehash).is_err() {
            self.split_at = self.entries + RETRY_AFTER;
        }
        Ok(())
    }

    /// Add an entry to a segment that wants more lines; one with room left does without when memory is short.
    #[cold]
    fn grow(
        &mut self,
        heap: &mut Heap,
        number: usize,
        item: Item<C::Content>,
        rehash: &impl Rehash<C>,
    ) -> Result<(), OutOfMemory> {
        let segment = *self.segments.get(number);
        if segment.has_stash() && self.squeeze(heap, number, item) {
            return Ok(());
        }
        let lines = self.lines_to_grow(heap, segment.count() + 1);
        let rebuilt = self.rebuild(heap, &[segment], Some(item), lines, rehash);
        match rebuilt {
            Ok(new) => {
                self.replace(heap, number, new, rehash);
                Ok(())
            }
            Err(OutOfMemory) if self.squeeze(heap, number, item) => Ok(()),
            Err(OutOfMemory) => Err(OutOfMemory),
        }
    }

    /// Put an entry into a segment as it is, over its usual load.
    fn squeeze(&mut self, heap: &mut Heap, number: usize, item: Item<C::Content>) -> bool {
        let segment = self.segments.get_mut(number);
        let done = segment.has_block() && place_or_stash(segment, heap, self.cells, item);
        segment.add(usize::from(done));
        done
    }

    /// Give the segment `number` the block of `new`, and its old block back.
    fn replace(&mut self, heap: &mut Heap, number: usize, new: Segment, rehash: &impl Rehash<C>) {
        let old = std::mem::replace(self.segments.get_mut(number), new);
        self.release(heap, old, None, rehash);
    }

    /// Give back the block of a segment that is no longer in the array. The block that moves into its place is told
    /// to its segment: `pending`, which is in the array no more either, or else the one its entries hash to.
    fn release(&mut self, heap: &mut Heap, old: Segment, pending: Option<&mut Segment>, rehash: &impl Rehash<C>) {
        if !old.has_block() {
            return;
        }
        let Some(Moved { from, to }) = heap.remove(old.handle).moved else {
            return;
        };
        let owner = match pending {
            Some(pending) if pending.has_block() && pending.handle == from => pending,
            _ => {
                let number = self.number(rehash(heap, any_entry(heap, self.cells, to)));
                self.segments.get_mut(number)
            }
        };
        debug_assert_eq!(owner.handle, from);
        owner.move_to(heap, to, owner.home_lines());
    }

    /// Ask for what giving a segment another block reads: its block, and the one that will take that one's place.
    fn prefetch_blocks(&self, heap: &Heap, segment: &Segment) {
        if segment.has_block() {
            prefetch_all(heap.slot(segment.handle));
            let last = heap.stack_of(segment.handle).and_then(|stack| heap.last(stack));
            last.into_iter().for_each(|last| prefetch_all(heap.slot(last)));
        }
    }

    /// A new block with all entries of some segments and one more, of `lines` home lines or a few more.
    fn rebuild(
        &mut self,
        heap: &mut Heap,
        sources: &[Segment],
        extra: Option<Item<C::Content>>,
        lines: usize,
        rehash: &impl Rehash<C>,
    ) -> Result<Segment, OutOfMemory> {
        sources.iter().for_each(|from| self.prefetch_blocks(heap, from));
        for more in MORE_LINES {
            let mut new = self.new_block(heap, (lines + more).min(MAX_LINES), 0)?;
            let mut to = new.lines_mut(heap, self.cells);
            if sources.iter().all(|from| pour(from, heap, &mut to, rehash))
                && extra.is_none_or(|item| place(&mut to, item))
            {
                new.add(sources.iter().map(Segment::count).sum::<usize>() + usize::from(extra.is_some()));
                return Ok(new);
            }
            heap.remove(new.handle); // the last of its stack: nothing moves
        }
        C::with_scratch(|items, _| {
            for from in sources {
                gather(heap, self.cells, from, rehash, items)?;
            }
            items.try_reserve(1).map_err(|_| OutOfMemory)?;
            items.extend(extra);
            self.build_with_stash(heap, items, lines.min(MAX_LINES))
        })
    }

    /// A new block with all of `items`, of `lines` home lines or a few more.
    fn build(&mut self, heap: &mut Heap, items: &[Item<C::Content>], lines: usize) -> Result<Segment, OutOfMemory> {
        if items.is_empty() {
            return Ok(Segment::EMPTY);
        }
        for more in MORE_LINES {
            let lines = (lines + more).min(MAX_LINES);
            let mut segment = self.new_block(heap, lines, 0)?;
            let mut to = segment.lines_mut(heap, self.cells);
            if items.iter().all(|&item| place(&mut to, item)) {
                segment.add(items.len());
                return Ok(segment);
            }
            heap.remove(segment.handle); // the last of its stack: nothing moves
        }
        self.build_with_stash(heap, items, lines.min(MAX_LINES))
    }

    /// As [`build`](Self::build), for entries of which too many have the same home.
    #[cold]
    fn build_with_stash(
        &mut self,
        heap: &mut Heap,
        items: &[Item<C::Content>],
        lines: usize,
    ) -> Result<Segment, OutOfMemory> {
        let mut trial = self.new_block(heap, lines, 0)?;
        let mut trial_lines = trial.lines_mut(heap, self.cells);
        let homeless = items.iter().filter(|&&item| !place(&mut trial_lines, item)).count();
        heap.remove(trial.handle);
        let stash = (homeless + homeless / 8).div_ceil(SLOTS) + 1;
        let mut segment = self.new_block(heap, lines, stash)?;
        for &item in items {
            let placed = place_or_stash(&mut segment, heap, self.cells, item);
            debug_assert!(placed);
        }
        segment.add(items.len());
        Ok(segment)
    }

    /// A block with a stash is on its own: those in stacks have as many home lines as there is room for.
    fn new_block(&mut self, heap: &mut Heap, lines: usize, stash: usize) -> Result<Segment, OutOfMemory> {
        let bytes = block_bytes(self.cells, lines + stash);
        if stash > 0 {
            let handle = heap.push_lone(bytes)?;
            return Ok(Segment::over(heap, self.cells, handle, lines, true));
        }
        if self.stacks[lines] == 0 {
            self.stacks[lines] = heap.new_stack(bytes, self.fill.growth(), 0)? + 1;
        }
        let handle = heap.push(self.stacks[lines] - 1)?;
        Ok(Segment::over(heap, self.cells, handle, lines, false))
    }

    fn lines_to_grow(&mut self, heap: &Heap, entries: usize) -> usize {
        self.fill = self.fill.where_entries_take(heap.memory.held() / self.entries.max(1));
        self.fill.lines_to_grow(entries, self.entries)
    }

    /// One segment more: split the one that is due. O(a segment).
    #[cold]
    fn split(&mut self, heap: &mut Heap, rehash: &impl Rehash<C>) -> Result<(), OutOfMemory> {
        let new = self.count;
        let bit = (new + 1).next_power_of_two() >> 1;
        let source = new - bit;
        self.segments.reserve(&mut heap.memory, new + 1)?;
        let old = *self.segments.get(source);
        self.prefetch_blocks(heap, &old);
        let (low, high) = C::with_scratch(|low, high| {
            gather_split(heap, self.cells, &old, bit as u64, rehash, low, high)?;
            let lines = (self.lines_to_grow(heap, low.len()), self.lines_to_grow(heap, high.len()));
            let low = self.build(heap, low, lines.0)?;
            match self.build(heap, high, lines.1) {
                Ok(high) => Ok((low, high)),
                Err(OutOfMemory) => {
                    if low.has_block() {
                        heap.remove(low.handle); // the last of its stack
                    }
                    Err(OutOfMemory)
                }
            }
        })?;
        *self.segments.get_mut(source) = low;
        *self.segments.get_mut(new) = high;
        self.set_count(new + 1);
        self.splits += 1;
        self.release(heap, old, None, rehash);
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
        // Shrinking is never owed: where memory is short it is skipped, and tried again at the next removal.
        if segment.count() == 0 || self.is_too_large(heap, &segment) {
            let _ = self.shrink(heap, number, rehash);
        }
        if self.entries < self.merge_below {
            let _ = self.merge(heap, rehash);
        }
    }

    /// Fewer lines for a segment that has too many.
    #[cold]
    fn shrink(&mut self, heap: &mut Heap, number: usize, rehash: &impl Rehash<C>) -> Result<(), OutOfMemory> {
        let segment = *self.segments.get(number);
        if segment.count() == 0 {
            self.replace(heap, number, Segment::EMPTY, rehash);
            return Ok(());
        }
        let lines = self.fill.lines_to_shrink(segment.count(), self.entries);
        let new = self.rebuild(heap, &[segment], None, lines, rehash)?;
        self.replace(heap, number, new, rehash);
        Ok(())
    }

    #[inline(always)]
    fn is_too_large(&self, heap: &Heap, segment: &Segment) -> bool {
        let (count, home_lines) = (segment.count(), segment.home_lines());
        if segment.has_stash() {
            self.is_stash_too_large(heap, segment)
        } else {
            self.fill.is_too_large(home_lines, count, self.entries)
        }
    }

    #[cold]
    fn is_stash_too_large(&self, heap: &Heap, segment: &Segment) -> bool {
        let stash = segment.stash(heap, self.cells);
        let stashed: usize = (0..stash.len()).map(|line| stash.head(line).count()).sum();
        stashed * 2 + SLOTS < slots(stash.len())
            || segment.count() * 2 + 6 <= self.fill.capacity_of_fewer(segment.home_lines())
    }

    /// One segment fewer: merge the last into the one it was split from. O(a segment).
    #[cold]
    fn merge(&mut self, heap: &mut Heap, rehash: &impl Rehash<C>) -> Result<(), OutOfMemory> {
        let last = self.count - 1;
        let target = last - (self.count.next_power_of_two() >> 1);
        let (mut first, second) = (*self.segments.get(target), *self.segments.get(last));
        let count = first.count() + second.count();
        let lines = self.fill.lines_to_shrink(count, self.entries);
        let rebuilt = match count {
            0 => Ok(Segment::EMPTY),
            _ => self.rebuild(heap, &[first, second], None, lines, rehash),
        };
        let Ok(merged) = rebuilt else {
            return self.merge_in_place(heap, target, rehash);
        };
        *self.segments.get_mut(target) = merged;
        *self.segments.get_mut(last) = Segment::EMPTY;
        self.set_count(last);
        self.merges += 1;
        self.release(heap, second, Some(&mut first), rehash);
        self.release(heap, first, None, rehash);
        self.segments.truncate(&mut heap.memory, last);
        Ok(())
    }

    /// As [`merge`](Self::merge), where there is no memory for a new block: into the larger of both, if all find room
    /// there.
    #[cold]
    fn merge_in_place(&mut self, heap: &mut Heap, target: usize, rehash: &impl Rehash<C>) -> Result<(), OutOfMemory> {
        let last = self.count - 1;
        let (mut host, mut guest) = (*self.segments.get(target), *self.segments.get(last));
        if host.home_lines() < guest.home_lines() {
            (host, guest) = (guest, host);
        }
        if host.has_stash() || guest.has_stash() || !take_in(heap, self.cells, &mut host, &guest, rehash) {
            return Err(OutOfMemory);
        }
        *self.segments.get_mut(target) = host;
        *self.segments.get_mut(last) = Segment::EMPTY;
        self.set_count(last);
        self.merges += 1;
        self.release(heap, guest, None, rehash);
        self.segments.truncate(&mut heap.memory, last);
        Ok(())
    }

    /// Let the cell at `place` hold something else.
    pub(crate) fn set_content(&mut self, heap: &mut Heap, place: Place, content: C::Content) {
        let segment = self.segments.get_mut(place.segment as usize);
        let (mut lines, line) = segment.lines_with_mut(heap, self.cells, place.spot.line as usize);
        lines.set_content(line, place.spot.slot as usize, content);
    }

    /// Lines of segment `number`, with those of its stash.
    #[inline]
    pub(crate) fn line_count(&self, heap: &Heap, number: usize) -> usize {
        if number < self.segments.capacity() { self.segments.get(number).total_lines(heap, self.cells) } else { 0 }
    }

    /// Line `at` of segment `number`: which it is of which lines.
    #[inline]
    pub(crate) fn line<'a>(&'a self, heap: &'a Heap, number: usize, at: usize) -> (Lines<'a, C>, usize) {
        self.segments.get(number).lines_with(heap, self.cells, at)
    }

    /// What the next cell of a walk in no particular order holds. O(1) on average.
    pub(crate) fn next(&self, heap: &Heap, cursor: &mut Cursor) -> Option<C::Content> {
        while (cursor.segment as usize) < self.count {
            let number = cursor.segment as usize;
            while (cursor.line as usize) < self.line_count(heap, number) {
                let (lines, line) = self.line(heap, number, cursor.line as usize);
                if cursor.slot == 0 {
                    self.prefetch_walk(heap, &lines, line);
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
    fn prefetch_walk(&self, heap: &Heap, lines: &Lines<'_, C>, line: usize) {
        let from = if line == 0 { 0 } else { line + 1 };
        for line in from..(line + 2).min(lines.len()) {
            (0..lines.head(line).count()).for_each(|slot| self.cells.prefetch(heap, lines.content(line, slot)));
        }
    }

    /// Some entry, or `None` if there is none. O(1) on average: segments take turns, each until it is empty. Were one
    /// always the first, it would stay empty, with all that come after it, and the others would fill without end where
    /// as many entries are set as are taken.
    pub(crate) fn any(&mut self, heap: &Heap) -> Option<(Place, C::Content)> {
        if self.entries == 0 {
            return None;
        }
        let hand = self.hand.min(self.count);
        let has_entries = |&number: &usize| self.segments.get(number).count() > 0;
        self.hand = (hand..self.count).chain(0..hand).find(has_entries)?;
        self.last_of(heap, self.hand)
    }

    /// The last entry of a segment.
    fn last_of(&self, heap: &Heap, number: usize) -> Option<(Place, C::Content)> {
        (0..self.line_count(heap, number)).rev().find_map(|at| {
            let (lines, line) = self.line(heap, number, at);
            let slot = lines.head(line).count().checked_sub(1)?;
            let spot = Spot { line: at as u32, slot: slot as u32 };
            Some((Place { segment: number as u32, spot }, lines.content(line, slot)))
        })
    }

    /// See [`RawTable::visit_part`](crate::table::RawTable::visit_part).
    pub(crate) fn visit_part(
        &self,
        heap: &Heap,
        position: u64,
        rehash: &impl Rehash<C>,
        mut visit: impl FnMut(Place, C::Content),
    ) -> Option<u64> {
        // Positions are hashes with their bits reversed: then a segment is a range of them, split and merged in place.
        let (number, bits) = self.part(position.reverse_bits());
        self.each_place(heap, number, |place, content| {
            if rehash(heap, content).reverse_bits() >= position {
                visit(place, content);
            }
        });
        (position | u64::MAX.checked_shr(bits).unwrap_or(0)).checked_add(1)
    }

    /// What a table with this index holds, of which so many bytes are the index's, and so many are neither in `heap`
    /// nor the index's; but for the bytes of its entries.
    pub(crate) fn stats(&self, heap: &Heap, index_bytes: usize, own_bytes: usize, elsewhere: usize) -> Stats {
        let (blocks_got, blocks_returned) = heap.memory.traffic();
        let held_bytes = heap.memory.held() + own_bytes;
        let spare_bytes = heap.spare_bytes();
        let directory_bytes = heap.directory_bytes() + elsewhere + own_bytes;
        Stats {
            entries: self.entries,
            entry_bytes: 0,
            held_bytes,
            page_bytes: held_bytes - index_bytes - spare_bytes - directory_bytes,
            index_bytes,
            spare_bytes,
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
        let (splits, merges) = (self.splits, self.merges);
        *self = Index { splits, merges, ..Index::new(self.cells, self.fill) };
    }

    /// Whether a segment's block is at `handle`: O(segments), for the checker.
    pub(crate) fn owns_block(&self, handle: Handle) -> bool {
        let existing = 0..self.count.min(self.segments.capacity());
        existing.map(|number| self.segments.get(number)).any(|segment| segment.has_block() && segment.handle == handle)
    }

    /// Bytes of the segment array.
    pub(crate) fn table_bytes(&self) -> usize {
        self.segments.bytes()
    }

    /// Bytes of the pages the blocks are in.
    pub(crate) fn block_bytes(&self, heap: &Heap) -> usize {
        let stacks = self.stacks.iter().filter(|&&stack| stack > 0);
        stacks.map(|&stack| heap.stack_bytes(stack - 1)).sum()
    }

    /// Walk every invariant: each entry is in the segment and near the home its hash names; counts and overflow counts
    /// are exact; blocks are where their segments say. `visit` is called with what every cell holds.
    pub(crate) fn check(&self, heap: &Heap, rehash: &impl Rehash<C>, mut visit: impl FnMut(C::Content)) {
        let mut entries = 0;
        for number in 0..self.count.min(self.segments.capacity()) {
            let segment = self.segments.get(number);
            let lines = segment.lines(self.cells);
            let mut elsewhere = [0u32; MAX_LINES];
            let mut count = 0;
            assert_eq!(segment.has_stash(), segment.total_lines(heap, self.cells) > lines.len());
            self.each_place(heap, number, |place, content| {
                let (at, slot) = (place.spot.line as usize, place.spot.slot as usize);
                let (block, line) = segment.lines_with(heap, self.cells, at);
                let hash = rehash(heap, content);
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
            assert!(count == 0 || std::ptr::eq(heap.slot(segment.handle).as_ptr(), lines.base()));
            entries += count;
        }
        assert_eq!(entries, self.entries);
    }
}

impl Index<Inline> {
    /// Walk over the blocks of a heap that has no others: each is some segment's.
    pub(crate) fn check_blocks(&self, heap: &Heap) {
        let mut blocks = 0;
        let mut visit = |handle| {
            assert!(self.owns_block(handle), "every block is a segment's");
            blocks += 1;
        };
        for stack in self.stacks.iter().filter_map(|stack| stack.checked_sub(1)) {
            heap.each_slot(stack, &mut visit);
        }
        heap.each_lone(&mut visit);
        let numbers = 0..self.count.min(self.segments.capacity());
        assert_eq!(blocks, numbers.filter(|&number| self.segments.get(number).has_block()).count());
    }
}

impl Index<Handles> {
    /// The entry that was at handle `moved.from` is at `moved.to`.
    #[inline(always)]
    pub(crate) fn relocate(&mut self, heap: &mut Heap, hash: u64, moved: Moved) {
        let found = self.find(heap, hash, |handle| (handle == moved.from).then_some(()));
        let (place, ()) = found.expect("a moved entry is indexed");
        self.set_content(heap, place, moved.to);
    }
}

/// When entries don't all find room in a block, one with so many lines more is tried.
const MORE_LINES: [usize; 4] = [0, 1, 2, 4];

/// Put the entries of one segment into the block of another beside its own: all, or none.
fn take_in<C: Cells>(heap: &mut Heap, cells: C, host: &mut Segment, guest: &Segment, rehash: &impl Rehash<C>) -> bool {
    let mut before = Vec::new();
    let block = heap.slot(host.handle);
    if (host.count() + guest.count()) * 4 > slots(host.home_lines()) * 3
        || before.try_reserve_exact(block.len()).is_err()
    {
        return false;
    }
    before.extend_from_slice(block);
    let mut lines = host.lines_mut(heap, cells);
    let done = pour(guest, heap, &mut lines, rehash);
    if done {
        host.add(guest.count());
    } else {
        heap.slot_mut(host.handle).copy_from_slice(&before);
    }
    done
}

/// What the cell of any entry of a block without a stash holds; it has one.
fn any_entry<C: Cells>(heap: &Heap, cells: C, block: Handle) -> C::Content {
    let mut segment = Segment::EMPTY;
    segment.move_to(heap, block, lines_in(cells, heap.slot(block).len()));
    let lines = segment.lines(cells);
    let line = (0..lines.len()).find(|&line| lines.head(line).count() > 0);
    lines.content(line.expect("a block has an entry"), 0)
}

/// Add a segment's entries to `items`.
fn gather<C: Cells>(
    heap: &Heap,
    cells: C,
    segment: &Segment,
    rehash: &impl Rehash<C>,
    items: &mut Items<C>,
) -> Result<(), OutOfMemory> {
    items.try_reserve(segment.count()).map_err(|_| OutOfMemory)?;
    segment.each(heap, cells, |content| items.push(Item { content, x: x_of(rehash(heap, content)) }));
    Ok(())
}

/// Part a segment's entries by a bit of their hashes, which only the entries know.
fn gather_split<C: Cells>(
    heap: &Heap,
    cells: C,
    segment: &Segment,
    bit: u64,
    rehash: &impl Rehash<C>,
    low: &mut Items<C>,
    high: &mut Items<C>,
) -> Result<(), OutOfMemory> {
    for items in [&mut *low, &mut *high] {
        items.try_reserve(segment.count()).map_err(|_| OutOfMemory)?;
    }
    segment.each(heap, cells, |content| cells.prefetch(heap, content));
    segment.each(heap, cells, |content| {
        let hash = rehash(heap, content);
        let items = if hash & bit == 0 { &mut *low } else { &mut *high };
        items.push(Item { content, x: x_of(hash) });
    });
    Ok(())
}
