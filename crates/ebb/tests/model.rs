//! The table beside a `BTreeMap`, every invariant walked after every step.

mod common;

use common::{Hashing, Model, Op};
use ebb::{EntrySize, RawTable};
use proptest::prelude::*;

fn op() -> impl Strategy<Value = Op> {
    let key = prop_oneof![4 => 0..40u64, 2 => 0..2000u64];
    let len = prop_oneof![6 => 0..40usize, 3 => 60..300usize, 1 => 30_000..70_000usize];
    prop_oneof![
        6 => (key.clone(), len.clone()).prop_map(|(key, len)| Op::Set(key, len)),
        4 => key.clone().prop_map(Op::Remove),
        2 => key.prop_map(Op::Get),
        1 => (0..3000u64, 1..700u64).prop_map(|(from, count)| Op::Fill(from, count)),
        1 => (0..3000u64, 1..700u64).prop_map(|(from, count)| Op::Drain(from, count)),
        1 => Just(Op::PopAny),
        1 => Just(Op::Walk),
        1 => Just(Op::Clear),
        2 => (0..12u64).prop_map(Op::Starve),
        2 => Just(Op::Feed),
    ]
}

fn hashing() -> impl Strategy<Value = Hashing> {
    prop_oneof![4 => Just(Hashing::Good), 1 => Just(Hashing::FewBits), 1 => Just(Hashing::AllEqual)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fixed_entries_behave_as_the_model(hashing in hashing(), ops in prop::collection::vec(op(), 1..60)) {
        Model::run(EntrySize::Fixed(136), hashing, &ops);
    }

    #[test]
    fn small_entries_behave_as_the_model(bytes in 2..8usize, hashing in hashing(), ops in prop::collection::vec(op(), 1..60)) {
        Model::run(EntrySize::Fixed(4 * bytes), hashing, &ops); // from 28 bytes on they have stacks
    }

    #[test]
    fn variable_entries_behave_as_the_model(hashing in hashing(), ops in prop::collection::vec(op(), 1..60)) {
        Model::run(EntrySize::Variable, hashing, &ops);
    }
}

/// A table that is a set of things to do: some entry is taken, and a new one set.
#[test]
fn taking_any_and_setting_others_keeps_segments_even() {
    for size in [EntrySize::Fixed(16), EntrySize::Fixed(136)] {
        let mut model = Model::new(size, Hashing::Good);
        model.apply(&Op::Fill(0, 3000));
        for key in 3000..30_000 {
            model.apply(&Op::PopAny);
            model.apply(&Op::Set(key, 0));
        }
        model.check();
        let (mut position, mut most) = (Some(0), 0);
        while let Some(from) = position {
            let mut count = 0;
            position = model.table.visit_part(from, &|entry| model.hash(entry), |_, _| count += 1);
            most = most.max(count);
        }
        assert!(most < 700, "a segment has {most} entries"); // where others have 200
        model.finish();
    }
}

/// Small entries may hold twelve bytes more than they have each, and 256 KiB at all: the first part of it is largest where
/// pages, of which there are some for each size of block, are large for the table.
#[test]
fn small_entries_keep_the_memory_promise_up_and_down() {
    for (size, most) in [(8, 46_000), (16, 40_000), (16, 145_000), (24, 25_000), (24, 115_000), (24, 163_000)] {
        let mut model = Model::new(EntrySize::Fixed(size), Hashing::Good);
        let held = |model: &Model| {
            let (len, bytes) = (model.table.len(), model.table.bytes());
            assert!(bytes <= len * (size + 12) + (256 << 10), "{bytes} bytes for {len} entries of {size}, of {most}");
        };
        for key in 0..most {
            model.set(key, 0);
            held(&model);
        }
        for key in 0..most {
            model.remove(key);
            held(&model);
        }
        model.finish();
    }
}
