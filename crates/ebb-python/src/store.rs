//! A table with kinds, and each operation of a map on it as one step that runs no Python code.

use crate::calls;
use crate::convert::{Key, Read, read_value};
use crate::errors::out_of_memory;
use crate::kinds::{KeyKind, ValueKind};
use crate::layout::{KeptKey, Layout, New, word};
use crate::objects::{self, Leaving};
use crate::pace::Rests;
use crate::take::Taken;
use crate::typed::{Match, TypedKey, TypedValue, with_key_type};
use ebb::{Cursor, Found, OutOfMemory, RawTable, Stats, Table};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::collections::HashMap;

/// What a search for an object key comes to.
pub(crate) enum Probe {
    Known(Option<Found>),
    /// Whether one of these keys of the table equals the one sought has to be asked of them, outside the lock.
    Ask(Vec<Py<PyAny>>),
}

/// What keys of a table have answered, outside the lock. A reference to each is kept, so that no other object can be
/// at its address.
#[derive(Default)]
pub(crate) struct Asked {
    unequal: HashMap<usize, Py<PyAny>>,
    equal: Option<Py<PyAny>>,
}

impl Asked {
    /// Ask, in order, until one says that it is equal.
    pub(crate) fn ask(&mut self, candidates: Vec<Py<PyAny>>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.unequal.try_reserve(candidates.len()).map_err(out_of_memory)?;
        for candidate in candidates {
            if calls::equal(candidate.bind(key.py()), key)? {
                self.equal = Some(candidate);
                return Ok(());
            }
            self.unequal.insert(candidate.as_ptr() as usize, candidate);
        }
        Ok(())
    }
}

/// Objects that came out of a table, to be dropped once it is unlocked.
#[must_use]
pub(crate) struct Dropped {
    key: Option<Leaving>,
    value: Option<Leaving>,
}

impl Dropped {
    /// The objects of an entry that is about to be taken out.
    #[inline(always)]
    pub(crate) fn of<K: TypedKey>(layout: &Layout, entry: &[u8]) -> Self {
        let is_object = layout.value == ValueKind::Object;
        let value = is_object.then(|| Leaving::of(&entry[K::value(layout, entry)]));
        Dropped { key: K::take(entry), value }
    }

    /// The object that was an entry's value, if it was one.
    #[inline(always)]
    fn of_value(value: Option<Leaving>) -> Self {
        Dropped { key: None, value }
    }

    /// The value, where that is all there is.
    pub(crate) fn into_value(self) -> Option<Leaving> {
        debug_assert!(self.key.is_none());
        self.value
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.key.is_none() && self.value.is_none()
    }

    /// Drop them. Runs `__del__`, so never under a lock.
    #[inline]
    pub(crate) fn release(self, py: Python<'_>) {
        if let Some(key) = self.key {
            key.release(py);
        }
        if let Some(value) = self.value {
            value.release(py);
        }
    }
}

/// Whether an entry's key is this object.
#[inline(always)]
pub(crate) fn is_object(entry: &[u8], hash: u64, object: &Bound<'_, PyAny>) -> Match {
    let candidate = &entry[8..16];
    if objects::is_same(candidate, object) {
        return Match::Yes;
    }
    if word(entry) != hash {
        return Match::No;
    }
    objects::builtin_equal(candidate, object).map_or(Match::Unsure, Match::of)
}

/// The hash of an entry: of one type for each kind of key, so that what takes it is compiled once for each.
#[inline(always)]
pub(crate) fn rehasher<K: TypedKey>(layout: &Layout) -> impl Fn(&[u8]) -> u64 {
    |entry| K::rehash(layout, entry)
}

/// Writes an entry with a key of fixed size.
#[inline(always)]
pub(crate) fn writer<K: TypedKey, V: TypedValue>(
    hash: u64,
    key: K::Key<'_>,
    value: V::Value<'_>,
) -> impl FnOnce(&mut [u8]) {
    #[inline(always)]
    move |entry: &mut [u8]| {
        let (front, rest) = entry.split_at_mut(K::BYTES);
        K::write(key, hash, front);
        V::write(value, rest);
    }
}

