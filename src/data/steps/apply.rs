//! Does steps to data and says what changed.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Step;
use crate::data::table::is_missing;
use crate::data::{Column, Dataset, ImageSet, Samples, Table, count, invalid};
use crate::error::DataError;

/// Examples kept of changed cells.
const EXAMPLES: usize = 8;

/// What one step did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Effect {
    /// What it does, in a few words.
    pub label: String,
    /// Rows or images left out.
    pub rows: usize,
    /// Columns left out.
    pub columns: usize,
    /// Cells or labels changed.
    pub cells: usize,
    /// Row as in the file (or image from 1), value before and after, of the first changed cells.
    pub examples: Vec<(u64, String, String)>,
}

impl Effect {
    fn see(&mut self, row: u64, before: &str, after: &str) {
        self.cells += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push((row, before.to_owned(), after.to_owned()));
        }
    }

    /// `12 rows left out`, `3 cells changed`, `nothing changes`.
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if self.rows > 0 {
            parts.push(format!("{} left out", count(self.rows, "row")));
        }
        if self.columns > 0 {
            parts.push(format!("{} left out", count(self.columns, "column")));
        }
        if self.cells > 0 {
            parts.push(format!("{} changed", count(self.cells, "cell")));
        }
        if parts.is_empty() { "nothing changes".to_owned() } else { parts.join(", ") }
    }
}

/// The data after all steps, and what each did.
///
/// # Errors
/// A step that names a column or row that is not there: the file has changed since.
pub fn apply(dataset: &Dataset, steps: &[Step]) -> Result<(Dataset, Vec<Effect>), DataError> {
    let mut data = dataset.clone();
    let mut effects = Vec::with_capacity(steps.len());
    for step in steps {
        let mut effect = match &mut data.samples {
            Samples::Table(table) => on_table(table, step)?,
            Samples::Images(images) => on_images(images, step)?,
        };
        effect.label = step.label();
        effects.push(effect);
    }
    if !steps.is_empty() && data.is_empty() {
        return Err(invalid(
            "The recorded steps leave no rows",
            "Take back the last one with Undo.",
        ));
    }
    if let Samples::Table(table) = &mut data.samples {
        table.note_steps(steps);
    }
    Ok((data, effects))
}

/// Does the rules that a model was trained with to new rows; columns that are not there are left out.
pub fn apply_rules(table: &Table, rules: &[Step]) -> Result<Table, DataError> {
    let mut table = table.clone();
    for rule in rules {
        if rule.column().is_some_and(|c| table.column(c).is_some()) {
            on_table(&mut table, rule)?;
        }
    }
    Ok(table)
}

/// Does recorded steps to rows of a file that are not in the sample for which the steps were recorded.
/// Steps that name single rows have nothing to do here, for they name rows of the sample.
///
/// # Errors
/// A step that weighs all rows against each other; a column that is not there.
pub fn apply_beyond(mut table: Table, steps: &[Step]) -> Result<Table, DataError> {
    for step in steps {
        if step.compares_rows() {
            return Err(invalid(
                format!(
                    "\"{}\" compares all rows with each other, which cannot be done to rows that are \
                     read from the file piece by piece",
                    step.label()
                ),
                "Undo this step, or train on the sample instead of all rows of the file.",
            ));
        }
        if !step.names_rows() {
            on_table(&mut table, step)?;
        }
    }
    table.note_steps(steps);
    Ok(table)
}

fn gone(what: String) -> DataError {
    invalid(
        format!("{what}, which a recorded step of this project changes"),
        "The file has changed since: undo the steps in Check, or open the file it was.",
    )
}

fn cells(
    table: &mut Table,
    name: &str,
    change: impl Fn(&Column, usize) -> Option<String>,
) -> Result<Effect, DataError> {
    let mut effect = Effect::default();
    let column = table
        .column(name)
        .ok_or_else(|| gone(format!("There is no column \"{name}\"")).in_column(name))?;
    let mut new = column.like();
    for row in 0..column.len() {
        match change(column, row) {
            Some(text) if text != column.raw(row) => {
                effect.see(table.line(row), column.raw(row), &text);
                new.push(&text);
            }
            _ => new.push(column.raw(row)),
        }
    }
    table.replace(new);
    Ok(effect)
}

