//! Time as a cache sees it: moments that can be ordered, of the system's monotonic clock or of one that the caller gives.

use crate::system::{coarse_millis, millis};

/// A moment or a deadline. Only times of one [`Clock`] can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// Later than any moment.
    pub const NEVER: Time = Time(u64::MAX);
    /// Milliseconds of the system's clock.
    pub fn millis(self) -> u64 {
        self.0
    }
}

/// Where times come from, which says how they are counted and how many bytes a deadline takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clock {
    /// The system's monotonic clock, in milliseconds; a deadline takes five bytes.
    System,
    /// A clock of the caller's, in seconds of any origin; a deadline takes eight bytes.
    Given {
        /// What it showed when the cache was made.
        origin: f64,
    },
}

/// Milliseconds that the coarse clock is never behind: ticks come every 1 to 10, a stalled processor's later.
const COARSE_LAG: u64 = 200;
/// Deadlines of the system's clock from here on, some 34 years, are `NEVER`.
const LAST_MILLI: u64 = (1 << 40) - 1;
/// Ticks are milliseconds, and at most this many.
pub(crate) const LAST_TICK: u64 = (1 << 40) - 1;

/// A look at the system's clock that costs little, to be taken while something else is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Glance(u64);

impl Glance {
    /// Look now.
    #[inline]
    pub fn take() -> Self {
        Glance(coarse_millis())
    }

    /// As [`Clock::has_come`], where the look has been taken just before.
    #[inline]
    pub fn shows(self, deadline: Time) -> bool {
        deadline.0 <= self.0 || (deadline.0 <= self.0 + COARSE_LAG && deadline <= Clock::now())
    }
}

impl Clock {
    /// Now, by the system's clock.
    #[inline]
    pub fn now() -> Time {
        Time(millis())
    }

    /// Whether a deadline of the system's clock has come: exactly, but with a look at the exact clock only if it is near.
    #[inline]
    pub fn has_come(deadline: Time) -> bool {
        deadline != Time::NEVER && Glance::take().shows(deadline)
    }

    /// The given clock that shows `now`.
    pub fn starting_at(now: Time) -> Self {
        Clock::Given { origin: Self::seconds(now) }
    }

    /// The moment that a given clock shows; not a number is no moment.
    pub fn given(seconds: f64) -> Option<Time> {
        if seconds.is_nan() {
            return None;
        }
        let bits = (seconds + 0.0).to_bits(); // -0.0 is 0.0
        let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
        Some(if seconds == f64::INFINITY { Time::NEVER } else { Time(ordered) })
    }

    /// What a given clock shows at a moment.
    pub fn seconds(time: Time) -> f64 {
        if time == Time::NEVER {
            return f64::INFINITY;
        }
        f64::from_bits(if time.0 >> 63 == 0 { !time.0 } else { time.0 & !(1 << 63) })
    }

    /// The deadline `seconds` (positive) after `now`: for a given clock the sum as floats are added, for the system's at
    /// least one millisecond.
    #[inline]
    pub fn after(self, now: Time, seconds: f64) -> Time {
        match self {
            Clock::System => {
                let millis = (seconds * 1000.0 + 0.5) as i64; // `round` would be a call, and `u64` more steps
                let deadline = now.0.saturating_add(millis.max(1) as u64);
                if deadline < LAST_MILLI { Time(deadline) } else { Time::NEVER }
            }
            Clock::Given { .. } => Self::given(Self::seconds(now) + seconds).unwrap_or(Time::NEVER),
        }
    }

    /// Seconds from `now` until `deadline`; `None` for `NEVER`.
    pub fn seconds_left(self, now: Time, deadline: Time) -> Option<f64> {
        (deadline != Time::NEVER).then(|| match self {
            Clock::System => deadline.0.saturating_sub(now.0) as f64 / 1000.0,
            Clock::Given { .. } => Self::seconds(deadline) - Self::seconds(now),
        })
    }

    /// The millisecond that a time is in, from 0 to `LAST_TICK`.
    #[inline]
    pub(crate) fn tick(self, time: Time) -> u64 {
        match self {
            Clock::System => time.0.min(LAST_TICK),
            // A cast from a float saturates, and not-a-number becomes 0.
            Clock::Given { origin } => (((Self::seconds(time) - origin) * 1000.0) as u64).min(LAST_TICK),
        }
    }

    /// The moment of the system's clock that a tick is.
    pub(crate) fn at_tick(tick: u64) -> Time {
        Time(tick)
    }

    /// How deadlines of this clock are kept.
    pub(crate) fn format(self) -> Format {
        match self {
            Clock::System => Format::Millis,
            Clock::Given { .. } => Format::Seconds,
        }
    }
}

/// How a deadline is kept in an entry: as milliseconds, or as the seconds of a given clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Millis,
    Seconds,
}

impl Format {
    /// Bytes of a deadline.
    pub(crate) fn bytes(self) -> u8 {
        match self {
            Format::Millis => 5,
            Format::Seconds => 8,
        }
    }

