//! What is done with entries that were found, and finding them by keys that take no Python code to compare.

use crate::kinds::entry::KeptKey;
use crate::kinds::kind::KeyKind;
use crate::kinds::layout::word;
use crate::kinds::new::{Key, New};
use crate::kinds::typed::with_key_type;
use crate::table::dropped::Dropped;
use crate::table::store::{Found, Held, Holder, Searched};
use ebb::{Deadlines, OccupiedEntry, OutOfMemory, Time};

impl<'h, H: Holder> Found<'h, H> {
    #[inline(always)]
    pub(crate) fn int(holder: &'h mut H, hash: u64, key: i64) -> Searched<'h, H> {
        Self::by_bytes(holder, hash, |entry| word(entry) == key as u64)
    }

    #[inline]
    pub(crate) fn text(holder: &'h mut H, hash: u64, key: &[u8]) -> Searched<'h, H> {
        let place = holder.store().layout().text_place();
        Self::by_bytes(holder, hash, |entry| place.key(entry) == key)
    }

    /// The entry of a key that is no object.
    #[inline(always)]
    pub(crate) fn inline(holder: &'h mut H, hash: u64, key: &Key<'_>) -> Searched<'h, H> {
        match key {
            Key::Int(int) => Self::int(holder, hash, *int),
            Key::Text(text) => Self::text(holder, hash, text),
            Key::Object(..) => unreachable!("objects are searched with `probe`"),
        }
    }

    /// The entry whose key is the object of these bytes.
    fn object(holder: &'h mut H, hash: u64, object: u64) -> Searched<'h, H> {
        Self::by_bytes(holder, hash, |entry| word(&entry[8..]) == object)
    }

    /// The entry whose very key this is.
    pub(crate) fn kept(holder: &'h mut H, hash: u64, key: &KeptKey) -> Searched<'h, H> {
        match key {
            KeptKey::Object(object) => Self::object(holder, hash, object.as_ptr() as usize as u64),
            KeptKey::Int(int) => Self::int(holder, hash, *int),
            KeptKey::Text(text) => Self::text(holder, hash, text),
        }
    }
}

impl<'h, H: Holder> Found<'h, H> {
    /// Some entry.
    #[inline]
    pub(crate) fn any(holder: &'h mut H) -> Searched<'h, H> {
        Self::of(OccupiedEntry::any(Held(holder)))
    }

    /// What holds the store.
    #[inline(always)]
    pub(crate) fn holder(&self) -> &H {
        self.0.host().0
    }

    /// What holds the store: the entry is given up.
    #[inline(always)]
    pub(crate) fn into_holder(self) -> &'h mut H {
        self.0.into_host().0
    }

    /// The bytes of an object key.
    pub(crate) fn key_word(&self) -> Option<u64> {
        let is_object = self.layout().key_kind() == KeyKind::Object;
        is_object.then(|| word(&self.0.bytes()[8..]))
    }

    /// Take the entry out.
    #[inline(never)]
    pub(crate) fn remove(self) -> (&'h mut H, Dropped) {
        with_key_type!(self.layout().key_kind(), K => self.remove_typed::<K>())
    }

    /// Take an entry without objects out.
    #[inline(never)]
    pub(crate) fn remove_inline(self) -> &'h mut H {
        debug_assert!(!self.layout().has_objects());
        with_key_type!(self.layout().key_kind(), K => self.forget::<K>())
    }

    /// Give a variable value new bytes. The key stays the one that is there.
    pub(super) fn replace(&mut self, new: New<'_>) -> Result<(), OutOfMemory> {
        let layout = self.layout();
        let len = layout.entry_len(new);
        let mut fixed_key = [0; 16];
        let kept = layout.key_bytes();
        fixed_key[..kept].copy_from_slice(&self.0.bytes()[..kept]);
        self.0.replace(len, &|entry| layout.hash(entry), |entry| {
            layout.write(entry, new);
            entry[..kept].copy_from_slice(&fixed_key[..kept]);
        })
    }
}

impl<'h, H: Holder<Table = ebb::Cache>> Found<'h, H> {
    /// An entry that has expired, found in at most so many steps, which are counted down.
    pub(crate) fn expired(holder: &'h mut H, now: Time, steps: &mut usize) -> Searched<'h, H> {
        let layout = holder.store().layout();
        Found::of(OccupiedEntry::expired(Held(holder), now, steps, &|entry| layout.hash(entry)))
    }

    /// The entry to be evicted next.
    pub(crate) fn victim(holder: &'h mut H) -> Searched<'h, H> {
        let layout = holder.store().layout();
        Found::of(OccupiedEntry::victim(Held(holder), &|entry| layout.hash(entry)))
    }

    /// The next entry of the walk that was begun last.
    pub(crate) fn next_of_walk(holder: &'h mut H) -> Searched<'h, H> {
        let layout = holder.store().layout();
        Found::of(OccupiedEntry::next_of_walk(Held(holder), &|entry| layout.hash(entry)))
    }

    /// When the entry expires.
    #[inline(always)]
    pub(crate) fn deadlines(&self) -> Deadlines {
        self.0.deadlines()
    }

    /// Give the entry other deadlines.
    #[inline]
    pub(crate) fn renew(&mut self, deadlines: Deadlines) {
        self.0.renew(deadlines);
    }

    /// The entry was used.
    #[inline]
    pub(crate) fn mark(&mut self) {
        self.0.mark();
    }

    /// See [`ebb::Cache::was_limited`].
    pub(crate) fn was_limited(&mut self) -> bool {
        self.0.was_limited()
    }
}

/// How to find an entry again that is to have another value. An object key is known by its address, as equal ones would
/// have to be asked; nobody else has it meanwhile, as keys that are removed are still held.
#[derive(Clone, Copy)]
pub(crate) struct Again<'a> {
    new: New<'a>,
    object: Option<u64>,
}

impl<'a> Again<'a> {
    pub(crate) fn of<H: Holder>(found: &Found<'_, H>, new: New<'a>) -> Self {
        Again { new, object: found.key_word() }
    }

    /// The entry, if it is still there.
    pub(crate) fn find<'h, H: Holder>(&self, holder: &'h mut H) -> Searched<'h, H> {
        match self.object {
            Some(object) => Found::object(holder, self.new.hash, object),
            None => Found::inline(holder, self.new.hash, self.new.key),
        }
    }

    /// Whether it is this one.
    pub(crate) fn is<H: Holder>(&self, found: &Found<'_, H>) -> bool {
        let entry = found.entry();
        match self.object {
            Some(object) => found.key_word() == Some(object),
            None => entry.layout().has_key(entry.bytes(), self.new.key),
        }
    }
}