/// The table of one map or cache.
pub(crate) struct Store<T: RawTable = Table> {
    pub(crate) layout: Layout,
    pub(crate) table: T,
    /// Counts inserts and removals, which end iterations.
    pub(crate) changes: u64,
    /// Bytes of entries that are neither key nor value.
    overhead: usize,
}

impl Store {
    pub(crate) fn new(layout: Layout) -> Self {
        Store::over(layout, Table::new(layout.entry_size()))
    }

    /// Insert or replace; `found` is what a search for the key has found.
    #[inline]
    pub(crate) fn set(&mut self, found: Option<Found>, new: New<'_>) -> Result<Dropped, OutOfMemory> {
        let Some(found) = found else {
            return self.insert(new).map(|()| Dropped::of_value(None));
        };
        self.overwrite(found, new).map(|(_, dropped)| dropped)
    }

    /// Add an entry whose key a search has not found.
    #[inline]
    pub(crate) fn insert(&mut self, new: New<'_>) -> Result<(), OutOfMemory> {
        self.insert_by(new, |table, layout, len| {
            table.insert(new.hash, len, &|entry| layout.hash(entry), |entry| layout.write(entry, new))
        })
    }

    /// As [`insert`](Self::insert), where the kinds are known.
    #[inline(always)]
    pub(crate) fn insert_typed<K: TypedKey, V: TypedValue>(
        &mut self,
        hash: u64,
        key: K::Key<'_>,
        value: V::Value<'_>,
    ) -> Result<(), OutOfMemory> {
        if K::BYTES == 0 {
            return self.insert(New { hash, key: &K::key(key), value: &V::value(value) });
        }
        let Store { layout, table, .. } = self;
        table.insert(hash, K::BYTES + V::len(value), &rehasher::<K>(layout), writer::<K, V>(hash, key, value))?;
        self.keep_typed::<K, V>(key, value);
        Ok(())
    }

    /// An empty store of the same layout, whose table may make as many allocations.
    pub(crate) fn empty_like(&self) -> Store {
        let mut empty = Store::new(self.layout);
        empty.table.set_allowance(self.table.allowance());
        empty
    }

    /// Add the entries of a part to a store of the same layout, which has none of them; how many they were. When memory
    /// runs out it has some of them.
    pub(crate) fn copy_part(&self, py: Python<'_>, part: Part, copy: &mut Store) -> Result<usize, OutOfMemory> {
        let mut done = Ok(0);
        self.visit_part(part, |hash, found| {
            if let Ok(copied) = done {
                let entry = self.table.entry(found);
                done = copy.insert_copy(py, hash, entry).map(|()| copied + 1);
            }
        });
        done
    }

    /// Add a copy of an entry of another store of the same layout.
    fn insert_copy(&mut self, py: Python<'_>, hash: u64, entry: &[u8]) -> Result<(), OutOfMemory> {
        let layout = self.layout;
        let write = |to: &mut [u8]| to.copy_from_slice(entry);
        self.table.insert(hash, entry.len(), &|entry| layout.hash(entry), write)?;
        if layout.both_variable() {
            self.overhead += layout.overhead(entry);
        }
        if layout.key == KeyKind::Object {
            objects::keep_word(py, &entry[8..]);
        }
        if layout.value == ValueKind::Object {
            objects::keep_word(py, layout.value(entry));
        }
        Ok(())
    }

    /// Take out an entry if what it becomes is made.
    #[inline(always)]
    pub(crate) fn remove_made<T, R>(&mut self, found: Found, taken: Taken<T, R>) -> (Taken<T, R>, Option<Dropped>) {
        let dropped = matches!(taken, Taken::Made(_)).then(|| self.remove(found));
        (taken, dropped)
    }

    /// Everything, leaving nothing.
    pub(crate) fn take(&mut self) -> Contents {
        let empty = Store { changes: self.changes + 1, ..Store::new(self.layout) };
        let store = std::mem::replace(self, empty);
        store.into_contents()
    }
}

