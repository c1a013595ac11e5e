//! Column types and the task.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::infer::truth;
use super::{Column, Dataset, Samples, Table, count, invalid};
use crate::error::DataError;

/// Most classes of a classification.
pub const MAX_CLASSES: usize = 1000;
/// Whole numbers with at most this many different values are classes unless the user says number.
pub const MAX_NUMBER_CLASSES: usize = 20;
/// Target of an image set.
pub const IMAGE_TARGET: &str = "label";

/// What a column holds. Inferred, then editable by the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Numbers (decimal point or comma).
    Number,
    /// A limited set of words.
    Category,
    /// Two values such as yes/no, true/false, 0/1.
    Boolean,
    /// Calendar dates or times.
    Date,
    /// Free text.
    Text,
    /// Not used for training (identifiers, notes).
    Ignore,
}

/// What is predicted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Task {
    /// One of two classes.
    Binary {
        /// Class names in label order; the second is the "positive" one.
        classes: Vec<String>,
    },
    /// One of several classes.
    Multiclass {
        /// Class names in label order.
        classes: Vec<String>,
    },
    /// A number.
    Regression,
}

impl Task {
    /// Class names; empty for regression.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Binary { classes } | Self::Multiclass { classes } => classes,
            Self::Regression => &[],
        }
    }
}

/// Columns as used, target and task. For images: no columns, target "label".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Name and type of every column in file order.
    pub columns: Vec<(String, ColumnType)>,
    /// Target column.
    pub target: String,
    /// Task.
    pub task: Task,
}

impl Schema {
    /// Decides columns, target and task. `target` of `None` takes [`suggest_target`]; `overrides`
    /// replaces the types of the named columns. A number target with few whole values is a
    /// classification unless overridden to [`ColumnType::Number`]. Images ignore both.
    ///
    /// # Errors
    /// A target that is not there, has no values, one value, or as many values as rows; no column
    /// left to learn from; overrides that name no column.
    pub fn infer(
        dataset: &Dataset,
        target: Option<&str>,
        overrides: &BTreeMap<String, ColumnType>,
    ) -> Result<Self, DataError> {
        let table = match &dataset.samples {
            Samples::Images(images) => {
                let task = Task::from_classes(images.classes.clone()).map_err(|_| {
                    invalid(
                        format!("All images belong to {}", count(images.classes.len(), "class")),
                        "Two or more classes are needed: one folder of images per class.",
                    )
                })?;
                return Ok(Self { columns: Vec::new(), target: IMAGE_TARGET.to_owned(), task });
            }
            Samples::Table(table) => table,
        };
        for name in overrides.keys() {
            if table.column(name).is_none() {
                return Err(no_column(table, name));
            }
        }
        let suggested = || suggest_target(dataset).unwrap_or_default();
        let target = target.map_or_else(suggested, str::to_owned);
        let column = table.column(&target).ok_or_else(|| no_column(table, &target))?;
        let mut columns: Vec<(String, ColumnType)> = table
            .columns()
            .iter()
            .map(|c| (c.name().to_owned(), overrides.get(c.name()).copied().unwrap_or(c.kind)))
            .collect();
        let (kind, task) =
            task_of(column, overrides.get(&target).copied()).map_err(|e| e.in_column(&target))?;
        for (name, k) in &mut columns {
            if *name == target {
                *k = kind;
            }
        }
        let schema = Self { columns, target, task };
        if schema.features().next().is_none() {
            return Err(nothing_to_learn_from(table, &schema.target));
        }
        Ok(schema)
    }

    /// Name and type of every column that is learned from.
    pub fn features(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        self.columns
            .iter()
            .filter(|(name, kind)| *name != self.target && *kind != ColumnType::Ignore)
            .map(|(name, kind)| (name.as_str(), *kind))
    }

    /// Type of the target column; images have classes.
    pub fn target_kind(&self) -> ColumnType {
        let found = self.columns.iter().find(|(name, _)| *name == self.target);
        found.map_or(ColumnType::Category, |(_, kind)| *kind)
    }
}

impl Task {
    /// Binary for two classes, multiclass for more; `Err` for fewer.
    fn from_classes(classes: Vec<String>) -> Result<Self, ()> {
        match classes.len() {
            0 | 1 => Err(()),
            2 => Ok(Self::Binary { classes }),
            _ => Ok(Self::Multiclass { classes }),
        }
    }
}

