//! A table with kinds: entries are found, inserted, read, overwritten and removed.
//!
//! Everything written to the table is written here and in the files below, in the store's layout; and each reference that
//! is written is counted. So an entry of the table is what [`Entry`] says. Nobody else gets to write: outside, a store's
//! table can only be read.
#![allow(unsafe_code)] // says that entries are the table's

use crate::kinds::entry::{Entry, Made, ObjectRef, new_object};
use crate::kinds::layout::Layout;
use crate::kinds::lookup::{Lookup, Search};
use crate::kinds::new::{Key, New};
use crate::kinds::typed::{Replaced, TypedKey, TypedValue};
use crate::table::dropped::Dropped;
use ebb::{Cursor, Deadlines, EntryRef, Host, Look, OccupiedEntry, OutOfMemory, RawTable, Table};
use pyo3::prelude::*;
use std::marker::PhantomData;

pub(crate) mod found;
mod insert;
mod upkeep;

/// The hash of an entry: of one type for each kind of key, so that what takes it is compiled once for each.
#[inline(always)]
fn rehasher<K: TypedKey>(layout: &Layout) -> impl Fn(&[u8]) -> u64 + use<K> {
    let place = K::place(layout);
    move |entry| K::rehash(place, entry)
}

/// The table of one map or cache.
pub(crate) struct Store<T: RawTable = Table> {
    layout: Layout,
    table: T,
    /// Counts inserts and removals, which end iterations.
    changes: u64,
    /// Bytes of entries that are neither key nor value.
    overhead: usize,
}

impl Store {
    pub(crate) fn new(layout: Layout) -> Self {
        Store::over(layout, Table::new(layout.entry_size()))
    }

    /// An empty store of the same layout, whose table may make as many allocations.
    pub(crate) fn empty_like(&self) -> Store {
        let mut empty = Store::new(self.layout);
        empty.table.set_allowance(self.table.allowance());
        empty
    }
}

impl<T: RawTable> Store<T> {
    /// A store over an empty table.
    pub(crate) fn over(layout: Layout, table: T) -> Self {
        assert!(table.is_empty()); // what others wrote may not be of this layout
        Store { layout, table, changes: 0, overhead: 0 }
    }

    #[inline(always)]
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The table, to read.
    #[inline(always)]
    pub(crate) fn table(&self) -> &T {
        &self.table
    }

    /// How many inserts and removals there have been.
    #[inline]
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// The next entry that a walk comes to.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Option<Entry<'_>> {
        // SAFETY: the table holds it.
        self.table.next(cursor).map(|entry| unsafe { Entry::new(self.layout, entry) })
    }

    /// Whether there is an entry of this hash that `is` it.
    #[inline(always)]
    pub(crate) fn has(&self, hash: u64, mut is: impl FnMut(Entry<'_>) -> bool) -> bool {
        // SAFETY: the table holds it.
        self.table.get(hash, |entry| is(unsafe { Entry::new(self.layout, entry) })).is_some()
    }

    /// Whether there is an entry of this key, which is no object.
    #[inline(always)]
    pub(crate) fn has_inline(&self, hash: u64, key: &Key<'_>) -> bool {
        let layout = self.layout;
        self.table.get(hash, |entry| layout.has_key(entry, key)).is_some()
    }

    /// Whether the table has keys of this kind.
    #[inline(always)]
    fn check_key<K: TypedKey>(&self) {
        assert!(K::BYTES == self.layout.key_bytes());
    }

    /// Where keys of this kind are, if the table has such keys.
    ///
    /// # Panics
    /// If it has others.
    #[inline(always)]
    fn place<K: TypedKey>(&self) -> K::Place {
        self.check_key::<K>();
        K::place(&self.layout)
    }

    /// An entry of which so many bytes are neither key nor value has been taken out.
    #[inline(always)]
    fn forgot(&mut self, overhead: usize) {
        self.overhead -= overhead;
        self.changes += 1;
    }
}

/// What has a store.
///
/// # Safety
/// The store is the same each time.
pub(crate) unsafe trait Holder {
    type Table: RawTable;
    fn store(&self) -> &Store<Self::Table>;
    fn store_mut(&mut self) -> &mut Store<Self::Table>;
}

