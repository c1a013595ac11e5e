//! A streaming store of (x, y) points that stays small: the recent past at full resolution and the
//! whole history as minimum, maximum and mean of equal groups of points.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Points kept at full resolution.
const RECENT: usize = 4096;
/// Groups that the whole history is kept in; when full, neighbours are merged.
const GROUPS: usize = 4096;

/// Several neighbouring points as one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Mean x of the points.
    pub x: f64,
    /// Smallest y.
    pub min: f64,
    /// Largest y.
    pub max: f64,
    /// Mean y.
    pub mean: f64,
    /// How many points.
    pub count: u64,
}

impl Band {
    fn point(x: f64, y: f64) -> Self {
        Self { x, min: y, max: y, mean: y, count: 1 }
    }

    fn add(&mut self, other: &Self) {
        let total = (self.count + other.count) as f64;
        let share = other.count as f64 / total;
        self.x += (other.x - self.x) * share;
        self.mean += (other.mean - self.mean) * share;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count += other.count;
    }
}

/// One curve. Push points with x not decreasing.
#[derive(Debug, Clone, Default)]
pub struct Series {
    recent: VecDeque<(f64, f64)>,
    groups: Vec<Band>,
    /// Points per complete group, a power of two; 0 before the first point.
    group_size: u64,
    count: u64,
}

impl Series {
    /// Adds a point. Points that are not finite, or lie before the last x, are left out: a curve
    /// cannot show them.
    pub fn push(&mut self, x: f64, y: f64) {
        if !x.is_finite() || !y.is_finite() || self.recent.back().is_some_and(|p| x < p.0) {
            return;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((x, y));
        self.count += 1;
        self.group_size = self.group_size.max(1);
        match self.groups.last_mut() {
            Some(last) if last.count < self.group_size => last.add(&Band::point(x, y)),
            _ => {
                if self.groups.len() == GROUPS {
                    self.halve();
                }
                self.groups.push(Band::point(x, y));
            }
        }
    }

    fn halve(&mut self) {
        self.groups = self
            .groups
            .chunks(2)
            .map(|pair| {
                pair.iter().skip(1).fold(pair[0], |mut sum, next| {
                    sum.add(next);
                    sum
                })
            })
            .collect();
        self.group_size *= 2;
    }

    /// Points pushed so far.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The last point.
    pub fn last(&self) -> Option<(f64, f64)> {
        self.recent.back().copied()
    }

    /// First and last x.
    pub fn span(&self) -> Option<(f64, f64)> {
        let first = if self.count as usize <= self.recent.len() {
            self.recent.front()?.0
        } else {
            self.groups.first()?.x
        };
        Some((first, self.recent.back()?.0))
    }

    /// Smallest and largest y of all points.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        let first = self.groups.first()?;
        Some(
            self.groups
                .iter()
                .fold((first.min, first.max), |(lo, hi), b| (lo.min(b.min), hi.max(b.max))),
        )
    }

    /// What lies in `from..=to`, as at most `pixels` bands in order of x. The recent past comes at
    /// full resolution where there is room; no minimum or maximum is lost.
    pub fn query(&self, from: f64, to: f64, pixels: usize) -> Vec<Band> {
        let pixels = pixels.max(1);
        let Some(&(recent_start, _)) = self.recent.front() else { return Vec::new() };
        let complete = self.count as usize <= self.recent.len();
        let points = || {
            let start = self.recent.partition_point(|p| p.0 < from);
            let end = self.recent.partition_point(|p| p.0 <= to);
            self.recent.range(start..end.max(start)).map(|&(x, y)| Band::point(x, y))
        };
        if complete || from >= recent_start {
            return reduce(points(), pixels);
        }
        let start = self.groups.partition_point(|b| b.x < from);
        let end = self.groups.partition_point(|b| b.x <= to);
        reduce(self.groups[start..end.max(start)].iter().copied(), pixels)
    }
}

/// Merges neighbours so that at most `limit` bands are left.
fn reduce(bands: impl ExactSizeIterator<Item = Band>, limit: usize) -> Vec<Band> {
    let per = bands.len().div_ceil(limit).max(1);
    let mut out: Vec<Band> = Vec::with_capacity(bands.len().div_ceil(per));
    for (i, band) in bands.enumerate() {
        match out.last_mut() {
            Some(last) if i % per != 0 => last.add(&band),
            _ => out.push(band),
        }
    }
    out
}

