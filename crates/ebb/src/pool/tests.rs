//! The pool against a list of the blocks that were taken.

#[cfg(not(miri))] // ranges of many MiB
mod limits;

use super::stock::{Stock, Surplus};
use super::{Block, block_bytes};
use crate::system::{HUGE_PAGE, OS_PAGE, Pages};
use proptest::prelude::*;

/// Give a block back, as [`release`](super::release) does.
fn release(stock: &mut Stock, block: Block) {
    let mut surplus = stock.put(block);
    while let Some(next) = surplus {
        surplus = match next {
            Surplus::Memory(mut block) => {
                let returned = block.return_memory();
                stock.put_returned(block, returned)
            }
            Surplus::Area(area) => stock.given_up(area.release().err()),
        }
    }
}

/// Under Miri, sizes for which the first area does.
fn size() -> impl Strategy<Value = usize> {
    let large = u32::from(!cfg!(miri));
    let pages = |most: usize| (1..most).prop_map(|pages| pages * OS_PAGE);
    prop_oneof![
        8 => (1..OS_PAGE).prop_map(block_bytes),
        4 => pages(8),
        2 * large => pages(300),
        large => pages(5000),
        large => (1usize..4).prop_map(|pages| pages * HUGE_PAGE),
    ]
}

/// Few cases under Miri, and no file of those that failed, which it could not read.
pub(super) fn config() -> ProptestConfig {
    if cfg!(miri) {
        ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4) }
    } else {
        ProptestConfig::with_cases(128)
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn blocks_never_overlap_and_all_goes_back(
        steps in proptest::collection::vec((any::<bool>(), size(), any::<prop::sample::Index>()), 1..200),
    ) {
        let mut stock = Stock::new();
        let mut taken: Vec<Block> = Vec::new();
        for (take, bytes, which) in steps {
            if take || taken.is_empty() {
                let block = stock.take(bytes).unwrap();
                prop_assert_eq!(block.bytes(), bytes);
                let unit = if bytes % HUGE_PAGE == 0 { HUGE_PAGE } else if bytes >= OS_PAGE { OS_PAGE } else { 64 };
                prop_assert_eq!(block.address() % unit, 0);
                let end = block.address() + bytes;
                prop_assert!(taken.iter().all(|other| other.address() + other.bytes() <= block.address() || end <= other.address()));
                taken.push(block);
            } else {
                release(&mut stock, taken.swap_remove(which.index(taken.len())));
            }
            stock.check();
            let figures = stock.figures();
            prop_assert_eq!(figures.held, taken.iter().map(Block::bytes).sum::<usize>());
            prop_assert!(figures.held + figures.spare <= figures.reserved);
        }
        taken.into_iter().for_each(|block| release(&mut stock, block));
        let figures = stock.figures();
        prop_assert!(figures.held == 0 && figures.spare <= 64 << 10, "{figures:?}");
        prop_assert!(figures.areas <= 2 && figures.reserved <= 8 << 20, "{figures:?}");
        stock.check();
        stock.clear();
        prop_assert_eq!(stock.figures().reserved, 0);
    }
}

/// So many blocks of some bytes, all that is taken of a stock.
fn blocks(stock: &mut Stock, count: usize, bytes: usize) -> Vec<Block> {
    (0..count).map(|_| stock.take(bytes).unwrap()).collect()
}

#[test]
#[cfg_attr(miri, ignore = "larger than the first area")]
fn after_a_peak_one_small_area_is_left() {
    const BYTES: usize = 64 << 10;
    let mut stock = Stock::new();
    let kept = blocks(&mut stock, 8, BYTES);
    let mut all = blocks(&mut stock, 8_000, BYTES);
    let peak = stock.figures();
    assert!(peak.reserved <= 2 * peak.held && peak.areas < 20, "{peak:?}");
    while let Some(block) = all.pop() {
        release(&mut stock, block);
        let figures = stock.figures();
        // In this order the last area comes to be empty first.
        assert!(figures.reserved <= 3 * figures.held + (12 << 20), "{figures:?}");
    }
    let figures = stock.figures();
    assert!(figures.spare > 0 && figures.areas == 2 && figures.reserved == 8 << 20, "{figures:?}");
    kept.into_iter().for_each(|block| release(&mut stock, block));
    let figures = stock.figures();
    assert!(figures.spare > 0 && figures.areas == 1 && figures.reserved == 4 << 20, "{figures:?}");
    stock.check();
    stock.clear();
}