// SAFETY: it is itself.
unsafe impl<T: RawTable> Holder for Store<T> {
    type Table = T;

    #[inline(always)]
    fn store(&self) -> &Store<T> {
        self
    }

    #[inline(always)]
    fn store_mut(&mut self) -> &mut Store<T> {
        self
    }
}

/// The holder of a store, as the one that has its table.
struct Held<'h, H>(&'h mut H);

impl<H: Holder> Host for Held<'_, H> {
    type Table = H::Table;

    #[inline(always)]
    fn table(&self) -> &H::Table {
        &self.0.store().table
    }

    #[inline(always)]
    fn table_mut(&mut self) -> &mut H::Table {
        &mut self.0.store_mut().table
    }
}

/// An entry that was found, with what holds its store: nobody else changes that meanwhile.
pub(crate) struct Found<'h, H: Holder>(OccupiedEntry<Held<'h, H>>);

/// What a search has found; if nothing, what was searched.
pub(crate) type Searched<'h, H> = Result<Found<'h, H>, &'h mut H>;

impl<'h, H: Holder> Found<'h, H> {
    fn of(found: Result<OccupiedEntry<Held<'h, H>>, Held<'h, H>>) -> Searched<'h, H> {
        found.map(Found).map_err(|held| held.0)
    }

    /// The entry of this hash whose bytes `is` recognises.
    #[inline(always)]
    fn by_bytes(holder: &'h mut H, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Searched<'h, H> {
        Self::of(OccupiedEntry::find(Held(holder), hash, is))
    }

    /// The entry of this hash that `is` it.
    #[inline(always)]
    pub(crate) fn find(holder: &'h mut H, hash: u64, mut is: impl FnMut(Entry<'_>) -> bool) -> Searched<'h, H> {
        let layout = holder.store().layout;
        // SAFETY: the table holds it.
        Self::by_bytes(holder, hash, |entry| is(unsafe { Entry::new(layout, entry) }))
    }

    /// The entry of a key of the table's kind, if no Python code has to be asked.
    #[inline(always)]
    pub(crate) fn typed<K: TypedKey>(holder: &'h mut H, hash: u64, key: K::Key<'_>) -> Lookup<Self> {
        let (place, mut search) = (holder.store().place::<K>(), Search::default());
        // SAFETY: the table has such keys: `place` has looked.
        let is = |entry: &[u8]| search.ends_at(unsafe { K::compare(key, hash, place, entry) });
        let end = Self::by_bytes(holder, hash, is).ok();
        search.result(end)
    }

    #[inline(always)]
    fn layout(&self) -> Layout {
        self.holder().store().layout
    }

    /// The entry.
    #[inline(always)]
    pub(crate) fn entry(&self) -> Entry<'_> {
        // SAFETY: the table holds it.
        unsafe { Entry::new(self.layout(), self.0.bytes()) }
    }

    /// Give the entry another value; what it had. Only a value of variable size may take memory.
    #[inline]
    pub(crate) fn overwrite(&mut self, new: New<'_>) -> Result<Dropped, OutOfMemory> {
        let layout = self.layout();
        assert!(layout.takes(new));
        if layout.value_kind().is_variable() {
            return self.replace(new).map(|()| Dropped::nothing());
        }
        let at = &mut self.0.bytes_mut()[layout.fixed_value()];
        // SAFETY: the table's value, which is written over.
        let replaced = layout.has_object_values().then(|| unsafe { ObjectRef::new(at).take() });
        new.value.write(at);
        new.value.keep();
        Ok(Dropped::of_value(replaced))
    }

    /// As [`remove`](Self::remove), where the kind of key is known.
    #[inline(always)]
    pub(crate) fn remove_typed<K: TypedKey>(self) -> (&'h mut H, Dropped) {
        let store = self.holder().store();
        store.check_key::<K>();
        if !(K::ARE_OBJECTS || store.layout.has_object_values()) {
            return (self.forget::<K>(), Dropped::nothing());
        }
        // SAFETY: the table holds the entry, which is removed.
        let dropped = unsafe { Dropped::of::<K>(&store.layout, self.0.bytes()) };
        (self.forget::<K>(), dropped)
    }

    /// Take the entry out, whose objects are dropped elsewhere.
    #[inline(always)]
    fn forget<K: TypedKey>(self) -> &'h mut H {
        let layout = &self.holder().store().layout;
        let overhead = if K::BYTES == 0 && layout.both_variable() { layout.overhead(self.0.bytes()) } else { 0 };
        let rehash = rehasher::<K>(layout);
        let holder = self.0.remove(&rehash).0;
        holder.store_mut().forgot(overhead);
        holder
    }
}

