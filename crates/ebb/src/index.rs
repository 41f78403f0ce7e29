//! Hash to handle: linear hashing over segments that are each as large as their contents need.
//!
//! There are `count` segments; the low bits of a hash choose one (as many bits as `count` needs; a number not in use
//! yet means the segment it will be split from). Growing by one segment splits one in two, shrinking merges two, in
//! an order given by `count` alone: no directory, nothing that doubles. The splits of a doubling are put off until a
//! segment holds `SPLIT_FROM` entries on average, so that segments stay within a factor of 2.5 of each other.
//! Within a segment, lines are added and taken away one at a time (see [`segment`](crate::segment)).

use crate::chunks::ChunkArray;
use crate::heap::{Growth, Handle, Heap, Moved, StackId};
use crate::line::{Line, SLOTS};
use crate::memory::OutOfMemory;
use crate::segment::{Candidates, Item, MAX_LINES, Segment, Spot, place, place_or_stash, slots, x_of};
use crate::tags::prefetch;
use std::cell::RefCell;

/// Average entries in an unsplit segment when a doubling begins, and how many more until it is done.
const SPLIT_FROM: usize = 224;
const SPLIT_OVER: usize = 56;
/// Below this many entries, blocks are made with room to spare: the memory is within the promise's fixed part.
const SMALL_TABLE: usize = 8 << 10;
/// After a split that got no memory, so many entries pass before the next is tried.
const RETRY_AFTER: usize = 64;

/// Where an entry is in the index: good until the next change of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) spot: Spot,
}

/// Gives an entry's hash from its handle.
pub(crate) trait Rehash: Fn(&Heap, Handle) -> u64 {}
impl<F: Fn(&Heap, Handle) -> u64> Rehash for F {}

/// Invariants: see [`check`](Index::check).
#[derive(Debug)]
pub(crate) struct Index {
    segments: ChunkArray<Segment>,
    count: usize,
    /// The least power of two that is not below `count`, less 1.
    mask: usize,
    pub(crate) entries: usize,
    /// The stack of blocks of so many lines, plus 1; 0 if there is none yet.
    stacks: [StackId; MAX_LINES + 1],
    fill: Fill,
    split_at: usize,
    merge_below: usize,
    pub(crate) splits: u64,
    pub(crate) merges: u64,
}

