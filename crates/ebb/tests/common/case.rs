//! What a fuzzer's bytes stand for: which table or cache, and the operations on it and its model. The random driver
//! (`examples/fuzz.rs`), the coverage-guided one (`fuzz/`) and the tests (`tests/cases.rs`) all run cases by this.

use super::{Hashing, Model, Op, cache};
use ebb::EntrySize;
use ebb::thresholds::ENTRY_BYTES;

/// Bytes in front of the operations.
pub const HEAD: usize = 4;
/// Bytes of the key, which an entry has at least.
const KEY: usize = 8;
/// Bytes of payload that a case comes to, where its entries are large.
const ROOM: usize = if cfg!(miri) { 8 << 10 } else { 4 << 20 };
/// How many keys there are, where entries are small.
const MOST_KEYS: usize = if cfg!(miri) { 120 } else { 10_000 };
/// No entry of a fixed size has more bytes: Miri takes a minute to fill a larger one now and then.
const MOST_BYTES: usize = if cfg!(miri) { 2000 } else { 64 << 20 };

/// All of a case. Equal bytes are equal cases, so that a failure can be run again.
#[derive(Debug, Clone)]
pub enum Case {
    Table { size: EntrySize, hashing: Hashing, ops: Vec<Op> },
    Cache { size: EntrySize, idle: Option<f64>, bounded: bool, ops: Vec<cache::Op> },
}

impl Case {
    /// The case that bytes stand for; what is missing is 0.
    pub fn decode(bytes: &[u8]) -> Case {
        let mut head = [0; HEAD];
        let given = bytes.len().min(HEAD);
        head[..given].copy_from_slice(&bytes[..given]);
        let [kind, which, by, more] = head;
        let size = size(which, by as i8);
        let ops = bytes[given..].as_chunks::<4>().0.iter();
        if kind % 2 == 0 {
            let ops = ops.map(|&bytes| table_op(size, Op::from_bytes(bytes))).collect();
            return Case::Table { size, hashing: hashing(more), ops };
        }
        let ops = ops.map(|&bytes| cache_op(size, cache::Op::from_bytes(bytes))).collect();
        let idle = (more & 2 != 0).then(|| 0.5 + f64::from(more / 4));
        Case::Cache { size, idle, bounded: more & 1 != 0, ops }
    }

    /// Case `number` of the random ones, with one of so many operations.
    pub fn numbered(number: u64, lengths: &[u64]) -> Case {
        let mut random = Random(number);
        let operations = lengths[random.next() as usize % lengths.len()];
        let words = 1 + operations.div_ceil(2);
        let bytes: Vec<u8> = (0..words).flat_map(|_| random.next().to_le_bytes()).collect();
        Case::decode(&bytes[..HEAD + 4 * operations as usize])
    }

    /// Do the operations, each invariant walked after each.
    pub fn run(&self) {
        match self {
            Case::Table { size, hashing, ops } => Model::run(*size, *hashing, ops),
            Case::Cache { size, idle, bounded, ops } => cache::run(*size, *idle, *bounded, ops),
        }
    }

    /// How many operations it has.
    pub fn len(&self) -> usize {
        match self {
            Case::Table { ops, .. } => ops.len(),
            Case::Cache { ops, .. } => ops.len(),
        }
    }
}

/// SplitMix64: all of a case follows from its number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

/// Entries of a few bytes, around each threshold, or of their own lengths.
fn size(which: u8, by: i8) -> EntrySize {
    let around = ENTRY_BYTES.len();
    match usize::from(which) % (around + 6) {
        at if at < around => {
            let bytes = ENTRY_BYTES[at].min(MOST_BYTES).saturating_add_signed(by as isize / 3);
            EntrySize::Fixed(bytes.max(KEY))
        }
        at if at < around + 2 => EntrySize::Fixed(KEY + usize::from(by as u8)),
        _ => EntrySize::Variable,
    }
}

fn hashing(more: u8) -> Hashing {
    match more % 8 {
        0 => Hashing::AllEqual,
        1 => Hashing::FewBits,
        _ => Hashing::Good,
    }
}

/// How many keys of entries of this size there may be.
fn keys(size: EntrySize) -> u64 {
    match size {
        EntrySize::Fixed(bytes) => (ROOM / bytes).clamp(3, MOST_KEYS) as u64,
        EntrySize::Variable => MOST_KEYS as u64,
    }
}

/// An operation as it is, on fewer keys where entries are large.
fn table_op(size: EntrySize, op: Op) -> Op {
    let keys = keys(size);
    match op {
        Op::Set(key, len) => Op::Set(key % keys, len),
        Op::Remove(key) => Op::Remove(key % keys),
        Op::Get(key) => Op::Get(key % keys),
        Op::Fill(from, count) => Op::Fill(from % keys, count.min(keys - from % keys)),
        Op::Drain(from, count) => Op::Drain(from % keys, count.min(keys - from % keys)),
        op => op,
    }
}

fn cache_op(size: EntrySize, op: cache::Op) -> cache::Op {
    use cache::Op;
    let keys = keys(size);
    match op {
        Op::Set(key, lives, len) => Op::Set(key % keys, lives, len),
        Op::Remove(key) => Op::Remove(key % keys),
        Op::Use(key) => Op::Use(key % keys),
        Op::Look(key, lives) => Op::Look(key % keys, lives),
        Op::Renew(key, lives) => Op::Renew(key % keys, lives),
        Op::Walk(..) if keys < MOST_KEYS as u64 || cfg!(miri) => Op::WalkInOrder(0), // a walk sets many
        op => op,
    }
}
