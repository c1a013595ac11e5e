//! Feature recipes: how the columns of one project are prepared, kept under a name and a version and
//! used again in others, so that all of them prepare the same columns alike. A model records by name,
//! version and SHA-256 which one it was trained with. (No FP8 recipes; those say how numbers are
//! rounded.)

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Project;
use crate::data::preprocess::{PrepConfig, RecipeMark};
use crate::data::{Column, ColumnType, Dataset, Samples, Schema, Step, Table};
use crate::error::{Place, ProjectError, UserError};

/// Version of the file written by this program.
const FORMAT: u32 = 1;

/// How columns are prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureRecipe {
    /// File version.
    pub format: u32,
    /// Name.
    pub name: String,
    /// 1 for the first of this name.
    pub version: u32,
    /// When it was saved, in UTC.
    pub saved: String,
    /// Project that it was saved from.
    pub project: String,
    /// What it says; the hash is of this.
    pub content: Content,
    /// SHA-256 of the content.
    pub sha256: String,
}

/// What a feature recipe says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Type of every column that is learned from.
    pub features: BTreeMap<String, ColumnType>,
    /// Columns that are not learned from.
    pub ignored: Vec<String>,
    /// Column predicted.
    pub target: String,
    /// How categories and texts become numbers. Without a mark.
    pub prep: PrepConfig,
    /// Changes to cells by their value, in order: spellings, missing values, caps, groups.
    pub rules: Vec<Step>,
}

/// What became of a recipe in another project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Applied {
    /// Columns that are prepared as the recipe says.
    pub matched: Vec<String>,
    /// Of these, columns whose type was another before: name, before.
    pub retyped: Vec<(String, ColumnType)>,
    /// Of these, columns with cells that their new type cannot take, which count as missing: name, how
    /// many, and the row of the first as in the file.
    pub unfit: Vec<(String, usize, u64)>,
    /// Columns of the recipe that the data lack.
    pub absent: Vec<String>,
    /// Columns of the data that the recipe does not know; they are not learned from.
    pub extra: Vec<String>,
    /// Rules that were taken over, in words.
    pub rules: Vec<String>,
}

fn digest(content: &Content) -> String {
    // Maps are sorted, so equal content gives equal text; it can always be written.
    let text = serde_json::to_vec(content).unwrap_or_default();
    Sha256::digest(&text).iter().map(|b| format!("{b:02x}")).collect()
}

impl Content {
    /// Of a project as it stands.
    ///
    /// # Errors
    /// Images, which have no columns.
    pub fn of(project: &Project, dataset: &Dataset, schema: &Schema) -> Result<Self, UserError> {
        if !matches!(dataset.samples, Samples::Table(_)) {
            return Err(UserError::new(
                "Images have no columns to be prepared",
                "Feature recipes are for tables.",
            ));
        }
        let ignored = schema
            .columns
            .iter()
            .filter(|(n, k)| *k == ColumnType::Ignore && *n != schema.target)
            .map(|(n, _)| n.clone());
        let target = Some(schema.target.as_str());
        let rule = |s: &&Step| s.is_value_rule() && s.column() != target;
        Ok(Self {
            features: schema.features().map(|(n, k)| (n.to_owned(), k)).collect(),
            ignored: ignored.collect(),
            target: schema.target.clone(),
            prep: PrepConfig { recipe: None, ..project.prep.clone() },
            rules: project.steps.iter().filter(rule).cloned().collect(),
        })
    }