fn on_table(table: &mut Table, step: &Step) -> Result<Effect, DataError> {
    match step {
        Step::DropRows { rows } => {
            let drop = listed(rows, table.rows())?;
            let n = drop.len();
            table.retain_rows(|row| !drop.contains(&row));
            Ok(Effect { rows: n, ..Effect::default() })
        }
        Step::DropDuplicates { except } => {
            let keep = first_of_each(table, except);
            let before = table.rows();
            table.retain_rows(|row| keep.get(row).copied().unwrap_or(true));
            Ok(Effect { rows: before - table.rows(), ..Effect::default() })
        }
        Step::DropMissing { column } => {
            let c = table.column(column).ok_or_else(|| {
                gone(format!("There is no column \"{column}\"")).in_column(column)
            })?;
            let keep: Vec<bool> = (0..c.len()).map(|r| !c.is_missing(r)).collect();
            let before = table.rows();
            table.retain_rows(|row| keep.get(row).copied().unwrap_or(true));
            Ok(Effect { rows: before - table.rows(), ..Effect::default() })
        }
        Step::DropColumns { columns } => {
            for name in columns {
                if table.column(name).is_none() {
                    return Err(gone(format!("There is no column \"{name}\"")).in_column(name));
                }
            }
            table.drop_columns(columns);
            Ok(Effect { columns: columns.len(), ..Effect::default() })
        }
        Step::Merge { column, spellings } => {
            cells(table, column, |c, r| spellings.get(c.raw(r).trim()).cloned())
        }
        Step::Empty { column, values } => {
            let values: HashSet<&str> = values.iter().map(String::as_str).collect();
            cells(table, column, |c, r| values.contains(c.raw(r).trim()).then(String::new))
        }
        Step::Fill { column, value } => {
            cells(table, column, |c, r| is_missing(c.raw(r)).then(|| value.clone()))
        }
        Step::Relabel { column, labels } => {
            let labels: BTreeMap<usize, &String> =
                labels.iter().map(|(row, l)| (*row as usize, l)).collect();
            if let Some(row) = labels.keys().find(|r| **r >= table.rows()) {
                return Err(gone(format!("There is no row {}", row + 1)));
            }
            cells(table, column, |_, r| labels.get(&r).map(|l| (*l).clone()))
        }
        Step::Cap { column, low, high } => cells(table, column, |c, r| {
            let v = c.number(r)?;
            if v < *low {
                Some(c.format.write(*low))
            } else if v > *high {
                Some(c.format.write(*high))
            } else {
                None
            }
        }),
        Step::Mask { column } => cells(table, column, |c, r| c.value(r).map(masked)),
        Step::Hash { column, key } => {
            cells(table, column, |c, r| c.value(r).map(|v| pseudonym(key, v)))
        }
        Step::Group { column, keep, other } => {
            let keep: HashSet<&str> = keep.iter().map(String::as_str).collect();
            cells(table, column, |c, r| {
                c.value(r).filter(|v| !keep.contains(v)).map(|_| other.clone())
            })
        }
        Step::Balance => Ok(Effect::default()),
    }
}

fn on_images(images: &mut ImageSet, step: &Step) -> Result<Effect, DataError> {
    let mut effect = Effect::default();
    match step {
        Step::DropRows { rows } => {
            let drop = listed(rows, images.len())?;
            effect.rows = drop.len();
            let size = images.width * images.height * images.channels;
            let kept: Vec<usize> = (0..images.len()).filter(|i| !drop.contains(i)).collect();
            let pixels = kept
                .iter()
                .filter_map(|&i| images.pixels.get(i * size..(i + 1) * size))
                .flatten()
                .copied()
                .collect();
            if let Some(start) = images.test_start {
                images.test_start = Some(kept.iter().filter(|&&i| i < start).count());
            }
            images.pixels = pixels;
            images.labels = kept.iter().filter_map(|&i| images.labels.get(i).copied()).collect();
            images.paths = kept.iter().filter_map(|&i| images.paths.get(i).cloned()).collect();
        }
        Step::Relabel { labels, .. } => {
            for (row, label) in labels {
                let class = images.classes.iter().position(|c| c == label);
                let class =
                    class.ok_or_else(|| gone(format!("There is no class \"{label}\"")))? as u32;
                let Some(old) = images.labels.get_mut(*row as usize) else {
                    return Err(gone(format!("There is no image {}", row + 1)));
                };
                if *old != class {
                    let before = images.classes.get(*old as usize).cloned().unwrap_or_default();
                    effect.see(u64::from(*row) + 1, &before, label);
                    *old = class;
                }
            }
        }
        Step::Balance => {}
        other => {
            return Err(invalid(
                format!("\"{}\" is a step for tables, and these are images", other.label()),
                "Undo it.",
            ));
        }
    }
    Ok(effect)
}

fn listed(rows: &[u32], len: usize) -> Result<HashSet<usize>, DataError> {
    match rows.iter().find(|r| **r as usize >= len) {
        Some(row) => Err(gone(format!("There is no row {}", row + 1))),
        None => Ok(rows.iter().map(|r| *r as usize).collect()),
    }
}

/// Marks the first of equal rows.
fn first_of_each(table: &Table, except: &[String]) -> Vec<bool> {
    let columns: Vec<&Column> =
        table.columns().iter().filter(|c| !except.iter().any(|e| e == c.name())).collect();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    (0..table.rows())
        .map(|row| {
            let mut key = Vec::new();
            for c in &columns {
                match (c.value(row), c.number(row)) {
                    (None, _) => key.push(0),
                    (Some(_), Some(v)) => key.extend((v + 0.0).to_bits().to_le_bytes()),
                    (Some(text), None) => key.extend(text.as_bytes()),
                }
                key.push(0xff);
            }
            seen.insert(key)
        })
        .collect()
}

