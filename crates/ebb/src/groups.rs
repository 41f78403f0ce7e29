//! The ends of many lists, of which most are empty. Memory is held for groups of lists that are in use.

use crate::chunks::{ChunkArray, Plain};
use crate::links::{Ends, EndsById, ListId};
use crate::memory::{Memory, OutOfMemory};

/// Lists of a group.
pub(crate) const GROUP: usize = 16;
/// The place of a group that is not present.
const NOWHERE: u8 = u8::MAX;

/// The ends of `NEAR` lists, numbered from 0, which are always present, and of `GROUPS` groups of lists, numbered from `GROUP`.
///
/// Invariants: the `count` groups that are present have the places from 0 in `far`, each its own. What `far` has beyond them
/// is empty.
#[derive(Debug)]
pub(crate) struct GroupedEnds<const NEAR: usize, const GROUPS: usize> {
    near: [Ends; NEAR],
    /// Where in `far` each group is, counted in groups.
    places: [u8; GROUPS],
    count: u8,
    far: ChunkArray<Ends>,
}

/// The group of a list from `GROUP` on.
#[inline(always)]
fn group_of(id: ListId) -> usize {
    id as usize / GROUP - 1
}

impl<const NEAR: usize, const GROUPS: usize> GroupedEnds<NEAR, GROUPS> {
    const FITS: () = assert!(NEAR <= GROUP && GROUPS < NOWHERE as usize);

    /// All lists are empty.
    pub(crate) const fn new() -> Self {
        const { Self::FITS };
        GroupedEnds { near: [Ends::EMPTY; NEAR], places: [NOWHERE; GROUPS], count: 0, far: ChunkArray::new() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.far.bytes()
    }

    /// Whether the group of a list is present.
    pub(crate) fn has(&self, id: ListId) -> bool {
        self.places[group_of(id)] != NOWHERE
    }

    /// Get memory for one more group.
    pub(crate) fn reserve(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        self.far.reserve(memory, (usize::from(self.count) + 1) * GROUP)
    }

    /// Add the group of a list, unless it is present.
    pub(crate) fn add(&mut self, memory: &mut Memory, id: ListId) -> Result<(), OutOfMemory> {
        if !self.has(id) {
            self.reserve(memory)?;
            self.places[group_of(id)] = self.count;
            self.count += 1;
        }
        Ok(())
    }

    /// Remove the group of a list; all its lists must be empty. The group at the last place moves to its place. Memory for
    /// one more group is kept, so that a list that comes and goes does not get and release memory each time.
    pub(crate) fn remove(&mut self, memory: &mut Memory, id: ListId) {
        let place = std::mem::replace(&mut self.places[group_of(id)], NOWHERE);
        self.count -= 1;
        if let Some(last) = self.places.iter().position(|&last| last == self.count) {
            self.move_group(self.count, place);
            self.places[last] = place;
        }
        self.far.truncate(memory, (usize::from(self.count) + 1) * GROUP);
    }

    /// Give back the memory that is kept, if no group is present.
    pub(crate) fn trim(&mut self, memory: &mut Memory) {
        if self.count == 0 {
            self.far.clear(memory);
        }
    }

    #[inline(always)]
    fn far_index(&self, id: ListId) -> usize {
        usize::from(self.places[group_of(id)]) * GROUP + id as usize % GROUP
    }

    fn move_group(&mut self, from: u8, to: u8) {
        for i in 0..GROUP {
            let ends = std::mem::replace(self.far.get_mut(usize::from(from) * GROUP + i), Ends::EMPTY);
            *self.far.get_mut(usize::from(to) * GROUP + i) = ends;
        }
    }

    /// Empty all lists and give all memory back.
    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.far.clear(memory);
        *self = Self::new();
    }

    /// Walk the invariants.
    pub(crate) fn check(&self) {
        let mut places: Vec<u8> = self.places.iter().copied().filter(|&place| place != NOWHERE).collect();
        places.sort_unstable();
        assert!(places.iter().copied().eq(0..self.count), "each group has a place of its own");
        let unused = usize::from(self.count) * GROUP..self.far.capacity();
        assert!(unused.clone().all(|i| self.far.get(i).is_empty()), "lists that are not present are empty");
    }
}

impl<const NEAR: usize, const GROUPS: usize> EndsById for GroupedEnds<NEAR, GROUPS> {
    #[inline(always)]
    fn ends(&self, id: ListId) -> &Ends {
        if (id as usize) < GROUP { &self.near[id as usize] } else { self.far.get(self.far_index(id)) }
    }

    #[inline(always)]
    fn ends_mut(&mut self, id: ListId) -> &mut Ends {
        if (id as usize) < GROUP { &mut self.near[id as usize] } else { self.far.get_mut(self.far_index(id)) }
    }
}