    #[inline(always)]
    pub(crate) fn read(self, from: &[u8]) -> Time {
        match self {
            Format::Millis => {
                let [a, b, c, d, e] = *from.first_chunk().expect("five bytes");
                let millis = u64::from(u32::from_le_bytes([a, b, c, d])) | u64::from(e) << 32;
                if millis == LAST_MILLI { Time::NEVER } else { Time(millis) }
            }
            Format::Seconds => Time(u64::from_le_bytes(from[..8].try_into().expect("eight bytes"))),
        }
    }

    #[inline(always)]
    pub(crate) fn write(self, to: &mut [u8], time: Time) {
        let bytes = time.0.to_le_bytes();
        match self {
            Format::Millis => to[..5].copy_from_slice(&bytes[..5]),
            Format::Seconds => to[..8].copy_from_slice(&bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_times_are_ordered_as_their_seconds_are() {
        let seconds = [f64::NEG_INFINITY, -1e300, -2.5, -1e-300, 0.0, 1e-300, 0.1, 0.2, 1e9, 1e300, f64::INFINITY];
        let times: Vec<Time> = seconds.iter().map(|&s| Clock::given(s).unwrap()).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(times.iter().zip(&seconds).all(|(&time, &s)| Clock::seconds(time) == s));
        assert_eq!(Clock::given(-0.0), Clock::given(0.0));
        assert_eq!(Clock::given(f64::NAN), None);
    }

    #[test]
    fn the_end_of_time_is_in_the_last_tick() {
        let given = Clock::Given { origin: 5.0 };
        assert_eq!(given.tick(Time::NEVER), LAST_TICK);
        assert_eq!(given.tick(Clock::given(f64::NEG_INFINITY).unwrap()), 0);
    }

    #[test]
    fn ticks_are_milliseconds_since_the_origin() {
        let given = Clock::Given { origin: 5.0 };
        assert_eq!([5.0, 5.001, 6.5].map(|seconds| given.tick(Clock::given(seconds).unwrap())), [0, 1, 1500]);
        assert_eq!((Clock::at_tick(1500).millis(), Clock::System.tick(Time(1500))), (1500, 1500));
    }

    #[test]
    fn a_deadline_of_more_bytes_than_there_are_is_never() {
        let last = Time(LAST_MILLI - 1);
        assert_eq!(Clock::System.after(Time(LAST_MILLI - 1001), 1.0), last);
        assert_eq!(Clock::System.after(Time(LAST_MILLI - 1000), 1.0), Time::NEVER);
    }

    #[test]
    fn what_has_come_is_seen_at_once_and_nothing_before() {
        let now = Clock::now();
        assert!(Clock::has_come(now) && Clock::has_come(Time(0)));
        assert!(!Clock::has_come(Clock::System.after(now, 3600.0)) && !Clock::has_come(Time::NEVER));
    }

    #[test]
    fn the_system_clock_goes_on_and_a_glance_lags_little() {
        let (before, began) = (Clock::now().millis(), std::time::Instant::now());
        std::thread::sleep(std::time::Duration::from_millis(5));
        let (glance, now, most) = (Glance::take().0, Clock::now().millis(), began.elapsed().as_millis() as u64);
        assert!((before + 4..=before + most + 1).contains(&now), "from {before} to {now} in {most} ms");
        assert!((now.saturating_sub(COARSE_LAG)..=now).contains(&glance), "{glance} at {now}");
    }

    /// Glances may be late by the lag of the coarse clock: near deadlines are looked at with the exact one.
    #[test]
    fn a_glance_that_is_near_a_deadline_is_followed_by_a_look() {
        let now = Clock::now().millis();
        let late = Glance(now.saturating_sub(COARSE_LAG / 2));
        assert!(late.shows(Time(now)), "the exact clock shows it");
        let early = Glance(now + (1 << 30));
        assert!(early.shows(Time(early.0)), "no look is needed");
        assert!(!early.shows(Time(early.0 + 1)) && !early.shows(Time(early.0 + COARSE_LAG)), "a look shows less");
        let far = Glance(0);
        assert!(!far.shows(Time(now.max(COARSE_LAG + 1))), "no look is taken");
    }

    #[test]
    fn deadlines_are_written_and_read() {
        let given = Clock::Given { origin: 5.0 };
        for (clock, now) in [(Clock::System, Time(12_345)), (given, Clock::given(7.25).unwrap())] {
            for deadline in [now, clock.after(now, 0.5), clock.after(now, 3e6), clock.after(now, 1e12), Time::NEVER] {
                let mut bytes = [0xaa; 8];
                clock.format().write(&mut bytes, deadline);
                assert_eq!(clock.format().read(&bytes), deadline);
            }
            assert_eq!(clock.seconds_left(now, clock.after(now, 0.5)), Some(0.5));
            assert_eq!(clock.after(now, f64::INFINITY), Time::NEVER);
            assert_eq!(clock.tick(clock.after(now, 1.0)) - clock.tick(now), 1000);
        }
    }
}
