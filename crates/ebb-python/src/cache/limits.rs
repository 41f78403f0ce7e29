//! How long entries of a cache live, and how much of them there may be.

use crate::cache::moment::Moment;
use crate::kinds::layout::Layout;
use ebb::{Cache as Table, Clock, Deadlines, EntrySize, Keeping, OutOfMemory, Time};

/// How long an entry lives, in seconds; `None` for ever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lives {
    pub(crate) hard: Option<f64>,
    pub(crate) idle: Option<f64>,
}

/// What does not change once a cache is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) clock: Clock,
    pub(crate) ttl: Option<f64>,
    pub(crate) idle: Option<f64>,
    pub(crate) max_items: usize,
    /// Of the table: what the objects around it take is left out.
    pub(crate) max_bytes: usize,
    /// Whether those who leave are announced.
    pub(crate) tells: bool,
}

impl Limits {
    pub(crate) const NONE: Limits = Limits {
        clock: Clock::System,
        ttl: None,
        idle: None,
        max_items: usize::MAX,
        max_bytes: usize::MAX,
        tells: false,
    };

    /// The life of an entry that is set with a lifetime of its own, or with the cache's.
    pub(crate) fn lives(&self, ttl: Option<f64>) -> Lives {
        Lives { hard: ttl.or(self.ttl), idle: self.idle }
    }

    /// When a life that begins now ends.
    #[inline(always)]
    pub(crate) fn deadlines(&self, lives: Lives, moment: &Moment) -> Deadlines {
        let after =
            |seconds: Option<f64>| seconds.map_or(Time::NEVER, |seconds| self.clock.after(moment.time(), seconds));
        Deadlines { hard: after(lives.hard), idle: after(lives.idle) }
    }

    /// Seconds until a deadline; `None` for never, for which the time need not be read.
    pub(crate) fn seconds_left(&self, deadline: Time, moment: &Moment) -> Option<f64> {
        if deadline == Time::NEVER { None } else { self.clock.seconds_left(moment.time(), deadline) }
    }

    pub(crate) fn lives_left(&self, deadlines: Deadlines, moment: &Moment) -> Lives {
        Lives { hard: self.seconds_left(deadlines.hard, moment), idle: self.seconds_left(deadlines.idle, moment) }
    }

    /// Whether entries make room for others.
    #[inline]
    pub(crate) fn are_bounds(&self) -> bool {
        self.max_items != usize::MAX || self.max_bytes != usize::MAX
    }

    fn keeping(&self) -> Keeping {
        Keeping { clock: self.clock, idle: self.idle.is_some(), bounded: self.are_bounds() }
    }

    /// The least bound that a small entry fits, to 64 bytes; it takes more while it is put in than once it is there.
    pub(crate) fn least_bytes(&self, layout: Layout) -> usize {
        let variable = if layout.entry_size() == EntrySize::Variable { 64 } else { 0 };
        let lens = [layout.least_len(), layout.least_len() + variable];
        let bound = |steps: usize| size_of::<Table>() + 64 * steps;
        let fits = |steps| {
            let limits = Limits { max_bytes: bound(steps), ..*self };
            lens.iter().all(|&len| limits.try_alone(layout, len) != Err(true))
        };
        let (mut least, mut most) = (0, always_fits(lens[1]).div_ceil(64));
        while least < most {
            let middle = least.midpoint(most);
            if fits(middle) { most = middle } else { least = middle + 1 }
        }
        bound(least)
    }

    /// Put an entry of `len` bytes into an empty table; if that fails, whether the bound is why.
    pub(crate) fn try_alone(&self, layout: Layout, len: usize) -> Result<(), bool> {
        let mut table = self.table(layout);
        let never = Deadlines { hard: Time::NEVER, idle: Time::NEVER };
        table.insert_until(0, len, never, &|_| 0, |_| {}).map_err(|OutOfMemory| table.was_limited())
    }

    /// An empty table within the bound.
    pub(crate) fn table(&self, layout: Layout) -> Table {
        let mut table = Table::keeping(layout.entry_size(), self.keeping());
        if self.max_bytes != usize::MAX {
            table.set_limit(self.max_bytes);
        }
        table
    }
}

/// A bound that an entry of so many bytes fits, whatever tables it takes.
pub(crate) fn always_fits(len: usize) -> usize {
    len.saturating_mul(2).saturating_add(32 << 10)
}
