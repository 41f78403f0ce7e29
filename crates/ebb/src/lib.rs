//! A hash table that is compact by construction: its memory follows its contents, up and down.
//!
//! * [`memory`]: blocks from the operating system, counted.
//! * [`chunks`]: arrays that grow without copying.
//! * [`pages`]: pages by number.
//! * [`heap`]: stacks of equal slots without a hole; removing one moves the last into its place.
//! * [`sizes`]: which stack an entry of some length goes to.
//! * [`head`], [`lines`], [`segment`], [`index`]: hash to entry, by linear hashing over segments of lines.
//! * [`pour`]: entries of a segment on their way into another block.
//! * [`fill`]: how full segments get, and how large they are made.
//! * [`stacked`]: a table of entries in stacks, of any length, and with an order where they have one.
//! * [`inline`]: a table of small entries, which are in the index itself.
//! * [`table`]: what both do, and the one that fits the entries.
//! * [`thresholds`]: the sizes at which the engine changes what it does, for tests.
//!
//! No operation but `clear` does work that grows with the table, none needs more than a segment's worth of memory
//! beside what is there, and all that needs memory can fail without harm.

mod cache;
mod chunks;
mod clock;
mod entry;
mod expiry;
mod fill;
mod head;
mod heap;
mod index;
mod inline;
mod lines;
mod links;
mod memory;
mod order;
mod positions;
mod pour;
mod raw;
mod segment;
mod sieve;
mod sizes;
mod stacked;
mod stats;
mod table;
mod tags;
mod walk;

#[doc(hidden)]
pub mod thresholds;

pub use cache::{Cache, Deadlines, Keeping, Look, Policies};
pub use clock::{Clock, Glance, Time};
pub use entry::{EntryRef, Host, OccupiedEntry};
pub use memory::OutOfMemory;
pub use order::TableOrder;
pub use raw::{EntrySize, RawTable};
pub use sizes::MAX_ENTRY_BYTES;
pub use stats::Stats;
pub use table::Table;
pub use walk::Cursor;
