//! How much the pool keeps, of memory and of addresses, and when it gives that back.

use super::super::area::Area;
use super::super::stock::{Stock, Surplus};
use super::{Block, HUGE_PAGE, OS_PAGE, release};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

fn take(stock: &mut Stock, count: usize, bytes: usize) -> Vec<Block> {
    (0..count).map(|_| stock.take(bytes).unwrap()).collect()
}

fn give(stock: &mut Stock, blocks: impl IntoIterator<Item = Block>) {
    blocks.into_iter().for_each(|block| release(stock, block));
}

fn held_and_spare(stock: &Stock) -> (usize, usize) {
    (stock.figures().held, stock.figures().spare)
}

fn reserved_and_areas(stock: &Stock) -> (usize, usize) {
    (stock.figures().reserved, stock.figures().areas)
}

fn spare_and_returned(stock: &Stock) -> (usize, u64) {
    (stock.figures().spare, stock.figures().returned)
}

/// Give a block up, and let the system take its memory. The area that is to be given up then.
fn put_returned(stock: &mut Stock, block: Block) -> Option<Area> {
    let Some(Surplus::Memory(block)) = stock.put(block) else { panic!("a block to return") };
    assert!(stock.is_returning());
    let next = stock.put_returned(block, true);
    idle_area(stock, next)
}

/// Give a block up, and don't let the system take its memory. The area that is to be given up then.
fn put_locked(stock: &mut Stock, block: Block) -> Option<Area> {
    let next = match stock.put(block) {
        Some(Surplus::Memory(block)) => stock.put_returned(block, false),
        next => next,
    };
    idle_area(stock, next)
}

/// What is to be given back next is an area, or nothing.
fn idle_area(stock: &Stock, next: Option<Surplus>) -> Option<Area> {
    assert_eq!(stock.is_returning(), next.is_some());
    match next? {
        Surplus::Area(area) => Some(area),
        Surplus::Memory(block) => panic!("{block:?} is spare"),
    }
}

/// Let the system take an area. Nothing else is to be given back.
fn give_up(stock: &mut Stock, area: Area) {
    area.release().unwrap();
    assert!(stock.given_up(None).is_none() && !stock.is_returning());
}

/// All is free: nothing is held, and no addresses but those of the areas that are kept.
fn check_free(mut stock: Stock) {
    stock.check();
    assert_eq!(stock.figures().held, 0);
    stock.clear();
    assert_eq!(stock.figures().reserved, 0);
}

/// A quarter of what is held, from 64 KiB to 1 MiB, and 1/256 of it: with so much held, all but `most` of blocks of
/// `bytes` go back.
#[test]
fn what_is_spare_is_bounded_by_what_is_held() {
    let levels = [(0, 8 * KIB, 64 * KIB), (MIB, 20 * KIB, 260 * KIB), (64 * MIB, 64 * KIB, 1280 * KIB)];
    for (held, bytes, most) in levels {
        let mut stock = Stock::new();
        let kept = take(&mut stock, held / (64 * KIB), 64 * KIB);
        let blocks = take(&mut stock, most / bytes + 20, bytes);
        give(&mut stock, blocks);
        assert_eq!((held_and_spare(&stock), stock.figures().returned), ((held, most), 20 * bytes as u64));
        give(&mut stock, kept);
        check_free(stock);
    }
}

#[test]
fn a_block_of_more_than_may_be_spare_goes_back_at_once() {
    let mut stock = Stock::new();
    let block = stock.take(64 * KIB).unwrap();
    assert!(stock.put(block).is_none(), "just as much is kept");
    let block = stock.take(68 * KIB).unwrap();
    assert!(put_returned(&mut stock, block).is_none(), "the area has a spare block");
    assert_eq!(spare_and_returned(&stock), (64 * KIB, 68 * KIB as u64));
    check_free(stock);
}

/// The system may refuse to take memory back, such as what is locked: it is spare then, in at most 256 blocks, and goes
/// back with those that are given up later.
#[test]
fn memory_that_the_system_does_not_take_is_used_again() {
    let mut stock = Stock::new();
    let blocks = take(&mut stock, 300, OS_PAGE);
    blocks.into_iter().for_each(|block| assert!(put_locked(&mut stock, block).is_none()));
    assert_eq!(spare_and_returned(&stock), (256 * OS_PAGE, 0));
    let before = stock.figures();
    let blocks = take(&mut stock, 300, OS_PAGE);
    assert_eq!((stock.figures().spare, stock.figures().reserved), (0, before.reserved));
    give(&mut stock, blocks);
    assert_eq!(stock.figures().spare, 16 * OS_PAGE);
    check_free(stock);
}

