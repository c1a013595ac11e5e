//! Rows put into groups: by the value of a column, by quarters of a number, by class or brightness
//! of an image.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::data::{ColumnType, Dataset, ImageSet, Samples, Table};
use crate::text;

/// Most groups of one column; rarer values share the last.
pub const MOST: usize = 12;
/// Name of the group of rows without a value.
pub const MISSING: &str = "(missing)";
/// Name of the group of rare values.
pub const OTHER: &str = "(other)";

/// One way of putting rows into groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouping {
    /// Column.
    pub column: String,
    /// Names of the groups.
    pub names: Vec<String>,
    /// Group of every row, by place in `names`.
    pub of: Vec<u32>,
}

impl Grouping {
    /// Places (not row numbers) of the rows in a group.
    pub fn members(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        self.of.iter().enumerate().filter(move |(_, g)| **g as usize == group).map(|(i, _)| i)
    }

    /// Rows of every group.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.names.len()];
        for &group in &self.of {
            if let Some(n) = sizes.get_mut(group as usize) {
                *n += 1;
            }
        }
        sizes
    }

    /// What each row must count for group and class to be independent: P(g)·P(y) / P(g, y). Where all
    /// pairs occur, the weights add up to the number of rows.
    pub fn independence_weights(&self, classes: &[u32]) -> Vec<f32> {
        let n = classes.len().max(1) as f64;
        let (mut groups, mut labels, mut both) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (&g, &y) in self.of.iter().zip(classes) {
            *groups.entry(g).or_insert(0.0) += 1.0;
            *labels.entry(y).or_insert(0.0) += 1.0;
            *both.entry((g, y)).or_insert(0.0) += 1.0;
        }
        let weight = |(g, y): (&u32, &u32)| {
            let of = |v: Option<&f64>| v.copied().unwrap_or(1.0);
            let expected = of(groups.get(g)) * of(labels.get(y)) / n;
            (expected / of(both.get(&(*g, *y)))) as f32
        };
        self.of.iter().zip(classes).map(weight).collect()
    }

    /// By the cells of a column; the commonest values have groups of their own.
    pub fn by_value(column: &crate::data::Column, rows: &[u32]) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for &row in rows {
            *counts.entry(column.value(row as usize).unwrap_or(MISSING)).or_default() += 1;
        }
        let mut values: Vec<(&str, usize)> = counts.into_iter().collect();
        values.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let kept = if values.len() > MOST { MOST - 1 } else { values.len() };
        let mut names: Vec<String> =
            values.iter().take(kept).map(|(v, _)| (*v).to_owned()).collect();
        names.sort();
        let index: HashMap<&str, u32> =
            names.iter().enumerate().map(|(i, v)| (v.as_str(), i as u32)).collect();
        let of = rows
            .iter()
            .map(|&row| {
                let value = column.value(row as usize).unwrap_or(MISSING);
                index.get(value).copied().unwrap_or(kept as u32)
            })
            .collect();
        let column = column.name().to_owned();
        if values.len() > kept {
            names.push(OTHER.to_owned());
        }
        Self { column, names, of }
    }

    /// By quarters of numbers, NaN for none; fewer groups where values repeat.
    pub fn by_quarter(column: &str, values: &[f64]) -> Self {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let mut edges: Vec<f64> =
            [0.25, 0.5, 0.75].map(|q| super::bootstrap::quantile(&sorted, q)).to_vec();
        edges.retain(|e| e.is_finite() && sorted.last().is_some_and(|last| e < last));
        edges.dedup();
        let short = |v: f64| {
            let text = format!("{v:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let mut names: Vec<String> = Vec::new();
        match (edges.first(), edges.last()) {
            (Some(first), Some(last)) => {
                names.push(format!("at most {}", short(*first)));
                names.extend(
                    edges.windows(2).map(|w| format!("above {} to {}", short(w[0]), short(w[1]))),
                );
                names.push(format!("above {}", short(*last)));
            }
            _ => names.push("all".to_owned()),
        }
        let missing = names.len() as u32;
        let of: Vec<u32> = values
            .iter()
            .map(|v| match v.is_finite() {
                true => edges.partition_point(|e| e < v) as u32,
                false => missing,
            })
            .collect();
        if of.contains(&missing) {
            names.push(MISSING.to_owned());
        }
        Self { column: column.to_owned(), names, of }
    }
}

/// All ways to group rows of a dataset that make at least two groups; the target is none of them.
pub fn groupings(dataset: &Dataset, target: &str, rows: &[u32]) -> Vec<Grouping> {
    let all = match &dataset.samples {
        Samples::Table(table) => of_table(table, target, rows),
        Samples::Images(images) => of_images(images, rows),
    };
    all.into_iter().filter(|g| g.names.len() > 1).collect()
}

fn of_table(table: &Table, target: &str, rows: &[u32]) -> Vec<Grouping> {
    let columns = table.columns().iter().filter(|c| c.name() != target);
    columns
        .filter_map(|column| {
            let distinct = || {
                let mut seen = std::collections::HashSet::new();
                rows.iter().all(|r| {
                    seen.extend(column.value(*r as usize));
                    seen.len() <= MOST
                })
            };
            match column.kind {
                ColumnType::Category | ColumnType::Boolean => {
                    Some(Grouping::by_value(column, rows))
                }
                ColumnType::Number if !distinct() => {
                    let values: Vec<f64> = rows
                        .iter()
                        .map(|r| column.number(*r as usize).unwrap_or(f64::NAN))
                        .collect();
                    Some(Grouping::by_quarter(column.name(), &values))
                }
                ColumnType::Number => Some(Grouping::by_value(column, rows)),
                ColumnType::Ignore if distinct() => Some(Grouping::by_value(column, rows)),
                ColumnType::Date | ColumnType::Text | ColumnType::Ignore => None,
            }
        })
        .collect()
}

fn of_images(images: &ImageSet, rows: &[u32]) -> Vec<Grouping> {
    let label = |row: &u32| images.labels.get(*row as usize).copied().unwrap_or(0);
    let classes = Grouping {
        column: "class".to_owned(),
        names: images.classes.clone(),
        of: rows.iter().map(label).collect(),
    };
    let size = images.width * images.height * images.channels;
    let brightness = |row: &u32| {
        let start = *row as usize * size;
        let pixels = images.pixels.get(start..start + size).unwrap_or_default();
        pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / (255.0 * pixels.len().max(1) as f64)
    };
    let values: Vec<f64> = rows.iter().map(brightness).collect();
    vec![classes, Grouping::by_quarter("brightness", &values)]
}

/// The name of a group in the language of this thread: ranges of numbers are in words and what is
/// in brackets is ours, values of a category are the user's.
pub fn shown(name: &str) -> Cow<'_, str> {
    let range = ["at most ", "above ", "("].iter().any(|start| name.starts_with(start));
    if range { text::shown(name) } else { Cow::Borrowed(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::dataset;

    #[test]
    fn rows_fall_into_named_groups() {
        let mut text = "sex,age,y\n".to_owned();
        for i in 0..40 {
            let sex = ["m", "f", "?"][i % 3];
            text += &format!("{sex},{},{}\n", i + 20, i % 2);
        }
        let data = dataset(&text);
        let rows: Vec<u32> = (0..40).collect();
        let all = groupings(&data, "y", &rows);
        assert_eq!(all.iter().map(|g| g.column.as_str()).collect::<Vec<_>>(), ["sex", "age"]);
        assert_eq!(all[0].names, ["(missing)", "f", "m"]);
        assert_eq!(all[0].sizes(), [13, 13, 14]);
        assert_eq!(all[1].names.len(), 4);
        assert_eq!(all[1].sizes(), [10, 10, 10, 10]);
        assert_eq!(all[0].members(1).take(2).collect::<Vec<_>>(), [1, 4]);
    }

    #[test]
    fn weights_make_group_and_class_independent() {
        let g = Grouping {
            column: "g".to_owned(),
            names: vec!["a".to_owned(), "b".to_owned()],
            of: vec![0, 0, 0, 0, 1, 1],
        };
        let classes = [1, 1, 1, 0, 0, 0];
        let w = g.independence_weights(&classes);
        assert_eq!(w.len(), 6);
        let mass = |group: u32, class: u32| -> f32 {
            let rows = g.of.iter().zip(&classes).zip(&w);
            rows.filter(|((a, b), _)| **a == group && **b == class).map(|(_, w)| w).sum()
        };
        // Of group a, half of the weight is of class 1, as in all rows.
        assert!((mass(0, 1) - 2.0).abs() < 1e-6 && (mass(0, 0) - 2.0).abs() < 1e-6);
        assert!((mass(1, 0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn rare_values_share_a_group_and_one_value_is_no_group() {
        let mut c = crate::data::Column::new("c");
        (0..60).for_each(|i| c.push(&format!("v{}", if i < 30 { i % 2 } else { i })));
        let rows: Vec<u32> = (0..60).collect();
        let g = Grouping::by_value(&c, &rows);
        assert_eq!(g.names.len(), MOST);
        assert_eq!(g.names.last().unwrap(), OTHER);
        assert_eq!(Grouping::by_quarter("x", &[1.0; 5]).names, ["all"]);
        assert_eq!(Grouping::by_quarter("x", &[f64::NAN, 1.0]).names, ["all", MISSING]);
    }
}