fn masked(value: &str) -> String {
    value
        .chars()
        .map(|c| match c {
            c if c.is_ascii_digit() => '0',
            c if c.is_alphanumeric() => 'x',
            c => c,
        })
        .collect()
}

/// Key and value are told apart by their lengths.
fn pseudonym(key: &str, value: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_le_bytes());
    hash.update(key.as_bytes());
    hash.update(value.as_bytes());
    hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::table;

    fn after(text: &str, steps: &[Step]) -> (Vec<Vec<String>>, Vec<Effect>) {
        let (d, _) = table(text, "y");
        let (d, effects) = apply(&d, steps).unwrap();
        let Samples::Table(t) = &d.samples else { panic!() };
        let rows = (0..t.rows())
            .map(|r| t.columns().iter().map(|c| c.raw(r).to_owned()).collect())
            .collect();
        (rows, effects)
    }

    const TEXT: &str = "n,c,y\n1,New York,a\n200,new york,b\n3,,a\n3,,a\n4,Rome,b\n";

    #[test]
    fn each_step_does_what_it_says() {
        let column = || "c".to_owned();
        let merge = Step::Merge {
            column: column(),
            spellings: [("new york".to_owned(), "New York".to_owned())].into(),
        };
        let (rows, e) = after(TEXT, std::slice::from_ref(&merge));
        assert_eq!((rows[1][1].as_str(), e[0].cells), ("New York", 1));
        assert_eq!(e[0].examples, [(3, "new york".to_owned(), "New York".to_owned())]);
        let (rows, e) = after(TEXT, &[Step::DropDuplicates { except: vec![] }]);
        assert_eq!((rows.len(), e[0].rows), (4, 1));
        let (rows, _) = after(TEXT, &[Step::DropMissing { column: column() }]);
        assert_eq!(rows.len(), 3);
        let (rows, e) = after(TEXT, &[Step::Fill { column: column(), value: "none".to_owned() }]);
        assert_eq!((rows[2][1].as_str(), e[0].cells), ("none", 2));
        let (rows, e) = after(TEXT, &[Step::Cap { column: "n".to_owned(), low: 2.0, high: 10.5 }]);
        assert_eq!((rows[0][0].as_str(), rows[1][0].as_str(), e[0].cells), ("2", "10.5", 2));
        let (rows, _) =
            after(TEXT, &[Step::Empty { column: column(), values: vec!["Rome".into()] }]);
        assert_eq!(rows[4][1], "");
        let (rows, _) = after(TEXT, &[Step::Mask { column: column() }]);
        assert_eq!(rows[0][1], "xxx xxxx");
        let hash = |key: &str| Step::Hash { column: column(), key: key.to_owned() };
        let (a, b) = (after(TEXT, &[hash("k")]).0, after(TEXT, &[hash("l")]).0);
        assert!(a[0][1].len() == 16 && a[0][1] != b[0][1] && a[0][1] != a[1][1]);
        assert_eq!(a[2][1], "");
        let group =
            Step::Group { column: column(), keep: vec!["Rome".into()], other: "other".into() };
        let (rows, e) = after(TEXT, &[group]);
        assert_eq!((rows[0][1].as_str(), rows[4][1].as_str(), e[0].cells), ("other", "Rome", 2));
        let (rows, _) = after(TEXT, &[Step::DropColumns { columns: vec![column()] }]);
        assert_eq!(rows[0], ["1", "a"]);
        let relabel = Step::Relabel { column: "y".to_owned(), labels: vec![(0, "b".to_owned())] };
        assert_eq!(after(TEXT, &[relabel]).0[0][2], "b");
        let (rows, e) = after(TEXT, &[Step::DropRows { rows: vec![0, 4] }, merge]);
        assert_eq!((rows.len(), rows[0][1].as_str(), e[0].rows), (3, "New York", 2));
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let (d, _) = table(TEXT, "y");
        for step in [
            Step::DropRows { rows: vec![99] },
            Step::Mask { column: "gone".to_owned() },
            Step::DropColumns { columns: vec!["gone".to_owned()] },
            Step::Relabel { column: "y".to_owned(), labels: vec![(99, "a".to_owned())] },
        ] {
            let e = apply(&d, &[step]).unwrap_err().to_string();
            assert!(e.contains("recorded step"), "{e}");
        }
        assert!(apply(&d, &[Step::DropRows { rows: (0..5).collect() }]).is_err());
    }

    #[test]
    fn steps_survive_a_project_file() {
        #[derive(Serialize, serde::Deserialize, PartialEq, Debug)]
        struct File {
            steps: Vec<Step>,
        }
        let file = File {
            steps: vec![
                Step::Balance,
                Step::Cap { column: "n".into(), low: -1.5, high: 2.0 },
                Step::Merge { column: "c".into(), spellings: [("a b".into(), "\"".into())].into() },
                Step::Relabel { column: "y".into(), labels: vec![(3, "x".into())] },
            ],
        };
        let text = toml::to_string_pretty(&file).unwrap();
        assert_eq!(toml::from_str::<File>(&text).unwrap(), file, "{text}");
    }
}