impl<T: RawTable> Store<T> {
    /// A store over an empty table.
    pub(crate) fn over(layout: Layout, table: T) -> Self {
        Store { layout, table, changes: 0, overhead: 0 }
    }

    #[inline(always)]
    pub(crate) fn find_int(&self, hash: u64, key: i64) -> Option<Found> {
        self.table.find(hash, |entry| word(entry) == key as u64)
    }

    #[inline]
    pub(crate) fn find_text(&self, hash: u64, key: &[u8]) -> Option<Found> {
        let layout = self.layout;
        self.table.find(hash, |entry| layout.text_key(entry) == key)
    }

    /// Search for an object key, with what has been asked so far. O(keys of this hash).
    #[inline]
    pub(crate) fn probe(
        &self,
        py: Python<'_>,
        hash: u64,
        key: &Bound<'_, PyAny>,
        asked: &Asked,
    ) -> Result<Probe, OutOfMemory> {
        let (mut ask, mut left_out) = (Vec::new(), false);
        let found = self.table.find(hash, |entry| {
            let candidate = &entry[8..16];
            if objects::is_same(candidate, key) {
                return true;
            }
            if word(entry) != hash {
                return false;
            }
            if asked.equal.as_ref().is_some_and(|equal| objects::is_same(candidate, equal.bind(py))) {
                return true;
            }
            objects::builtin_equal(candidate, key).unwrap_or_else(|| {
                if !asked.unequal.contains_key(&objects::address(candidate)) {
                    match ask.try_reserve(1) {
                        Ok(()) => ask.push(objects::clone_word(py, candidate)),
                        Err(_) => left_out = true,
                    }
                }
                false
            })
        });
        // The table has those to be asked too, so dropping them here ends none.
        match found {
            None if !ask.is_empty() => Ok(Probe::Ask(ask)),
            None if left_out => Err(OutOfMemory),
            _ => Ok(Probe::Known(found)),
        }
    }

    #[inline(always)]
    pub(crate) fn read_value(&self, py: Python<'_>, found: Found) -> PyResult<Read> {
        read_value(py, self.layout.value, self.layout.value(self.table.entry(found)))
    }

    /// The key of an entry as an object.
    pub(crate) fn read_key(&self, py: Python<'_>, entry: &[u8]) -> PyResult<Read> {
        self.layout.read_key(py, entry)
    }

    /// Key and value of an entry as objects.
    pub(crate) fn read_pair(&self, py: Python<'_>, found: Found) -> PyResult<(Read, Read)> {
        Ok((self.read_key(py, self.table.entry(found))?, self.read_value(py, found)?))
    }

    /// The entry whose very key this is.
    pub(crate) fn find_kept(&self, hash: u64, key: &KeptKey) -> Option<Found> {
        match key {
            KeptKey::Object(object) => self.find_object(hash, object.as_ptr() as usize as u64),
            KeptKey::Int(int) => self.find_int(hash, *int),
            KeptKey::Text(text) => self.find_text(hash, text),
        }
    }

    /// The entry of a key that is no object.
    #[inline(always)]
    pub(crate) fn find_inline(&self, hash: u64, key: &Key<'_>) -> Option<Found> {
        match key {
            Key::Int(int) => self.find_int(hash, *int),
            Key::Text(text) => self.find_text(hash, text),
            Key::Object(..) => unreachable!("objects are searched with `probe`"),
        }
    }

    /// Give an entry another value; where the entry is then, and what it had. Only a value of variable size may take
    /// memory.
    #[inline]
    pub(crate) fn overwrite(&mut self, found: Found, new: New<'_>) -> Result<(Found, Dropped), OutOfMemory> {
        let layout = self.layout;
        if layout.value.is_variable() {
            return Ok((self.replace(found, new)?, Dropped::of_value(None)));
        }
        let (from, bytes) = (layout.key_bytes, layout.value_bytes);
        let at = &mut self.table.entry_mut(found)[from..from + bytes];
        let replaced = (layout.value == ValueKind::Object).then(|| Leaving::of(at));
        new.value.write(at);
        new.value.keep();
        Ok((found, Dropped::of_value(replaced)))
    }

