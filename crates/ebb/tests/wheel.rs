//! The timing wheel's lists: what memory they take, and what becomes of deadlines where there is none for them.

#[path = "common/keyed.rs"]
mod keyed;

use ebb::{Cache, Clock, Deadlines, EntrySize, Keeping, OccupiedEntry, OutOfMemory, RawTable, Time};
use keyed::{hash, key_of, rehash};
use std::collections::{BTreeMap, BTreeSet};

/// Levels of the wheel, and lists of each.
const LEVELS: usize = 7;
const SLOTS: usize = 64;
/// Bytes of the lists, where there is memory for all.
const ALL_LISTS: usize = 4096;

/// A cache whose entries are all there from the beginning, so that only lists take memory, beside what each entry is due.
struct Wheel {
    cache: Cache,
    now: f64,
    deadlines: BTreeMap<u64, f64>,
    /// The same in their order, as bits.
    order: BTreeSet<(u64, u64)>,
    steps: usize,
}

fn at(seconds: f64) -> Time {
    Clock::given(seconds).unwrap()
}

impl Wheel {
    /// Of so many entries that never expire.
    fn new(entries: u64) -> Self {
        let keeping = Keeping { clock: Clock::Given { origin: 0.0 }, idle: false, bounded: false };
        let cache = Cache::keeping(EntrySize::Fixed(24), keeping);
        let (deadlines, order) = Default::default();
        let mut wheel = Wheel { cache, now: 0.0, deadlines, order, steps: 0 };
        (0..entries).for_each(|key| wheel.insert(key).unwrap());
        wheel
    }

    fn insert(&mut self, key: u64) -> Result<(), OutOfMemory> {
        let never = Deadlines { hard: Time::NEVER, idle: Time::NEVER };
        self.cache.insert_until(hash(key), 24, never, &rehash, |entry| entry[..8].copy_from_slice(&key.to_le_bytes()))
    }

    fn find(&mut self, key: u64) -> OccupiedEntry<&mut Cache> {
        self.cache.find_entry(hash(key), |entry| key_of(entry) == key).unwrap()
    }

    fn expire_at(&mut self, key: u64, seconds: f64) {
        self.find(key).renew(Deadlines { hard: at(seconds), idle: Time::NEVER });
        self.forget(key);
        self.deadlines.insert(key, seconds);
        self.order.insert((seconds.to_bits(), key));
    }

    fn live_for_ever(&mut self, key: u64) {
        self.find(key).renew(Deadlines { hard: Time::NEVER, idle: Time::NEVER });
        self.forget(key);
    }

    fn remove(&mut self, key: u64) {
        self.find(key).remove(&rehash);
        self.forget(key);
    }

    fn forget(&mut self, key: u64) -> Option<f64> {
        let deadline = self.deadlines.remove(&key)?;
        self.order.remove(&(deadline.to_bits(), key));
        Some(deadline)
    }

    fn first_deadline(&self) -> Option<f64> {
        self.order.first().map(|&(bits, _)| f64::from_bits(bits))
    }

    /// Let so many steps of a sweep be taken at a moment. What leaves has expired; if the steps suffice, all of it leaves.
    fn sweep(&mut self, now: f64, most: usize) {
        self.now = now;
        let mut left = most;
        while let Ok(found) = OccupiedEntry::expired(&mut self.cache, at(now), &mut left, &rehash) {
            let key = key_of(found.bytes());
            found.remove(&rehash);
            assert!(self.forget(key).unwrap() <= now, "what leaves has expired");
        }
        self.steps += most - left;
        if left > 0 {
            assert!(self.first_deadline().is_none_or(|first| first > now), "all that has expired leaves");
        }
    }

    fn check(&self) {
        self.cache.check(&rehash);
    }

    /// Let time pass to each deadline in turn, and a little less.
    fn live_on(&mut self) {
        let mut turn = 0;
        while let Some(next) = self.first_deadline() {
            for now in [self.now.max(next - 0.002), next] {
                self.sweep(now, usize::MAX);
            }
            turn += 1;
            if turn % 64 == 0 {
                self.check();
            }
        }
        self.check();
    }

    /// Bytes of lists; `entries` is what such a cache holds without deadlines.
    fn list_bytes(&self, entries: u64) -> usize {
        self.cache.bytes() - Wheel::new(entries).cache.bytes()
    }
}