#[test]
fn spare_memory_of_huge_pages_counts() {
    let mut stock = Stock::new();
    let (page, used) = (stock.take(OS_PAGE).unwrap(), stock.take(HUGE_PAGE).unwrap());
    let block = stock.take(HUGE_PAGE).unwrap();
    assert!(put_locked(&mut stock, block).is_none(), "the area is in use");
    assert_eq!(spare_and_returned(&stock), (HUGE_PAGE, 0));
    let block = stock.take(HUGE_PAGE).unwrap();
    assert_eq!(spare_and_returned(&stock), (0, 0));
    assert!(put_locked(&mut stock, block).is_none(), "the area is in use");
    release(&mut stock, page);
    assert_eq!(spare_and_returned(&stock), (OS_PAGE, HUGE_PAGE as u64), "more than may be spare");
    release(&mut stock, used);
    check_free(stock);
}

/// An area that no table has anything of is given up with the memory that the system did not take.
#[test]
fn an_area_goes_with_what_is_spare_of_it() {
    let mut stock = Stock::new();
    let [small, block, last] = [OS_PAGE, HUGE_PAGE, HUGE_PAGE].map(|bytes| stock.take(bytes).unwrap());
    assert!(put_locked(&mut stock, block).is_none(), "the area is in use");
    let area = put_locked(&mut stock, last).expect("the area, to be given up");
    assert_eq!(reserved_and_areas(&stock), (4 * MIB, 1));
    assert_eq!(spare_and_returned(&stock), (0, 2 * HUGE_PAGE as u64));
    give_up(&mut stock, area);
    release(&mut stock, small);
    check_free(stock);
}

/// Areas begin small, and have half of what is held, up to 1 GiB; an area of huge pages has at least 32 MiB.
#[test]
fn areas_grow_with_what_is_held() {
    let mut stock = Stock::new();
    let steps = [
        (OS_PAGE, 4 * MIB),
        (HUGE_PAGE, 32 * MIB),
        (4 * MIB - OS_PAGE, 0),
        (OS_PAGE, 4 * MIB),
        (24 * MIB, 0),
        (4 * MIB - OS_PAGE, 0),
        (OS_PAGE, 18 * MIB), // of 34 MiB
        (4 * GIB, 4 * GIB),  // its own
        (60 * MIB, GIB),
    ];
    let mut blocks = Vec::new();
    for (bytes, more) in steps {
        let before = stock.figures().reserved;
        blocks.push(stock.take(bytes).unwrap());
        assert_eq!(stock.figures().reserved - before, more, "{bytes} bytes, of {} areas", stock.figures().areas);
    }
    give(&mut stock, blocks);
    check_free(stock);
}

/// The addresses of one empty area of each kind are kept, the smallest; of 4 MiB at most, when nothing is held.
#[test]
fn one_empty_area_of_each_kind_is_kept() {
    let mut stock = Stock::new();
    let small = take(&mut stock, 3, 4 * MIB - OS_PAGE);
    let mut huge = take(&mut stock, 4, 32 * MIB);
    let used = huge.remove(0);
    assert_eq!(stock.figures().areas, 7);
    for mut blocks in [huge, small] {
        assert!(put_returned(&mut stock, blocks.pop().unwrap()).is_none(), "the first that is empty");
        for block in blocks {
            let area = put_returned(&mut stock, block).expect("one more that is empty");
            give_up(&mut stock, area);
        }
    }
    assert_eq!(reserved_and_areas(&stock), ((4 + 32 + 32) * MIB, 3));
    release(&mut stock, used);
    assert_eq!(reserved_and_areas(&stock), (4 * MIB, 1));
    check_free(stock);
}

/// An empty area of up to 64 MiB is kept while tables hold half as much.
#[test]
fn a_large_empty_area_is_not_kept() {
    for (held, bytes, is_kept) in [(32, 64, true), (30, 64, false), (64, 66, false)] {
        let mut stock = Stock::new();
        let [used, large] = [held, bytes].map(|mib| stock.take(mib * MIB).unwrap());
        let before = stock.figures().reserved;
        release(&mut stock, large);
        assert_eq!(stock.figures().reserved == before, is_kept, "{bytes} MiB, while {held} MiB are held");
        release(&mut stock, used);
        assert_eq!(stock.figures().reserved, 0);
        check_free(stock);
    }
}

