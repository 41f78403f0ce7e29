//! Finding an entry by a key that takes no Python code to compare.

use crate::kinds::entry::KeptKey;
use crate::kinds::layout::{Layout, word};
use crate::kinds::new::{Key, New};
use crate::table::store::{Found, Holder, Searched, is_inline};

impl<'h, H: Holder> Found<'h, H> {
    #[inline(always)]
    pub(crate) fn int(holder: &'h mut H, hash: u64, key: i64) -> Searched<'h, H> {
        Self::by_bytes(holder, hash, |entry| word(entry) == key as u64)
    }

    #[inline]
    pub(crate) fn text(holder: &'h mut H, hash: u64, key: &[u8]) -> Searched<'h, H> {
        let layout = holder.store().layout;
        Self::by_bytes(holder, hash, |entry| layout.text_key(entry) == key)
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
            None => self.is_bytes(entry.layout(), entry.bytes()),
        }
    }

    fn is_bytes(&self, layout: Layout, entry: &[u8]) -> bool {
        is_inline(layout, entry, self.new.key)
    }
}