#[test]
#[cfg_attr(miri, ignore = "larger than the first area")]
fn whatever_the_order_nothing_spare_keeps_a_large_area() {
    const BYTES: usize = 64 << 10;
    for step in [1, 3, 7, 4_001] {
        let mut stock = Stock::new();
        let mut all: Vec<Option<Block>> = blocks(&mut stock, 8_000, BYTES).into_iter().map(Some).collect();
        for i in 0..all.len() {
            let at = i * step % all.len();
            release(&mut stock, all[at].take().unwrap());
        }
        let figures = stock.figures();
        assert!(figures.held == 0 && figures.areas == 1 && figures.reserved == 4 << 20, "{figures:?}");
        stock.clear();
    }
}

#[test]
#[cfg_attr(miri, ignore = "larger than the first area")]
fn a_table_at_the_edge_of_an_area_makes_none_come_and_go() {
    const BYTES: usize = 64 << 10;
    let mut stock = Stock::new();
    let mut all = blocks(&mut stock, 4_000, BYTES);
    let areas = stock.figures().areas;
    while stock.figures().areas == areas {
        all.push(stock.take(BYTES).unwrap());
    }
    let full = stock.figures();
    for _ in 0..10 {
        release(&mut stock, all.pop().unwrap());
        assert_eq!(stock.figures().reserved, full.reserved);
        all.push(stock.take(BYTES).unwrap());
    }
    assert_eq!(stock.figures().returned, full.returned);
    all.into_iter().for_each(|block| release(&mut stock, block));
    stock.clear();
}

#[test]
#[cfg_attr(miri, ignore = "larger than the first area")]
fn small_areas_are_filled_first() {
    const BYTES: usize = 64 << 10;
    let mut stock = Stock::new();
    let mut all = blocks(&mut stock, 2_000, BYTES);
    let first = all.iter().take(64).map(Block::address).min().unwrap();
    let early: Vec<Block> = all.drain(..32).collect();
    early.into_iter().for_each(|block| release(&mut stock, block));
    stock.clear_spare();
    let again = blocks(&mut stock, 32, BYTES);
    assert!(again.iter().all(|block| (first..first + (4 << 20)).contains(&block.address())));
    all.into_iter().chain(again).for_each(|block| release(&mut stock, block));
    stock.check();
    stock.clear();
}

#[test]
#[cfg_attr(miri, ignore = "larger than the first area")]
fn memory_that_the_system_does_not_take_is_given_back_later() {
    let mut stock = Stock::new();
    let kept = stock.take(OS_PAGE).unwrap();
    let (one, other) = (stock.take(256 << 10).unwrap(), stock.take(256 << 10).unwrap());
    let Some(Surplus::Memory(refused)) = stock.put(one) else { panic!("too much to be spare") };
    assert!(stock.is_returning() && stock.put_returned(refused, false).is_none());
    assert_eq!((stock.figures().spare, stock.is_returning()), (256 << 10, false));
    stock.check();
    release(&mut stock, other);
    assert_eq!((stock.figures().spare, stock.figures().returned), (0, 512 << 10));
    release(&mut stock, kept);
    stock.clear();
}

#[test]
#[cfg_attr(miri, ignore = "larger than the first area")]
fn an_area_that_the_system_does_not_take_is_given_up_later() {
    let mut stock = Stock::new();
    let (small, large) = (stock.take(OS_PAGE).unwrap(), stock.take(80 << 20).unwrap());
    let Some(Surplus::Memory(mut block)) = stock.put(large) else { panic!("too much to be spare") };
    let returned = block.return_memory();
    let Some(Surplus::Area(area)) = stock.put_returned(block, returned) else { panic!("an empty area") };
    assert!(stock.is_returning() && stock.given_up(Some(area)).is_none());
    assert!(!stock.is_returning() && stock.figures().reserved > 80 << 20);
    stock.check();
    release(&mut stock, small);
    assert_eq!((stock.figures().areas, stock.figures().reserved), (1, 4 << 20));
    stock.clear();
}

#[test]
#[cfg_attr(miri, ignore = "larger than the first area")]
fn what_is_spare_and_what_is_empty_makes_room_at_a_limit_of_addresses() {
    let mut stock = Stock::new();
    let block = stock.take(OS_PAGE).unwrap();
    release(&mut stock, block);
    let before = stock.figures();
    assert_eq!((before.spare, before.reserved), (OS_PAGE, 4 << 20));
    let block = stock.take_after_all(HUGE_PAGE, Pages::Huge).unwrap();
    let after = stock.figures();
    assert_eq!((block.bytes(), after.spare, after.areas, after.reserved), (HUGE_PAGE, 0, 1, 32 << 20));
    stock.put_uncounted(block);
    stock.clear();
}
