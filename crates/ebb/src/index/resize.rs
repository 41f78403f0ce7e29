//! A segment gets another block, larger or smaller; there is a segment more, or one fewer.

use super::{Index, RETRY_AFTER};
use crate::head::SLOTS;
use crate::heap::{Handle, Heap, Moved, ReadSlots, Slots, StackId};
use crate::lines::{Cells, Lines, block_bytes, lines_in};
use crate::memory::OutOfMemory;
use crate::pour::{Halves, Part, Rehash, pour, take_in};
use crate::segment::{Item, MAX_ENTRIES, MAX_LINES, Segment, place, place_or_stash, slots};
use crate::system::prefetch_all;

/// When entries don't all find room in a block, one with so many lines more is tried.
const MORE_LINES: [usize; 4] = [0, 1, 2, 4];

impl<C: Cells> Index<C> {
    /// Add an entry to a segment that wants more lines; one with room left does without when memory is short.
    #[cold]
    pub(super) fn grow(
        &mut self,
        heap: &mut Heap,
        number: usize,
        item: Item<C::Content<'_>>,
        rehash: &impl Rehash<C>,
    ) -> Result<(), OutOfMemory> {
        let segment = *self.segments.get(number);
        if segment.has_stash() && self.squeeze(heap, number, item) {
            return Ok(());
        }
        let lines = self.lines_to_grow(heap, segment.count() + 1);
        match self.rebuild(heap, &[Part::all(segment)], Some(item), lines, rehash) {
            Ok(new) => {
                self.replace(heap, number, new, rehash);
                Ok(())
            }
            Err(OutOfMemory) if self.squeeze(heap, number, item) => Ok(()),
            Err(OutOfMemory) => Err(OutOfMemory),
        }
    }

    /// Put an entry into a segment as it is, over its usual load.
    fn squeeze(&mut self, heap: &mut Heap, number: usize, item: Item<C::Content<'_>>) -> bool {
        let segment = self.segments.get_mut(number);
        let has_room = segment.has_block() && segment.count() < MAX_ENTRIES;
        let done = has_room && place_or_stash(*segment, heap, self.cells, item);
        segment.add(usize::from(done));
        done
    }

    /// Fewer lines for a segment that has too many, if it has.
    #[inline(always)]
    pub(super) fn shrink_if_too_large(
        &mut self,
        heap: &mut Heap,
        number: usize,
        segment: Segment,
        rehash: &impl Rehash<C>,
    ) {
        // Shrinking is never owed: where memory is short it is skipped, and tried again at the next removal.
        if segment.count() == 0 || self.is_too_large(heap, segment) {
            let _ = self.shrink(heap, number, rehash);
        }
    }

    #[inline(always)]
    fn is_too_large(&self, heap: &Heap, segment: Segment) -> bool {
        if segment.has_stash() {
            self.is_stash_too_large(heap, segment)
        } else {
            self.fill.is_too_large(segment.home_lines(), segment.count(), self.entries)
        }
    }

    #[cold]
    fn is_stash_too_large(&self, heap: &Heap, segment: Segment) -> bool {
        let stash = segment.stash(heap.slots(), self.cells);
        let stashed: usize = (0..stash.len()).map(|line| stash.head(line).count()).sum();
        stashed * 2 + SLOTS < slots(stash.len())
            || segment.count() * 2 + 6 <= self.fill.capacity_of_fewer(segment.home_lines())
    }

    #[cold]
    fn shrink(&mut self, heap: &mut Heap, number: usize, rehash: &impl Rehash<C>) -> Result<(), OutOfMemory> {
        let segment = *self.segments.get(number);
        let lines = self.fill.lines_to_shrink(segment.count(), self.entries);
        let new = self.rebuild(heap, &[Part::all(segment)], None, lines, rehash)?;
        self.replace(heap, number, new, rehash);
        Ok(())
    }

    /// One segment more if there are so many entries: split the one that is due.
    #[inline(always)]
    pub(super) fn split_if_due(&mut self, heap: &mut Heap, rehash: &impl Rehash<C>) {
        if self.entries >= self.split_at && self.split(heap, rehash).is_err() {
            self.split_at = self.entries + RETRY_AFTER;
        }
    }