/// Numbers below 1 that follow from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 += 1;
        (hash(self.0) ^ hash(self.0).rotate_left(31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as f64 / u64::MAX as f64
    }

    /// A millisecond to thirty years, each order of magnitude as likely.
    fn life(&mut self) -> f64 {
        0.001 * 1e12_f64.powf(self.next())
    }
}

#[test]
fn the_lists_of_one_entry_take_no_memory() {
    let mut wheel = Wheel::new(1);
    wheel.expire_at(0, 60.0);
    for tenth in 0..600 {
        assert_eq!(wheel.list_bytes(1), 0);
        wheel.sweep(f64::from(tenth) / 10.0, usize::MAX);
        wheel.check();
    }
    wheel.sweep(60.0, usize::MAX);
    assert!(wheel.cache.is_empty() && wheel.cache.never_expires());
}

#[test]
fn memory_for_lists_comes_as_they_are_needed_and_goes_with_them() {
    let mut wheel = Wheel::new(500);
    // A minute's entries, each in another list of one level.
    (1..16).for_each(|key| wheel.expire_at(key, 4.096 * key as f64));
    assert!(wheel.list_bytes(500) <= 320, "{} bytes for 15 lists", wheel.list_bytes(500));
    // One in each list that there is.
    let key_of = |level, slot| (level * SLOTS + slot) as u64;
    let places = (0..LEVELS).flat_map(|level| (1..SLOTS).map(move |slot| (level, slot)));
    for (level, slot) in places.clone() {
        wheel.expire_at(key_of(level, slot), ((slot as u64) << (6 * level)) as f64 / 1000.0);
    }
    wheel.check();
    let all = wheel.list_bytes(500);
    assert!(all > ALL_LISTS / 2 && all <= ALL_LISTS + 64, "{all} bytes for all lists");
    // They live on for ever, all but those in the last but one level.
    for (level, slot) in places.filter(|&(level, _)| level != 5) {
        wheel.live_for_ever(key_of(level, slot));
    }
    wheel.sweep(1e6, usize::MAX);
    wheel.check();
    assert!(wheel.list_bytes(500) <= all / 2, "{} bytes for the lists of a level", wheel.list_bytes(500));
    (1..SLOTS).for_each(|slot| wheel.live_for_ever(key_of(5, slot)));
    wheel.sweep(1e12, usize::MAX);
    wheel.check();
    assert_eq!((wheel.list_bytes(500), wheel.cache.len()), (0, 500));
    assert!(wheel.cache.never_expires());
}

/// Those that are removed leave no lists behind, but for those of a group or two.
#[test]
fn removed_entries_leave_no_lists() {
    let bytes_after = |deadlines: bool| {
        let (mut wheel, mut random) = (Wheel::new(500), Random(0));
        (0..400).filter(|_| deadlines).for_each(|key| wheel.expire_at(key, random.life()));
        let full = wheel.list_bytes(500);
        (0..400).for_each(|key| wheel.remove(key));
        wheel.check();
        let removed = wheel.cache.bytes();
        wheel.sweep(1e12, usize::MAX);
        (full, removed, wheel.cache.bytes())
    };
    let ((full, removed, swept), (_, without, _)) = (bytes_after(true), bytes_after(false));
    assert!(full > 1000 && removed - without <= 384, "{} of {full} bytes are left", removed - without);
    assert_eq!(swept, without);
}

#[test]
fn without_memory_for_lists_nothing_expires_late_or_is_lost() {
    let count = 2000;
    let mut wheel = Wheel::new(count);
    let mut random = Random(1);
    wheel.cache.set_allowance(0);
    let expire = |wheel: &mut Wheel, key, random: &mut Random| wheel.expire_at(key, wheel.now + random.life());
    (0..count).for_each(|key| expire(&mut wheel, key, &mut random));
    wheel.check();
    assert_eq!(wheel.list_bytes(count), 0);
    wheel.live_on();
    assert!(wheel.cache.is_empty());
    // Two sweeps a deadline, and the looks: up to 63 a level, but mostly far fewer.
    assert!(wheel.steps < 30 * count as usize, "{count} entries took {} steps", wheel.steps);
}