/// Curves by name, such as `loss/train` or `dense1.weight/amax`.
#[derive(Debug, Clone, Default)]
pub struct Store {
    series: BTreeMap<String, Series>,
}

impl Store {
    /// Adds a point to a curve, making the curve if need be.
    pub fn push(&mut self, name: &str, x: f64, y: f64) {
        match self.series.get_mut(name) {
            Some(series) => series.push(x, y),
            None => {
                let mut series = Series::default();
                series.push(x, y);
                self.series.insert(name.to_owned(), series);
            }
        }
    }

    /// A curve.
    pub fn get(&self, name: &str) -> Option<&Series> {
        self.series.get(name)
    }

    /// All curves by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Series)> {
        self.series.iter().map(|(name, series)| (name.as_str(), series))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.series.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(x: u64) -> f64 {
        (x as f64 * 0.01).sin()
    }

    #[test]
    fn a_hundred_thousand_points_stay_small_and_true() {
        let mut s = Series::default();
        for x in 0..100_000 {
            s.push(x as f64, if x == 31_234 { 50.0 } else { wave(x) });
        }
        assert_eq!(s.len(), 100_000);
        assert!(s.recent.len() <= RECENT && s.groups.len() <= GROUPS);
        assert_eq!(s.groups.iter().map(|g| g.count).sum::<u64>(), 100_000);

        let all = s.query(f64::NEG_INFINITY, f64::INFINITY, 500);
        assert!(all.len() <= 500 && all.len() > 250, "{}", all.len());
        // The one spike survives however coarse the view.
        assert!(all.iter().any(|b| b.max == 50.0));
        assert!(all.windows(2).all(|w| w[0].x < w[1].x));
        let total: u64 = all.iter().map(|b| b.count).sum();
        let mean = all.iter().map(|b| b.mean * b.count as f64).sum::<f64>() / total as f64;
        let exact: f64 =
            (0..100_000).map(|x| if x == 31_234 { 50.0 } else { wave(x) }).sum::<f64>() / 1e5;
        assert_eq!(total, 100_000);
        assert!((mean - exact).abs() < 1e-9);
        assert_eq!(s.span().map(|p| p.1), Some(99_999.0));
        assert_eq!(s.bounds().map(|b| b.1), Some(50.0));
    }

    #[test]
    fn the_recent_past_is_exact() {
        let mut s = Series::default();
        for x in 0..50_000 {
            s.push(x as f64, wave(x));
        }
        let view = s.query(49_000.0, 49_099.0, 1000);
        assert_eq!(view.len(), 100);
        for (band, x) in view.iter().zip(49_000u64..) {
            assert_eq!((band.x, band.mean, band.count), (x as f64, wave(x), 1));
        }
        assert!(s.query(60_000.0, 70_000.0, 10).is_empty());
        assert!(s.query(10.0, 5.0, 10).is_empty());
    }

    #[test]
    fn short_series_and_bad_points() {
        let mut s = Series::default();
        assert!(s.is_empty() && s.query(0.0, 1.0, 10).is_empty() && s.span().is_none());
        s.push(1.0, 2.0);
        s.push(2.0, f64::NAN);
        s.push(f64::INFINITY, 1.0);
        s.push(0.5, 1.0);
        s.push(3.0, 4.0);
        assert_eq!(s.len(), 2);
        assert_eq!(s.span(), Some((1.0, 3.0)));
        let one = s.query(0.0, 10.0, 1);
        assert_eq!(one, vec![Band { x: 2.0, min: 2.0, max: 4.0, mean: 3.0, count: 2 }]);
    }

    #[test]
    fn store_keeps_curves_apart() {
        let mut store = Store::default();
        store.push("loss/train", 1.0, 0.5);
        store.push("loss/train", 2.0, 0.4);
        store.push("loss/validation", 2.0, 0.6);
        assert_eq!(store.get("loss/train").map(Series::len), Some(2));
        assert_eq!(store.iter().count(), 2);
        store.clear();
        assert!(store.get("loss/train").is_none());
    }
}
