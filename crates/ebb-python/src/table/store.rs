//! A table with kinds: entries are found, inserted, read, overwritten and removed.
//!
//! Everything written to the table is written here, or by the lanes, in the store's layout; and each reference that is
//! written is counted. So an entry of the table is what [`Entry`] says.
#![allow(unsafe_code)] // says that entries are the table's

use crate::kinds::entry::{Entry, ObjectRef, is_object};
use crate::kinds::kind::{KeyKind, ValueKind};
use crate::kinds::layout::{Layout, word};
use crate::kinds::new::{Key, New};
use crate::kinds::plain::keep;
use crate::kinds::read::Read;
use crate::kinds::typed::{TypedKey, TypedValue, with_key_type};
use crate::table::dropped::Dropped;
use ebb::{Cursor, Deadlines, Found, OutOfMemory, RawTable, Stats, Table};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

/// The hash of an entry: of one type for each kind of key, so that what takes it is compiled once for each.
#[inline(always)]
pub(crate) fn rehasher<K: TypedKey>(layout: &Layout) -> impl Fn(&[u8]) -> u64 {
    |entry| K::rehash(layout, entry)
}

/// Writes an entry with a key of fixed size.
#[inline(always)]
fn writer<K: TypedKey, V: TypedValue>(hash: u64, key: K::Key<'_>, value: V::Value<'_>) -> impl FnOnce(&mut [u8]) {
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
        self.check_typed::<K, V>();
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

    /// Add a copy of an entry of another store of the same layout.
    pub(super) fn insert_copy(&mut self, py: Python<'_>, hash: u64, entry: Entry<'_>) -> Result<(), OutOfMemory> {
        let (layout, bytes) = (self.layout, entry.bytes());
        assert!(layout == entry.layout());
        let write = |to: &mut [u8]| to.copy_from_slice(bytes);
        self.table.insert(hash, bytes.len(), &|entry| layout.hash(entry), write)?;
        if layout.both_variable() {
            self.overhead += layout.overhead(bytes);
        }
        entry.objects().for_each(|object| object.keep(py));
        Ok(())
    }
}

impl Store<ebb::Cache> {
    /// Add an entry whose key a search has not found, to expire at some moment.
    pub(crate) fn insert_until(&mut self, new: New<'_>, deadlines: Deadlines) -> Result<(), OutOfMemory> {
        self.insert_by(new, |table, layout, len| {
            let rehash = |entry: &[u8]| layout.hash(entry);
            table.insert_until(new.hash, len, deadlines, &rehash, |entry| layout.write(entry, new))
        })
    }

    /// As [`insert_until`](Self::insert_until), for keys of a fixed size, where the kinds are known.
    #[inline(always)]
    pub(crate) fn insert_typed_until<K: TypedKey, V: TypedValue>(
        &mut self,
        hash: u64,
        key: K::Key<'_>,
        value: V::Value<'_>,
        deadlines: Deadlines,
    ) -> Result<(), OutOfMemory> {
        self.check_typed::<K, V>();
        let Store { layout, table, .. } = self;
        let (len, write) = (K::BYTES + V::len(value), writer::<K, V>(hash, key, value));
        table.insert_until(hash, len, deadlines, &rehasher::<K>(layout), write)?;
        self.keep_typed::<K, V>(key, value);
        Ok(())
    }
}

impl<T: RawTable> Store<T> {
    /// A store over an empty table.
    pub(crate) fn over(layout: Layout, table: T) -> Self {
        Store { layout, table, changes: 0, overhead: 0 }
    }

