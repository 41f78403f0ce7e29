//! The cache beside a plain model of its rules, every invariant walked after every step. Time is a parameter.

mod common;

use common::cache::{Model, Op, hash, key_of, rehash, run};
use ebb::{Cache, Clock, Deadlines, EntrySize, Keeping, OccupiedEntry, RawTable, Time};
use proptest::prelude::*;
use std::collections::HashSet;

fn op() -> impl Strategy<Value = Op> {
    let key = || prop_oneof![4 => 0..40u64, 2 => 0..600u64];
    let lives = || prop_oneof![Just(0.0001), Just(0.5), Just(1.0), 0.0..100.0, 0.0..1e7, Just(1e12)];
    prop_oneof![
        8 => (key(), prop::option::weighted(0.8, lives()), 0..80usize).prop_map(|(k, l, len)| Op::Set(k, l, len)),
        3 => key().prop_map(Op::Remove),
        3 => key().prop_map(Op::Use),
        3 => (key(), lives()).prop_map(|(k, l)| Op::Renew(k, l)),
        4 => prop_oneof![Just(0.0001), Just(0.5), 0.0..2.0, 0.0..1e6, Just(1e8), Just(-3.0), -1e4..0.0].prop_map(Op::Pass),
        2 => (0..5usize).prop_map(Op::Sweep),
        2 => Just(Op::Sweep(usize::MAX)),
        2 => Just(Op::Evict),
        1 => (key(), key()).prop_map(|(r, s)| Op::Walk(r, s)),
        1 => key().prop_map(Op::WalkInOrder),
        2 => (key(), lives()).prop_map(|(k, l)| Op::Look(k, l)),
        1 => prop_oneof![1 => Just(Op::Clear), 3 => Just(Op::Starve(u64::MAX)), 3 => (0..6u64).prop_map(Op::Starve)],
    ]
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
            position = model.cache.visit_part(at, &rehash, |_, found| assert!(seen.insert(key_of(found.bytes()))));
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
            OccupiedEntry::victim(&mut cache, &rehash).expect("something to evict").remove(&rehash);
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
fn what_a_cache_has_learned_of_newcomers_another_goes_on_with() {
    // The same are asked for again and again: newcomers are not worth a trial.
    let skewed = |turn: u64| (200.0 * (hash(turn) as f64 / u64::MAX as f64).powi(4)) as u64;
    let mut teacher = Model::new(EntrySize::Fixed(24), None, true);
    (0..10_000).for_each(|turn| ask(&mut teacher, skewed(turn), 60));
    assert!(teacher.eviction.share < 64, "not all newcomers are tried");
    let mut model = Model::new(EntrySize::Fixed(24), None, true);
    model.learn_from(&teacher);
    (0..2000).for_each(|turn| ask(&mut model, skewed(turn), 60));
    model.check();
}

#[test]
fn a_refusal_by_the_limit_is_told_once() {
    let keeping = Keeping { clock: Clock::System, idle: false, bounded: true };
    let mut cache = Cache::keeping(EntrySize::Fixed(1000), keeping);
    let never = Deadlines { hard: Time::NEVER, idle: Time::NEVER };
    let set = |cache: &mut Cache, key: u64| {
        cache.insert_until(hash(key), 1000, never, &rehash, |entry| entry[..8].copy_from_slice(&key.to_le_bytes()))
    };
    set(&mut cache, 0).unwrap();
    assert!(!cache.was_limited());
    cache.set_limit(cache.bytes());
    assert!((1..1000).any(|key| set(&mut cache, key).is_err()));
    let mut found = cache.find_entry(hash(0), |entry| key_of(entry) == 0).unwrap();
    assert!(found.was_limited() && !found.was_limited());
    assert!(!cache.was_limited());
    cache.set_limit(usize::MAX);
    cache.set_allowance(0);
    assert!((1000..2000).any(|key| set(&mut cache, key).is_err()) && !cache.was_limited(), "the limit was no reason");
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
            let victim = OccupiedEntry::victim(&mut cache, &rehash).unwrap();
            assert_eq!(key_of(victim.bytes()), key - room);
            victim.remove(&rehash);
        }
        let write = |entry: &mut [u8]| entry.copy_from_slice(&key.to_le_bytes());
        cache.insert_until(hash(key), 8, never, &rehash, write).unwrap();
    }
    cache.check(&rehash);
}

