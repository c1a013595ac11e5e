//! Splits that go by a column: groups kept whole, time, given parts.

use super::{Split, SplitConfig, SplitMethod, has};
use crate::data::rng::Rng;
use crate::data::table::NO_CODE;
use crate::data::{Column, ColumnType, Dataset, Samples, count, invalid};
use crate::error::DataError;

/// Spellings of the parts.
const PARTS: [(&str, usize); 11] = [
    ("train", 0),
    ("training", 0),
    ("learn", 0),
    ("validation", 1),
    ("valid", 1),
    ("val", 1),
    ("dev", 1),
    ("test", 2),
    ("testing", 2),
    ("holdout", 2),
    ("hold-out", 2),
];

/// The column that a split goes by.
pub(super) fn column<'a>(
    dataset: &'a Dataset,
    config: &SplitConfig,
) -> Result<&'a Column, DataError> {
    let Samples::Table(table) = &dataset.samples else {
        return Err(invalid(
            "Images have no columns to split by",
            "Choose a split by chance, or put test images into a folder \"test\".",
        ));
    };
    let name = config.column.as_deref().unwrap_or_default();
    table.column(name).ok_or_else(|| {
        let what = if name.is_empty() {
            "This split needs a column to go by".to_owned()
        } else {
            format!("There is no column \"{name}\" to split by")
        };
        invalid(what, "Choose one of the data's columns.").in_column(name)
    })
}

/// Where a row stands in time.
pub(super) fn moment(column: &Column, row: usize) -> Option<f64> {
    if column.kind == ColumnType::Date || column.number(row).is_none() {
        column.date(row).or_else(|| column.number(row))
    } else {
        column.number(row)
    }
}

/// The part that a row is given: 0 training, 1 validation, 2 test.
pub(super) fn part(column: &Column, row: usize) -> Option<usize> {
    let value = column.value(row)?;
    PARTS.iter().find(|(name, _)| value.eq_ignore_ascii_case(name)).map(|(_, part)| *part)
}

impl Split {
    /// Deals `rows` (with a target, outside of a test set of its own) out by a column.
    pub(super) fn by_column(
        &mut self,
        dataset: &Dataset,
        config: &SplitConfig,
        rows: Vec<u32>,
        test: f64,
        rng: &mut Rng,
    ) -> Result<(), DataError> {
        let column = column(dataset, config)?;
        match config.method {
            SplitMethod::Time => self.by_time(column, rows, config.validation, test)?,
            SplitMethod::Given => self.as_given(column, rows, config.validation, rng)?,
            _ => self.by_group(column, rows, config.validation, test, rng),
        }
        for part in [&mut self.train, &mut self.validation, &mut self.test] {
            part.sort_unstable();
        }
        if self.train.is_empty() {
            return Err(invalid(
                format!("Split by \"{}\", no row is left to learn from", column.name()),
                "Choose another column or smaller shares.",
            )
            .in_column(column.name()));
        }
        Ok(())
    }

    fn by_group(
        &mut self,
        column: &Column,
        rows: Vec<u32>,
        validation: f64,
        test: f64,
        rng: &mut Rng,
    ) {
        let mut groups = whole_groups(column, &rows);
        rng.shuffle(&mut groups);
        let total = rows.len() as f64;
        let wanted = |share: f64| (total * share).round() as usize;
        let (mut test_room, mut validation_room) = (wanted(test), wanted(validation));
        // A group goes where it fits; what fits nowhere is learned from.
        for group in groups {
            if group.len() <= test_room {
                test_room -= group.len();
                self.test.extend(group);
            } else if group.len() <= validation_room {
                validation_room -= group.len();
                self.validation.extend(group);
            } else {
                self.train.extend(group);
            }
        }
    }

    fn by_time(
        &mut self,
        column: &Column,
        rows: Vec<u32>,
        validation: f64,
        test: f64,
    ) -> Result<(), DataError> {
        let time = |row: u32| moment(column, row as usize);
        let (mut dated, undated): (Vec<u32>, Vec<u32>) =
            rows.into_iter().partition(|r| time(*r).is_some());
        if dated.len() < undated.len() {
            return Err(invalid(
                format!("Only {} a time in \"{}\"", has(dated.len()), column.name()),
                "Choose a column of dates or numbers.",
            )
            .in_column(column.name()));
        }
        let key = |r: &u32| time(*r).unwrap_or(f64::NEG_INFINITY);
        dated.sort_by(|a, b| key(a).total_cmp(&key(b)).then(a.cmp(b)));
        let n = dated.len() as f64;
        // Rows of the same moment stay together, on the earlier side.
        let cut = |share: f64| {
            let mut at = ((n * (1.0 - share)).round() as usize).min(dated.len());
            while at > 0 && at < dated.len() && key(&dated[at - 1]) == key(&dated[at]) {
                at += 1;
            }
            at
        };
        let test_from = cut(test);
        let validation_from = cut(test + validation).min(test_from);
        self.train.extend(&dated[..validation_from]);
        self.validation.extend(&dated[validation_from..test_from]);
        self.test.extend(&dated[test_from..]);
        // Without a time a row cannot be said to come late.
        self.train.extend(undated);
        Ok(())
    }