/// Entries of a day and of a moment, in turn: those of a day are looked at as often as it is their level's turn.
#[test]
fn without_memory_what_lives_long_is_not_looked_at_with_what_lives_short() {
    let mut wheel = Wheel::new(1300);
    wheel.cache.set_allowance(0);
    (0..300).for_each(|key| wheel.expire_at(key, 86_400.0 + key as f64));
    for key in 300..1300 {
        wheel.expire_at(key, wheel.now + 0.05);
        wheel.sweep(wheel.now + 0.06, usize::MAX);
    }
    // A minute has passed. The lists of each level have come up once a tick of it, and no entry of a day among them.
    assert_eq!(wheel.deadlines.len(), 300);
    assert!(wheel.steps < 300 + 5000, "{} steps", wheel.steps);
    wheel.check();
    wheel.live_on();
}

/// A life in which lists of all levels come and go: of so many entries, each of which is renewed once.
fn live(wheel: &mut Wheel, entries: u64) {
    let mut random = Random(2);
    for key in 0..entries {
        wheel.expire_at(key, wheel.now + random.life());
        let renewed = (random.next() * (key + 1) as f64) as u64;
        if wheel.deadlines.contains_key(&renewed) {
            wheel.expire_at(renewed, wheel.now + random.life());
        }
        let passed = if key % 3 == 0 { random.life() / 1000.0 } else { 0.05 };
        wheel.sweep(wheel.now + passed, if key % 2 == 0 { 2 } else { usize::MAX });
    }
}

#[test]
fn each_list_is_refused_in_turn_and_nothing_expires_late_or_is_lost() {
    let entries = 400;
    let mut refused = 0;
    for (nth, for_good) in (0..).flat_map(|nth| [(nth, false), (nth, true)]) {
        let mut wheel = Wheel::new(entries);
        wheel.cache.set_allowance(nth);
        live(&mut wheel, entries / 2);
        let was_refused = wheel.cache.allowance() == 0;
        if !for_good {
            wheel.cache.set_allowance(u64::MAX);
        }
        (entries / 2..entries).for_each(|key| wheel.expire_at(key, wheel.now + (key as f64).exp2() / 1e40));
        wheel.check();
        wheel.live_on();
        assert!(wheel.cache.is_empty());
        if !was_refused {
            break;
        }
        refused += 1;
    }
    assert!(refused > 15, "{refused} lives were cut short of memory");
}

#[test]
fn a_list_that_a_limit_refused_is_asked_for_once_more() {
    let mut wheel = Wheel::new(100);
    wheel.cache.set_limit(wheel.cache.bytes());
    wheel.expire_at(0, 1.0);
    assert_eq!(wheel.insert(100), Ok(()), "one list takes no memory");
    (1..20).for_each(|key| wheel.expire_at(key, 1.0 + key as f64));
    assert!(wheel.cache.was_limited(), "another does");
    assert_eq!(wheel.insert(101), Err(OutOfMemory));
    assert!(wheel.cache.was_limited(), "the caller can make room");
    assert_eq!(wheel.insert(101), Ok(()), "or do without");
    wheel.check();
    (20..40).for_each(|key| wheel.expire_at(key, 1.0 + key as f64));
    wheel.cache.set_limit(usize::MAX);
    assert_eq!(wheel.insert(102), Ok(()), "there is room");
    wheel.live_on();
}

#[test]
fn deadlines_of_years_are_kept_whatever_the_clock_does() {
    for seed in 0..4 {
        let entries = 6000;
        let (mut wheel, mut random) = (Wheel::new(entries), Random(100 * seed));
        let mut latest = 0.0_f64;
        for key in 0..entries {
            wheel.expire_at(key, wheel.now + random.life());
            for _ in 0..2 {
                let renewed = (random.next() * (key + 1) as f64) as u64;
                if wheel.deadlines.contains_key(&renewed) {
                    wheel.expire_at(renewed, wheel.now + random.life());
                }
            }
            latest = latest.max(wheel.now);
            let now = match key % 16 {
                0 => wheel.now - random.life().min(wheel.now), // back
                8 => latest,                                   // and on again
                9 => wheel.now + random.life() / 10_000.0,
                _ => wheel.now + 0.01 * random.next(),
            };
            wheel.sweep(now, if key % 3 == 0 { 5 } else { usize::MAX });
            if key % 128 == 0 {
                wheel.check();
            }
        }
        wheel.check();
        wheel.live_on();
        assert!(wheel.cache.is_empty());
    }
}