    /// O(a segment).
    #[cold]
    fn split(&mut self, heap: &mut Heap, rehash: &impl Rehash<C>) -> Result<(), OutOfMemory> {
        let new = self.count;
        let bit = (new + 1).next_power_of_two() >> 1;
        let source = new - bit;
        self.segments.reserve(&mut heap.memory, new + 1)?;
        let old = *self.segments.get(source);
        let (low, high) = self.halve(heap, old, bit as u64, rehash)?;
        *self.segments.get_mut(source) = low;
        *self.segments.get_mut(new) = high;
        self.set_count(new + 1);
        self.splits += 1;
        self.release(heap, old, None, rehash);
        Ok(())
    }

    /// Blocks for the entries of a segment without a bit in their hashes, and for those with it.
    fn halve(
        &mut self,
        heap: &mut Heap,
        segment: Segment,
        bit: u64,
        rehash: &impl Rehash<C>,
    ) -> Result<(Segment, Segment), OutOfMemory> {
        let halves = Halves::of(segment, heap.slots(), self.cells, bit, rehash);
        let [low, high] = [false, true].map(|which| halves.part(which));
        let lines = [low, high].map(|part| self.lines_to_grow(heap, part.count()));
        let low = self.rebuild(heap, &[low], None, lines[0], rehash)?;
        let high = self.rebuild(heap, &[high], None, lines[1], rehash);
        if high.is_err() && low.has_block() {
            heap.remove(low.handle); // the last of its stack: nothing moves
        }
        Ok((low, high?))
    }

    /// One segment fewer if there are so few entries: merge the last into the one it was split from.
    #[inline(always)]
    pub(super) fn merge_if_due(&mut self, heap: &mut Heap, rehash: &impl Rehash<C>) {
        if self.entries < self.merge_below {
            let _ = self.merge(heap, rehash);
        }
    }

    /// O(a segment).
    #[cold]
    fn merge(&mut self, heap: &mut Heap, rehash: &impl Rehash<C>) -> Result<(), OutOfMemory> {
        let last = self.count - 1;
        let target = last - (self.count.next_power_of_two() >> 1);
        let (mut first, second) = (*self.segments.get(target), *self.segments.get(last));
        let lines = self.fill.lines_to_shrink(first.count() + second.count(), self.entries);
        let parts = [first, second].map(Part::all);
        let Ok(merged) = self.rebuild(heap, &parts, None, lines, rehash) else {
            return self.merge_in_place(heap, target, rehash);
        };
        self.put_merged(target, merged);
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
        if host.has_stash() || guest.has_stash() || !take_in(heap, self.cells, &mut host, guest, rehash) {
            return Err(OutOfMemory);
        }
        self.put_merged(target, host);
        self.release(heap, guest, None, rehash);
        self.segments.truncate(&mut heap.memory, last);
        Ok(())
    }

