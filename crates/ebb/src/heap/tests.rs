//! Stacks of slots of all sizes, pushed and removed at random.

use super::growth::tests::sizes_around_thresholds;
use super::pages::MAX_SLOTS;
use super::*;
use crate::memory::{HUGE_PAGE, OS_PAGE};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_stack_is_dense_through_pushes_and_removals() {
    let mut heap = Heap::new();
    let stack = heap.new_stack(136, Growth::Alone, 0).unwrap();
    let mut handles: Vec<Handle> = Vec::new();
    let mut values: Vec<u8> = Vec::new();
    for i in 0..20_000u32 {
        if i % 3 == 2 {
            let victim = (i as usize * 7919) % handles.len();
            let (handle, value) = (handles.swap_remove(victim), values.swap_remove(victim));
            assert_eq!(heap.slot(handle)[0], value);
            if let Some(moved) = heap.remove(handle).moved {
                let at = handles.iter().position(|&h| h == moved.from).unwrap();
                handles[at] = moved.to;
            }
        } else {
            let handle = heap.push(stack).unwrap();
            heap.slot_mut(handle).fill(i as u8);
            handles.push(handle);
            values.push(i as u8);
        }
        if i % 97 == 0 {
            heap.check(0);
        }
    }
    assert!(handles.iter().zip(&values).all(|(&h, &v)| heap.slot(h).iter().all(|&b| b == v)));
    while let Some(last) = heap.last(stack) {
        heap.remove(last);
    }
    heap.check(0);
    assert!(heap.memory.held() < 1024, "{} bytes are left", heap.memory.held());
}

#[test]
fn slots_of_any_size_are_dense_and_apart() {
    for slot in sizes_around_thresholds().filter(|&slot| slot >= OS_PAGE / 2) {
        for growth in [Growth::Alone, Growth::OneOfMany, Growth::Lines] {
            let mut heap = Heap::new();
            let stack = heap.new_stack(slot, growth, 0).unwrap();
            // As far as the pages of a stack of `HUGE_FROM` and more, of which only the ends are touched.
            let count = (HUGE_FROM / slot + 4).min(3 * MAX_SLOTS);
            let handles: Vec<Handle> = (0..count)
                .map(|i| {
                    let handle = heap.push(stack).unwrap();
                    let bytes = heap.slot_mut(handle);
                    (bytes[0], bytes[slot - 1]) = (i as u8, !(i as u8));
                    handle
                })
                .collect();
            heap.check(0);
            for (i, &handle) in handles.iter().enumerate() {
                assert_eq!((heap.slot(handle)[0], heap.slot(handle)[slot - 1]), (i as u8, !(i as u8)), "{slot}");
            }
            while let Some(last) = heap.last(stack) {
                heap.remove(last);
            }
            heap.check(0);
        }
    }
}

#[test]
fn slots_beyond_what_a_page_can_tell_are_refused() {
    let mut heap = Heap::new();
    assert!(heap.new_stack(1 << 32, Growth::Alone, 0).is_err());
    heap.check(0);
}

#[test]
fn page_numbers_are_given_back_around_those_in_use() {
    let mut heap = Heap::new();
    let mut handles: Vec<Handle> = (0..1000).map(|_| heap.push_lone(OS_PAGE).unwrap()).collect();
    let peak = heap.pages.bytes();
    let kept: Vec<Handle> = [5, 500, 999].iter().map(|&i| handles[i]).collect();
    handles.retain(|handle| !kept.contains(handle));
    for handle in handles {
        heap.remove(handle);
        heap.check(0);
    }
    assert!(heap.pages.bytes() < peak / 2);
    let again: Vec<Handle> = (0..1500).map(|_| heap.push_lone(OS_PAGE).unwrap()).collect();
    heap.check(0);
    for handle in again.into_iter().chain(kept) {
        heap.remove(handle);
    }
    heap.check(0);
    assert_eq!(heap.memory.held(), 0);
}

#[test]
fn one_block_serves_several_pages() {
    const SLOTS: u32 = 1_300_000;
    let mut heap = Heap::new();
    let stack = heap.new_stack(56, Growth::Alone, 0).unwrap();
    let mut handles = Vec::new();
    for i in 0..SLOTS {
        let handle = heap.push(stack).unwrap();
        heap.slot_mut(handle)[..4].copy_from_slice(&i.to_ne_bytes());
        handles.push(handle);
        if i % 100_003 == 0 {
            heap.check(0);
        }
    }
    let kept = |(i, &handle): (usize, &Handle)| heap.slot(handle)[..4] == (i as u32).to_ne_bytes();
    assert!(handles.iter().enumerate().all(kept));
    assert!(heap.pages.in_use().any(|(_, page)| page.bytes() == 0), "a page is a further part of a block");
    assert!(heap.memory.held() < SLOTS as usize * 56 + HUGE_PAGE + (64 << 10));
    for (i, &handle) in handles.iter().enumerate().rev() {
        assert_eq!(heap.remove(handle).moved, None);
        if i % 100_003 == 0 {
            heap.check(0);
        }
    }
    assert!(heap.memory.held() < 4096);
}

