// SPDX-License-Identifier: GPL-2.0-only

//! Dynamic interval of interrupts (13.4.18).
//!
//! A long interval lets one interrupt bring many frames, which saves work under load. A short one
//! answers a request soon. Who sends one request after another, each when the last was answered,
//! sends fewer frames if the interval is longer: so the number of frames in a second does not tell
//! which interval is right, and the number of frames in a run of the poll function does only where
//! the interval is long enough for several. Hence a longer interval is tried when there is much to
//! do, and kept if it brings several frames at once.

use kernel::time::{
    Instant,
    Monotonic, //
};

/// Number of runs of the poll function after which the interval is chosen anew.
const WINDOW: u32 = 16;

/// Number of frames in a second above which a longer interval is tried.
const BUSY: u64 = 24_000;

/// Number of frames in a run of the poll function below which a middle interval is too long.
const FEW: u32 = 3;

/// Number of frames in a run from which on a long interval is better than a middle one.
const MANY: u32 = 8;

/// Number of frames in a run above which an interval is too long: half of the smallest ring.
const MOST: u32 = 64;

/// Number of windows in which no longer interval is tried after one was too long.
const PATIENCE: u32 = 16;

/// An interval.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Short,
    Middle,
    Long,
}

/// Choice of the interval, by the frames that the poll function has handled.
pub(crate) struct Pace {
    level: Level,
    /// Number of windows until a longer interval is tried.
    patience: u32,
    frames: u32,
    runs: u32,
    /// Beginning of the window, at the short interval.
    since: Instant<Monotonic>,
}

impl Pace {
    /// Begins with the short interval.
    pub(crate) fn new() -> Self {
        Self {
            level: Level::Short,
            patience: 0,
            frames: 0,
            runs: 0,
            since: Instant::now(),
        }
    }

    /// Counts a run of the poll function, with the number of frames that it has received or
    /// completed. Returns the interval to set at the end of a window.
    #[inline]
    pub(crate) fn count(&mut self, frames: usize) -> Option<Level> {
        self.frames = self.frames.saturating_add(frames as u32);
        self.runs += 1;
        if self.runs < WINDOW {
            return None;
        }
        Some(self.choose())
    }

    #[cold]
    fn choose(&mut self) -> Level {
        let is_short = self.level == Level::Short;
        let is_busy = is_short && is_busy(self.frames, self.since.elapsed().as_nanos());
        let next = after(self.level, self.frames / self.runs, is_busy);
        self.level = match (self.level, next) {
            (Level::Short, Level::Middle) if self.patience != 0 => {
                self.patience -= 1;
                Level::Short
            }
            (Level::Middle, Level::Short) => {
                self.patience = PATIENCE;
                Level::Short
            }
            (_, next) => next,
        };
        (self.frames, self.runs) = (0, 0);
        if self.level == Level::Short {
            self.since = Instant::now();
        }
        self.level
    }
}

/// Returns true if there were so many frames in some nanoseconds that a longer interval may be better.
fn is_busy(frames: u32, nanos: i64) -> bool {
    u64::from(frames) * 1_000_000_000 >= BUSY.saturating_mul(nanos.max(0) as u64)
}

/// Returns the interval to follow another one, by the mean number of frames in a run.
fn after(level: Level, frames: u32, is_busy: bool) -> Level {
    match level {
        Level::Short if is_busy => Level::Middle,
        Level::Short => Level::Short,
        Level::Middle if frames < FEW => Level::Short,
        // The long interval is twice as long, so it brings twice as many.
        Level::Middle if (MANY..=MOST / 2).contains(&frames) => Level::Long,
        Level::Middle => Level::Middle,
        Level::Long if (MANY..=MOST).contains(&frames) => Level::Long,
        Level::Long => Level::Middle,
    }
}

#[cfg(r4l_kunit)]
use kernel::prelude::*;

#[cfg(r4l_kunit)]
#[kunit_tests(e1000_itr)]
mod tests {
    use super::*;

    /// The level after windows with these numbers of frames in each run.
    fn after_windows(pace: &mut Pace, frames: &[usize]) -> Level {
        let mut level = pace.level;
        for frames in frames {
            for _ in 0..WINDOW {
                level = pace.count(*frames).unwrap_or(level);
            }
        }
        level
    }

    #[test]
    fn a_rate_is_of_a_time() {
        for (frames, nanos, busy) in [
            (24, 1_000_000, true),
            (23, 1_000_000, false),
            (1, i64::MAX, false),
            (1, 0, true),
            (0, 0, true),
            (1, -1, true),
            (u32::MAX, 1, true),
        ] {
            assert_eq!(is_busy(frames, nanos), busy);
        }
    }

    #[test]
    fn each_level_has_its_neighbours() {
        for (level, frames, busy, next) in [
            (Level::Short, 2, false, Level::Short),
            (Level::Short, 2, true, Level::Middle),
            (Level::Middle, 2, false, Level::Short),
            (Level::Middle, 3, false, Level::Middle),
            (Level::Middle, 8, false, Level::Long),
            (Level::Middle, 32, false, Level::Long),
            (Level::Middle, 33, false, Level::Middle),
            (Level::Long, 7, false, Level::Middle),
            (Level::Long, 8, false, Level::Long),
            (Level::Long, 64, false, Level::Long),
            (Level::Long, 65, false, Level::Middle),
        ] {
            assert!(after(level, frames, busy) == next);
        }
    }

    #[test]
    fn a_flood_has_the_long_interval() {
        // The windows take no time here, so the rate is above all bounds.
        let mut pace = Pace::new();
        assert!(after_windows(&mut pace, &[4]) == Level::Middle);
        assert!(after_windows(&mut pace, &[12]) == Level::Long);
        assert!(after_windows(&mut pace, &[24, 24, 24]) == Level::Long);
        assert!(after_windows(&mut pace, &[200, 100]) == Level::Middle);
    }

    #[test]
    fn requests_one_by_one_get_the_short_interval_back() {
        let mut pace = Pace::new();
        assert!(after_windows(&mut pace, &[2]) == Level::Middle);
        for _ in 0..=PATIENCE {
            assert!(after_windows(&mut pace, &[2]) == Level::Short);
        }
        assert!(after_windows(&mut pace, &[2]) == Level::Middle);
    }
}