#[test]
fn a_cache_says_until_when_it_is_quiet() {
    let keeping = Keeping { clock: Clock::System, idle: false, bounded: false };
    let mut cache = Cache::keeping(EntrySize::Fixed(8), keeping);
    let never = Deadlines { hard: Time::NEVER, idle: Time::NEVER };
    let is_quiet = |cache: &Cache| cache.never_expires() && cache.quiet_until() == Time::NEVER;
    let set = |cache: &mut Cache, key: u64, deadlines| {
        let write = |entry: &mut [u8]| entry.copy_from_slice(&key.to_le_bytes());
        cache.insert_until(hash(key), 8, deadlines, &rehash, write).unwrap();
    };
    assert!(is_quiet(&cache));
    set(&mut cache, 0, never);
    assert!(is_quiet(&cache), "nothing in it expires");
    let now = Clock::now();
    let later = [3600.0, 10.0].map(|seconds| Clock::System.after(now, seconds));
    set(&mut cache, 1, Deadlines { hard: later[0], ..never });
    assert!(!cache.never_expires() && cache.quiet_until() <= later[0]);
    set(&mut cache, 2, Deadlines { hard: later[1], ..never });
    assert!(!cache.never_expires() && cache.quiet_until() <= later[1]);
    let mut steps = usize::MAX;
    while let Ok(found) = OccupiedEntry::expired(&mut cache, later[0], &mut steps, &rehash) {
        found.remove(&rehash);
    }
    assert!(is_quiet(&cache) && cache.len() == 1);
    set(&mut cache, 3, Deadlines { hard: now, ..never });
    assert!(!cache.never_expires() && cache.quiet_until() <= later[0], "what has expired waits");
}

#[test]
fn a_sweep_does_not_look_at_what_expires_later() {
    let keeping = Keeping { clock: Clock::Given { origin: 0.0 }, idle: false, bounded: false };
    let mut cache = Cache::keeping(EntrySize::Fixed(8), keeping);
    let at = |seconds| Clock::given(seconds).unwrap();
    for key in 0..1000u64 {
        let hard = at(if key < 10 { 1.0 } else { 3600.0 + key as f64 });
        let write = |entry: &mut [u8]| entry.copy_from_slice(&key.to_le_bytes());
        cache.insert_until(hash(key), 8, Deadlines { hard, idle: Time::NEVER }, &rehash, write).unwrap();
    }
    let mut steps = 1000;
    let soon = at(2.0);
    while let Ok(found) = OccupiedEntry::expired(&mut cache, soon, &mut steps, &rehash) {
        found.remove(&rehash);
    }
    assert_eq!((cache.len(), cache.is_due(soon)), (990, false));
    assert!(steps >= 1000 - 31, "ten entries took {} steps", 1000 - steps); // two lists on the way, and the end
}

/// A timer that follows the time of day can be set back.
#[test]
fn a_clock_that_goes_back_has_no_entry_looked_at_again_and_again() {
    let keeping = Keeping { clock: Clock::Given { origin: 0.0 }, idle: false, bounded: false };
    let mut cache = Cache::keeping(EntrySize::Fixed(8), keeping);
    let at = |seconds| Clock::given(seconds).unwrap();
    let set = |cache: &mut Cache, key: u64, seconds: f64| {
        let write = |entry: &mut [u8]| entry.copy_from_slice(&key.to_le_bytes());
        cache.insert_until(hash(key), 8, Deadlines { hard: at(seconds), idle: Time::NEVER }, &rehash, write).unwrap();
    };
    let (mut expired, mut steps) = (0, usize::MAX);
    let mut sweep = |cache: &mut Cache, now: f64| {
        while let Ok(found) = OccupiedEntry::expired(&mut *cache, at(now), &mut steps, &rehash) {
            found.remove(&rehash);
            expired += 1;
        }
        usize::MAX - steps
    };
    (0..1000).for_each(|key| set(&mut cache, key, 7200.0 + key as f64));
    set(&mut cache, 1000, 7000.0);
    sweep(&mut cache, 7100.0);
    (1001..2000).for_each(|key| set(&mut cache, key, 2500.0 + key as f64));
    for second in 3500..8300 {
        sweep(&mut cache, f64::from(second));
        cache.check(&rehash);
    }
    let steps = sweep(&mut cache, 9000.0);
    assert_eq!((expired, cache.len()), (2000, 0));
    assert!(steps < 20_000, "2000 entries took {steps} steps");
}