#[test]
fn lone_slots_come_and_go_at_once() {
    let mut heap = Heap::new();
    let before = heap.memory.held();
    let large = heap.push_lone(1 << 20).unwrap();
    heap.slot_mut(large).fill(7);
    let other = heap.push_lone(40_000).unwrap();
    heap.check(0);
    assert_eq!(heap.remove(large).moved, None);
    assert_eq!(heap.slot(other).len(), 40_000);
    heap.check(0);
    heap.remove(other);
    assert_eq!(heap.memory.held(), before);
}

/// Whatever a handle is, what it leads to is a slot or a panic, never memory that is not the heap's.
#[test]
fn a_handle_that_is_out_of_date_is_a_panic() {
    let is_there = |heap: &Heap, handle| catch_unwind(AssertUnwindSafe(|| heap.slot(handle)[0])).is_ok();
    let mut heap = Heap::new();
    assert!(!is_there(&heap, 0) && !is_there(&heap, u32::MAX));
    let stack = heap.new_stack(100, Growth::Alone, 0).unwrap();
    let handles: Vec<Handle> = (0..1000).map(|_| heap.push(stack).unwrap()).collect();
    let lone = heap.push_lone(100_000).unwrap();
    assert!(is_there(&heap, lone) && !is_there(&heap, lone + 1));
    heap.remove(lone);
    assert!(!is_there(&heap, lone));
    for &handle in handles.iter().rev() {
        assert!(is_there(&heap, handle));
        heap.remove(handle);
    }
    assert!(handles.iter().all(|&handle| !is_there(&heap, handle)));
}

#[test]
fn a_slot_is_not_read_while_it_is_written() {
    let mut heap = Heap::new();
    let stack = heap.new_stack(8, Growth::Alone, 0).unwrap();
    let (a, b) = (heap.push(stack).unwrap(), heap.push(stack).unwrap());
    let (slot, others) = heap.apart(a);
    slot.copy_from_slice(others.get(b));
    assert!(catch_unwind(AssertUnwindSafe(|| others.get(a)[0])).is_err());
}

/// Parts of a block come and go from its end: in another order two pages would have the same bytes.
#[test]
fn a_block_is_not_given_up_before_its_parts() {
    let mut heap = Heap::new();
    let stack = heap.new_stack(8, Growth::Alone, 0).unwrap();
    while heap.stacks.get(0).rest < 2 * MAX_SLOTS as u32 * 8 {
        heap.push(stack).unwrap();
    }
    let owner = heap.stacks.get(0).top;
    while heap.stacks.get(0).top == owner || heap.stacks.get(0).used < 2 {
        heap.push(stack).unwrap();
    }
    let mut free = |number| catch_unwind(AssertUnwindSafe(|| heap.pages.free(&mut heap.memory, number))).is_ok();
    assert!(!free(owner));
    heap.check(0);
}

/// Pages with one that has four slots in a block of its own, and its number.
fn a_page(memory: &mut Memory) -> (Pages, u32) {
    let mut pages = Pages::new();
    let number = pages.next_number(memory).unwrap();
    let block = memory.allocate(4096).unwrap();
    pages.take(number, block, Shape { slot_bytes: 1024, stack: LONE, below: NONE });
    (pages, number)
}

/// No safe call gives a slot beyond a block.
#[test]
fn a_part_with_more_room_than_there_is_is_a_panic() {
    for room in [1, 1024, usize::MAX, usize::MAX - 4096, isize::MAX as usize] {
        let mut memory = Memory::new();
        let (mut pages, below) = a_page(&mut memory);
        let part = pages.next_number(&mut memory).unwrap();
        let shape = Shape { slot_bytes: 1024, stack: LONE, below };
        let taken = catch_unwind(AssertUnwindSafe(|| pages.take_part(part, room, shape))).is_ok();
        (0..8).filter(|_| taken).for_each(|slot| pages.slot_mut(handle_of(part, slot)).fill(1));
        pages.clear(&mut memory);
        assert!(!taken, "{room}");
    }
}

/// A heap of several pages, and a memory that has counted as much as one of them.
fn a_heap_and_another_memory() -> (Heap, Memory) {
    let (mut heap, mut other) = (Heap::new(), Memory::new());
    let stack = heap.new_stack(1024, Growth::Alone, 0).unwrap();
    (0..64).for_each(|_| assert!(heap.push(stack).is_ok()));
    assert!(heap.pages.in_use().count() > 1);
    crate::pool::release(other.allocate(heap.pages.get(0).bytes()).unwrap());
    (heap, other)
}

/// Giving blocks back is never left half done, whatever was counted: then a block would be given back twice.
#[test]
fn giving_back_what_was_not_counted_is_no_panic() {
    let (mut heap, mut other) = a_heap_and_another_memory();
    std::mem::swap(&mut heap.memory, &mut other);
    let _ = catch_unwind(AssertUnwindSafe(|| heap.clear()));
    std::mem::swap(&mut heap.memory, &mut other);
    heap.clear();
    std::mem::forget((other, std::mem::replace(&mut heap.memory, Memory::new())));
}