/// Names the target, which may have been suggested, and the columns set aside: a person may know
/// better.
fn nothing_to_learn_from(table: &Table, target: &str) -> DataError {
    let others: Vec<_> =
        table.columns().iter().map(Column::name).filter(|name| *name != target).collect();
    let reason = if others.is_empty() {
        format!("There is nothing to learn from: \"{target}\" is the only column")
    } else {
        format!(
            "There is nothing to learn from: to predict \"{target}\" all other columns are set aside, \
             as they number the rows or do not vary: {}",
            listed(&others)
        )
    };
    invalid(
        reason,
        "Choose another column to predict, data with more columns, or another type than \"ignore\" for one of these.",
    )
}

/// The first dozen names, quoted.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().take(12).map(|n| format!("\"{n}\"")).collect();
    let more = if names.len() > 12 { ", …" } else { "" };
    format!("{}{more}", quoted.join(", "))
}

fn no_column(table: &Table, name: &str) -> DataError {
    let names: Vec<_> = table.columns().iter().map(Column::name).collect();
    invalid(
        format!("There is no column \"{name}\" in this data"),
        format!("Its columns are: {}.", listed(&names)),
    )
    .in_column(name)
}

/// Equal for two cells that mean the same class.
pub(crate) fn class_key(cell: &str, kind: ColumnType, column: &Column) -> Option<String> {
    match kind {
        ColumnType::Number => column.format.parse(cell).map(|v| format!("{}", v + 0.0)),
        ColumnType::Boolean => match truth(cell) {
            Some(true) => Some("true".to_owned()),
            Some(false) => Some("false".to_owned()),
            None => Some(cell.to_lowercase()),
        },
        _ => Some(cell.to_owned()),
    }
}

/// Type and task of a target column. `wanted` is the type that the user has set.
fn task_of(column: &Column, wanted: Option<ColumnType>) -> Result<(ColumnType, Task), DataError> {
    let kind = wanted.unwrap_or(column.kind);
    let (codes, values) = column.codes();
    let valid = codes.iter().filter(|c| **c != super::table::NO_CODE).count();
    if valid == 0 {
        return Err(invalid(
            "The target column has no values",
            "Choose a column that holds what is to be predicted.",
        ));
    }
    if kind == ColumnType::Number {
        let numbers: Vec<f64> = values.iter().filter_map(|v| column.format.parse(v)).collect();
        if numbers.is_empty() {
            return Err(invalid(
                "The target column has no numbers",
                "Set its type to category, or choose another column.",
            ));
        }
        let mut distinct = numbers.clone();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        let whole = distinct.iter().all(|v| v.fract() == 0.0);
        let few = distinct.len() <= MAX_NUMBER_CLASSES && distinct.len() * 5 <= valid;
        let classes = wanted.is_none() && ((whole && few) || distinct.len() == 2);
        if !classes && distinct.len() > 1 {
            return Ok((kind, Task::Regression));
        }
    }
    if kind == ColumnType::Date {
        return Err(invalid(
            "A date cannot be predicted",
            "Choose another target, or set this column's type to category.",
        ));
    }
    // First spelling of every class.
    let mut classes: HashMap<String, &str> = HashMap::new();
    for value in &values {
        if let Some(key) = class_key(value, kind, column) {
            classes.entry(key).or_insert(value);
        }
    }
    if classes.len() > MAX_CLASSES || (classes.len() > 20 && classes.len() * 2 > valid) {
        return Err(invalid(
            format!(
                "The target column has {} in {}, too many to tell apart",
                count(classes.len(), "different value"),
                count(valid, "row")
            ),
            "Choose a column with fewer different values, or set its type to number if it holds numbers.",
        ));
    }
    let task = Task::from_classes(class_order(classes.into_values().map(str::to_owned).collect()));
    let task = task.map_err(|()| {
        invalid(
            "The target column has the same value in every row",
            "Choose a column with at least two different values.",
        )
    })?;
    let kind = match kind {
        ColumnType::Text | ColumnType::Ignore | ColumnType::Date => ColumnType::Category,
        kind => kind,
    };
    Ok((kind, task))
}

/// Words for the class that is not the one looked for.
const NEGATIVE: [&str; 16] = [
    "no", "false", "0", "-1", "n", "f", "negative", "absent", "healthy", "benign", "normal", "ham",
    "other", "none", "rest", "off",
];

