//! All areas of the process, and what is free of them.

#[cfg(test)]
mod tests;

use super::area::{Area, Block};
use super::slabs::{CLASSES, NONE, PAGE, Slab, class_of, slab_bytes};
use super::spare::Spares;
use crate::system::{HUGE_PAGE, Pages};
use std::ops::Range;

/// The first area, and the largest that many blocks share.
const FIRST: usize = 4 << 20;
const LARGEST: usize = 1 << 30;
/// An area of huge pages has at least so many bytes.
const FIRST_HUGE: usize = 32 << 20;
/// From this size on a block has an area of its own.
const OWN_FROM: usize = 64 << 20;
/// An empty area of at most so many bytes is kept: its addresses, not its memory.
const KEPT: usize = 64 << 20;

/// Blocks may keep so much memory when nobody has them: a quarter of what is held, from the least to the most; and 1/256.
const LEAST_SPARE: usize = 64 << 10;
const MOST_SPARE: usize = 1 << 20;

/// A slab: the number of its area, and in the low bits that of its first page.
type SlabId = u32;
const PAGE_BITS: u32 = (LARGEST / PAGE).ilog2();

fn id_of(area: u32, first: usize) -> SlabId {
    area << PAGE_BITS | first as u32
}

fn parts_of(id: SlabId) -> (u32, usize) {
    (id >> PAGE_BITS, (id & ((1 << PAGE_BITS) - 1)) as usize)
}

/// What the tables of a process have of the system, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Addresses, most of which may have no memory.
    pub reserved: usize,
    /// Held by tables.
    pub held: usize,
    /// Free, and not given back to the system.
    pub spare: usize,
    /// Given back to the system so far.
    pub returned: u64,
    /// Areas: mappings, at most.
    pub areas: usize,
}

/// What is to be given back to the system, outside the lock.
#[derive(Debug)]
pub(super) enum Surplus {
    /// The memory of a block, which is then put back by [`Stock::put_returned`].
    Memory(Block),
    /// A whole area, after which [`Stock::given_up`] is called.
    Area(Area),
}

/// Invariants: `by_address` has the address of every area, in order, and `by_bytes` its size; slabs with room are in the list
/// of their class, from `partial` on.
#[derive(Debug)]
pub(super) struct Stock {
    areas: Vec<Option<Area>>,
    by_address: Vec<(usize, u32)>,
    by_bytes: Vec<(usize, u32)>,
    partial: [SlabId; CLASSES],
    small: Spares,
    huge: Spares,
    reserved: usize,
    held: usize,
    /// Of slabs, what is not held.
    in_slabs: usize,
    returned: u64,
    /// Blocks and areas that are with somebody who gives them back.
    returning: usize,
    /// Requests since a test began to count, and which of them are refused.
    asked: u64,
    refused: Range<u64>,
}

impl Stock {
    pub(super) const fn new() -> Self {
        Stock {
            areas: Vec::new(),
            by_address: Vec::new(),
            by_bytes: Vec::new(),
            partial: [NONE; CLASSES],
            small: Spares::new(),
            huge: Spares::new(),
            reserved: 0,
            held: 0,
            in_slabs: 0,
            returned: 0,
            returning: 0,
            asked: 0,
            refused: 0..0,
        }
    }

    pub(super) fn figures(&self) -> ProcessMemory {
        ProcessMemory {
            reserved: self.reserved,
            held: self.held,
            spare: self.small.bytes() + self.huge.bytes() + self.in_slabs,
            returned: self.returned,
            areas: self.by_address.len(),
        }
    }

    /// Count requests anew, and refuse these. How many there were so far.
    pub(super) fn refuse(&mut self, refused: Range<u64>) -> u64 {
        self.refused = refused;
        std::mem::take(&mut self.asked)
    }

    /// Whether anything is with somebody who gives it back to the system.
    pub(super) fn is_returning(&self) -> bool {
        self.returning > 0
    }