/// An entry of a store, to read.
pub(crate) struct Seen<'s, T: RawTable> {
    layout: Layout,
    entry: EntryRef<'s, T>,
}

impl<'s, T: RawTable> Seen<'s, T> {
    pub(crate) fn entry(&self) -> Entry<'s> {
        // SAFETY: the table holds it.
        unsafe { Entry::new(self.layout, self.entry.bytes()) }
    }
}

impl Seen<'_, ebb::Cache> {
    /// When the entry expires.
    pub(crate) fn deadlines(&self) -> Deadlines {
        self.entry.deadlines()
    }
}

impl<T: RawTable> Store<T> {
    /// Call `visit` with every entry of a part of the table, after its hash. See [`RawTable::visit_part`].
    pub(crate) fn visit(&self, position: u64, mut visit: impl FnMut(u64, Seen<'_, T>)) -> Option<u64> {
        let layout = self.layout;
        let rehash = |entry: &[u8]| layout.hash(entry);
        self.table.visit_part(position, &rehash, |hash, entry| visit(hash, Seen { layout, entry }))
    }
}

impl Store {
    /// The bytes of the entry of a key of the table's kind, if no Python code has to be asked.
    #[inline(always)]
    fn find_typed<K: TypedKey>(&self, hash: u64, key: K::Key<'_>) -> Lookup<&[u8]> {
        let (place, mut search) = (self.place::<K>(), Search::default());
        // SAFETY: the table has such keys: `place` has looked.
        let end = self.table.get(hash, |entry| search.ends_at(unsafe { K::compare(key, hash, place, entry) }));
        search.result(end)
    }

    /// The value of a key of the table's kind, if neither Python code nor a codec is needed.
    #[inline(always)]
    pub(crate) fn get_typed<'py, K: TypedKey>(&self, py: Python<'py>, hash: u64, key: K::Key<'_>) -> Option<Made<'py>> {
        let Lookup::Found(entry) = self.find_typed::<K>(hash, key) else { return None };
        // SAFETY: the table holds the value.
        unsafe { new_object(py, self.layout.value_kind(), &entry[K::value(&self.layout, entry)]) }
    }

    /// Whether there is a key of the table's kind, if no Python code has to be asked.
    #[inline(always)]
    pub(crate) fn has_typed<K: TypedKey>(&self, hash: u64, key: K::Key<'_>) -> Option<bool> {
        match self.find_typed::<K>(hash, key) {
            Lookup::Found(_) => Some(true),
            Lookup::Absent => Some(false),
            Lookup::Unsure => None,
        }
    }

    /// Set a key to a value, both of the table's kinds, if neither Python code nor memory that is not there is needed;
    /// what it had.
    #[inline(always)]
    pub(crate) fn set_typed<K: TypedKey, V: TypedValue>(
        &mut self,
        hash: u64,
        key: K::Key<'_>,
        value: V::Value<'_>,
    ) -> Option<Replaced> {
        self.check_typed::<K, V>();
        let Store { layout, table, .. } = &mut *self;
        let (place, mut search) = (K::place(layout), Search::default());
        // SAFETY: the table has such keys: `check_typed` has looked.
        let end = table.get_mut(hash, |entry| search.ends_at(unsafe { K::compare(key, hash, place, entry) }));
        match search.result(end) {
            Lookup::Unsure => None,
            Lookup::Absent => self.insert_typed::<K, V>(hash, key, value).ok().map(|()| Replaced(None)),
            Lookup::Found(entry) => {
                let range = K::value(layout, entry);
                if range.len() != V::len(value) {
                    return self.resize::<K>(key, New { hash, key: &K::key(key), value: &V::value(value) });
                }
                // SAFETY: the table holds the value, which is of this kind.
                Some(unsafe { write_over::<V>(&mut entry[range], value) })
            }
        }
    }

