//! A table with kinds: entries are found, inserted, read, overwritten and removed.
//!
//! Everything written to the table is written here, or by the lanes, in the store's layout; and each reference that is
//! written is counted. So an entry of the table is what [`Entry`] says.
#![allow(unsafe_code)] // says that entries are the table's

use crate::kinds::entry::{Entry, Made, ObjectRef, new_object};
use crate::kinds::kind::{KeyKind, ValueKind};
use crate::kinds::layout::{Layout, word};
use crate::kinds::lookup::{Lookup, Search};
use crate::kinds::new::{Key, New};
use crate::kinds::typed::{Replaced, TypedKey, TypedValue, with_key_type};
use crate::table::dropped::Dropped;
use ebb::{Cursor, Deadlines, EntryRef, Host, OccupiedEntry, OutOfMemory, RawTable, Stats, Table};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

/// The hash of an entry: of one type for each kind of key, so that what takes it is compiled once for each.
#[inline(always)]
pub(crate) fn rehasher<K: TypedKey>(layout: &Layout) -> impl Fn(&[u8]) -> u64 {
    |entry| K::rehash(layout, entry)
}

/// The table of one map or cache.
pub(crate) struct Store<T: RawTable = Table> {
    pub(crate) layout: Layout,
    pub(crate) table: T,
    /// Counts inserts and removals, which end iterations.
    pub(crate) changes: u64,
    /// Bytes of entries that are neither key nor value.
    pub(super) overhead: usize,
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
        Store { layout, table, changes: 0, overhead: 0 }
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
        self.table.get(hash, |entry| is_inline(layout, entry, key)).is_some()
    }

    /// Whether the table has keys of this kind.
    #[inline(always)]
    pub(crate) fn check_key<K: TypedKey>(&self) {
        assert!(K::BYTES == self.layout.key_bytes);
    }

    /// An entry of which so many bytes are neither key nor value has been taken out.
    #[inline(always)]
    fn forgot(&mut self, overhead: usize) {
        self.overhead -= overhead;
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
pub(super) struct Held<'h, H>(pub(super) &'h mut H);

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
pub(crate) struct Found<'h, H: Holder>(pub(super) OccupiedEntry<Held<'h, H>>);

/// What a search has found; if nothing, what was searched.
pub(crate) type Searched<'h, H> = Result<Found<'h, H>, &'h mut H>;

