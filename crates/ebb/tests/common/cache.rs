//! A cache beside a plain model of its rules, and the operations on both. Time is a parameter.

use ebb::{Cache, Clock, Deadlines, EntryRef, EntrySize, Keeping, OccupiedEntry, RawTable, Time};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;

#[derive(Debug, Clone)]
pub enum Op {
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
    /// Walk all entries in the order in which they came; after each, remove a key.
    WalkInOrder(u64),
    /// Look at a key, if it is alive: let it live so many seconds, unless that is shorter, and use it.
    Look(u64, f64),
    Clear,
    /// So many more allocations succeed.
    Starve(u64),
    /// Hold no more than so many bytes beyond what is held; none: as many as there are.
    Limit(Option<usize>),
}

impl Op {
    /// The operation that four bytes stand for: a fuzzer's way to any of them.
    pub fn from_bytes([kind, a, b, c]: [u8; 4]) -> Op {
        let key = u64::from(if kind & 0x80 == 0 { a & 0x1f } else { a });
        let lives = seconds(b);
        match kind % 32 {
            0..=6 => Op::Set(key, (b != u8::MAX).then_some(lives), usize::from(c)),
            7 => Op::Set(key, Some(lives), 1000 * usize::from(c)),
            8..=10 => Op::Remove(key),
            11..=13 => Op::Use(key),
            14 | 15 => Op::Look(key, lives),
            16 | 17 => Op::Renew(key, lives),
            18..=20 => Op::Pass(if c == 0 { -lives } else { lives / 4.0 }),
            21 | 22 => Op::Sweep(usize::from(a % 6)),
            23 => Op::Sweep(usize::MAX),
            24 | 25 => Op::Evict,
            26 => Op::Walk(key, u64::from(b)),
            27 => Op::WalkInOrder(key),
            28 if a < 32 => Op::Clear,
            28 => Op::Evict,
            29 => Op::Limit((a >= 64).then_some(64 * usize::from(b))),
            30 => Op::Starve(u64::from(a % 24)),
            _ => Op::Starve(u64::MAX),
        }
    }
}

/// A tenth of a millisecond to some thirty years, in steps of the same ratio.
fn seconds(byte: u8) -> f64 {
    1e-4 * 1.12_f64.powi(i32::from(byte))
}

#[derive(Debug, Clone)]
pub struct Entry {
    hard: f64,
    idle: f64,
    value: Vec<u8>,
}

impl Entry {
    fn deadline(&self) -> f64 {
        self.hard.min(self.idle)
    }
}

pub struct Model {
    pub cache: Cache,
    size: EntrySize,
    now: f64,
    idle: Option<f64>,
    bounded: bool,
    pub entries: BTreeMap<u64, Entry>,
    pub eviction: Eviction,
    writes: u8,
    /// What has been refused since memory was last plentiful is refused for a reason.
    starving: bool,
}

/// Who goes: the rule of docs/design.md, with no thought of what it costs.
pub struct Eviction {
    /// Oldest first.
    pub queue: Vec<u64>,
    standings: HashMap<u64, Standing>,
    used: HashSet<u64>,
    hand: Option<u64>,
    lap: u64,
    /// How many of 64 newcomers are tried, and what is left over from those before.
    pub share: u64,
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

    /// What was learned of newcomers.
    fn learn_from(&mut self, other: &Eviction) {
        (self.share, self.carried) = (other.share, other.carried);
        (self.tried, self.idle) = (other.tried, other.idle);
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.standings.clear();
        self.used.clear();
        self.hand = None;
    }
}

pub fn hash(key: u64) -> u64 {
    foldhash::quality::FixedState::with_seed(7).hash_one(key)
}

pub fn key_of(entry: &[u8]) -> u64 {
    u64::from_le_bytes(entry[..8].try_into().unwrap())
}

pub fn rehash(entry: &[u8]) -> u64 {
    hash(key_of(entry))
}

fn time(seconds: f64) -> Time {
    Clock::given(seconds).unwrap()
}

impl Model {
    pub fn new(size: EntrySize, idle: Option<f64>, bounded: bool) -> Self {
        let clock = Clock::Given { origin: 100.0 };
        let cache = Cache::keeping(size, Keeping { clock, idle: idle.is_some(), bounded });
        let (entries, eviction) = Default::default();
        Model { cache, size, now: 100.0, idle, bounded, entries, eviction, writes: 0, starving: false }
    }