/// Sorted, numbers by value; of two the second is the one looked for.
pub(crate) fn class_order(mut classes: Vec<String>) -> Vec<String> {
    let number = |s: &str| s.trim().replace(',', ".").parse::<f64>().ok();
    if classes.iter().all(|c| number(c).is_some()) {
        classes.sort_by(|a, b| {
            number(a).unwrap_or(0.0).total_cmp(&number(b).unwrap_or(0.0)).then_with(|| a.cmp(b))
        });
    } else {
        classes.sort();
    }
    let negative = |c: &String| NEGATIVE.iter().any(|w| c.eq_ignore_ascii_case(w));
    if classes.len() == 2 && negative(&classes[1]) && !negative(&classes[0]) {
        classes.swap(0, 1);
    }
    classes
}

/// Names that usually hold what is predicted, best first.
const TARGET_NAMES: [&str; 34] = [
    "target",
    "label",
    "class",
    "outcome",
    "y",
    "species",
    "survived",
    "diagnosis",
    "churn",
    "income",
    "price",
    "sale price",
    "default",
    "fraud",
    "result",
    "response",
    "digit",
    "letter",
    "rating",
    "score",
    "quality",
    "strength",
    "category",
    "status",
    "approved",
    "late",
    "passed",
    "purchased",
    "spam",
    "sentiment",
    "variety",
    "risk",
    "demand",
    "sales",
];

/// Of these, names that columns to learn from have just as often.
const COMMON_NAMES: [&str; 8] =
    ["price", "rating", "score", "quality", "category", "status", "demand", "sales"];

