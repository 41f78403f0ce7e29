//! Lists through the slots of a heap: each slot that is in a list keeps the slots before and after it, and what it keeps
//! is put right when a slot moves. A list takes no memory but its two ends, so joining one never fails.

use crate::chunks::Plain;
use crate::heap::{Handle, Heap};
use crate::system::prefetch;

/// Which list.
pub(crate) type ListId = u16;

/// A slot, or an end of a list, as it is kept: 0 for none; a handle, plus 1; from the top down, a list itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link(u32);

/// Links from here on are lists: handles end below (see `heap::MAX_PAGES`).
const LISTS_FROM: u32 = u32::MAX - ListId::MAX as u32 / 4;
const _: () = assert!(crate::heap::LAST_HANDLE < LISTS_FROM - 1);

impl Link {
    pub(crate) const NONE: Link = Link(0);

    pub(crate) fn to(handle: Handle) -> Link {
        debug_assert!(handle < LISTS_FROM - 1);
        Link(handle + 1)
    }

    fn list(id: ListId) -> Link {
        Link(u32::MAX - u32::from(id))
    }

    fn target(self) -> Target {
        match self.0 {
            0 => Target::None,
            link if link >= LISTS_FROM => Target::List((u32::MAX - link) as ListId),
            link => Target::Slot(link - 1),
        }
    }
}

impl From<Option<Handle>> for Link {
    fn from(slot: Option<Handle>) -> Link {
        slot.map_or(Link::NONE, Link::to)
    }
}

impl From<Link> for Option<Handle> {
    fn from(link: Link) -> Option<Handle> {
        if let Target::Slot(handle) = link.target() { Some(handle) } else { None }
    }
}

enum Target {
    None,
    Slot(Handle),
    List(ListId),
}

/// The first and the last slot of a list; `NONE` twice if it is empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    first: Link,
    last: Link,
}

impl Plain for Ends {
    const EMPTY: Ends = Ends { first: Link::NONE, last: Link::NONE };
}

impl Ends {
    pub(crate) fn is_empty(&self) -> bool {
        self.first == Link::NONE
    }
}

/// Where the ends of lists are kept. Panics for a list that is not present.
pub(crate) trait EndsById {
    fn ends(&self, id: ListId) -> &Ends;
    fn ends_mut(&mut self, id: ListId) -> &mut Ends;
}

/// `N` lists, numbered from 0.
impl<const N: usize> EndsById for [Ends; N] {
    #[inline(always)]
    fn ends(&self, id: ListId) -> &Ends {
        &self[id as usize]
    }

    #[inline(always)]
    fn ends_mut(&mut self, id: ListId) -> &mut Ends {
        &mut self[id as usize]
    }
}

/// Bytes of a pair of links in a slot.
pub(crate) const LINK_BYTES: u8 = 8;

/// Some lists, of which a slot is in at most one. Its pair of links (before, after) is at `at` of a slot.
#[derive(Debug)]
pub(crate) struct Lists<E> {
    pub(crate) ends: E,
    at: u8,
}

impl<E: EndsById> Lists<E> {
    /// Lists with these ends, all of them empty.
    pub(crate) fn new(ends: E, at: u8) -> Self {
        Lists { ends, at }
    }

    /// Where the links of a slot are.
    #[inline(always)]
    fn at(&self) -> usize {
        usize::from(self.at)
    }

    /// What is before and after a slot that is in a list; `None` for another, in which only the first was ever written.
    #[inline(always)]
    fn around(&self, heap: &Heap, handle: Handle) -> Option<(Link, Link)> {
        let [a, b, c, d, e, f, g, h] = *heap.slot(handle)[self.at()..].first_chunk().expect("a pair of links");
        let before = Link(u32::from_ne_bytes([a, b, c, d]));
        (before != Link::NONE).then(|| (before, Link(u32::from_ne_bytes([e, f, g, h]))))
    }

    /// What comes after `place` is `link`.
    fn set_after(&mut self, heap: &mut Heap, place: Link, link: Link) {
        match place.target() {
            Target::Slot(handle) => write(&mut heap.slot_mut(handle)[self.at() + 4..], link),
            Target::List(id) => self.ends.ends_mut(id).first = link,
            Target::None => {}
        }
    }

    fn set_before(&mut self, heap: &mut Heap, place: Link, link: Link) {
        match place.target() {
            Target::Slot(handle) => write(&mut heap.slot_mut(handle)[self.at()..], link),
            Target::List(id) => self.ends.ends_mut(id).last = link,
            Target::None => {}
        }
    }

    /// A new slot is in no list.
    #[inline(always)]
    pub(crate) fn start(&self, slot: &mut [u8]) {
        write(&mut slot[self.at()..], Link::NONE);
    }

    /// The oldest slot of a list.
    #[inline]
    pub(crate) fn first(&self, id: ListId) -> Option<Handle> {
        self.ends.ends(id).first.into()
    }

    /// The slot after one that is in a list.
    pub(crate) fn next(&self, heap: &Heap, handle: Handle) -> Option<Handle> {
        let (_, after) = self.around(heap, handle)?;
        after.into()
    }