    /// Set a key that is there to a value of another length than it has.
    #[inline(never)]
    fn resize<K: TypedKey>(&mut self, key: K::Key<'_>, new: New<'_>) -> Option<Replaced> {
        let Lookup::Found(mut found) = Found::typed::<K>(self, new.hash, key) else { return None };
        found.overwrite(new).ok().map(|dropped| Replaced(dropped.into_value()))
    }
}

/// Whether values are objects exactly if these are: nothing else may be taken for a reference.
#[inline(always)]
fn check_value<V: TypedValue>(layout: &Layout) {
    assert!(V::ARE_OBJECTS == layout.has_object_values());
}

/// Put a value in another one's place; what was there.
///
/// # Safety
/// A table of such values holds the one that is written over.
#[inline(always)]
unsafe fn write_over<V: TypedValue>(at: &mut [u8], value: V::Value<'_>) -> Replaced {
    // SAFETY: as the caller says.
    let replaced = unsafe { V::take(at) };
    V::write(value, at);
    V::keep(value);
    Replaced(replaced)
}

/// An entry of a cache with keys of some kind that was found without an [`OccupiedEntry`], to be used at once.
pub(crate) struct Looked<'s, K> {
    layout: &'s Layout,
    look: Look<'s>,
    key: PhantomData<K>,
}

/// Where a search has ended.
pub(crate) struct LookEnd<'s, K> {
    end: Option<Looked<'s, K>>,
    search: Search,
}

impl<'s, K> LookEnd<'s, K> {
    /// What it comes to.
    #[inline(always)]
    pub(crate) fn result(&mut self) -> Lookup<&mut Looked<'s, K>> {
        self.search.result(self.end.as_mut())
    }
}

impl<K: TypedKey> Looked<'_, K> {
    /// When the entry expires.
    #[inline(always)]
    pub(crate) fn deadlines(&self) -> Deadlines {
        self.look.deadlines()
    }

    /// Give the entry deadlines that are not earlier.
    #[inline(always)]
    pub(crate) fn prolong(&mut self, deadlines: Deadlines) {
        self.look.prolong(deadlines);
    }

    /// The entry was used.
    #[inline(always)]
    pub(crate) fn mark(&mut self) {
        self.look.mark();
    }

    /// The value, if that takes no codec.
    #[inline(always)]
    pub(crate) fn value<'py>(&self, py: Python<'py>) -> Option<Made<'py>> {
        let entry = &*self.look.entry;
        // SAFETY: the table holds the value.
        unsafe { new_object(py, self.layout.value_kind(), &entry[K::value(self.layout, entry)]) }
    }

    /// Give the entry another value, as a use of it, if that is as long and the deadlines are not earlier; what it had.
    #[inline(always)]
    pub(crate) fn overwrite<V: TypedValue>(&mut self, value: V::Value<'_>, deadlines: Deadlines) -> Option<Replaced> {
        check_value::<V>(self.layout);
        let range = K::value(self.layout, self.look.entry);
        if range.len() != V::len(value) || !self.look.prolong(deadlines) {
            return None;
        }
        self.look.mark();
        // SAFETY: the table holds the value, which is of this kind.
        Some(unsafe { write_over::<V>(&mut self.look.entry[range], value) })
    }
}

impl Store<ebb::Cache> {
    /// The entry of a key of the table's kind, if no Python code has to be asked.
    #[inline(always)]
    pub(crate) fn look<K: TypedKey>(&mut self, hash: u64, key: K::Key<'_>) -> LookEnd<'_, K> {
        let (place, mut search) = (self.place::<K>(), Search::default());
        let Store { layout, table, .. } = self;
        // SAFETY: the table has such keys: `place` has looked.
        let end = table.look(hash, |entry| search.ends_at(unsafe { K::compare(key, hash, place, entry) }));
        LookEnd { end: end.map(|look| Looked { layout, look, key: PhantomData }), search }
    }
}

impl Dropped {
    /// The objects of an entry that is about to be taken out.
    ///
    /// # Safety
    /// A table of such keys holds the entry, in this layout. It is not used again.
    #[inline(always)]
    unsafe fn of<K: TypedKey>(layout: &Layout, entry: &[u8]) -> Self {
        let is_object = layout.has_object_values();
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