    pub fn find(&self, key: u64) -> Option<EntryRef<'_, Cache>> {
        self.cache.find(hash(key), |entry| key_of(entry) == key)
    }

    pub fn find_entry(&mut self, key: u64) -> Option<OccupiedEntry<&mut Cache>> {
        self.cache.find_entry(hash(key), |entry| key_of(entry) == key)
    }

    fn deadlines(&self, lives: Option<f64>) -> (f64, f64) {
        let after = |seconds: Option<f64>| seconds.map_or(f64::INFINITY, |seconds| self.now + seconds);
        (after(lives), after(self.idle))
    }

    pub fn set(&mut self, key: u64, lives: Option<f64>, len: usize) {
        self.writes = self.writes.wrapping_add(1);
        let len = if let EntrySize::Fixed(bytes) = self.size { bytes - 8 } else { len };
        let value = vec![self.writes; len];
        let (hard, idle) = self.deadlines(lives);
        let deadlines = Deadlines { hard: time(hard), idle: time(idle) };
        let write = |entry: &mut [u8]| {
            entry[..8].copy_from_slice(&key.to_le_bytes());
            entry[8..].copy_from_slice(&value);
        };
        match self.find_entry(key) {
            Some(mut entry) => {
                if entry.replace(8 + len, &rehash, write).is_err() {
                    return self.refused();
                }
                entry.renew(deadlines);
                entry.mark();
                self.eviction.use_(key);
            }
            None => {
                if self.cache.insert_until(hash(key), 8 + len, deadlines, &rehash, write).is_err() {
                    return self.refused();
                }
                self.eviction.come(key);
            }
        }
        self.entries.insert(key, Entry { hard, idle, value });
    }

    fn refused(&mut self) {
        assert!(self.cache.was_limited() || self.starving, "memory is refused only when it is short");
    }

    pub fn remove(&mut self, key: u64) {
        let removed = self.find_entry(key).map(|entry| entry.remove(&rehash)).is_some();
        assert_eq!(removed, self.entries.contains_key(&key));
        if removed {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: u64) -> Entry {
        self.eviction.leave(key);
        self.entries.remove(&key).unwrap()
    }

    pub fn used(&mut self, key: u64) {
        let alive = self.entries.get(&key).is_some_and(|entry| entry.deadline() > self.now);
        let ((_, idle), now) = (self.deadlines(None), time(self.now));
        let found = self.cache.find_entry(hash(key), |entry| key_of(entry) == key);
        let found = found.filter(|found| found.deadlines().first() > now);
        assert_eq!(alive, found.is_some());
        if let Some(mut found) = found {
            let entry = self.entries.get_mut(&key).unwrap();
            entry.idle = idle;
            found.renew(Deadlines { hard: time(entry.hard), idle: time(idle) });
            found.mark();
            self.eviction.use_(key);
        }
    }

    fn renew(&mut self, key: u64, lives: f64) {
        let (hard, idle) = self.deadlines(Some(lives));
        let Some(mut found) = self.find_entry(key) else { return };
        found.renew(Deadlines { hard: time(hard), idle: time(idle) });
        let entry = self.entries.get_mut(&key).unwrap();
        (entry.hard, entry.idle) = (hard, idle);
    }

    fn sweep(&mut self, mut steps: usize) {
        let exhaustive = steps == usize::MAX;
        while let Ok(found) = OccupiedEntry::expired(&mut self.cache, time(self.now), &mut steps, &rehash) {
            let key = key_of(found.bytes());
            found.remove(&rehash);
            assert!(self.forget(key).deadline() <= self.now, "what is swept has expired");
        }
        if exhaustive {
            assert!(self.entries.values().all(|entry| entry.deadline() > self.now), "all that expired was swept");
            assert!(!self.cache.is_due(time(self.now)));
        }
    }

    pub fn evict(&mut self) {
        let victim = OccupiedEntry::victim(&mut self.cache, &rehash);
        assert_eq!(victim.is_ok(), self.bounded && !self.entries.is_empty());
        let Ok(found) = victim else { return };
        let expected = self.eviction.victim();
        assert_eq!(key_of(found.bytes()), expected);
        found.remove(&rehash);
        self.forget(expected);
    }

    fn walk(&mut self, remove: u64, set: u64) {
        let all_along: HashSet<u64> = self.entries.keys().copied().collect();
        let (mut gone, mut seen) = (HashSet::new(), HashSet::new());
        let mut position = Some(0);
        let mut round = 0;
        while let Some(at) = position {
            position = self.cache.visit_part(at, &rehash, |_, found| {
                assert!(seen.insert(key_of(found.bytes())), "visited once");
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

    fn walk_in_order(&mut self, mut remove: u64) {
        let all_along = self.eviction.queue.clone();
        assert_eq!(self.cache.begin_walk(), self.bounded);
        let (mut seen, mut gone) = (Vec::new(), HashSet::new());
        while let Ok(found) = OccupiedEntry::next_of_walk(&mut self.cache, &rehash) {
            seen.push(key_of(found.bytes()));
            if self.entries.contains_key(&remove) {
                self.remove(remove);
                gone.insert(remove);
            }
            remove += 1;
        }
        if self.bounded {
            let seen_before_they_went = |key: &&u64| !gone.contains(key) || seen.contains(key);
            let expected: Vec<u64> = all_along.iter().filter(seen_before_they_went).copied().collect();
            assert_eq!(seen, expected, "each once, the first to come first");
        } else {
            assert!(seen.is_empty());
        }
    }

    fn look(&mut self, key: u64, lives: f64) {
        let (hard, idle) = self.deadlines(Some(lives));
        let given = Deadlines { hard: time(hard), idle: time(idle) };
        let Some(mut look) = self.cache.look(hash(key), |entry| key_of(entry) == key) else {
            return assert!(!self.entries.contains_key(&key));
        };
        let entry = self.entries.get_mut(&key).unwrap();
        assert_eq!(look.deadlines(), Deadlines { hard: time(entry.hard), idle: time(entry.idle) });
        assert_eq!(look.entry[8..], entry.value);
        let later = hard.min(idle) >= entry.deadline();
        assert_eq!(look.prolong(given), later);
        if later {
            (entry.hard, entry.idle) = (hard, idle);
        }
        look.mark();
        self.eviction.use_(key);
    }

    fn limit(&mut self, more: Option<usize>) {
        let limit = more.map_or(usize::MAX, |more| self.cache.bytes() + more);
        self.cache.set_limit(limit);
    }

    pub fn learn_from(&mut self, other: &Model) {
        self.cache.learn_from(&other.cache);
        self.eviction.learn_from(&other.eviction);
    }

    pub fn clear(&mut self) {
        self.cache.clear();
        self.entries.clear();
        self.eviction.clear();
    }

    pub fn step(&mut self, op: &Op) {
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
            Op::WalkInOrder(remove) => self.walk_in_order(remove),
            Op::Look(key, lives) => self.look(key, lives),
            Op::Starve(allocations) => {
                self.starving = allocations != u64::MAX;
                self.cache.set_allowance(allocations);
            }
            Op::Limit(more) => self.limit(more),
        }
    }

    /// Sweep what has expired and remove the rest; all memory must come back.
    fn finish(mut self) {
        self.step(&Op::Starve(u64::MAX));
        self.step(&Op::Limit(None));
        self.sweep(usize::MAX);
        self.check();
        let keys: Vec<u64> = self.entries.keys().copied().collect();
        keys.iter().for_each(|&key| self.remove(key));
        self.check();
        let left = self.cache.bytes() - size_of::<Cache>();
        assert!(left < 32 << 10, "{left} bytes are left in an empty cache");
    }

    pub fn check(&self) {
        self.cache.check(&rehash);
        assert_eq!(self.cache.len(), self.entries.len());
        for (&key, entry) in &self.entries {
            let found = self.find(key).unwrap();
            assert_eq!(found.bytes()[8..], entry.value);
            assert_eq!(found.deadlines(), Deadlines { hard: time(entry.hard), idle: time(entry.idle) });
        }
    }
}

impl Model {
    pub fn remove_if_there(&mut self, key: u64) {
        if self.entries.contains_key(&key) {
            self.find_entry(key).unwrap().remove(&rehash);
            self.entries.remove(&key);
        }
    }
}

pub fn run(size: EntrySize, idle: Option<f64>, bounded: bool, ops: &[Op]) {
    let mut model = Model::new(size, idle, bounded);
    for op in ops {
        model.step(op);
        model.check();
    }
    model.finish();
}