/// A block of 64 MiB and more has an area of its own, which goes with it if it is larger.
#[test]
fn a_large_block_leaves_no_addresses() {
    let mut stock = Stock::new();
    let small = stock.take(OS_PAGE).unwrap();
    let large = stock.take(64 * MIB + OS_PAGE).unwrap();
    assert_eq!(reserved_and_areas(&stock), (4 * MIB + 64 * MIB + OS_PAGE, 2));
    let area = put_returned(&mut stock, large).expect("the area, to be given up");
    assert_eq!(reserved_and_areas(&stock), (4 * MIB, 1));
    give_up(&mut stock, area);
    release(&mut stock, small);
    check_free(stock);
}

/// The system may refuse to take addresses back: a limit of mappings keeps it from that. They are used again.
#[test]
fn an_area_that_the_system_does_not_take_stays() {
    let mut stock = Stock::new();
    let large = stock.take(64 * MIB + OS_PAGE).unwrap();
    let area = put_returned(&mut stock, large).expect("the area, to be given up");
    assert_eq!(reserved_and_areas(&stock), (0, 0));
    assert!(stock.given_up(Some(area)).is_none());
    let block = stock.take(OS_PAGE).unwrap();
    assert_eq!(reserved_and_areas(&stock), (64 * MIB + OS_PAGE, 1));
    release(&mut stock, block);
    check_free(stock);
}

/// Slabs have numbers for the pages of areas of up to 1 GiB: no piece may be of a page behind that.
#[test]
fn nothing_of_an_area_beyond_the_largest_is_spare() {
    let mut stock = Stock::new();
    let half = stock.take(GIB + OS_PAGE).unwrap();
    let large = stock.take(2 * GIB + OS_PAGE).unwrap();
    let area = put_locked(&mut stock, large).expect("the area, to be given up");
    assert_eq!(stock.figures().spare, 0);
    give_up(&mut stock, area);
    let blocks = [GIB + OS_PAGE, 64].map(|bytes| stock.take(bytes).unwrap());
    give(&mut stock, blocks);
    release(&mut stock, half);
    check_free(stock);
}

/// The system may not take an area that was a large block's: other blocks have areas as if it were not there.
#[test]
fn an_area_beyond_the_largest_serves_no_others() {
    let mut stock = Stock::new();
    let large = stock.take(GIB + OS_PAGE).unwrap();
    let area = put_returned(&mut stock, large).expect("the area, to be given up");
    assert!(stock.given_up(Some(area)).is_none());
    let page = stock.take(OS_PAGE).unwrap();
    let piece = stock.take(64).unwrap();
    assert_eq!(reserved_and_areas(&stock), (GIB + OS_PAGE + 4 * MIB, 2));
    give(&mut stock, [page, piece]);
    assert_eq!(reserved_and_areas(&stock), (4 * MIB, 1), "the large one was tried again");
    check_free(stock);
}

/// What is spare makes room where there are no addresses left.
#[test]
fn spare_memory_goes_back_before_a_request_is_refused() {
    let mut stock = Stock::new();
    let block = stock.take(64 * KIB).unwrap();
    release(&mut stock, block);
    assert_eq!(spare_and_returned(&stock), (64 * KIB, 0));
    assert!(stock.take(1 << 47).is_none(), "more than there are addresses");
    assert_eq!(spare_and_returned(&stock), (0, 64 * KIB as u64));
    check_free(stock);
}

/// Pieces of one size fill a page before another one is divided, and again when some came back.
#[test]
fn pieces_share_pages() {
    let mut stock = Stock::new();
    let mut pieces = take(&mut stock, OS_PAGE / 64, 64);
    assert_eq!(held_and_spare(&stock), (OS_PAGE, 0));
    let back = pieces.split_off(OS_PAGE / 64 - 3);
    give(&mut stock, back);
    pieces.extend(take(&mut stock, 3, 64));
    assert_eq!(held_and_spare(&stock), (OS_PAGE, 0));
    pieces.extend(take(&mut stock, 1, 64));
    assert_eq!(held_and_spare(&stock), (OS_PAGE + 64, OS_PAGE - 64));
    give(&mut stock, pieces);
    check_free(stock);
}

#[test]
fn requests_are_counted_and_refused_as_a_test_asks() {
    let mut stock = Stock::new();
    stock.refuse(2..4);
    let taken: Vec<Option<Block>> = (0..5).map(|_| stock.take(64)).collect();
    assert_eq!(taken.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, true, true]);
    assert_eq!((stock.refuse(0..0), stock.refuse(0..0)), (5, 0));
    give(&mut stock, taken.into_iter().flatten());
    check_free(stock);
}