    /// How a project differs from it, in plain words; none where it prepares its columns alike.
    pub fn skew(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, kind) in &self.features {
            match other.features.get(name) {
                None if other.target == *name => {
                    found.push(format!("\"{name}\" is predicted here"))
                }
                None if other.ignored.contains(name) => {
                    found.push(format!("\"{name}\" is not learned from here"));
                }
                None => found.push(format!("\"{name}\" is not in the data")),
                Some(own) if own != kind => found.push(format!(
                    "\"{name}\" is a {} here and a {} in the recipe",
                    word(*own),
                    word(*kind)
                )),
                Some(_) => {}
            }
        }
        for name in other.features.keys().filter(|n| !self.features.contains_key(*n)) {
            found.push(format!("\"{name}\" is learned from here and unknown to the recipe"));
        }
        if self.prep.one_hot_limit != other.prep.one_hot_limit {
            found.push(format!(
                "categories of more than {} values get a learned table here, in the recipe those of \
                 more than {}",
                other.prep.one_hot_limit, self.prep.one_hot_limit
            ));
        }
        if self.prep.text_words != other.prep.text_words {
            found.push(format!(
                "{} words are counted in texts here, {} in the recipe",
                other.prep.text_words, self.prep.text_words
            ));
        }
        if self.rules != other.rules {
            let missing = self.rules.iter().filter(|r| !other.rules.contains(r)).count();
            let more = other.rules.iter().filter(|r| !self.rules.contains(r)).count();
            found.push(match (missing, more) {
                (0, 0) => "the rules for cells are in another order here".to_owned(),
                _ => format!(
                    "{missing} rules of the recipe are not done here, and {more} others are"
                ),
            });
        }
        found
    }
}

fn word(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Number => "number",
        ColumnType::Category => "category",
        ColumnType::Boolean => "yes or no",
        ColumnType::Date => "date",
        ColumnType::Text => "text",
        ColumnType::Ignore => "column left out",
    }
}

impl FeatureRecipe {
    /// What a model records of it.
    pub fn mark(&self) -> RecipeMark {
        RecipeMark { name: self.name.clone(), version: self.version, sha256: self.sha256.clone() }
    }

    /// Makes a project prepare its columns alike: types, settings and rules are taken over, columns
    /// that the recipe does not know are left out.
    ///
    /// # Errors
    /// Images; data without any of its columns, or whose target is one of its features.
    pub fn apply(&self, project: &mut Project, dataset: &Dataset) -> Result<Applied, UserError> {
        let Samples::Table(table) = &dataset.samples else {
            return Err(UserError::new(
                "Images have no columns to be prepared",
                "Feature recipes are for tables.",
            ));
        };
        let content = &self.content;
        let target = project.target.clone().unwrap_or_default();
        let mut applied = Applied::default();
        let mut types = project.columns.clone();
        for column in table.columns().iter().filter(|c| c.name() != target) {
            let name = column.name().to_owned();
            match content.features.get(&name) {
                Some(kind) => {
                    let before = project.columns.get(&name).copied().unwrap_or(column.kind);
                    if before != *kind {
                        applied.retyped.push((name.clone(), before));
                        if let Some((cells, row)) = unfit(table, column, *kind) {
                            applied.unfit.push((name.clone(), cells, row));
                        }
                    }
                    types.insert(name.clone(), *kind);
                    applied.matched.push(name);
                }
                None => {
                    types.insert(name.clone(), ColumnType::Ignore);
                    if !content.ignored.contains(&name) && name != content.target {
                        applied.extra.push(name);
                    }
                }
            }
        }
        applied.absent =
            content.features.keys().filter(|n| !applied.matched.contains(n)).cloned().collect();
        if applied.matched.is_empty() {
            return Err(UserError::new(
                format!(
                    "This data has none of the columns of the feature recipe \"{}\"",
                    self.name
                ),
                "Choose another recipe, or data with columns of the same names.",
            ));
        }
        let fits = |s: &&Step| s.column().is_some_and(|c| applied.matched.iter().any(|m| m == c));
        let rules: Vec<Step> = content.rules.iter().filter(fits).cloned().collect();
        applied.rules = rules.iter().map(Step::label).collect();
        // In the recipe's order; the project's own rules for its columns give way.
        let own = |s: &Step| {
            s.is_value_rule() && s.column().is_some_and(|c| content.features.contains_key(c))
        };
        project.steps.retain(|s| !own(s));
        project.steps.extend(rules);
        project.columns = types;
        project.prep = PrepConfig { recipe: Some(self.mark()), ..content.prep.clone() };
        Ok(applied)
    }
}

