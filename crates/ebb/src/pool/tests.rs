//! The pool against a list of the blocks that were taken.

#[cfg(not(miri))] // ranges of many MiB
mod limits;

use super::stock::Stock;
use super::{Block, block_bytes};
use crate::system::{HUGE_PAGE, OS_PAGE};
use proptest::prelude::*;

/// Give a block back, as [`release`](super::release) does.
fn release(stock: &mut Stock, block: Block) {
    let mut surplus = stock.put(block);
    while let Some(mut block) = surplus {
        let returned = block.return_memory();
        let emptied = stock.put_returned(block, returned);
        emptied.into_iter().for_each(|area| area.release().unwrap());
        surplus = stock.surplus();
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
        stock.check();
        stock.clear();
        prop_assert_eq!(stock.figures().reserved, 0);
    }
}
