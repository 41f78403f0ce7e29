//! A hash table that is compact by construction: its memory follows its contents, up and down.
//!
//! From below:
//!
//! * [`system`]: memory and time from the operating system. [`memory`]: memory, counted. [`clock`]: time.
//! * [`chunks`]: arrays that grow without copying.
//! * [`heap`]: stacks of equal slots without a hole; removing one moves the last into its place.
//! * [`tags`], [`head`], [`lines`], [`segment`], [`pour`], [`fill`], [`index`]: hash to entry, by linear hashing over
//!   segments of lines.
//! * [`sizes`], [`classes`]: which stack an entry of some length goes to.
//! * [`order`]: what entries may be kept in order by. [`links`], [`groups`], [`expiry`], [`sieve`]: deadlines, and eviction.
//! * [`positions`], [`entry`], [`raw`]: what every table does. [`walk`] and [`stats`] are of all tables too.
//! * [`inline`]: a table of small entries, which are in the index itself; [`small`]: of a few of those. [`stacked`]: a table
//!   of entries in stacks, of any length, and with an order where they have one.
//! * [`table`] is the one of the three that fits the entries. [`cache`] is a table with deadlines and eviction.
//! * [`thresholds`]: the sizes at which the engine changes what it does, for tests.
//!
//! Memory is reached in few files ([`system`], `pool::area`, [`chunks`], `heap::pages`, [`lines`]; [`tags`] has instructions of the
//! processor). What they are asked for they check: no call of a safe function can read or write what is not a table's.
//!
//! No operation but `clear` does work that grows with the table, none needs more than a segment's worth of memory
//! beside what is there, and all that needs memory can fail without harm.

mod cache;
mod chunks;
mod classes;
mod clock;
mod entry;
mod expiry;
mod fill;
mod groups;
mod head;
mod heap;
mod index;
mod inline;
mod lines;
mod links;
mod memory;
mod order;
mod pool;
mod positions;
mod pour;
mod raw;
mod segment;
mod sieve;
mod sizes;
mod small;
mod stacked;
mod stats;
mod system;
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
pub use pool::{ProcessMemory, process_memory, refuse_memory, watch_forks};
pub use raw::{EntrySize, RawTable};
pub use sizes::MAX_ENTRY_BYTES;
pub use stats::Stats;
pub use table::Table;
pub use walk::Cursor;
