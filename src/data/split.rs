//! Train, validation and test rows, chosen before anything is fitted.
//!
//! By default classes keep their shares in every part; a regression is split evenly over ten ranges of
//! its target. Rows can also be split blindly, by group (all rows of one customer in one part), by
//! time (the latest rows are the test), or as a column says. The same data, settings and seed give
//! the same split on every machine.

mod beyond;
mod by_column;
mod folds;

use serde::{Deserialize, Serialize};

pub(crate) use self::beyond::Beyond;
use super::rng::Rng;
use super::target::{Targets, targets};
use super::{Dataset, Samples, Schema, count, invalid};
use crate::error::DataError;

/// Fewest rows with a target that can be split.
pub const MIN_ROWS: usize = 10;
/// How often one row is repeated at most when classes are balanced.
pub const MOST_REPEATS: usize = 50;
/// Ranges of a regression target over which the parts are spread.
const RANGES: usize = 10;

/// What decides which part a row goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitMethod {
    /// By chance, classes keeping their shares.
    #[default]
    Stratified,
    /// By chance alone.
    Random,
    /// By chance, rows with the same value in a column together.
    Group,
    /// By a column of dates or numbers: the last rows are the test, those before them validation.
    Time,
    /// As a column says: train, validation, test.
    Given,
}

impl SplitMethod {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 5] =
        [Self::Stratified, Self::Random, Self::Group, Self::Time, Self::Given];

    /// Whether it needs a column.
    pub fn needs_column(self) -> bool {
        matches!(self, Self::Group | Self::Time | Self::Given)
    }
}

/// How to split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SplitConfig {
    /// Share of rows for validation.
    pub validation: f64,
    /// Share of rows for test; ignored where the data brings its own test set.
    pub test: f64,
    /// Shuffling seed.
    pub seed: u64,
    /// What decides the part of a row.
    pub method: SplitMethod,
    /// The column that [`SplitMethod::Group`], [`SplitMethod::Time`] and [`SplitMethod::Given`] go by.
    pub column: Option<String>,
    /// Whether rows of rarer classes are repeated in training so that all classes weigh alike.
    pub balance: bool,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self {
            validation: 0.1,
            test: 0.2,
            seed: 0,
            method: SplitMethod::default(),
            column: None,
            balance: false,
        }
    }
}

/// Row indices of each part, disjoint, ascending. Rows whose target is missing are in none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Fitted on.
    pub train: Vec<u32>,
    /// Decides early stopping and the best epoch.
    pub validation: Vec<u32>,
    /// Touched once, at the end.
    pub test: Vec<u32>,
    /// Rows in no part, as their target is missing.
    pub without_target: usize,
}

impl Split {
    /// Splits the rows that have a target.
    ///
    /// # Errors
    /// Shares out of range, fewer than [`MIN_ROWS`] rows with a target, a given test set without
    /// usable rows.
    pub fn make(
        dataset: &Dataset,
        schema: &Schema,
        config: &SplitConfig,
    ) -> Result<Self, DataError> {
        let shares = [config.validation, config.test];
        if shares.iter().any(|s| !(0.0..1.0).contains(s)) || config.validation + config.test > 0.9 {
            return Err(invalid(
                format!(
                    "A validation share of {} and a test share of {} leave too little to learn from",
                    config.validation, config.test
                ),
                "Choose shares of at least 0 that add up to at most 0.9.",
            ));
        }
        let given = match &dataset.samples {
            Samples::Table(t) => t.test_start(),
            Samples::Images(i) => i.test_start,
        };
        let (mut groups, labelled) = groups(dataset, schema)?;
        if labelled < MIN_ROWS {
            return Err(invalid(
                format!("Only {} a target", has(labelled)),
                format!("At least {MIN_ROWS} are needed; a few hundred are better."),
            )
            .in_column(&schema.target));
        }
        let mut split = Self { without_target: dataset.len() - labelled, ..Self::default() };
        if let Some(start) = given {
            for group in &mut groups {
                let (train, test) = group.iter().partition(|r| (**r as usize) < start);
                *group = train;
                let test: Vec<u32> = test;
                split.test.extend(test);
            }
            let rest: usize = groups.iter().map(Vec::len).sum();
            if split.test.is_empty() || rest < MIN_ROWS {
                return Err(invalid(
                    format!(
                        "{} a target for training, {} for testing",
                        has(rest),
                        split.test.len()
                    ),
                    "Give both parts rows with a target, or leave the test set out.",
                )
                .in_column(&schema.target));
            }
        }
        let test_share = if given.is_some() { 0.0 } else { config.test };
        let mut rng = Rng::new(config.seed);
        match config.method {
            SplitMethod::Stratified => {
                split.share_out(groups, config.validation, test_share, &mut rng);
            }
            SplitMethod::Random => {
                let mut all = groups.concat();
                all.sort_unstable();
                split.share_out(vec![all], config.validation, test_share, &mut rng);
            }
            SplitMethod::Group | SplitMethod::Time | SplitMethod::Given => {
                let mut rows = groups.concat();
                rows.sort_unstable();
                split.by_column(dataset, config, rows, test_share, &mut rng)?;
            }
        }
        Ok(split)
    }