impl<'h, H: Holder> Found<'h, H> {
    pub(super) fn of(found: Result<OccupiedEntry<Held<'h, H>>, Held<'h, H>>) -> Searched<'h, H> {
        found.map(Found).map_err(|held| held.0)
    }

    /// The entry of this hash whose bytes `is` recognises.
    #[inline(always)]
    pub(super) fn by_bytes(holder: &'h mut H, hash: u64, is: impl FnMut(&[u8]) -> bool) -> Searched<'h, H> {
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
        let (layout, mut search) = (holder.store().layout, Search::default());
        holder.store().check_key::<K>();
        // SAFETY: the table has such keys.
        let is = |entry: &[u8]| search.ends_at(unsafe { K::compare(key, hash, &layout, entry) });
        let end = Self::by_bytes(holder, hash, is).ok();
        search.result(end)
    }

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

    #[inline(always)]
    pub(super) fn layout(&self) -> Layout {
        self.holder().store().layout
    }

    /// The entry.
    #[inline(always)]
    pub(crate) fn entry(&self) -> Entry<'_> {
        // SAFETY: the table holds it.
        unsafe { Entry::new(self.layout(), self.0.bytes()) }
    }

    /// The bytes of an object key.
    pub(crate) fn key_word(&self) -> Option<u64> {
        let is_object = self.layout().key == KeyKind::Object;
        is_object.then(|| word(&self.0.bytes()[8..]))
    }

    /// Give the entry another value; what it had. Only a value of variable size may take memory.
    #[inline]
    pub(crate) fn overwrite(&mut self, new: New<'_>) -> Result<Dropped, OutOfMemory> {
        let layout = self.layout();
        assert!(layout.takes(new));
        if layout.value.is_variable() {
            return self.replace(new).map(|()| Dropped::nothing());
        }
        let (from, bytes) = (layout.key_bytes, layout.value_bytes);
        let at = &mut self.0.bytes_mut()[from..from + bytes];
        // SAFETY: the table's value, which is written over.
        let replaced = (layout.value == ValueKind::Object).then(|| unsafe { ObjectRef::new(at).take() });
        new.value.write(at);
        new.value.keep();
        Ok(Dropped::of_value(replaced))
    }

    /// Take the entry out.
    #[inline(never)]
    pub(crate) fn remove(self) -> (&'h mut H, Dropped) {
        with_key_type!(self.layout().key, K => self.remove_typed::<K>())
    }

    /// As [`remove`](Self::remove), where the kind of key is known.
    #[inline(always)]
    pub(crate) fn remove_typed<K: TypedKey>(self) -> (&'h mut H, Dropped) {
        let layout = self.layout();
        self.holder().store().check_key::<K>();
        if !layout.has_objects() {
            return (self.forget::<K>(), Dropped::nothing());
        }
        // SAFETY: the table holds the entry, which is removed.
        let dropped = unsafe { Dropped::of::<K>(&layout, self.0.bytes()) };
        (self.forget::<K>(), dropped)
    }

    /// Take an entry without objects out.
    #[inline(never)]
    pub(crate) fn remove_inline(self) -> &'h mut H {
        debug_assert!(!self.layout().has_objects());
        with_key_type!(self.layout().key, K => self.forget::<K>())
    }

    /// Take the entry out, whose objects are dropped elsewhere.
    #[inline(always)]
    fn forget<K: TypedKey>(self) -> &'h mut H {
        let layout = self.layout();
        let overhead = if K::BYTES == 0 && layout.both_variable() { layout.overhead(self.0.bytes()) } else { 0 };
        let holder = self.0.remove(&rehasher::<K>(&layout)).0;
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
        let (layout, mut search) = (&self.layout, Search::default());
        self.check_key::<K>();
        // SAFETY: the table has such keys.
        let end = self.table.get(hash, |entry| search.ends_at(unsafe { K::compare(key, hash, layout, entry) }));
        search.result(end)
    }

    /// The value of a key of the table's kind, if neither Python code nor a codec is needed.
    #[inline(always)]
    pub(crate) fn get_typed<'py, K: TypedKey>(&self, py: Python<'py>, hash: u64, key: K::Key<'_>) -> Option<Made<'py>> {
        let Lookup::Found(entry) = self.find_typed::<K>(hash, key) else { return None };
        // SAFETY: the table holds the value.
        unsafe { new_object(py, self.layout.value, &entry[K::value(&self.layout, entry)]) }
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
        let mut search = Search::default();
        // SAFETY: the table has such keys.
        let end = table.get_mut(hash, |entry| search.ends_at(unsafe { K::compare(key, hash, layout, entry) }));
        match search.result(end) {
            Lookup::Unsure => None,
            Lookup::Absent => self.insert_typed::<K, V>(hash, key, value).ok().map(|()| Replaced(None)),
            Lookup::Found(entry) => {
                let range = K::value(layout, entry);
                if range.len() != V::len(value) {
                    return self.resize::<K>(key, New { hash, key: &K::key(key), value: &V::value(value) });
                }
                let at = &mut entry[range];
                // SAFETY: the table holds the value, which is written over.
                let replaced = unsafe { V::take(at) };
                V::write(value, at);
                V::keep(value);
                Some(Replaced(replaced))
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

/// Whether an entry has this key, which is no object.
#[inline(always)]
pub(super) fn is_inline(layout: Layout, entry: &[u8], key: &Key<'_>) -> bool {
    match key {
        Key::Int(int) => word(entry) == *int as u64,
        Key::Text(text) => layout.text_key(entry) == &**text,
        Key::Object(..) => unreachable!("objects are searched with `probe`"),
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