    /// Have the slots before and after one on their way.
    #[inline]
    pub(crate) fn prefetch(&self, heap: &Heap, handle: Handle) {
        let Some((before, after)) = self.around(heap, handle) else { return };
        for link in [before, after] {
            if let Target::Slot(neighbour) = link.target() {
                prefetch(heap.slot(neighbour).as_ptr());
            }
        }
    }

    /// Add a slot that is in no list as the last of `id`.
    #[inline(always)]
    pub(crate) fn push(&mut self, heap: &mut Heap, id: ListId, handle: Handle) {
        let (list, new) = (Link::list(id), Link::to(handle));
        let ends = self.ends.ends_mut(id);
        let last = std::mem::replace(&mut ends.last, new);
        let before = if let Target::Slot(last) = last.target() {
            write(&mut heap.slot_mut(last)[self.at() + 4..], new);
            Link::to(last)
        } else {
            ends.first = new;
            list
        };
        let slot = heap.slot_mut(handle);
        write(&mut slot[self.at()..], before);
        write(&mut slot[self.at() + 4..], list);
    }

    /// Take a slot out of its list, if it is in one. Returns the list if that is empty now.
    #[inline]
    pub(crate) fn unlink(&mut self, heap: &mut Heap, handle: Handle) -> Option<ListId> {
        let (before, after) = self.around(heap, handle)?;
        self.start(heap.slot_mut(handle));
        match before.target() {
            // Alone: both are the list.
            Target::List(id) if before == after => {
                *self.ends.ends_mut(id) = Ends::EMPTY;
                Some(id)
            }
            _ => {
                self.set_after(heap, before, after);
                self.set_before(heap, after, before);
                None
            }
        }
    }

    /// What was in a slot is in slot `to` now.
    #[inline(always)]
    pub(crate) fn moved(&mut self, heap: &mut Heap, to: Handle) {
        if let Some((before, after)) = self.around(heap, to) {
            self.set_after(heap, before, Link::to(to));
            self.set_before(heap, after, Link::to(to));
        }
    }

    /// Put all of list `from` behind list `to`. O(1).
    pub(crate) fn append(&mut self, heap: &mut Heap, from: ListId, to: ListId) {
        let Ends { first, last } = *self.ends.ends(from);
        if first == Link::NONE {
            return;
        }
        *self.ends.ends_mut(from) = Ends::EMPTY;
        let list = Link::list(to);
        let before = match self.ends.ends(to).last {
            Link::NONE => list,
            last => last,
        };
        self.set_after(heap, before, first);
        self.set_before(heap, first, before);
        self.set_after(heap, last, list);
        self.set_before(heap, list, last);
    }

    /// Call `visit` with each slot of a list, checking that the links agree in both directions.
    pub(crate) fn check(&self, heap: &Heap, id: ListId, mut visit: impl FnMut(Handle)) {
        let mut before = Link::list(id);
        let mut next = self.first(id);
        while let Some(handle) = next {
            assert_eq!(self.around(heap, handle).expect("it is in a list").0, before, "links agree");
            visit(handle);
            before = Link::to(handle);
            next = self.next(heap, handle);
        }
        let last = self.ends.ends(id).last;
        assert!(last == before || (last == Link::NONE && before == Link::list(id)), "a list's end is its last slot");
    }
}

fn write(to: &mut [u8], link: Link) {
    to[..4].copy_from_slice(&link.0.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Growth;
    use std::collections::VecDeque;

    #[test]
    fn lists_keep_their_order_while_slots_move() {
        let mut heap = Heap::new();
        let stack = heap.new_stack(12, Growth::Alone, 0).unwrap();
        let mut lists = Lists::new([Ends::EMPTY; 3], 4);
        let mut model: [VecDeque<u32>; 3] = Default::default();
        let mut where_is = std::collections::HashMap::new();
        let number = |heap: &Heap, handle| u32::from_ne_bytes(heap.slot(handle)[..4].try_into().unwrap());
        for i in 0..3000u32 {
            let list = (i * 7 % 3) as usize;
            let handle = heap.push(stack).unwrap();
            heap.slot_mut(handle)[..4].copy_from_slice(&i.to_ne_bytes());
            lists.start(heap.slot_mut(handle));
            lists.push(&mut heap, list as ListId, handle);
            model[list].push_back(i);
            where_is.insert(i, handle);
            if i % 5 > 1 {
                let victim = (i * 31) % (i + 1);
                if let Some(handle) = where_is.remove(&victim) {
                    let emptied = lists.unlink(&mut heap, handle);
                    assert_eq!(emptied.is_some(), model.iter().any(|list| *list == [victim]));
                    model.iter_mut().for_each(|list| list.retain(|&n| n != victim));
                    if let Some(moved) = heap.remove(handle).moved {
                        lists.moved(&mut heap, moved.to);
                        where_is.insert(number(&heap, moved.to), moved.to);
                    }
                }
            }
            if i == 2000 {
                lists.append(&mut heap, 0, 1);
                let all: Vec<u32> = model[0].drain(..).collect();
                model[1].extend(all);
            }
            for (id, list) in model.iter().enumerate() {
                let mut seen = VecDeque::new();
                lists.check(&heap, id as ListId, |handle| seen.push_back(number(&heap, handle)));
                assert_eq!(&seen, list);
            }
        }
    }
}
