//! The cache beside a plain model of its rules, every invariant walked after every step. Time is a parameter.

use ebb::{Cache, Clock, Deadlines, EntrySize, Found, Keeping, RawTable, Time};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;

#[derive(Debug, Clone)]
enum Op {
    /// Set a key to live so many seconds (none: for ever), with so many bytes of value.
    Set(u64, Option<f64>, usize),
    Remove(u64),
    /// Use a key, if it is alive.
    Use(u64),
    /// Let a key live so many seconds from now on.
    Renew(u64, f64),
    /// Let time pass.
    Pass(f64),
    /// Sweep with so many steps.
    Sweep(usize),
    Evict,
    /// Walk all entries; after each part, remove a key and set another.
    Walk(u64, u64),
    Clear,
    Starve(u64),
}

#[derive(Debug, Clone)]
struct Entry {
    hard: f64,
    idle: f64,
    value: Vec<u8>,
}

impl Entry {
    fn deadline(&self) -> f64 {
        self.hard.min(self.idle)
    }
}

struct Model {
    cache: Cache,
    now: f64,
    idle: Option<f64>,
    bounded: bool,
    entries: BTreeMap<u64, Entry>,
    eviction: Eviction,
    writes: u8,
}

/// Who goes: the rule of docs/design.md, with no thought of what it costs.
struct Eviction {
    /// Oldest first.
    queue: Vec<u64>,
    standings: HashMap<u64, Standing>,
    used: HashSet<u64>,
    hand: Option<u64>,
    lap: u64,
    /// How many of 64 newcomers are tried, and what is left over from those before.
    share: u64,
    carried: u64,
    /// How many the hand has judged, and how many of them were used.
    tried: (u64, u64),
    idle: (u64, u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Standing {
    Guest,
    Trial { since: u64, early: bool },
    Kept { laps: u8 },
}

impl Default for Eviction {
    fn default() -> Self {
        let (queue, standings, used, hand) = Default::default();
        Eviction { queue, standings, used, hand, lap: 0, share: 64, carried: 0, tried: (0, 0), idle: (0, 0) }
    }
}

impl Eviction {
    fn come(&mut self, key: u64) {
        self.carried += self.share;
        let tried = self.carried >= 64;
        self.carried %= 64;
        let standing = if tried { Standing::Trial { since: self.lap, early: false } } else { Standing::Guest };
        self.queue.push(key);
        self.standings.insert(key, standing);
    }

    fn use_(&mut self, key: u64) {
        match self.standings.get_mut(&key).unwrap() {
            Standing::Trial { since, early } if *since == self.lap => *early = true,
            _ => _ = self.used.insert(key),
        }
    }

    fn leave(&mut self, key: u64) {
        let at = self.position(key);
        if self.hand == Some(key) {
            self.hand = self.queue.get(at + 1).copied();
        }
        self.queue.remove(at);
        self.standings.remove(&key);
        self.used.remove(&key);
    }

    fn position(&self, key: u64) -> usize {
        self.queue.iter().position(|&k| k == key).unwrap()
    }

    /// What the hand has to judge: not those that are tried since this lap began.
    fn rest_of_lap(&self) -> &[u64] {
        let rest = self.hand.map_or(&[][..], |hand| &self.queue[self.position(hand)..]);
        let new = |key: &u64| matches!(self.standings[key], Standing::Trial { since, .. } if since == self.lap);
        if rest.iter().all(new) { &[] } else { rest }
    }

    fn victim(&mut self) -> u64 {
        loop {
            if self.rest_of_lap().is_empty() {
                self.learn();
                self.lap += 1;
                self.hand = Some(self.queue[0]);
            }
            let key = self.hand.unwrap();
            let Some(standing) = self.judge(key) else { return key };
            self.standings.insert(key, standing);
            self.used.remove(&key);
            self.hand = self.queue.get(self.position(key) + 1).copied();
        }
    }

    /// What becomes of an entry that the hand comes to; `None`: it goes.
    fn judge(&mut self, key: u64) -> Option<Standing> {
        let (standing, used) = (self.standings[&key], self.used.contains(&key));
        let count = |(seen, used_of): &mut (u64, u64)| (*seen, *used_of) = (*seen + 1, *used_of + u64::from(used));
        match standing {
            Standing::Trial { since, .. } if since == self.lap => return Some(standing),
            Standing::Trial { early: false, .. } => count(&mut self.tried),
            Standing::Kept { laps: 0 } => count(&mut self.idle),
            _ => {}
        }
        match (used, standing) {
            (true, Standing::Guest) => Some(Standing::Kept { laps: 1 }),
            (true, _) => Some(Standing::Kept { laps: 2 }),
            (false, Standing::Trial { early: true, .. }) => Some(Standing::Kept { laps: 0 }),
            (false, Standing::Kept { laps: laps @ 1.. }) => Some(Standing::Kept { laps: laps - 1 }),
            (false, _) => None,
        }
    }

    fn learn(&mut self) {
        let ((tried, of_tried), (idle, of_idle)) = (self.tried, self.idle);
        if tried >= 32 && idle >= 32 {
            let worth_it = 2 * of_tried * idle > of_idle * tried;
            self.share = if worth_it { 64.min(self.share + 16) } else { 1.max(self.share.saturating_sub(8)) };
            (self.tried, self.idle) = Default::default();
        }
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.standings.clear();
        self.used.clear();
        self.hand = None;
    }
}

fn hash(key: u64) -> u64 {
    foldhash::quality::FixedState::with_seed(7).hash_one(key)
}

fn key_of(entry: &[u8]) -> u64 {
    u64::from_le_bytes(entry[..8].try_into().unwrap())
}

fn rehash(entry: &[u8]) -> u64 {
    hash(key_of(entry))
}

fn time(seconds: f64) -> Time {
    Clock::given(seconds).unwrap()
}

impl Model {
    fn new(size: EntrySize, idle: Option<f64>, bounded: bool) -> Self {
        let clock = Clock::Given { origin: 100.0 };
        let cache = Cache::keeping(size, Keeping { clock, idle: idle.is_some(), bounded });
        let (entries, eviction) = Default::default();
        Model { cache, now: 100.0, idle, bounded, entries, eviction, writes: 0 }
    }

    fn find(&self, key: u64) -> Option<Found> {
        self.cache.find(hash(key), |entry| key_of(entry) == key)
    }

    fn deadlines(&self, lives: Option<f64>) -> (f64, f64) {
        let after = |seconds: Option<f64>| seconds.map_or(f64::INFINITY, |seconds| self.now + seconds);
        (after(lives), after(self.idle))
    }

    fn set(&mut self, key: u64, lives: Option<f64>, len: usize) {
        self.writes = self.writes.wrapping_add(1);
        let value = vec![self.writes; len];
        let (hard, idle) = self.deadlines(lives);
        let deadlines = Deadlines { hard: time(hard), idle: time(idle) };
        let write = |entry: &mut [u8]| {
            entry[..8].copy_from_slice(&key.to_le_bytes());
            entry[8..].copy_from_slice(&value);
        };
        match self.find(key) {
            Some(found) => {
                if self.cache.replace(found, 8 + len, &rehash, write).is_err() {
                    return;
                }
                let found = self.find(key).unwrap();
                self.cache.renew(found, deadlines);
                self.cache.mark(found);
                self.eviction.use_(key);
            }
            None => {
                if self.cache.insert_until(hash(key), 8 + len, deadlines, &rehash, write).is_err() {
                    return;
                }
                self.eviction.come(key);
            }
        }
        self.entries.insert(key, Entry { hard, idle, value });
    }

    fn remove(&mut self, key: u64) {
        let found = self.find(key);
        assert_eq!(found.is_some(), self.entries.contains_key(&key));
        if let Some(found) = found {
            self.cache.remove(found, &rehash);
            self.forget(key);
        }
    }

    fn forget(&mut self, key: u64) -> Entry {
        self.eviction.leave(key);
        self.entries.remove(&key).unwrap()
    }

    fn used(&mut self, key: u64) {
        let alive = self.entries.get(&key).is_some_and(|entry| entry.deadline() > self.now);
        let found = self.find(key).filter(|&found| self.cache.deadlines(found).first() > time(self.now));
        assert_eq!(alive, found.is_some());
        if let Some(found) = found {
            let (_, idle) = self.deadlines(None);
            let entry = self.entries.get_mut(&key).unwrap();
            entry.idle = idle;
            self.cache.renew(found, Deadlines { hard: time(entry.hard), idle: time(idle) });
            self.cache.mark(found);
            self.eviction.use_(key);
        }
    }

    fn renew(&mut self, key: u64, lives: f64) {
        let Some(found) = self.find(key) else { return };
        let (hard, idle) = self.deadlines(Some(lives));
        self.cache.renew(found, Deadlines { hard: time(hard), idle: time(idle) });
        let entry = self.entries.get_mut(&key).unwrap();
        (entry.hard, entry.idle) = (hard, idle);
    }

    fn sweep(&mut self, mut steps: usize) {
        let exhaustive = steps == usize::MAX;
        while let Some(found) = self.cache.next_expired(time(self.now), &mut steps, &rehash) {
            let key = key_of(self.cache.entry(found));
            self.cache.remove(found, &rehash);
            assert!(self.forget(key).deadline() <= self.now, "what is swept has expired");
        }
        if exhaustive {
            assert!(self.entries.values().all(|entry| entry.deadline() > self.now), "all that expired was swept");
            assert!(!self.cache.is_due(time(self.now)));
        }
    }

    fn evict(&mut self) {
        let victim = self.cache.victim(&rehash);
        assert_eq!(victim.is_some(), self.bounded && !self.entries.is_empty());
        let Some(found) = victim else { return };
        let expected = self.eviction.victim();
        assert_eq!(key_of(self.cache.entry(found)), expected);
        self.cache.remove(found, &rehash);
        self.forget(expected);
    }

    fn walk(&mut self, remove: u64, set: u64) {
        let all_along: HashSet<u64> = self.entries.keys().copied().collect();
        let (mut gone, mut seen) = (HashSet::new(), HashSet::new());
        let mut position = Some(0);
        let mut round = 0;
        while let Some(at) = position {
            let cache = &self.cache;
            position = cache.visit_part(at, &rehash, |_, found| {
                assert!(seen.insert(key_of(cache.entry(found))), "visited once");
            });
            round += 1;
            if self.entries.contains_key(&(remove + round)) {
                gone.insert(remove + round);
                self.remove(remove + round);
            }
            (0..40).for_each(|i| self.set(set + 50 * round + i, Some(5.0), 16));
        }
        assert!(all_along.difference(&gone).all(|key| seen.contains(key)), "what is there all along is visited");
    }

    fn clear(&mut self) {
        self.cache.clear();
        self.entries.clear();
        self.eviction.clear();
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Set(key, lives, len) => self.set(key, lives, len),
            Op::Remove(key) => self.remove(key),
            Op::Use(key) => self.used(key),
            Op::Renew(key, lives) => self.renew(key, lives),
            Op::Pass(seconds) => self.now += seconds,
            Op::Sweep(steps) => self.sweep(steps),
            Op::Evict => self.evict(),
            Op::Walk(remove, set) => self.walk(remove, set),
            Op::Clear => self.clear(),
            Op::Starve(allocations) => self.cache.set_allowance(allocations),
        }
    }

    fn check(&self) {
        self.cache.check(&rehash);
        assert_eq!(self.cache.len(), self.entries.len());
        for (&key, entry) in &self.entries {
            let found = self.find(key).unwrap();
            assert_eq!(self.cache.entry(found)[8..], entry.value);
            assert_eq!(self.cache.deadlines(found), Deadlines { hard: time(entry.hard), idle: time(entry.idle) });
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    let key = || prop_oneof![4 => 0..40u64, 2 => 0..600u64];
    let lives = || prop_oneof![Just(0.0001), Just(0.5), Just(1.0), 0.0..100.0, 0.0..1e7, Just(1e12)];
    prop_oneof![
        8 => (key(), prop::option::weighted(0.8, lives()), 0..80usize).prop_map(|(k, l, len)| Op::Set(k, l, len)),
        3 => key().prop_map(Op::Remove),
        3 => key().prop_map(Op::Use),
        3 => (key(), lives()).prop_map(|(k, l)| Op::Renew(k, l)),
        4 => prop_oneof![Just(0.0001), Just(0.5), 0.0..2.0, 0.0..1e6, Just(1e8), Just(-3.0)].prop_map(Op::Pass),
        2 => (0..5usize).prop_map(Op::Sweep),
        2 => Just(Op::Sweep(usize::MAX)),
        2 => Just(Op::Evict),
        1 => (key(), key()).prop_map(|(r, s)| Op::Walk(r, s)),
        1 => prop_oneof![1 => Just(Op::Clear), 3 => Just(Op::Starve(u64::MAX)), 3 => (0..6u64).prop_map(Op::Starve)],
    ]
}

fn run(size: EntrySize, idle: Option<f64>, bounded: bool, ops: &[Op]) {
    let mut model = Model::new(size, idle, bounded);
    for op in ops {
        let op = match (op, size) {
            (&Op::Set(key, lives, _), EntrySize::Fixed(bytes)) => Op::Set(key, lives, bytes - 8),
            (op, _) => op.clone(),
        };
        model.step(&op);
        model.check();
    }
    model.sweep(usize::MAX);
    model.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn caches_behave_as_the_model(
        fixed in any::<bool>(),
        idle in prop::option::of(0.5..50.0),
        bounded in any::<bool>(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let size = if fixed { EntrySize::Fixed(24) } else { EntrySize::Variable };
        run(size, idle, bounded, &ops);
    }
}

#[test]
fn walks_visit_each_entry_once_while_the_table_grows_and_shrinks() {
    for turn in 0..20 {
        let mut model = Model::new(EntrySize::Fixed(24), None, false);
        (0..4000).for_each(|key| model.set(key, None, 16));
        let (mut seen, mut position) = (HashSet::new(), Some(0));
        let mut step = 0;
        while let Some(at) = position {
            let cache = &model.cache;
            position = cache.visit_part(at, &rehash, |_, found| assert!(seen.insert(key_of(cache.entry(found)))));
            step += 1;
            // All but every fourth key come and go meanwhile, in waves.
            for i in 0..400 {
                let key = (step * 400 + i * 7 + turn) % 4000;
                match (key % 4 > 0, step / 6 % 2) {
                    (true, 0) => model.remove_if_there(key),
                    (true, _) => model.set(key + 10_000 * (step + 1), None, 16),
                    _ => {}
                }
            }
        }
        model.cache.check(&rehash);
        assert!((0..4000).step_by(4).all(|key| seen.contains(&key)));
    }
}

impl Model {
    fn remove_if_there(&mut self, key: u64) {
        if self.entries.contains_key(&key) {
            let found = self.find(key).unwrap();
            self.cache.remove(found, &rehash);
            self.entries.remove(&key);
        }
    }
}

#[test]
fn a_limit_holds_at_every_moment_and_the_rest_still_fits() {
    let keeping = Keeping { clock: Clock::Given { origin: 0.0 }, idle: false, bounded: true };
    let mut cache = Cache::keeping(EntrySize::Variable, keeping);
    let limit = 1 << 20;
    cache.set_limit(limit);
    let never = Deadlines { hard: Time::NEVER, idle: Time::NEVER };
    let mut evicted = 0;
    for key in 0..20_000u64 {
        let len = 8 + (key as usize * 7919) % 4096;
        let write = |entry: &mut [u8]| entry[..8].copy_from_slice(&key.to_le_bytes());
        while cache.insert_until(hash(key), len, never, &rehash, write).is_err() {
            assert!(cache.was_limited());
            cache.release_spares();
            let victim = cache.victim(&rehash).expect("something to evict");
            cache.remove(victim, &rehash);
            evicted += 1;
        }
        assert!(cache.bytes() <= limit);
    }
    cache.check(&rehash);
    assert!(evicted > 0);
    assert!(cache.entry_bytes() * 100 > limit * 75, "{} of {limit} bytes are entries", cache.entry_bytes());
}

/// As a cache of so many entries is used: a key that is not there is set.
fn ask(model: &mut Model, key: u64, room: usize) {
    if model.entries.contains_key(&key) {
        model.used(key);
        return;
    }
    if model.entries.len() == room {
        model.evict();
    }
    model.set(key, None, 16);
}

#[test]
fn victims_are_the_models_whatever_the_load() {
    let mut model = Model::new(EntrySize::Fixed(24), None, true);
    let mut random = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut shares = HashSet::new();
    for turn in 0..60_000u64 {
        let skewed = (200.0 * random.random::<f64>().powi(4)) as u64;
        let key = match turn / 10_000 {
            0 | 3 => skewed,             // the same are asked for again and again: newcomers are not worth a trial
            1 | 4 => turn / 15 + skewed, // it is always others
            _ => turn,                   // nothing comes again
        };
        ask(&mut model, key, 60);
        match random.random_range(0..400) {
            0 => model.remove(key / 2),
            1 => model.remove(*model.eviction.queue.last().unwrap()),
            2 if turn % 50 == 0 => model.clear(),
            _ => {}
        }
        shares.insert(model.eviction.share);
    }
    model.check();
    assert!(shares.contains(&64) && shares.contains(&1), "{shares:?}");
}

#[test]
fn the_last_to_come_stay_where_nobody_asks() {
    let room = 40_000; // more than the hand takes marks of at once
    let mut cache = Cache::keeping(
        EntrySize::Fixed(8),
        Keeping { clock: Clock::Given { origin: 0.0 }, idle: false, bounded: true },
    );
    let never = Deadlines { hard: Time::NEVER, idle: Time::NEVER };
    for key in 0..5 * room {
        if key >= room {
            let victim = cache.victim(&rehash).unwrap();
            assert_eq!(key_of(cache.entry(victim)), key - room);
            cache.remove(victim, &rehash);
        }
        let write = |entry: &mut [u8]| entry.copy_from_slice(&key.to_le_bytes());
        cache.insert_until(hash(key), 8, never, &rehash, write).unwrap();
    }
    cache.check(&rehash);
}