    /// Repeats training rows of the rarer classes so that every class has about as many as the
    /// commonest, at most [`MOST_REPEATS`] times each. Does nothing for numbers.
    ///
    /// # Errors
    /// The target column is not there.
    pub fn balance(&mut self, dataset: &Dataset, schema: &Schema) -> Result<(), DataError> {
        let Targets::Classes(codes) = targets(dataset, schema)? else { return Ok(()) };
        let class = |row: &u32| codes.get(*row as usize).copied().flatten().unwrap_or(0) as usize;
        let mut counts = vec![0usize; schema.task.classes().len().max(1)];
        for row in &self.train {
            if let Some(n) = counts.get_mut(class(row)) {
                *n += 1;
            }
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        let mut train = Vec::with_capacity(self.train.len());
        let mut seen = vec![0usize; counts.len()];
        for row in &self.train {
            let c = class(row);
            let n = counts.get(c).copied().unwrap_or(1).max(1);
            // Whole repeats, and one more for the first rows of what is left over.
            let wanted = most.min(n * MOST_REPEATS);
            let extra = usize::from(seen.get(c).is_some_and(|s| *s < wanted % n));
            if let Some(s) = seen.get_mut(c) {
                *s += 1;
            }
            train.extend(std::iter::repeat_n(*row, (wanted / n + extra).max(1)));
        }
        self.train = train;
        Ok(())
    }

    /// Deals every group out to the parts.
    fn share_out(&mut self, groups: Vec<Vec<u32>>, validation: f64, test: f64, rng: &mut Rng) {
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        // One row of every class stays for training.
        let room: Vec<usize> = sizes.iter().map(|n| n.saturating_sub(1)).collect();
        let tests = quotas(&sizes, &room, test);
        let room: Vec<usize> = room.iter().zip(&tests).map(|(r, t)| r - t).collect();
        let validations = quotas(&sizes, &room, validation);
        for ((mut rows, t), v) in groups.into_iter().zip(tests).zip(validations) {
            rng.shuffle(&mut rows);
            let mut rows = rows.into_iter();
            self.test.extend(rows.by_ref().take(t));
            self.validation.extend(rows.by_ref().take(v));
            self.train.extend(rows);
        }
        for part in [&mut self.train, &mut self.validation, &mut self.test] {
            part.sort_unstable();
        }
    }
}

fn has(n: usize) -> String {
    if n == 1 { "1 row has".to_owned() } else { format!("{} have", count(n, "row")) }
}

/// Rows of each class, or of each range of a number; and how many rows that is.
fn groups(dataset: &Dataset, schema: &Schema) -> Result<(Vec<Vec<u32>>, usize), DataError> {
    let mut groups = Vec::new();
    match targets(dataset, schema)? {
        Targets::Classes(codes) => {
            groups.resize(schema.task.classes().len(), Vec::new());
            for (row, code) in codes.iter().enumerate() {
                if let Some(group) = code.and_then(|c| groups.get_mut(c as usize)) {
                    group.push(row as u32);
                }
            }
        }
        Targets::Values(values) => {
            let mut rows: Vec<u32> =
                (0..values.len() as u32).filter(|r| !values[*r as usize].is_nan()).collect();
            rows.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
            let ranges = (rows.len() / RANGES).clamp(1, RANGES);
            let size = rows.len().div_ceil(ranges).max(1);
            groups.extend(rows.chunks(size).map(<[u32]>::to_vec));
        }
    }
    let total = groups.iter().map(Vec::len).sum();
    Ok((groups, total))
}

/// How many of each group go to a part of this `share`: near their share each, right in all
/// (largest remainder), at most `room`.
fn quotas(sizes: &[usize], room: &[usize], share: f64) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let mut wanted = (total as f64 * share).round() as usize;
    if share > 0.0 {
        wanted = wanted.max(1);
    }
    let exact = |i: usize| sizes[i] as f64 * share;
    let mut quotas: Vec<usize> =
        (0..sizes.len()).map(|i| (exact(i).floor() as usize).min(room[i])).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|a, b| exact(*b).fract().total_cmp(&exact(*a).fract()).then(a.cmp(b)));
    let mut missing = wanted.saturating_sub(quotas.iter().sum());
    while missing > 0 {
        let before = missing;
        for i in &order {
            if missing > 0 && quotas[*i] < room[*i] {
                quotas[*i] += 1;
                missing -= 1;
            }
        }
        if missing == before {
            break;
        }
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;
    use proptest::prelude::*;

    fn classes(values: &[&str]) -> (Dataset, Schema) {
        let mut text = String::from("x,y\n");
        for (i, v) in values.iter().enumerate() {
            text += &format!("{}.5,{v}\n", i % 9);
        }
        table(&text, "y")
    }

    fn parts(s: &Split) -> [usize; 3] {
        [s.train.len(), s.validation.len(), s.test.len()]
    }

    #[test]
    fn shares_hold_in_all_and_in_each_class() {
        let values: Vec<&str> =
            (0..1000).map(|i| if i % 10 == 0 { "rare" } else { "usual" }).collect();
        let (d, schema) = classes(&values);
        let s = Split::make(&d, &schema, &SplitConfig::default()).unwrap();
        assert_eq!(parts(&s), [700, 100, 200]);
        let rare = |rows: &[u32]| rows.iter().filter(|r| **r % 10 == 0).count();
        assert_eq!([rare(&s.train), rare(&s.validation), rare(&s.test)], [70, 10, 20]);
        assert_eq!(s, Split::make(&d, &schema, &SplitConfig::default()).unwrap());
        let other = SplitConfig { seed: 1, ..SplitConfig::default() };
        assert_ne!(s, Split::make(&d, &schema, &other).unwrap());
    }

    #[test]
    fn rows_without_a_target_are_in_no_part() {
        let values: Vec<&str> = (0..100).map(|i| ["a", "b", "?"][i % 3]).collect();
        let (d, schema) = classes(&values);
        let s = Split::make(&d, &schema, &SplitConfig::default()).unwrap();
        assert_eq!(s.without_target, 33);
        assert!(s.train.iter().chain(&s.test).chain(&s.validation).all(|r| r % 3 != 2));
        assert_eq!(parts(&s).iter().sum::<usize>(), 67);
    }

    #[test]
    fn a_class_of_one_row_is_learned_from() {
        let mut values = vec!["a"; 30];
        values.extend(["b"; 30]);
        values[7] = "only";
        let (d, schema) = classes(&values);
        let s = Split::make(&d, &schema, &SplitConfig::default()).unwrap();
        assert!(s.train.contains(&7));
    }

    #[test]
    fn numbers_are_spread_over_their_range() {
        let values: Vec<String> = (0..500).map(|i| format!("{}.25", (i * 7919) % 500)).collect();
        let (d, schema) = classes(&values.iter().map(String::as_str).collect::<Vec<_>>());
        let s = Split::make(&d, &schema, &SplitConfig::default()).unwrap();
        assert_eq!(parts(&s), [350, 50, 100]);
        let mean = |rows: &[u32]| {
            rows.iter().map(|r| values[*r as usize].parse::<f64>().unwrap()).sum::<f64>()
                / rows.len() as f64
        };
        assert!((mean(&s.test) - 249.75).abs() < 10.0 && (mean(&s.train) - 249.75).abs() < 5.0);
    }

    #[test]
    fn a_given_test_set_is_kept() {
        let (mut d, schema) = classes(&(0..100).map(|i| ["a", "b"][i % 2]).collect::<Vec<_>>());
        let more = d.clone();
        let (Samples::Table(t), Samples::Table(m)) = (&mut d.samples, &more.samples) else {
            panic!()
        };
        t.append_test(m);
        let s = Split::make(&d, &schema, &SplitConfig::default()).unwrap();
        assert_eq!(s.test, (100..200).collect::<Vec<_>>());
        assert_eq!(parts(&s), [90, 10, 100]);
    }

    #[test]
    fn too_little_data_is_explained() {
        let (d, schema) = classes(&["a", "b", "a", "b", "?", "a", "b", "a", "b", "a"]);
        let e = Split::make(&d, &schema, &SplitConfig::default()).unwrap_err().to_string();
        assert!(e.contains("Only 9 rows have a target"), "{e}");
        let (d, schema) = classes(&["a", "b"].repeat(10));
        for (validation, test) in [(0.5, 0.5), (-0.1, 0.2), (f64::NAN, 0.1)] {
            let config = SplitConfig { validation, test, ..SplitConfig::default() };
            assert!(Split::make(&d, &schema, &config).is_err());
        }
    }

    proptest! {
        /// Parts are disjoint, ascending, cover all rows; every class is learned from.
        #[test]
        fn parts_are_a_partition(codes in proptest::collection::vec(0_usize..4, 10..200),
                                 validation in 0.0..0.4, test in 0.0..0.5, seed in any::<u64>()) {
            let mut values: Vec<&str> = codes.iter().map(|c| ["a", "b", "c", "d"][*c]).collect();
            values.extend(["a", "b"]);
            let (d, schema) = classes(&values);
            let s = Split::make(&d, &schema, &SplitConfig { validation, test, seed, ..SplitConfig::default() }).unwrap();
            let mut all = [s.train.clone(), s.validation.clone(), s.test.clone()].concat();
            for part in [&s.train, &s.validation, &s.test] {
                prop_assert!(part.is_sorted());
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..values.len() as u32).collect::<Vec<_>>());
            for class in ["a", "b", "c", "d"] {
                let rows: Vec<u32> = (0..values.len() as u32).filter(|r| values[*r as usize] == class).collect();
                prop_assert!(rows.is_empty() || rows.iter().any(|r| s.train.contains(r)));
            }
        }
    }
}
