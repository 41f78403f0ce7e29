//! For tests: every invariant of a stock, and a stock with nothing free.

use super::{Area, Block, Stock};

impl Stock {
    /// Walk every invariant.
    pub(in crate::pool) fn check(&self) {
        assert!(self.by_address.is_sorted() && self.by_bytes.is_sorted_by_key(|&(bytes, _)| bytes));
        let areas: Vec<&Area> = self.areas.iter().flatten().collect();
        assert!(areas.len() == self.by_address.len() && areas.len() == self.by_bytes.len());
        for &(address, number) in &self.by_address {
            assert_eq!(self.areas[number as usize].as_ref().unwrap().address(), address);
        }
        for &(bytes, number) in &self.by_bytes {
            assert_eq!(self.areas[number as usize].as_ref().unwrap().bytes(), bytes);
        }
        let sum = |of: fn(&Area) -> usize| areas.iter().map(|area| of(area)).sum::<usize>();
        assert_eq!(sum(Area::bytes), self.reserved);
        let free = sum(Area::free_bytes);
        assert_eq!(free + self.figures().spare + self.held, self.reserved);
        assert_eq!(sum(|area| area.out), self.held + self.in_slabs);
        areas.into_iter().for_each(Area::check);
    }

    /// Give all back that is free.
    pub(in crate::pool) fn clear(&mut self) {
        self.clear_spare();
        self.release_empty();
    }

    /// Give all back that is spare.
    pub(in crate::pool) fn clear_spare(&mut self) {
        while let Some(mut block) = self.spare_beyond(0) {
            block.return_memory();
            self.area_with(&block).put(block);
        }
    }

    /// Take back a block of [`take_after_all`](Self::take_after_all), which nobody counted yet.
    pub(in crate::pool) fn put_uncounted(&mut self, block: Block) {
        self.area_with(&block).put(block);
    }
}