    /// The last segment is no more: its entries, and those of `target`, are in `merged`.
    fn put_merged(&mut self, target: usize, merged: Segment) {
        let last = self.count - 1;
        *self.segments.get_mut(target) = merged;
        *self.segments.get_mut(last) = Segment::EMPTY;
        self.set_count(last);
        self.merges += 1;
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
                let number = self.number(hash_of_any(heap.slots(), self.cells, to, rehash));
                self.segments.get_mut(number)
            }
        };
        debug_assert_eq!(owner.handle, from);
        owner.move_to(heap, to);
    }

    /// A new block with all entries of some parts of segments and one more, of `lines` home lines or a few more; none where
    /// there are no entries.
    fn rebuild(
        &mut self,
        heap: &mut Heap,
        sources: &[Part<'_>],
        extra: Option<Item<C::Content<'_>>>,
        lines: usize,
        rehash: &impl Rehash<C>,
    ) -> Result<Segment, OutOfMemory> {
        let entries = sources.iter().map(Part::count).sum::<usize>() + usize::from(extra.is_some());
        if entries == 0 {
            return Ok(Segment::EMPTY);
        }
        if entries > MAX_ENTRIES {
            return Err(OutOfMemory);
        }
        sources.iter().for_each(|from| prefetch_blocks(heap, from.segment()));
        for more in MORE_LINES {
            let mut new = self.new_block(heap, (lines + more).min(MAX_LINES), 0)?;
            let (block, others) = heap.apart(new.handle);
            let mut to = new.lines_in(block, self.cells);
            if sources.iter().all(|from| pour(from, others, &mut to, rehash))
                && extra.is_none_or(|item| place(&mut to, item))
            {
                new.add(entries);
                return Ok(new);
            }
            heap.remove(new.handle); // the last of its stack: nothing moves
        }
        let (cells, mut items) = (self.cells, Vec::new());
        items.try_reserve_exact(entries).map_err(|_| OutOfMemory)?;
        let own = |item: Item<C::Content<'_>>| Item { content: cells.own(item.content), x: item.x };
        sources.iter().for_each(|from| from.each(heap.slots(), cells, rehash, |item| items.push(own(item))));
        items.extend(extra.map(own));
        self.build_with_stash(heap, &items, lines.min(MAX_LINES))
    }

    /// A new block for entries of which too many have the same home.
    #[cold]
    fn build_with_stash(
        &mut self,
        heap: &mut Heap,
        items: &[Item<C::Owned>],
        lines: usize,
    ) -> Result<Segment, OutOfMemory> {
        let cells = self.cells;
        let items = items.iter().map(|item| Item { content: cells.lend(&item.content), x: item.x });
        let trial = self.new_block(heap, lines, 0)?;
        let mut trial_lines = trial.lines_mut(heap, cells);
        let homeless = items.clone().filter(|&item| !place(&mut trial_lines, item)).count();
        heap.remove(trial.handle);
        let stash = (homeless + homeless / 8).div_ceil(SLOTS) + 1;
        let mut segment = self.new_block(heap, lines, stash)?;
        for item in items {
            let placed = place_or_stash(segment, heap, cells, item);
            debug_assert!(placed);
            segment.add(1);
        }
        Ok(segment)
    }

    /// A block with a stash is on its own: those in stacks have as many home lines as there is room for.
    fn new_block(&mut self, heap: &mut Heap, lines: usize, stash: usize) -> Result<Segment, OutOfMemory> {
        let bytes = block_bytes(self.cells, lines + stash);
        if stash > 0 {
            let handle = heap.push_lone(bytes)?;
            return Ok(Segment::over(heap, self.cells, handle, lines, true));
        }
        let stack = self.stack_of(heap, lines, bytes)?;
        let handle = heap.push(stack)?;
        Ok(Segment::over(heap, self.cells, handle, lines, false))
    }

    /// Have a block for so many entries, which will come soon. There are none yet.
    pub(crate) fn begin(&mut self, heap: &mut Heap, entries: usize) -> Result<(), OutOfMemory> {
        self.segments.reserve(&mut heap.memory, self.count)?;
        let segment = self.new_block(heap, self.fill.lines_to_grow(entries, entries), 0)?;
        *self.segments.get_mut(0) = segment;
        Ok(())
    }

    /// The stack of blocks of so many lines, and bytes.
    fn stack_of(&mut self, heap: &mut Heap, lines: usize, bytes: usize) -> Result<StackId, OutOfMemory> {
        if let Some(stack) = self.stacks.find(lines) {
            return Ok(stack);
        }
        self.stacks.reserve(&mut heap.memory)?;
        let stack = heap.new_stack(bytes, self.fill.growth(), 0)?;
        self.stacks.add(lines, stack);
        Ok(stack)
    }

    fn lines_to_grow(&mut self, heap: &Heap, entries: usize) -> usize {
        self.fill = self.fill.where_entries_take(heap.memory.held() / self.entries.max(1));
        self.fill.lines_to_grow(entries, self.entries)
    }
}

/// Ask for what giving a segment another block reads: its block, and the one that will take that one's place.
fn prefetch_blocks(heap: &Heap, segment: Segment) {
    if segment.has_block() {
        prefetch_all(heap.slot(segment.handle));
        let last = heap.stack_of(segment.handle).and_then(|stack| heap.last(stack));
        last.into_iter().for_each(|last| prefetch_all(heap.slot(last)));
    }
}

/// The hash of any entry of a block without a stash; it has one.
fn hash_of_any<C: Cells>(slots: Slots<'_>, cells: C, block: Handle, rehash: &impl Rehash<C>) -> u64 {
    let block = slots.get(block);
    let lines = Lines::new(block, lines_in(cells, block.len()), cells);
    let line = (0..lines.len()).find(|&line| lines.head(line).count() > 0);
    rehash.hash(slots, lines.content(line.expect("a block has an entry"), 0))
}