/// A likely target: by name, else the last column in use. `None` when no column could be one.
pub fn suggest_target(dataset: &Dataset) -> Option<String> {
    let table = match &dataset.samples {
        Samples::Images(_) => return Some(IMAGE_TARGET.to_owned()),
        Samples::Table(table) => table,
    };
    let plain = |name: &str| {
        let lower = name.to_lowercase();
        lower.split(|c: char| !c.is_alphanumeric()).collect::<Vec<_>>().join(" ")
    };
    let usable = |c: &&Column| task_of(c, None).is_ok() && c.kind != ColumnType::Text;
    let in_use = |c: &&Column| c.kind != ColumnType::Ignore;
    let last = table.columns().iter().rev().filter(in_use).find(usable);
    // A question of yes or no at the end is likelier than a column with a common name before it.
    let question = last.filter(|c| c.kind == ColumnType::Boolean);
    let names = |name: &&&str| question.is_none() || !COMMON_NAMES.contains(name);
    for name in TARGET_NAMES.iter().filter(names) {
        let mut exact = table.columns().iter().filter(|c| plain(c.name()) == *name);
        if let Some(c) = exact.find(usable) {
            return Some(c.name().to_owned());
        }
    }
    for name in TARGET_NAMES.iter().filter(names).filter(|n| n.len() > 3) {
        let has = |c: &&Column| plain(c.name()).split(' ').any(|w| w == *name);
        // Last first: the target usually stands at the end.
        if let Some(c) = table.columns().iter().rev().filter(has).find(usable) {
            return Some(c.name().to_owned());
        }
    }
    last.or(table.columns().last()).map(|c| c.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::dataset;

    /// `n` rows of a feature and a target that cycles through `values`.
    fn with_target(name: &str, values: &[&str], n: usize) -> Dataset {
        let mut text = format!("x,{name}\n");
        for i in 0..n {
            text += &format!("{}.5,{}\n", i % 7, values[i % values.len()]);
        }
        dataset(&text)
    }

    fn infer(d: &Dataset, target: Option<&str>) -> Result<Schema, DataError> {
        Schema::infer(d, target, &BTreeMap::new())
    }

    fn classes(values: &[&str]) -> Vec<String> {
        infer(&with_target("y", values, 40), Some("y")).unwrap().task.classes().to_vec()
    }

    #[test]
    fn tasks_follow_the_target() {
        assert_eq!(classes(&["yes", "no"]), ["no", "yes"]);
        assert_eq!(classes(&["1", "0"]), ["0", "1"]);
        assert_eq!(classes(&["abnormal", "normal"]), ["normal", "abnormal"]);
        assert_eq!(classes(&["great", "other"]), ["other", "great"]);
        assert_eq!(classes(&["<=50K", ">50K"]), ["<=50K", ">50K"]);
        assert_eq!(classes(&["10", "9", "2"]), ["2", "9", "10"]);
        assert_eq!(classes(&["1", "1.0", "2", "3"]), ["1", "2", "3"]);
        assert_eq!(classes(&["Yes", "yes", "NO"]), ["NO", "Yes"]);
        let number: Vec<String> = (0..40).map(|i| format!("{}.5", i * i)).collect();
        let values: Vec<&str> = number.iter().map(String::as_str).collect();
        let d = with_target("y", &values, 40);
        assert_eq!(infer(&d, Some("y")).unwrap().task, Task::Regression);
    }

    #[test]
    fn a_question_at_the_end_goes_before_a_common_name() {
        let guess = |head: &str, row: &dyn Fn(usize) -> String| {
            let rows: String = (0..40).map(|i| row(i) + "\n").collect();
            suggest_target(&dataset(&format!("{head}\n{rows}"))).unwrap()
        };
        let answer = |i: usize| if i.is_multiple_of(3) { "yes" } else { "no" };
        let row = |i: usize| format!("{}.5,{}", i * 7 % 31, answer(i));
        assert_eq!(guess("price,returned", &row), "returned");
        // A name that says it is the target still wins, and so does a common one without a question.
        assert_eq!(guess("churn,active", &row), "churn");
        assert_eq!(guess("price,size", &|i| format!("{}.5,{}.25", i * 7 % 31, i % 9)), "price");
    }

    #[test]
    fn the_user_can_overrule_the_task() {
        let d = with_target("y", &["1", "2", "3"], 60);
        let with = |kind| Schema::infer(&d, Some("y"), &BTreeMap::from([("y".to_owned(), kind)]));
        assert_eq!(with(ColumnType::Number).unwrap().task, Task::Regression);
        assert!(matches!(with(ColumnType::Category).unwrap().task, Task::Multiclass { .. }));
        let e = Schema::infer(&d, Some("y"), &BTreeMap::from([("z".to_owned(), ColumnType::Text)]));
        assert!(e.unwrap_err().to_string().contains("no column \"z\""));
    }

    #[test]
    fn bad_targets_are_explained() {
        let what = |d: &Dataset, t| infer(d, Some(t)).unwrap_err().to_string();
        assert!(what(&with_target("y", &["?", ""], 40), "y").contains("no values"));
        assert!(what(&with_target("y", &["a"], 40), "y").contains("same value"));
        assert!(what(&with_target("y", &["2024-01-01", "2024-01-02"], 40), "y").contains("date"));
        assert!(what(&with_target("y", &["a", "b"], 40), "z").contains("no column"));
        let names: Vec<String> = (0..40).map(|i| format!("n{i}")).collect();
        let values: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(what(&with_target("y", &values, 40), "y").contains("40 different values"));
        let one = dataset(&format!("y\n{}", "a\nb\n".repeat(9)));
        assert!(what(&one, "y").contains("\"y\" is the only column"));
        let rows: String = (0..40).map(|i| format!("{i},same,{}\n", i % 2)).collect();
        let idle = dataset(&format!("id,unit,y\n{rows}"));
        assert!(what(&idle, "y").contains("do not vary: \"id\", \"unit\""), "{}", what(&idle, "y"));
    }

    #[test]
    fn targets_are_suggested_by_name_then_place() {
        let suggest = |names: &str| {
            let n = names.split(',').count();
            let mut text = format!("{names}\n");
            for i in 0..30 {
                text += &vec![["a", "b", "c"][i % 3]; n].join(",");
                text.push('\n');
            }
            suggest_target(&dataset(&text)).unwrap()
        };
        assert_eq!(suggest("species,island,sex"), "species");
        assert_eq!(suggest("a,income-per-year,b"), "income-per-year");
        assert_eq!(suggest("Class,b,target"), "target");
        assert_eq!(suggest("a,b,c"), "c");
        assert_eq!(suggest("classic,b,c"), "c");
    }

    #[test]
    fn features_leave_out_target_and_ignored() {
        let d = dataset(&format!("k,x,y\n{}", "same,1.5,a\nsame,2.5,b\n".repeat(9)));
        let s = infer(&d, None).unwrap();
        assert_eq!(s.features().collect::<Vec<_>>(), [("x", ColumnType::Number)]);
        assert_eq!((s.target.as_str(), s.target_kind()), ("y", ColumnType::Category));
    }
}
