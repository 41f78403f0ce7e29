//! The memory of all tables of the process.
//!
//! The system is asked for areas: ranges of addresses of some MiB each. They are handed out to all tables in blocks of
//! whole pages, and in pieces of pages that are divided. What is given up is kept for the next who asks, a little of it;
//! the rest goes back to the system at once, by `madvise`, which makes no mapping. An area that is empty is unmapped.
//! So resident memory follows what tables hold, and mappings are few, whatever tables do.
//!
//! * [`area`]: an area, and the blocks of it. [`runs`]: which of its pages are free. [`slabs`]: pages in pieces.
//! * [`spare`]: blocks that were given up and not returned.
//! * [`stock`]: all areas, pieces and spare blocks: what the lock guards.

mod area;
mod runs;
mod slabs;
mod spare;
mod stock;
#[cfg(test)]
mod tests;

use crate::system::{ALONE, OS_PAGE, at_fork};
use std::cell::RefCell;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, Once};
use stock::{Stock, Surplus};

pub(crate) use area::{Block, Held};
pub(crate) use slabs::{PIECES, piece_bytes};
pub use stock::ProcessMemory;

/// Held for moments only: memory is given back to the system outside it.
static STOCK: Mutex<Stock> = Mutex::new(Stock::new());

/// `None` where a panic left it half changed: no memory can be had or given back then.
fn stock() -> Option<MutexGuard<'static, Stock>> {
    STOCK.lock().ok()
}

/// A block of so many bytes, a size of blocks: see [`block_bytes`].
pub(crate) fn allocate(bytes: usize) -> Option<Block> {
    if ALONE {
        return Block::alone(bytes);
    }
    watch_forks();
    stock()?.take(bytes)
}

/// Have the C library see to it, at every fork from now on, that a child gets the pool whole. Whoever has hooks of their own
/// that wait for other threads, which may want memory meanwhile, calls this before they register them: hooks run in
/// reverse order. Else the first table does.
pub fn watch_forks() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| at_fork(before_fork, after_fork, after_fork));
}

/// Give a block back. Never panics.
pub(crate) fn release(block: Block) {
    if ALONE {
        return block.release_alone();
    }
    let mut surplus = stock().and_then(|mut stock| stock.put(block));
    while let Some(next) = surplus {
        surplus = return_to_system(next);
    }
}

/// Give something back to the system, outside the lock. What to give back next.
fn return_to_system(surplus: Surplus) -> Option<Surplus> {
    match surplus {
        Surplus::Memory(mut block) => {
            let returned = block.return_memory();
            stock()?.put_returned(block, returned)
        }
        Surplus::Area(area) => {
            let kept = area.release().err();
            stock()?.given_up(kept)
        }
    }
}

/// The size of the block that holds so many bytes; none holds 0.
pub(crate) fn block_bytes(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..OS_PAGE => piece_bytes(bytes),
        _ => bytes.next_multiple_of(OS_PAGE),
    }
}

/// What the tables of the process have of the system, all together.
pub fn process_memory() -> ProcessMemory {
    stock().map_or(ProcessMemory::default(), |stock| stock.figures())
}

/// For tests: count the requests for memory of all tables anew, from 1 on, and refuse these. How many there were so far.
pub fn refuse_memory(requests: Range<u64>) -> u64 {
    stock().map_or(0, |mut stock| stock.refuse(requests))
}

thread_local! {
    /// Keeps others from the stock while this thread forks.
    static FORKING: RefCell<Option<MutexGuard<'static, Stock>>> = const { RefCell::new(None) };
}

/// A child gets the memory as it is at this moment: no other thread may be half through a change of the stock.
extern "C" fn before_fork() {
    let mut guard = stock();
    while guard.as_ref().is_some_and(|stock| stock.is_returning()) {
        drop(guard);
        std::thread::yield_now();
        guard = stock();
    }
    let _ = FORKING.try_with(|forking| *forking.borrow_mut() = guard);
}

extern "C" fn after_fork() {
    let _ = FORKING.try_with(|forking| forking.borrow_mut().take());
}