    /// The bytes of an object key.
    pub(crate) fn key_word(&self, found: Found) -> Option<u64> {
        let is_object = self.layout.key == KeyKind::Object;
        is_object.then(|| word(&self.table.entry(found)[8..]))
    }

    /// The entry whose key is the object of these bytes.
    pub(crate) fn find_object(&self, hash: u64, object: u64) -> Option<Found> {
        self.table.find(hash, |entry| word(&entry[8..]) == object)
    }

    /// An entry of these has been written to stay.
    #[inline(always)]
    pub(crate) fn keep_typed<K: TypedKey, V: TypedValue>(&mut self, key: K::Key<'_>, value: V::Value<'_>) {
        K::keep(key);
        V::keep(value);
        self.changes += 1;
    }

    /// Add an entry whose key a search has not found; `put` puts it into the table.
    #[inline]
    pub(crate) fn insert_by(
        &mut self,
        new: New<'_>,
        put: impl FnOnce(&mut T, Layout, usize) -> Result<(), OutOfMemory>,
    ) -> Result<(), OutOfMemory> {
        let layout = self.layout;
        put(&mut self.table, layout, layout.entry_len(new))?;
        match new.key {
            Key::Text(text) => self.overhead += layout.prefix(text.len()),
            Key::Object(object, _) => objects::keep(object),
            Key::Int(_) => {}
        }
        new.value.keep();
        self.changes += 1;
        Ok(())
    }

    /// Give a variable value new bytes. The key stays the one that is there.
    fn replace(&mut self, found: Found, new: New<'_>) -> Result<Found, OutOfMemory> {
        let layout = self.layout;
        let len = layout.entry_len(new);
        let mut fixed_key = [0; 16];
        let kept = layout.key_bytes;
        fixed_key[..kept].copy_from_slice(&self.table.entry(found)[..kept]);
        self.table.replace(found, len, &|entry| layout.hash(entry), |entry| {
            layout.write(entry, new);
            entry[..kept].copy_from_slice(&fixed_key[..kept]);
        })
    }

    /// Take an entry out.
    #[inline(never)]
    pub(crate) fn remove(&mut self, found: Found) -> Dropped {
        with_key_type!(self.layout.key, K => self.remove_typed::<K>(found))
    }

    /// As [`remove`](Self::remove), where the kind of key is known.
    #[inline(always)]
    pub(crate) fn remove_typed<K: TypedKey>(&mut self, found: Found) -> Dropped {
        let dropped = Dropped::of::<K>(&self.layout, self.table.entry(found));
        self.forget::<K>(found);
        dropped
    }

    /// Take an entry without objects out.
    #[inline(never)]
    pub(crate) fn remove_inline(&mut self, found: Found) {
        with_key_type!(self.layout.key, K => self.forget::<K>(found));
    }

    /// Take an entry out, whose objects are dropped elsewhere.
    #[inline(always)]
    pub(crate) fn forget<K: TypedKey>(&mut self, found: Found) {
        if K::BYTES == 0 && self.layout.both_variable() {
            self.overhead -= self.layout.overhead(self.table.entry(found));
        }
        self.table.remove(found, &rehasher::<K>(&self.layout));
        self.changes += 1;
    }

    /// Bytes of keys and values; an object counts as the pointer it is here.
    pub(crate) fn payload_bytes(&self) -> usize {
        let hashes = if self.layout.key == KeyKind::Object { 8 * self.table.len() } else { 0 };
        self.table.entry_bytes() - hashes - self.overhead
    }

    pub(crate) fn stats(&self) -> (Stats, usize) {
        (self.table.stats(), self.payload_bytes())
    }

