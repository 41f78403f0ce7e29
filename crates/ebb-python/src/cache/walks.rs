//! Walks over all that is alive in a cache, and over all that has expired, with pauses between.

use crate::cache::chest::state::{BATCH, Chest};
use crate::cache::class::Cache;
use crate::cache::gone::{Cause, Gone};
use crate::cache::moment::Moment;
use crate::cache::step::Step;
use crate::kinds::entry::Entry;
use crate::kinds::read::Read;
use crate::python::errors::out_of_memory;
use crate::python::gate::forks;
use crate::python::make;
use crate::python::pace::Pace;
use crate::table::parts::{Part, Parts};
use crate::table::store::Found;
use ebb::{Deadlines, RawTable};
use pyo3::prelude::*;
use pyo3::types::PyList;

/// An entry that is alive, and when it expires.
pub(super) type Alive = ((Read, Read), Deadlines);

/// Call `each` with all that is alive: in the order it came in, where the cache is bounded. Some entries at a time are read
/// under the lock, and there are pauses between: what is there all along is met exactly once.
pub(super) fn each_alive(
    cache: &Cache,
    py: Python<'_>,
    moment: &Moment,
    mut each: impl FnMut(Alive) -> PyResult<()>,
) -> PyResult<()> {
    let (len, in_order) = cache.shared.chest.with(py, |chest| (chest.store.table().len(), begin_walk(chest)));
    let mut pace = Pace::default();
    let mut pass_on = |some: Vec<Alive>| {
        pace.steps(py, 2 * some.len())?;
        some.into_iter().try_for_each(&mut each)
    };
    if !in_order {
        return Parts::of(len)
            .try_for_each(|part| pass_on(cache.shared.chest.with(py, |chest| read_part(py, chest, part, moment))?));
    }
    let done = (0..len.div_ceil(BATCH))
        .try_for_each(|_| pass_on(cache.shared.chest.with(py, |chest| read_on(py, chest, moment))?));
    cache.shared.chest.with(py, |chest| chest.walked_in = None);
    done
}

/// Begin a walk in the order of coming, unless there is no order, or another thread walks.
fn begin_walk(chest: &mut Chest) -> bool {
    let begun = chest.walked_in != Some(forks()) && chest.store.begin_walk();
    if begun {
        chest.walked_in = Some(forks());
    }
    begun
}

/// Read what is alive of a part of the table.
fn read_part(py: Python<'_>, chest: &Chest, part: Part, moment: &Moment) -> PyResult<Vec<Alive>> {
    let (mut alive, mut done) = (Vec::new(), Ok(())); // as for a map's `read_part`
    chest.store.visit_part(part, |_, seen| {
        if done.is_ok() {
            done = read(py, seen.entry(), seen.deadlines(), moment, &mut alive);
        }
    });
    done.map(|()| alive)
}

/// Read what is alive of those that the walk comes to next.
fn read_on(py: Python<'_>, chest: &mut Chest, moment: &Moment) -> PyResult<Vec<Alive>> {
    let mut alive = Vec::new();
    for _ in 0..BATCH {
        let Ok(found) = Found::next_of_walk(&mut *chest) else { break };
        read(py, found.entry(), found.deadlines(), moment, &mut alive)?;
    }
    Ok(alive)
}

fn read(
    py: Python<'_>,
    entry: Entry<'_>,
    deadlines: Deadlines,
    moment: &Moment,
    alive: &mut Vec<Alive>,
) -> PyResult<()> {
    if !moment.is_past(deadlines.first()) {
        alive.try_reserve(1).map_err(out_of_memory)?;
        alive.push((entry.read_pair(py)?, deadlines));
    }
    Ok(())
}

/// All items, as [`each_alive`] meets them.
pub(crate) fn snapshot<'py>(cache: &Cache, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
    let items = make::list(py)?;
    each_alive(cache, py, &cache.moment(py)?, |(read, _)| items.append(cache.kinds().finish_pair(py, read)?))?;
    Ok(items)
}

/// Remove all that has expired; the items.
pub(crate) fn expire<'py>(cache: &Cache, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
    let moment = cache.moment(py)?;
    let items = make::list(py)?;
    let mut pace = Pace::default();
    loop {
        let mut reads = Vec::new();
        let more = expire_in_step(cache, py, &moment, &mut reads);
        for read in reads {
            items.append(cache.kinds().finish_pair(py, read)?)?;
        }
        if !more? {
            return Ok(items);
        }
        pace.steps(py, 2 * BATCH)?;
    }
}

/// Remove some that have expired, without the sweeping that goes with an operation: what that removes would not be returned.
fn expire_in_step(cache: &Cache, py: Python<'_>, moment: &Moment, reads: &mut Vec<(Read, Read)>) -> PyResult<bool> {
    let mut gone = Gone::default();
    let more = cache.shared.chest.with(py, |chest| {
        let more = expire_some(chest, reads, &mut Step { py, moment, gone: &mut gone });
        cache.note_due(chest);
        more
    });
    cache.after_step(py, gone);
    more
}

/// Remove some that have expired; whether there are more.
fn expire_some(chest: &mut Chest, reads: &mut Vec<(Read, Read)>, step: &mut Step<'_, '_>) -> PyResult<bool> {
    let mut steps = BATCH;
    while let Ok(found) = Found::expired(&mut *chest, step.moment.time(), &mut steps) {
        reads.try_reserve(1).map_err(out_of_memory)?;
        let read = found.entry().read_pair(step.py)?;
        found.depart(step, Cause::Expired)?;
        reads.push(read);
    }
    Ok(chest.is_due(step.moment))
}
