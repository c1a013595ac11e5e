//! Cross-validation: every row is tested once, by a model that has not seen it.

use super::by_column::{column, whole_groups};
use super::{Rng, Split, SplitConfig, SplitMethod, groups};
use crate::data::{Dataset, Schema, invalid};
use crate::error::DataError;

impl Split {
    /// Splits `rows` into `k` folds; split i tests fold i. Classes keep their shares, and with
    /// [`SplitMethod::Group`] groups stay whole. Of the other rows a tenth is for validation.
    ///
    /// # Errors
    /// Fewer than 2 folds or fewer rows or groups than folds.
    pub fn folds(
        dataset: &Dataset,
        schema: &Schema,
        config: &SplitConfig,
        rows: &[u32],
        k: usize,
    ) -> Result<Vec<Self>, DataError> {
        let mut rng = Rng::new(config.seed ^ 0xf01d);
        let mut fold_of = vec![usize::MAX; dataset.len()];
        let allowed: std::collections::HashSet<u32> = rows.iter().copied().collect();
        let mut parts: Vec<Vec<u32>> = if config.method == SplitMethod::Group {
            whole_groups(column(dataset, config)?, rows)
        } else {
            let (by_class, _) = groups(dataset, schema)?;
            by_class
                .into_iter()
                .map(|g| g.into_iter().filter(|r| allowed.contains(r)).collect())
                .collect()
        };
        let whole = config.method == SplitMethod::Group;
        let units = if whole { parts.len() } else { parts.iter().map(Vec::len).sum() };
        if k < 2 || units < k {
            return Err(invalid(
                format!("{k} folds cannot be made of {units} rows or groups"),
                "Choose at least 2 folds, and no more than there are rows or groups.",
            ));
        }
        let mut sizes = vec![0usize; k];
        if whole {
            rng.shuffle(&mut parts);
            parts.sort_by_key(|g| std::cmp::Reverse(g.len()));
        }
        for mut part in parts {
            rng.shuffle(&mut part);
            if whole {
                let fold = (0..k).min_by_key(|f| sizes[*f]).unwrap_or(0);
                sizes[fold] += part.len();
                part.iter().for_each(|r| fold_of[*r as usize] = fold);
                continue;
            }
            for row in part {
                // The smallest fold next: classes are dealt round, totals stay even.
                let fold = (0..k).min_by_key(|f| sizes[*f]).unwrap_or(0);
                sizes[fold] += 1;
                fold_of[row as usize] = fold;
            }
        }
        let mut splits = Vec::with_capacity(k);
        for fold in 0..k {
            let (test, mut rest): (Vec<u32>, Vec<u32>) =
                rows.iter().partition(|r| fold_of[**r as usize] == fold);
            rng.shuffle(&mut rest);
            let validation_rows = (rest.len() / 10).max(1).min(rest.len().saturating_sub(1));
            let mut validation = rest.split_off(rest.len() - validation_rows);
            rest.sort_unstable();
            validation.sort_unstable();
            splits.push(Self { train: rest, validation, test, without_target: 0 });
        }
        Ok(splits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;

    #[test]
    fn every_row_is_tested_once_and_classes_keep_their_shares() {
        let rows: String = (0..103)
            .map(|i| format!("{}.5,g{},{}\n", i % 9, i % 20, ["a", "b", "b"][i % 3]))
            .collect();
        let (d, schema) = table(&format!("x,g,y\n{rows}"), "y");
        let all: Vec<u32> = (0..103).collect();
        for (method, column) in [(SplitMethod::Stratified, None), (SplitMethod::Group, Some("g"))] {
            let config =
                SplitConfig { method, column: column.map(str::to_owned), ..SplitConfig::default() };
            let folds = Split::folds(&d, &schema, &config, &all, 5).unwrap();
            let mut tested: Vec<u32> = folds.iter().flat_map(|f| f.test.clone()).collect();
            tested.sort_unstable();
            assert_eq!(tested, all);
            for fold in &folds {
                let mut rows =
                    [fold.train.clone(), fold.validation.clone(), fold.test.clone()].concat();
                rows.sort_unstable();
                assert_eq!(rows, all);
                if column.is_some() {
                    assert!(fold.test.iter().all(|t| fold.train.iter().all(|r| r % 20 != t % 20)));
                } else {
                    let a = fold.test.iter().filter(|r| **r % 3 == 0).count();
                    assert!((6..=8).contains(&a), "{a}");
                }
            }
            assert!(Split::folds(&d, &schema, &config, &all, 104).is_err());
            assert!(Split::folds(&d, &schema, &config, &all, 1).is_err());
        }
    }
}