    /// Call `visit` with every entry of a part of the table, and its hash. O(the part).
    pub(crate) fn visit_part(&self, part: Part, mut visit: impl FnMut(u64, Found)) {
        let layout = self.layout;
        let mut position = Some(part.first);
        while let Some(at) = position.filter(|&at| at <= part.last) {
            position = self.table.visit_part(at, &|entry| layout.hash(entry), |hash, found| {
                if hash.reverse_bits() <= part.last {
                    visit(hash, found);
                }
            });
        }
    }

    /// All there is, to be released.
    pub(crate) fn into_contents(self) -> Contents<T> {
        Contents { layout: self.layout, table: self.table }
    }

    /// Walk every invariant.
    pub(crate) fn check(&self) {
        let layout = self.layout;
        self.table.check(&|entry| layout.hash(entry));
        let mut overhead = 0;
        let mut cursor = Cursor::default();
        while let Some(entry) = self.table.next(&mut cursor) {
            overhead += if layout.both_variable() { layout.overhead(entry) } else { 0 };
        }
        assert_eq!(overhead, self.overhead);
    }

    pub(crate) fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let mut cursor = Cursor::default();
        while let Some(entry) = self.table.next(&mut cursor) {
            if self.layout.key == KeyKind::Object {
                objects::visit_word(visit, &entry[8..])?;
            }
            if self.layout.value == ValueKind::Object {
                objects::visit_word(visit, self.layout.value(entry))?;
            }
        }
        Ok(())
    }
}

/// A part of a table: the entries whose hashes, read backwards, are in a range. As a hash never changes, an entry that is
/// there all along is in exactly one part, whatever is done to the table between the visits of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    first: u64,
    last: u64,
}

/// All parts of a table, in an order in which the low bits of hashes vary: so a copy fills evenly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    bits: u32,
    next: u64,
}

impl Parts {
    /// Entries of a part, about: looking at them takes some ten microseconds.
    const ENTRIES: usize = 256;

    /// Those of a table with so many entries.
    pub(crate) fn of(entries: usize) -> Self {
        Parts { bits: (entries / Parts::ENTRIES).max(1).ilog2(), next: 0 }
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.next >> self.bits > 0 {
            return None;
        }
        let first = self.next.reverse_bits();
        self.next += 1;
        Some(Part { first, last: first | u64::MAX.checked_shr(self.bits).unwrap_or(0) })
    }
}

/// Bytes of a table with so many pages that giving them back takes a while.
const LARGE: usize = 1 << 20;

/// What a map held, on its way out.
#[must_use]
pub(crate) struct Contents<T: RawTable = Table> {
    layout: Layout,
    table: T,
}

impl<T: RawTable> Contents<T> {
    /// Call `visit` with every entry.
    pub(crate) fn each(&self, mut visit: impl FnMut(Layout, &[u8])) {
        let mut cursor = Cursor::default();
        while let Some(entry) = self.table.next(&mut cursor) {
            visit(self.layout, entry);
        }
    }

    /// Drop every object, then the memory, and let other threads have the interpreter every few milliseconds. Runs
    /// `__del__`, so never under a lock.
    pub(crate) fn release(self, py: Python<'_>) {
        if self.layout.has_objects() {
            self.release_objects(py);
        }
        if self.is_large() {
            let table = self.table;
            py.detach(|| drop(table)); // many pages
        }
    }

    fn release_objects(&self, py: Python<'_>) {
        let mut rests = Rests::default();
        let mut cursor = Cursor::default();
        while let Some(entry) = self.table.next(&mut cursor) {
            if self.layout.key == KeyKind::Object {
                Leaving::of(&entry[8..]).release(py);
            }
            if self.layout.value == ValueKind::Object {
                Leaving::of(self.layout.value(entry)).release(py);
            }
            rests.dropped(py);
        }
    }

    /// Whether it is worth to release the interpreter while the memory is given back.
    pub(crate) fn is_large(&self) -> bool {
        self.table.bytes() > LARGE
    }

    /// Whether there is anything that takes Python to release.
    pub(crate) fn has_objects(&self) -> bool {
        self.layout.has_objects() && !self.table.is_empty()
    }
}