thread_local! {
    /// Entries on their way from block to block; at most a few segments' worth is kept.
    static SCRATCH: RefCell<[Vec<Item>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}
const SCRATCH_KEPT: usize = 2048;

fn with_scratch<R>(work: impl FnOnce(&mut Vec<Item>, &mut Vec<Item>) -> R) -> R {
    SCRATCH.with_borrow_mut(|[first, second]| {
        let result = work(first, second);
        for items in [first, second] {
            items.clear();
            items.shrink_to(SCRATCH_KEPT);
        }
        result
    })
}

impl Index {
    pub(crate) fn new(fill: Fill) -> Self {
        let mut index = Index {
            fill,
            segments: ChunkArray::new(),
            count: 1,
            mask: 0,
            entries: 0,
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
        self.split_at = split_at(count);
        self.merge_below = merge_below(count);
    }

    /// Segments now.
    pub(crate) fn segment_count(&self) -> usize {
        self.count
    }

    #[inline]
    fn number(&self, hash: u64) -> usize {
        let number = hash as usize & self.mask;
        if number < self.count { number } else { number & (self.mask >> 1) }
    }

    /// The entry of this hash that `is` recognises. O(1); touches one line, rarely two.
    #[inline(always)]
    pub(crate) fn find(&self, heap: &Heap, hash: u64, is: impl FnMut(Handle) -> bool) -> Option<Place> {
        if self.entries == 0 {
            return None;
        }
        let number = self.number(hash);
        let spot = self.segments.get(number).find(heap, hash, is)?;
        Some(Place { segment: number as u32, spot })
    }

    /// The entries that a lookup of `hash` begins with, and their segment; there is at least one entry.
    #[inline(always)]
    pub(crate) fn candidates(&self, hash: u64) -> (u32, Candidates<'_>) {
        let number = self.number(hash);
        (number as u32, self.segments.get(number).candidates(hash))
    }

    /// The segment of `hash`, and how many of the hash's low bits say so.
    pub(crate) fn part(&self, hash: u64) -> (usize, u32) {
        let half = (self.mask >> 1) + usize::from(self.mask > 0);
        let low = hash as usize & half.wrapping_sub(1);
        let split = half > 0 && low + half < self.count;
        (self.number(hash), self.mask.count_ones() - u32::from(half > 0 && !split))
    }

    /// Call `visit` with every place in use of a segment.
    pub(crate) fn each_place(&self, heap: &Heap, number: usize, mut visit: impl FnMut(Place)) {
        if self.entries == 0 {
            return;
        }
        for (at, line) in self.lines_of(heap, number).iter().enumerate() {
            for slot in 0..line.count() {
                let spot = Spot { line: at as u32, slot: slot as u32, handle: line.handle(slot) };
                visit(Place { segment: number as u32, spot });
            }
        }
    }

    /// Ask for what a lookup of `hash` reads first.
    #[inline]
    pub(crate) fn prefetch_line(&self, hash: u64) {
        self.segments.get(self.number(hash)).prefetch(hash);
    }

    /// The entry that a lookup of `hash` will most likely read.
    #[inline]
    pub(crate) fn likely(&self, hash: u64) -> Option<Handle> {
        self.segments.get(self.number(hash)).likely(hash)
    }

    /// Index a new entry, already written to the heap. O(1): at most one segment is rebuilt and one split.
    pub(crate) fn insert(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        handle: Handle,
        rehash: &impl Rehash,
    ) -> Result<(), OutOfMemory> {
        if self.segments.capacity() == 0 {
            self.segments.reserve(&mut heap.memory, self.count)?;
        }
        let number = self.number(hash);
        let item = Item { handle, x: x_of(hash) };
        let fill = self.fill;
        let segment = self.segments.get_mut(number);
        let home_lines = segment.home_lines();
        let roomy = segment.count() < fill.capacity(home_lines);
        if roomy && place(segment.lines_mut(heap), item) {
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
    fn grow(&mut self, heap: &mut Heap, number: usize, item: Item, rehash: &impl Rehash) -> Result<(), OutOfMemory> {
        let segment = *self.segments.get(number);
        if segment.has_stash() && self.squeeze(heap, number, item) {
            return Ok(());
        }
        let rebuilt = with_scratch(|items, _| {
            gather(heap, &segment, rehash, items)?;
            items.try_reserve(1).map_err(|_| OutOfMemory)?;
            items.push(item);
            let lines = self.lines_to_grow(heap, items.len());
            self.build(heap, items, lines)
        });
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
    fn squeeze(&mut self, heap: &mut Heap, number: usize, item: Item) -> bool {
        let segment = self.segments.get_mut(number);
        let home_lines = segment.home_lines();
        let done = home_lines > 0 && place_or_stash(segment.all_lines_mut(heap), home_lines, item);
        segment.add(usize::from(done));
        done
    }

    /// Give the segment `number` the block of `new`, and its old block back.
    fn replace(&mut self, heap: &mut Heap, number: usize, new: Segment, rehash: &impl Rehash) {
        let old = std::mem::replace(self.segments.get_mut(number), new);
        self.release(heap, old, None, rehash);
    }

    /// Give back the block of a segment that is no longer in the array. The block that moves into its place is told
    /// to its segment: `pending`, which is in the array no more either, or else the one its entries hash to.
    fn release(&mut self, heap: &mut Heap, old: Segment, pending: Option<&mut Segment>, rehash: &impl Rehash) {
        if !old.has_block() {
            return;
        }
        let Some(Moved { from, to }) = heap.remove(old.handle).moved else {
            return;
        };
        let owner = match pending {
            Some(pending) if pending.has_block() && pending.handle == from => pending,
            _ => {
                let number = self.number(rehash(heap, any_entry(heap, to)));
                self.segments.get_mut(number)
            }
        };
        debug_assert_eq!(owner.handle, from);
        owner.move_to(heap, to, owner.home_lines());
    }

    /// A new block with all of `items`, of `lines` home lines or a few more.
    fn build(&mut self, heap: &mut Heap, items: &[Item], lines: usize) -> Result<Segment, OutOfMemory> {
        if items.is_empty() {
            return Ok(Segment::EMPTY);
        }
        for more in [0, 1, 2, 4] {
            let lines = (lines + more).min(MAX_LINES);
            let mut segment = self.new_block(heap, lines, 0)?;
            if items.iter().all(|&item| place(segment.lines_mut(heap), item)) {
                segment.add(items.len());
                return Ok(segment);
            }
            heap.remove(segment.handle); // the last of its stack: nothing moves
        }
        self.build_with_stash(heap, items, lines.min(MAX_LINES))
    }

    /// As [`build`](Self::build), for entries of which too many have the same home.
    #[cold]
    fn build_with_stash(&mut self, heap: &mut Heap, items: &[Item], lines: usize) -> Result<Segment, OutOfMemory> {
        let mut trial = self.new_block(heap, lines, 0)?;
        let homeless = items.iter().filter(|&&item| !place(trial.lines_mut(heap), item)).count();
        heap.remove(trial.handle);
        let stash = (homeless + homeless / 8).div_ceil(SLOTS) + 1;
        let mut segment = self.new_block(heap, lines, stash)?;
        for &item in items {
            let placed = place_or_stash(segment.all_lines_mut(heap), lines, item);
            debug_assert!(placed);
        }
        segment.add(items.len());
        Ok(segment)
    }

    fn new_block(&mut self, heap: &mut Heap, lines: usize, stash: usize) -> Result<Segment, OutOfMemory> {
        let total = lines + stash;
        let handle = if total <= MAX_LINES {
            if self.stacks[total] == 0 {
                self.stacks[total] = heap.new_stack(total * size_of::<Line>(), Growth::Lines, 0)? + 1;
            }
            heap.push(self.stacks[total] - 1)?
        } else {
            heap.push_lone(total * size_of::<Line>())?
        };
        Ok(Segment::over(heap, handle, lines, stash > 0))
    }

    fn lines_to_grow(&mut self, heap: &Heap, entries: usize) -> usize {
        self.fill = self.fill.where_entries_take(heap.memory.held() / self.entries.max(1));
        self.fill.lines_for(if self.entries < SMALL_TABLE { entries + entries / 2 } else { entries })
    }

    /// One segment more: split the one that is due. O(a segment).
    #[cold]
    fn split(&mut self, heap: &mut Heap, rehash: &impl Rehash) -> Result<(), OutOfMemory> {
        let new = self.count;
        let bit = (new + 1).next_power_of_two() >> 1;
        let source = new - bit;
        self.segments.reserve(&mut heap.memory, new + 1)?;
        let old = *self.segments.get(source);
        let (low, high) = with_scratch(|low, high| {
            gather_split(heap, &old, bit as u64, rehash, low, high)?;
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
    pub(crate) fn remove(&mut self, heap: &mut Heap, place: Place, rehash: &impl Rehash) {
        let number = place.segment as usize;
        let segment = self.segments.get_mut(number);
        segment.remove(heap, place.spot);
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
    fn shrink(&mut self, heap: &mut Heap, number: usize, rehash: &impl Rehash) -> Result<(), OutOfMemory> {
        let segment = *self.segments.get(number);
        if segment.count() == 0 {
            self.replace(heap, number, Segment::EMPTY, rehash);
            return Ok(());
        }
        let new = with_scratch(|items, _| {
            gather(heap, &segment, rehash, items)?;
            let lines = self.fill.lines_for(items.len() + items.len() / 64 + 1);
            self.build(heap, items, lines)
        })?;
        self.replace(heap, number, new, rehash);
        Ok(())
    }

    #[inline]
    fn is_too_large(&self, heap: &Heap, segment: &Segment) -> bool {
        let (count, home_lines) = (segment.count(), segment.home_lines());
        let slack = if self.entries < SMALL_TABLE { 2 * count + 6 } else { 3 };
        if !segment.has_stash() {
            return count + slack <= self.fill.capacity_of_fewer(home_lines);
        }
        let stash = &segment.all_lines(heap)[home_lines..];
        let stashed: usize = stash.iter().map(Line::count).sum();
        stashed * 2 + SLOTS < slots(stash.len()) || count * 2 + slack <= self.fill.capacity_of_fewer(home_lines)
    }

    /// One segment fewer: merge the last into the one it was split from. O(a segment).
    #[cold]
    fn merge(&mut self, heap: &mut Heap, rehash: &impl Rehash) -> Result<(), OutOfMemory> {
        let last = self.count - 1;
        let target = last - (self.count.next_power_of_two() >> 1);
        let (mut first, second) = (*self.segments.get(target), *self.segments.get(last));
        let merged = with_scratch(|items, _| {
            gather(heap, &first, rehash, items)?;
            gather(heap, &second, rehash, items)?;
            let lines = self.fill.lines_for(items.len() + items.len() / 64 + 1);
            self.build(heap, items, lines)
        })?;
        *self.segments.get_mut(target) = merged;
        *self.segments.get_mut(last) = Segment::EMPTY;
        self.set_count(last);
        self.merges += 1;
        self.release(heap, second, Some(&mut first), rehash);
        self.release(heap, first, None, rehash);
        self.segments.truncate(&mut heap.memory, last);
        Ok(())
    }

    /// The entry that was at handle `moved.from` is at `moved.to`.
    #[inline(always)]
    pub(crate) fn relocate(&mut self, heap: &mut Heap, hash: u64, moved: Moved) {
        let (segment, candidates) = self.candidates(hash);
        for spot in candidates {
            if spot.handle == moved.from {
                let lines = self.segments.get_mut(segment as usize).lines_mut(heap);
                return lines[spot.line as usize].set_handle(spot.slot as usize, moved.to);
            }
        }
        self.relocate_displaced(heap, hash, moved);
    }

    #[cold]
    fn relocate_displaced(&mut self, heap: &mut Heap, hash: u64, moved: Moved) {
        let place = self.find(heap, hash, |handle| handle == moved.from).expect("a moved entry is indexed");
        self.set_handle(heap, place, moved.to);
    }

    /// The entry at `place` has a new handle.
    pub(crate) fn set_handle(&mut self, heap: &mut Heap, place: Place, handle: Handle) {
        let segment = self.segments.get_mut(place.segment as usize);
        let line = place.spot.line as usize;
        let lines = if line < segment.home_lines() { segment.lines_mut(heap) } else { segment.all_lines_mut(heap) };
        lines[line].set_handle(place.spot.slot as usize, handle);
    }

    /// The `slot`th handle of line `line` of segment `number`, for a walk over all entries.
    pub(crate) fn lines_of<'a>(&'a self, heap: &'a Heap, number: usize) -> &'a [Line] {
        if number < self.segments.capacity() { self.segments.get(number).all_lines(heap) } else { &[] }
    }

    /// Forget everything; the blocks are the heap's to give back.
    pub(crate) fn clear(&mut self, heap: &mut Heap) {
        self.segments.clear(&mut heap.memory);
        let (splits, merges) = (self.splits, self.merges);
        *self = Index { splits, merges, ..Index::new(self.fill) };
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
    /// are exact; blocks are where their segments say. `visit` is called with every handle.
    pub(crate) fn check(&self, heap: &Heap, rehash: &impl Rehash, mut visit: impl FnMut(Handle)) {
        let mut entries = 0;
        for number in 0..self.count.min(self.segments.capacity()) {
            let segment = self.segments.get(number);
            let lines = segment.lines();
            let mut elsewhere = [0u32; MAX_LINES];
            let mut count = 0;
            assert_eq!(segment.has_stash(), segment.total_lines(heap) > lines.len());
            for (at, line) in segment.all_lines(heap).iter().enumerate() {
                for slot in 0..line.count() {
                    let handle = line.handle(slot);
                    let hash = rehash(heap, handle);
                    let (x, home) = (x_of(hash), crate::segment::home_of(x_of(hash), lines.len()));
                    assert_eq!(self.number(hash), number, "an entry is in its segment");
                    assert_eq!(line.tag(slot), x as u8);
                    if at >= lines.len() {
                        assert_eq!(lines[home].overflow(), crate::line::SATURATED, "the stash is announced");
                    } else {
                        assert_eq!((home + line.displacement(slot)) % lines.len(), at, "an entry is near its home");
                        elsewhere[home] += u32::from(line.displacement(slot) > 0);
                    }
                    count += 1;
                    visit(handle);
                }
            }
            for (line, &elsewhere) in lines.iter().zip(&elsewhere) {
                assert!(line.overflow() == elsewhere.min(crate::line::SATURATED) || line.overflow() == 15);
            }
            assert_eq!(segment.count(), count);
            assert_eq!(count == 0, lines.is_empty(), "an empty segment has no block");
            assert!(count == 0 || std::ptr::eq(heap.slot(segment.handle).as_ptr(), lines.as_ptr().cast()));
            entries += count;
        }
        assert_eq!(entries, self.entries);
    }
}

/// The number of entries at which there should be one segment more than `count`.
fn split_at(count: usize) -> usize {
    let whole = 1 << count.ilog2();
    whole * SPLIT_FROM + (count - whole) * SPLIT_OVER
}

/// The number of entries below which there should be one segment fewer than `count`: well below that at which there came
/// to be so many, and further in a small table, where segments that are too many cost little.
fn merge_below(count: usize) -> usize {
    match count {
        1 => 0,
        _ if split_at(count) < SMALL_TABLE => split_at(count - 1) / 2,
        _ => split_at(count - 1) / 20 * 17,
    }
}

/// How full segments may get, and by how many lines they grow: the fuller and finer, the smaller the index, the more
/// entries are away from home, where finding them takes a second line, and the more often segments are rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Of 32 slots, so many.
    full: usize,
    /// Segments of `STEP_FROM` lines or more have a multiple of this, also to have fewer sizes of block.
    step: usize,
}

impl Fill {
    /// About 6.0 bytes an entry.
    pub(crate) const DENSE: Fill = Fill { full: 31, step: 1 };
    /// About 7.0 bytes an entry with steps of two lines, 7.3 with four, 7.9 with eight.
    pub(crate) const ROOMY: Fill = Fill { full: 28, step: 4 };

    /// The same for entries that take so many bytes, with their part of the index: where the memory promise leaves least
    /// room beside them (a tenth, of which large tables may have a third in a huge page; or some bytes, of which a pair
    /// of ints takes least), segments grow in finer steps.
    fn where_entries_take(self, bytes: usize) -> Fill {
        let step = match bytes {
            _ if self == Fill::DENSE => 1,
            70..120 => 2,
            ..26 | 120..140 => 4,
            _ => 8,
        };
        Fill { step, ..self }
    }

    /// Entries that so many lines take.
    #[inline]
    fn capacity(self, lines: usize) -> usize {
        slots(lines) * self.full / 32
    }

    /// Entries for which the next smaller block does.
    #[inline]
    fn capacity_of_fewer(self, lines: usize) -> usize {
        let less = lines.saturating_sub(1);
        self.capacity(if lines <= STEP_FROM { less } else { less & !(self.step - 1) })
    }

    /// Lines that so many entries need, at most `MAX_LINES`.
    fn lines_for(self, entries: usize) -> usize {
        let lines = (entries * 32).div_ceil(SLOTS * self.full);
        if lines < STEP_FROM { lines.max(1) } else { lines.next_multiple_of(self.step).min(MAX_LINES) }
    }
}

const STEP_FROM: usize = 8;

/// Any entry of a block that has one.
fn any_entry(heap: &Heap, block: Handle) -> Handle {
    let mut segment = Segment::EMPTY;
    segment.move_to(heap, block, 1);
    let line = segment.all_lines(heap).iter().find(|line| line.count() > 0);
    line.expect("a block has an entry").handle(0)
}

/// Add a segment's entries to `items`.
fn gather(heap: &Heap, segment: &Segment, rehash: &impl Rehash, items: &mut Vec<Item>) -> Result<(), OutOfMemory> {
    items.try_reserve(segment.count()).map_err(|_| OutOfMemory)?;
    segment.each(heap, |handle, x| {
        let x = x.unwrap_or_else(|| x_of(rehash(heap, handle)));
        items.push(Item { handle, x });
    });
    Ok(())
}

/// Part a segment's entries by a bit of their hashes, which only the entries know.
fn gather_split(
    heap: &Heap,
    segment: &Segment,
    bit: u64,
    rehash: &impl Rehash,
    low: &mut Vec<Item>,
    high: &mut Vec<Item>,
) -> Result<(), OutOfMemory> {
    for items in [&mut *low, &mut *high] {
        items.try_reserve(segment.count()).map_err(|_| OutOfMemory)?;
    }
    segment.each(heap, |handle, _| prefetch(heap.address(handle)));
    segment.each(heap, |handle, _| {
        let hash = rehash(heap, handle);
        let items = if hash & bit == 0 { &mut *low } else { &mut *high };
        items.push(Item { handle, x: x_of(hash) });
    });
    Ok(())
}
