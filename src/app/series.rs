//! A curve of bounded length: when it is full, neighbours are averaged and the spacing doubles.

/// Most points a curve keeps.
pub const CAPACITY: usize = 2048;

/// A curve that never holds more than [`CAPACITY`] points, however many are pushed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    points: Vec<[f64; 2]>,
    pending: Vec<[f64; 2]>,
    stride: usize,
    last: Option<[f64; 2]>,
}

impl Series {
    /// Appends a point; points that are not finite are left out.
    pub fn push(&mut self, x: f64, y: f64) {
        if !x.is_finite() || !y.is_finite() {
            return;
        }
        self.last = Some([x, y]);
        self.pending.push([x, y]);
        if self.pending.len() < self.stride.max(1) {
            return;
        }
        self.points.push(mean(&self.pending));
        self.pending.clear();
        if self.points.len() >= CAPACITY {
            self.points = self.points.chunks(2).map(mean).collect();
            self.stride = self.stride.max(1) * 2;
        }
    }

    /// The kept points in order of arrival, the newest one included.
    pub fn points(&self) -> Vec<[f64; 2]> {
        let mut all = self.points.clone();
        if !self.pending.is_empty()
            && let Some(last) = self.last
        {
            all.push(last);
        }
        all
    }

    /// The newest point.
    pub fn last(&self) -> Option<[f64; 2]> {
        self.last
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }
}

fn mean(points: &[[f64; 2]]) -> [f64; 2] {
    let n = points.len().max(1) as f64;
    [points.iter().map(|p| p[0]).sum::<f64>() / n, points.iter().map(|p| p[1]).sum::<f64>() / n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_bounded_and_keeps_shape() {
        let mut s = Series::default();
        for i in 0..1_000_000 {
            s.push(f64::from(i), f64::from(i) * 2.0);
        }
        let points = s.points();
        assert!(points.len() <= CAPACITY + 1, "{}", points.len());
        assert!(points.len() >= CAPACITY / 2);
        assert!(points.iter().all(|p| (p[1] - 2.0 * p[0]).abs() < 1e-6));
        assert!(points.windows(2).all(|w| w[0][0] < w[1][0]));
        assert_eq!(s.last(), Some([999_999.0, 1_999_998.0]));
    }

    #[test]
    fn leaves_out_what_is_not_a_number() {
        let mut s = Series::default();
        s.push(0.0, f64::NAN);
        s.push(f64::INFINITY, 1.0);
        assert!(s.is_empty() && s.points().is_empty());
    }
}