    fn as_given(
        &mut self,
        column: &Column,
        rows: Vec<u32>,
        validation: f64,
        rng: &mut Rng,
    ) -> Result<(), DataError> {
        let part = |row: u32| part(column, row as usize);
        let known = rows.iter().filter(|r| part(**r).is_some()).count();
        if known < rows.len() {
            let other = rows.iter().find(|r| part(**r).is_none()).copied().unwrap_or(0) as usize;
            return Err(invalid(
                format!(
                    "{} of \"{}\" do not say train, validation or test, such as \"{}\"",
                    count(rows.len() - known, "row"),
                    column.name(),
                    column.raw(other)
                ),
                "Write train, validation or test in every row, or choose another split.",
            )
            .in_column(column.name()));
        }
        for row in rows {
            match part(row) {
                Some(1) => self.validation.push(row),
                Some(2) => self.test.push(row),
                _ => self.train.push(row),
            }
        }
        if self.validation.is_empty() {
            rng.shuffle(&mut self.train);
            let n = (self.train.len() as f64 * validation).round() as usize;
            self.validation = self.train.split_off(self.train.len() - n.min(self.train.len()));
        }
        Ok(())
    }
}

/// Rows with the same value; each row without a value is a group of its own.
pub(super) fn whole_groups(column: &Column, rows: &[u32]) -> Vec<Vec<u32>> {
    let (codes, values) = column.codes();
    let mut groups: Vec<Vec<u32>> = vec![Vec::new(); values.len()];
    let mut alone = Vec::new();
    for &row in rows {
        match codes.get(row as usize) {
            Some(&code) if code != NO_CODE => {
                if let Some(group) = groups.get_mut(code as usize) {
                    group.push(row);
                }
            }
            _ => alone.push(vec![row]),
        }
    }
    groups.retain(|g| !g.is_empty());
    groups.extend(alone);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;
    use std::collections::HashSet;

    fn split(text: &str, method: SplitMethod, column: &str) -> Result<Split, DataError> {
        let (d, schema) = table(text, "y");
        let column = Some(column.to_owned());
        Split::make(&d, &schema, &SplitConfig { method, column, ..SplitConfig::default() })
    }

    fn text(row: impl Fn(usize) -> String) -> String {
        let rows: String =
            (0..200).map(|i| format!("{},{}.5,{}\n", row(i), i % 9, i % 2)).collect();
        format!("c,x,y\n{rows}")
    }

    #[test]
    fn groups_stay_whole() {
        let s = split(&text(|i| format!("g{}", i / 5)), SplitMethod::Group, "c").unwrap();
        let groups = |rows: &[u32]| rows.iter().map(|r| r / 5).collect::<HashSet<_>>();
        assert!(groups(&s.train).is_disjoint(&groups(&s.test)));
        assert!(groups(&s.train).is_disjoint(&groups(&s.validation)));
        assert_eq!([s.train.len(), s.validation.len(), s.test.len()], [140, 20, 40]);
    }

    #[test]
    fn the_latest_rows_are_the_test() {
        let day =
            |i: usize| format!("2024-{:02}-{:02}", (i * 7 % 200) / 28 + 1, (i * 7 % 200) % 28 + 1);
        let s = split(&text(day), SplitMethod::Time, "c").unwrap();
        let at = |r: &u32| *r as usize * 7 % 200;
        let last = |rows: &[u32]| rows.iter().map(at).max().unwrap();
        let first = |rows: &[u32]| rows.iter().map(at).min().unwrap();
        assert!(last(&s.train) < first(&s.validation) && last(&s.validation) < first(&s.test));
        assert_eq!(s.test.len(), 40);
        assert!(split(&text(|_| "soon".to_owned()), SplitMethod::Time, "c").is_err());
    }

    #[test]
    fn given_parts_are_taken_as_they_are() {
        let part = |i: usize| ["train", "Test", "val", "train"][i % 4].to_owned();
        let s = split(&text(part), SplitMethod::Given, "c").unwrap();
        assert_eq!([s.train.len(), s.validation.len(), s.test.len()], [100, 50, 50]);
        let e = split(&text(|i| ["train", "later"][i % 2].to_owned()), SplitMethod::Given, "c");
        assert!(e.unwrap_err().to_string().contains("such as \"later\""));
        assert!(split(&text(part), SplitMethod::Given, "gone").is_err());
    }

    #[test]
    fn balancing_repeats_the_rarer_rows() {
        let rows: String = (0..200)
            .map(|i| format!("{}.5,{}\n", i % 9, if i % 10 == 0 { "rare" } else { "usual" }))
            .collect();
        let (d, schema) = table(&format!("x,y\n{rows}"), "y");
        let mut s = Split::make(&d, &schema, &SplitConfig::default()).unwrap();
        s.balance(&d, &schema).unwrap();
        let rare = s.train.iter().filter(|r| **r % 10 == 0).count();
        assert_eq!(rare * 2, s.train.len());
        assert_eq!(s.train.iter().collect::<HashSet<_>>().len(), 140);
    }
}