    /// A block of so many bytes, a size of blocks.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Block> {
        self.asked += 1;
        if self.refused.contains(&self.asked) {
            return None;
        }
        let block = if bytes < PAGE { self.take_piece(bytes) } else { self.take_pages(bytes) }?;
        self.held += bytes;
        Some(block)
    }

    /// Take a block back. What to give back to the system, if there is anything.
    pub(super) fn put(&mut self, block: Block) -> Option<Surplus> {
        self.held -= block.bytes();
        let block = if block.bytes() >= PAGE { block } else { self.put_piece(block)? };
        self.keep(block)
    }

    /// Keep a block for the next who asks. What to give back to the system instead, if there is anything.
    fn keep(&mut self, block: Block) -> Option<Surplus> {
        let fits = block.bytes() <= self.most_spare();
        match if fits { self.spare(block) } else { Err(block) } {
            Ok(()) => self.next(),
            Err(block) => self.hand_out(Surplus::Memory(block)),
        }
    }

    /// Note a block as spare. `Err` where that can't be done, or where its area is too large to be shared: a slab could be
    /// made of it, and its page may have no number.
    fn spare(&mut self, block: Block) -> Result<(), Block> {
        let (number, bytes) = (self.area_of(&block), block.bytes());
        let area = self.area(number);
        let (pages, of) = (area.pages, area.bytes());
        if of > LARGEST {
            return Err(block);
        }
        self.spares(pages).keep(block, of)?;
        self.area(number).out -= bytes;
        Ok(())
    }

    /// What to give back to the system next.
    pub(super) fn next(&mut self) -> Option<Surplus> {
        self.idle().or_else(|| self.surplus())
    }

    fn surplus(&mut self) -> Option<Surplus> {
        let block = self.spare_beyond(self.most_spare())?;
        self.area_with(&block).out += block.bytes();
        self.hand_out(Surplus::Memory(block))
    }

    fn hand_out(&mut self, surplus: Surplus) -> Option<Surplus> {
        self.returning += 1;
        Some(surplus)
    }

    /// A spare block, where more than `most` bytes are spare.
    fn spare_beyond(&mut self, most: usize) -> Option<Block> {
        self.small.surplus(most).or_else(|| self.huge.surplus(most))
    }

    fn most_spare(&self) -> usize {
        (self.held / 4).clamp(LEAST_SPARE, MOST_SPARE) + self.held / 256
    }

    fn spares(&mut self, pages: Pages) -> &mut Spares {
        if pages == Pages::Small { &mut self.small } else { &mut self.huge }
    }

    /// A block is free; whether its memory went back to the system. What to give back next.
    pub(super) fn put_returned(&mut self, block: Block, returned: bool) -> Option<Surplus> {
        self.returning -= 1;
        if returned {
            self.returned += block.bytes() as u64;
            self.put_pages(block);
            return self.next();
        }
        // Memory that is locked, say. What is spare is tried again with the next block that is given up.
        if let Err(block) = self.spare(block) {
            self.put_pages(block);
        }
        self.idle()
    }

    /// Pages are free that were not spare.
    fn put_pages(&mut self, block: Block) {
        let area = self.area_with(&block);
        area.out -= block.bytes();
        area.put(block);
    }

    /// The largest area that is to be given up, with what is spare of it. O(areas), and then O(spare blocks).
    fn idle(&mut self) -> Option<Surplus> {
        let &(_, number) = self.by_bytes.iter().rev().find(|&&(_, number)| !self.is_kept(number))?;
        let mut area = self.remove(number)?;
        let addresses = area.addresses();
        while let Some(block) = self.spares(area.pages).take_within(&addresses) {
            self.returned += block.bytes() as u64;
            area.put(block);
        }
        self.hand_out(Surplus::Area(area))
    }

    /// Whether an area stays: one that is in use, and a small one, as long as it is the only one of its kind that is not. One of
    /// which some is spare stays also if it is no more than twice what is held: the next block may be of it again. The next area
    /// that is made has at most half of what is held, so tables that stay at one size don't have areas come and go.
    fn is_kept(&self, number: u32) -> bool {
        let Some(area) = &self.areas[number as usize] else { return true };
        if area.out > 0 {
            return true;
        }
        let is_excess = self.held < area.bytes() / 2;
        let most = if is_excess { FIRST } else { KEPT };
        let is_in_use = !is_excess && !area.is_empty();
        is_in_use || (area.bytes() <= most && !self.has_other_idle(number, area))
    }

    /// Whether nothing is in use of another area of this kind, which is no larger.
    fn has_other_idle(&self, number: u32, area: &Area) -> bool {
        let smaller = self.by_bytes.iter().take_while(|&&(bytes, _)| bytes <= area.bytes());
        let mut others = smaller.filter(|&&(_, other)| other != number);
        others.any(|&(_, other)| {
            self.areas[other as usize].as_ref().is_some_and(|other| other.pages == area.pages && other.out == 0)
        })
    }

    fn remove(&mut self, number: u32) -> Option<Area> {
        let area = self.areas[number as usize].take()?;
        self.by_address.retain(|&(_, other)| other != number);
        self.by_bytes.retain(|&(_, other)| other != number);
        self.reserved -= area.bytes();
        Some(area)
    }

    /// An area was given up, or the system did not take it. What to give back next.
    pub(super) fn given_up(&mut self, kept: Option<Area>) -> Option<Surplus> {
        self.returning -= 1;
        match kept {
            Some(area) => self.restore(area), // and tried again with the next block that is given up
            None => return self.next(),
        }
        None
    }

    fn restore(&mut self, area: Area) {
        let _ = self.add(area); // without memory to note it, the range stays and is empty
    }

    fn area(&mut self, number: u32) -> &mut Area {
        self.areas[number as usize].as_mut().expect("an area of that number")
    }

    /// The area that a block is of.
    fn area_with(&mut self, block: &Block) -> &mut Area {
        let number = self.area_of(block);
        self.area(number)
    }

    /// The number of the area that a block is of.
    fn area_of(&self, block: &Block) -> u32 {
        let after = self.by_address.partition_point(|&(address, _)| address <= block.address());
        self.by_address[after - 1].1
    }

    fn take_pages(&mut self, bytes: usize) -> Option<Block> {
        let block = self.find_pages(bytes)?;
        self.area_with(&block).out += bytes;
        Some(block)
    }

    fn find_pages(&mut self, bytes: usize) -> Option<Block> {
        let pages = pages_of(bytes);
        if let Some(block) = self.spares(pages).take(bytes) {
            return Some(block);
        }
        if bytes < OWN_FROM
            && let Some(block) = self.take_of_areas(bytes, pages)
        {
            return Some(block);
        }
        self.take_of_new_area(bytes, pages).or_else(|| self.take_after_all(bytes, pages))
    }

    /// Free pages of the smallest area that has so many in a row.
    fn take_of_areas(&mut self, bytes: usize, pages: Pages) -> Option<Block> {
        let Stock { areas, by_bytes, .. } = self;
        by_bytes.iter().find_map(|&(size, number)| {
            let area = areas[number as usize].as_mut()?;
            // A larger one, which was a block's own, has pages that no `SlabId` can name.
            let is_shared = size <= LARGEST || bytes >= OWN_FROM;
            if area.pages == pages && is_shared { area.take(bytes) } else { None }
        })
    }

    /// The system has no more addresses: what is spare may be in the way, and areas that are empty.
    #[cold]
    pub(super) fn take_after_all(&mut self, bytes: usize, pages: Pages) -> Option<Block> {
        while let Some(mut block) = self.spare_beyond(0) {
            if block.return_memory() {
                self.returned += block.bytes() as u64;
            }
            self.area_with(&block).put(block);
        }
        if let Some(block) = self.take_of_areas(bytes, pages) {
            return Some(block);
        }
        self.release_empty();
        self.take_of_new_area(bytes, pages)
    }

    fn release_empty(&mut self) {
        for number in 0..self.areas.len() {
            if self.areas[number].as_ref().is_some_and(Area::is_empty) {
                let area = self.remove(number as u32);
                area.and_then(|area| area.release().err()).into_iter().for_each(|area| self.restore(area));
            }
        }
    }

    /// A block of a new area: one that grows with what there is, or a smaller one where the system has no more.
    #[cold]
    fn take_of_new_area(&mut self, bytes: usize, pages: Pages) -> Option<Block> {
        let mut want = self.next_area_bytes(bytes, pages);
        loop {
            if let Some(area) = Area::new(want, pages) {
                let number = self.add(area)?;
                return self.area(number).take(bytes);
            }
            if want == bytes {
                return None;
            }
            want = (want / 2).next_multiple_of(pages.bytes()).max(bytes);
        }
    }

    /// Bytes of the next area, which a block of so many is for.
    fn next_area_bytes(&self, bytes: usize, pages: Pages) -> usize {
        if bytes >= OWN_FROM {
            return bytes;
        }
        let first = if pages == Pages::Huge { FIRST_HUGE } else { FIRST };
        (self.held / 2).clamp(first, LARGEST).next_multiple_of(HUGE_PAGE).max(bytes)
    }

    /// Note an area: its number.
    fn add(&mut self, area: Area) -> Option<u32> {
        let Some(number) = self.free_number() else {
            let _ = area.release(); // its addresses stay where the system does not take them
            return None;
        };
        let at = self.by_address.partition_point(|&(address, _)| address < area.address());
        self.by_address.insert(at, (area.address(), number as u32));
        let at = self.by_bytes.partition_point(|&(bytes, _)| bytes <= area.bytes());
        self.by_bytes.insert(at, (area.bytes(), number as u32));
        self.reserved += area.bytes();
        if number == self.areas.len() {
            self.areas.push(None);
        }
        self.areas[number] = Some(area);
        Some(number as u32)
    }

    /// A number for an area, and memory to note it.
    fn free_number(&mut self) -> Option<usize> {
        let number = self.areas.iter().position(Option::is_none).unwrap_or(self.areas.len());
        self.areas.try_reserve(1).ok()?;
        self.by_address.try_reserve(1).ok()?;
        self.by_bytes.try_reserve(1).ok()?;
        (number >> (u32::BITS - PAGE_BITS) == 0).then_some(number)
    }

    // --- pieces ---

    fn take_piece(&mut self, bytes: usize) -> Option<Block> {
        let class = class_of(bytes);
        let id = match self.partial[class] {
            NONE => self.divide(class)?,
            id => id,
        };
        let (number, first) = parts_of(id);
        let piece = self.area(number).take_piece(first);
        self.in_slabs -= piece.bytes();
        if self.slab(id).is_full() {
            self.unlink(id);
        }
        Some(piece)
    }

    /// Another slab of a class.
    #[cold]
    fn divide(&mut self, class: usize) -> Option<SlabId> {
        let block = self.take_pages(slab_bytes(class))?;
        let number = self.area_of(&block);
        match self.area(number).divide(block, Slab::new(class)) {
            Ok(first) => {
                self.in_slabs += slab_bytes(class);
                self.link(id_of(number, first));
                Some(id_of(number, first))
            }
            Err(block) => {
                self.put_pages(block);
                None
            }
        }
    }

    /// Take a piece back; the block of its slab, where that has no other.
    fn put_piece(&mut self, block: Block) -> Option<Block> {
        let number = self.area_of(&block);
        self.in_slabs += block.bytes();
        let area = self.area(number);
        let id = id_of(number, area.put_piece(block));
        let slab = *self.slab(id);
        if slab.was_full() {
            self.link(id);
        }
        if !slab.is_empty() {
            return None;
        }
        self.unlink(id);
        self.in_slabs -= slab_bytes(slab.class as usize);
        Some(self.area(number).join(parts_of(id).1))
    }

    fn slab(&mut self, id: SlabId) -> &mut Slab {
        let (number, first) = parts_of(id);
        self.area(number).slab(first)
    }

    /// A slab has room: the next piece of its size is taken there.
    fn link(&mut self, id: SlabId) {
        let class = self.slab(id).class as usize;
        let head = self.partial[class];
        // Pieces of a smaller area are taken before, so that a larger one comes to be empty.
        let previous = if head != NONE && self.area_bytes(head) < self.area_bytes(id) { head } else { NONE };
        let next = match previous {
            NONE => std::mem::replace(&mut self.partial[class], id),
            head => std::mem::replace(&mut self.slab(head).next, id),
        };
        let slab = self.slab(id);
        (slab.previous, slab.next) = (previous, next);
        if next != NONE {
            self.slab(next).previous = id;
        }
    }

    fn area_bytes(&mut self, id: SlabId) -> usize {
        self.area(parts_of(id).0).bytes()
    }

    fn unlink(&mut self, id: SlabId) {
        let Slab { class, previous, next, .. } = *self.slab(id);
        if previous == NONE {
            self.partial[class as usize] = next;
        } else {
            self.slab(previous).next = next;
        }
        if next != NONE {
            self.slab(next).previous = previous;
        }
    }
}

/// The pages that a block of so many bytes is of.
fn pages_of(bytes: usize) -> Pages {
    if bytes.is_multiple_of(HUGE_PAGE) { Pages::Huge } else { Pages::Small }
}
