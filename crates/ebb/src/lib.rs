//! A hash table that is compact by construction: its memory follows its contents, up and down.
//!
//! * [`memory`]: blocks from the operating system, counted.
//! * [`chunks`]: arrays that grow without copying.
//! * [`pages`]: pages by number.
//! * [`heap`]: stacks of equal slots without a hole; removing one moves the last into its place.
//! * [`sizes`]: which stack an entry of some length goes to.
//! * [`line`], [`segment`], [`index`]: hash to handle, by linear hashing over segments of cache lines.
//! * [`table`]: the whole.
//!
//! No operation but `clear` does work that grows with the table, none needs more than a segment's worth of memory
//! beside what is there, and all that needs memory can fail without harm.

mod cache;
mod chunks;
mod clock;
mod expiry;
mod heap;
mod index;
mod line;
mod links;
mod memory;
mod order;
mod pages;
mod segment;
mod sieve;
mod sizes;
mod table;
mod tags;

pub use cache::{Cache, Deadlines, Keeping, Look, Policies};
pub use clock::{Clock, Glance, Time};
pub use memory::OutOfMemory;
pub use order::TableOrder;
pub use table::{Cursor, EntrySize, Found, Stats, Table};