    /// An entry of the table.
    #[inline(always)]
    pub(crate) fn entry(&self, found: Found) -> Entry<'_> {
        // SAFETY: the table holds it.
        unsafe { Entry::new(self.layout, self.table.entry(found)) }
    }

    /// The next entry that a walk comes to.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Option<Entry<'_>> {
        // SAFETY: the table holds it.
        self.table.next(cursor).map(|entry| unsafe { Entry::new(self.layout, entry) })
    }

    /// The first entry of a hash that `is` it.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(Entry<'_>) -> bool) -> Option<Found> {
        // SAFETY: the table holds it.
        self.table.find(hash, |entry| is(unsafe { Entry::new(self.layout, entry) }))
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

    /// The entry of a key, where finding it takes no Python code; `Err` where it might.
    #[inline(always)]
    pub(crate) fn find_plain(&self, hash: u64, key: &Key<'_>) -> Result<Option<Found>, ()> {
        let Key::Object(object, _) = key else {
            return Ok(self.find_inline(hash, key));
        };
        let mut unsure = false;
        assert!(self.layout.key == KeyKind::Object);
        // SAFETY: the table has object keys.
        let found = self.table.find(hash, |entry| unsafe { is_object(entry, hash, object, &mut unsure) });
        if unsure { Err(()) } else { Ok(found) }
    }

    #[inline(always)]
    pub(crate) fn read_value(&self, py: Python<'_>, found: Found) -> PyResult<Read> {
        self.entry(found).read_value(py)
    }

    /// Key and value of an entry as objects.
    pub(crate) fn read_pair(&self, py: Python<'_>, found: Found) -> PyResult<(Read, Read)> {
        self.entry(found).read_pair(py)
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
        assert!(layout.takes(new));
        if layout.value.is_variable() {
            return Ok((self.replace(found, new)?, Dropped::of_value(None)));
        }
        let (from, bytes) = (layout.key_bytes, layout.value_bytes);
        let at = &mut self.table.entry_mut(found)[from..from + bytes];
        // SAFETY: the table's value, which is written over.
        let replaced = (layout.value == ValueKind::Object).then(|| unsafe { ObjectRef::new(at).take() });
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

    /// Whether objects are objects here too, so that nothing else is taken for a reference.
    #[inline(always)]
    fn check_typed<K: TypedKey, V: TypedValue>(&self) {
        assert!(K::BYTES == self.layout.key_bytes && V::ARE_OBJECTS == (self.layout.value == ValueKind::Object));
    }

    /// An entry of these has been written to stay.
    #[inline(always)]
    fn keep_typed<K: TypedKey, V: TypedValue>(&mut self, key: K::Key<'_>, value: V::Value<'_>) {
        K::keep(key);
        V::keep(value);
        self.changes += 1;
    }

    /// Add an entry whose key a search has not found; `put` puts it into the table.
    #[inline]
    fn insert_by(
        &mut self,
        new: New<'_>,
        put: impl FnOnce(&mut T, Layout, usize) -> Result<(), OutOfMemory>,
    ) -> Result<(), OutOfMemory> {
        let layout = self.layout;
        assert!(layout.takes(new));
        put(&mut self.table, layout, layout.entry_len(new))?;
        match new.key {
            Key::Text(text) => self.overhead += layout.prefix(text.len()),
            Key::Object(object, _) => keep(object),
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
        // SAFETY: the table holds the entry, which is removed.
        let dropped = unsafe { Dropped::of::<K>(&self.layout, self.table.entry(found)) };
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
        while let Some(entry) = self.next(&mut cursor) {
            entry.objects().try_for_each(|object| object.visit(visit))?;
        }
        Ok(())
    }
}

impl Dropped {
    /// The objects of an entry that is about to be taken out.
    ///
    /// # Safety
    /// A table of such keys holds the entry, in this layout. It is not used again.
    #[inline(always)]
    pub(crate) unsafe fn of<K: TypedKey>(layout: &Layout, entry: &[u8]) -> Self {
        let is_object = layout.value == ValueKind::Object;
        // SAFETY: as the caller says.
        unsafe {
            let value = is_object.then(|| ObjectRef::new(&entry[K::value(layout, entry)]).take());
            Dropped { key: K::take(entry), value }
        }
    }
}

/// The entries of a table that is going.
pub(super) struct Drain<T: RawTable> {
    store: Store<T>,
    cursor: Cursor,
}

impl<T: RawTable> Drain<T> {
    pub(super) fn of(store: Store<T>) -> Self {
        Drain { store, cursor: Cursor::default() }
    }

    /// The objects of the next entry; no entry comes twice.
    pub(super) fn next(&mut self) -> Option<Dropped> {
        let entry = self.store.next(&mut self.cursor)?;
        // SAFETY: nobody else has the store, and this comes to each entry once.
        let (key, value) = unsafe { entry.take_objects() };
        Some(Dropped { key, value })
    }

    /// The table, whose objects have been taken out.
    pub(super) fn into_table(self) -> T {
        self.store.table
    }
}