/// Cells that a type cannot take: how many, and the row of the first as in the file.
fn unfit(table: &Table, column: &Column, kind: ColumnType) -> Option<(usize, u64)> {
    let takes = |row: usize| match kind {
        ColumnType::Number => column.number(row).is_some(),
        ColumnType::Date => column.date(row).is_some(),
        _ => true,
    };
    let mut cells = (0..column.len()).filter(|r| column.value(*r).is_some() && !takes(*r));
    let first = cells.next()?;
    Some((1 + cells.count(), table.line(first)))
}

impl Applied {
    /// In plain sentences.
    pub fn lines(&self) -> Vec<String> {
        let list = |names: &[String]| crate::quality::wording::list(names, 12);
        let mut lines = vec![format!("Prepared as in the recipe: {}", list(&self.matched))];
        for (name, before) in &self.retyped {
            lines.push(format!("\"{name}\" was a {} before", word(*before)));
        }
        for (name, cells, row) in &self.unfit {
            let cells = crate::data::count(*cells, "cell");
            lines.push(format!("{cells} of \"{name}\" do not fit, the first in row {row}"));
        }
        if !self.absent.is_empty() {
            lines.push(format!("In the recipe, but not in this data: {}", list(&self.absent)));
        }
        if !self.extra.is_empty() {
            lines.push(format!("Unknown to the recipe, so left out: {}", list(&self.extra)));
        }
        lines.extend(self.rules.iter().map(|r| format!("Rule taken over: {r}")));
        lines
    }
}

/// Where feature recipes are kept.
pub fn folder() -> PathBuf {
    let home = super::home();
    home.parent().unwrap_or(&home).join("features")
}

fn slug(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || c == '-' { c } else { '_' };
    name.trim().chars().map(kept).take(60).collect()
}

/// Saves how a project prepares its columns, as the next version of the name. A recipe that says what
/// the newest version says already is that version.
///
/// # Errors
/// A name without letters; images; the folder cannot be written.
pub fn save(
    folder: &Path,
    name: &str,
    project: &Project,
    dataset: &Dataset,
    schema: &Schema,
) -> Result<FeatureRecipe, UserError> {
    let name = name.trim();
    if !name.chars().any(char::is_alphanumeric) {
        return Err(UserError::new(
            "A feature recipe needs a name",
            "Give it one with letters or digits.",
        ));
    }
    let content = Content::of(project, dataset, schema)?;
    let newest = list(folder)?.into_iter().filter(|r| r.name == name).max_by_key(|r| r.version);
    if let Some(same) = newest.clone().filter(|r| r.content == content) {
        return Ok(same);
    }
    let recipe = FeatureRecipe {
        format: FORMAT,
        name: name.to_owned(),
        version: newest.map_or(1, |r| r.version + 1),
        saved: jiff::Timestamp::now().to_string(),
        project: project.name.clone(),
        sha256: digest(&content),
        content,
    };
    let path = folder.join(format!("{}-v{}.json", slug(name), recipe.version));
    let text = serde_json::to_vec_pretty(&recipe)
        .map_err(|e| ProjectError::Format { path: path.clone(), what: e.to_string() })?;
    super::write_whole(&path, &text)?;
    Ok(recipe)
}

/// All saved feature recipes, by name and version. Files that are none are left out.
///
/// # Errors
/// The folder cannot be read; a recipe was changed since it was saved.
pub fn list(folder: &Path) -> Result<Vec<FeatureRecipe>, UserError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ProjectError::Io { path: folder.to_owned(), source }.into()),
    };
    let mut found = Vec::new();
    for path in entries.flatten().map(|e| e.path()) {
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let text = std::fs::read(&path)
            .map_err(|source| ProjectError::Io { path: path.clone(), source })?;
        let Ok(recipe) = serde_json::from_slice::<FeatureRecipe>(&text) else { continue };
        if recipe.format > FORMAT {
            continue;
        }
        if digest(&recipe.content) != recipe.sha256 {
            return Err(UserError {
                what: format!(
                    "The feature recipe \"{}\" was changed since it was saved",
                    recipe.name
                ),
                place: Place { path: Some(path), ..Place::default() },
                advice: "Delete this file and save the recipe again from its project.".to_owned(),
            });
        }
        found.push(recipe);
    }
    found.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
    Ok(found)
}

/// A feature recipe by `NAME` (its newest version) or `NAME@VERSION`.
///
/// # Errors
/// There is none; as [`list`].
pub fn find(folder: &Path, what: &str) -> Result<FeatureRecipe, UserError> {
    let all = list(folder)?;
    let (name, version) = match what.rsplit_once('@') {
        Some((name, version)) => (name, version.trim_start_matches('v').parse::<u32>().ok()),
        None => (what, None),
    };
    let named = all.iter().filter(|r| r.name == name && version.is_none_or(|v| r.version == v));
    named.max_by_key(|r| r.version).cloned().ok_or_else(|| {
        let mut names: Vec<String> =
            all.iter().map(|r| format!("{}@{}", r.name, r.version)).collect();
        names.dedup();
        let advice = if names.is_empty() {
            "Save one first: fp8-studio features save PROJECT NAME".to_owned()
        } else {
            format!("There are: {}", names.join(", "))
        };
        UserError::new(format!("There is no feature recipe \"{what}\""), advice)
    })
}

/// How a project differs from the feature recipe that it says it uses; none where it uses none.
///
/// # Errors
/// The recipe is gone or was changed; images.
pub fn skew(
    folder: &Path,
    project: &Project,
    dataset: &Dataset,
    schema: &Schema,
) -> Result<Vec<String>, UserError> {
    let Some(mark) = &project.prep.recipe else { return Ok(Vec::new()) };
    let recipe = find(folder, &format!("{}@{}", mark.name, mark.version))?;
    if recipe.sha256 != mark.sha256 {
        return Ok(vec![format!(
            "version {} of the feature recipe \"{}\" is another one now",
            mark.version, mark.name
        )]);
    }
    Ok(recipe.content.skew(&Content::of(project, dataset, schema)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Progress;

    fn project(folder: &Path, name: &str, text: &str) -> (Project, Dataset, Schema) {
        let path = folder.join(format!("{name}.csv"));
        std::fs::write(&path, text).unwrap();
        let mut p = Project::from_data(&path).unwrap();
        p.folder = folder.join(name);
        p.target = Some("y".to_owned());
        let data = p.open_data(&Progress::default()).unwrap();
        let schema = p.schema(&data).unwrap();
        (p, data, schema)
    }

    fn rows(head: &str, row: impl Fn(usize) -> String) -> String {
        let rows: Vec<String> = (0..40).map(row).collect();
        format!("{head}\n{}\n", rows.join("\n"))
    }

    #[test]
    fn a_recipe_is_saved_found_and_used_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("features");
        let text = rows("size,colour,grade,y", |i| {
            format!("{}.5,{},{},{}", i % 7, ["red", "Red", "blue"][i % 3], i % 3, ["a", "b"][i % 2])
        });
        let (mut one, data, _) = project(dir.path(), "one", &text);
        one.columns.insert("grade".to_owned(), ColumnType::Category);
        one.prep.one_hot_limit = 5;
        one.steps.push(Step::Merge {
            column: "colour".to_owned(),
            spellings: [("Red".to_owned(), "red".to_owned())].into(),
        });
        let schema = one.schema(&data).unwrap();
        let saved = save(&store, "shop", &one, &data, &schema).unwrap();
        assert_eq!((saved.version, saved.content.features.len()), (1, 3));
        assert_eq!(save(&store, "shop", &one, &data, &schema).unwrap(), saved, "nothing new");
        one.prep.text_words = 99;
        let second = save(&store, "shop", &one, &data, &schema).unwrap();
        assert_eq!(second.version, 2);
        assert_ne!(second.sha256, saved.sha256);
        assert_eq!(find(&store, "shop").unwrap(), second);
        assert_eq!(find(&store, "shop@1").unwrap(), saved);
        let e = find(&store, "other").unwrap_err();
        assert!(e.advice.contains("shop@1, shop@2"), "{e}");

        let text = rows("colour,extra,grade,size,y", |i| {
            format!("{},{},{},{}.5,{}", ["red", "Red", "blue"][i % 3], i * i, i % 3, i % 7, i % 2)
        });
        let (mut two, data, schema) = project(dir.path(), "two", &text);
        assert!(skew(&store, &two, &data, &schema).unwrap().is_empty(), "it uses none");
        let applied = second.apply(&mut two, &data).unwrap();
        assert_eq!(applied.matched, ["colour", "grade", "size"]);
        assert_eq!(applied.extra, ["extra"]);
        assert!(applied.absent.is_empty());
        assert_eq!(applied.retyped, [("grade".to_owned(), ColumnType::Number)]);
        assert!(applied.unfit.is_empty(), "categories take every cell");
        assert_eq!(two.prep.recipe, Some(second.mark()));
        two.save().unwrap();
        let two = Project::load(&two.folder).unwrap();
        let data = two.open_data(&Progress::default()).unwrap();
        let schema = two.schema(&data).unwrap();
        let content = Content::of(&two, &data, &schema).unwrap();
        assert_eq!(content.features, second.content.features);
        assert_eq!((&content.rules, &content.prep), (&second.content.rules, &second.content.prep));
        assert!(skew(&store, &two, &data, &schema).unwrap().is_empty());
        // What is changed afterwards is said.
        let mut other = two.clone();
        other.columns.insert("grade".to_owned(), ColumnType::Number);
        other.columns.remove("extra");
        other.prep.one_hot_limit = 6;
        other.steps.clear();
        let data = other.open_data(&Progress::default()).unwrap();
        let schema = other.schema(&data).unwrap();
        let said = skew(&store, &other, &data, &schema).unwrap().join("; ");
        for part in ["\"grade\" is a number here", "\"extra\" is learned", "more than 6", "1 rules"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn cells_that_a_type_cannot_take_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("features");
        let text = rows("size,y", |i| format!("{}.5,{}", i % 7, i % 2));
        let (one, data, schema) = project(dir.path(), "one", &text);
        let saved = save(&store, "sizes", &one, &data, &schema).unwrap();
        let text = rows("size,y", |i| {
            let size = if i % 4 == 1 { "7".to_owned() } else { format!("size {}", i % 3) };
            format!("{},{}", if i == 0 { "" } else { &size }, i % 2)
        });
        let (mut two, data, _) = project(dir.path(), "two", &text);
        let applied = saved.apply(&mut two, &data).unwrap();
        assert_eq!(applied.retyped, [("size".to_owned(), ColumnType::Category)]);
        // 40 rows, one empty, ten with a number; the first that is none is the third row.
        assert_eq!(applied.unfit, [("size".to_owned(), 29, 4)]);
        assert!(applied.lines().join("\n").contains("29 cells of \"size\" do not fit"));
    }

    #[test]
    fn a_changed_recipe_and_one_that_does_not_fit_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("features");
        let text = rows("size,y", |i| format!("{}.5,{}", i % 7, i % 2));
        let (one, data, schema) = project(dir.path(), "one", &text);
        assert!(save(&store, " - ", &one, &data, &schema).is_err());
        let saved = save(&store, "a/b", &one, &data, &schema).unwrap();
        let text = rows("weight,y", |i| format!("{}.5,{}", i % 7, i % 2));
        let (mut two, data, _) = project(dir.path(), "two", &text);
        let before = two.clone();
        let e = saved.apply(&mut two, &data).unwrap_err();
        assert!(e.what.contains("none of the columns"), "{e}");
        assert_eq!(two, before);
        let file = store.join("a_b-v1.json");
        let text = std::fs::read_to_string(&file).unwrap().replace("1024", "1025");
        std::fs::write(&file, text).unwrap();
        assert!(find(&store, "a/b").unwrap_err().what.contains("was changed"));
    }
}
