//! Feature recipes: saved from the open project, listed, looked at before one is used, and compared
//! with what the project does.

use std::path::PathBuf;
use std::sync::Arc;

use super::{AppState, Outcome, ProjectState, Step};
use crate::data::{Dataset, Samples, Schema, steps};
use crate::error::UserError;
use crate::project::Project;
use crate::project::features::{self, Applied, FeatureRecipe};

/// The saved feature recipes, as far as they are known.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Saved {
    /// Not looked for.
    #[default]
    None,
    /// Being read; the number tells a late answer from the one waited for.
    Reading(u64),
    /// The newest first.
    Known(Vec<FeatureRecipe>),
    /// They cannot be read.
    Failed(UserError),
}

/// The recipe saved last.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Saving {
    /// None in this session.
    #[default]
    None,
    /// Being written.
    Running(u64),
    /// Written, or the same as a version that is there.
    Done {
        /// Name.
        name: String,
        /// Version.
        version: u32,
        /// Whether it says something that the version before does not.
        new: bool,
    },
    /// It could not be written.
    Failed(UserError),
}

/// What using a recipe would make of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The project afterwards.
    pub to: Box<Project>,
    /// What becomes of the columns.
    pub applied: Applied,
    /// What the rules of the recipe do to cells.
    pub rules: Vec<steps::Effect>,
}

/// A recipe that is looked at before it is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The recipe.
    pub recipe: Box<FeatureRecipe>,
    /// The project that the effect is of.
    pub of: Box<Project>,
    /// What it would do; `None` while that is worked out.
    pub effect: Option<Result<Effect, UserError>>,
    /// Tells a late answer from the one waited for.
    pub attempt: u64,
}

/// How the project differs from the recipe that it uses.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Skew {
    /// It uses none, or this is not known yet.
    #[default]
    None,
    /// Being compared.
    Running(u64),
    /// In plain sentences; none where it prepares its columns alike.
    Known(Vec<String>),
    /// It cannot be compared.
    Failed(UserError),
}

/// Feature recipes and the open project.
#[derive(Debug, Default)]
pub struct Preparing {
    /// The recipe saved last.
    pub saving: Saving,
    /// A recipe that is looked at.
    pub look: Option<Look>,
    /// How the project differs from the recipe that it uses.
    pub skew: Skew,
    /// What was compared last.
    basis: Option<Box<(Project, Schema)>>,
}

/// Something about feature recipes.
#[derive(Debug, Clone)]
pub enum FeatureCommand {
    /// Read again what is saved.
    List,
    /// Save how the project prepares its columns.
    Save(String),
    /// Work out what using a recipe would change.
    Look(Box<FeatureRecipe>),
    /// Leave that.
    Leave,
    /// Use the recipe that is looked at.
    Use,
    /// No longer say that the project uses a recipe.
    Forget,
}

/// What a task about feature recipes came to.
#[derive(Debug)]
pub enum FeatureOutcome {
    /// They were read, or could not be.
    Listed {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// By name and version.
        result: Result<Vec<FeatureRecipe>, UserError>,
    },
    /// One was saved, or not.
    Saved {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// It, and whether it is a new version.
        result: Result<Box<(FeatureRecipe, bool)>, UserError>,
    },
    /// The effect of one was worked out, or it cannot be used.
    Looked {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// What it would do.
        result: Result<Effect, UserError>,
    },
    /// The project was compared with its recipe, or could not be.
    Compared {
        /// Which attempt, to tell a late answer from the one waited for.
        attempt: u64,
        /// Differences.
        result: Result<Vec<String>, UserError>,
    },
}

/// What of a project a recipe is about.
fn same(a: &Project, b: &Project) -> bool {
    a.target == b.target && a.columns == b.columns && a.prep == b.prep && a.steps == b.steps
}

fn effect(
    recipe: &FeatureRecipe,
    of: &Project,
    current: &Dataset,
    original: &Dataset,
) -> Result<Effect, UserError> {
    let mut to = of.clone();
    let applied = recipe.apply(&mut to, current)?;
    let mut rules = if to.steps == of.steps {
        Vec::new()
    } else {
        steps::apply(original, &to.steps).map_err(UserError::from)?.1
    };
    // They are the last steps.
    let own = rules.len().saturating_sub(applied.rules.len());
    rules.drain(..own);
    Ok(Effect { to: Box::new(to), applied, rules })
}

fn save(
    folder: &std::path::Path,
    name: &str,
    project: &Project,
    dataset: &Dataset,
    schema: &Schema,
) -> Result<Box<(FeatureRecipe, bool)>, UserError> {
    let before = features::list(folder)?;
    let saved = features::save(folder, name, project, dataset, schema)?;
    let new = !before.contains(&saved);
    Ok(Box::new((saved, new)))
}

impl AppState {
    fn features_folder(&self) -> PathBuf {
        self.services.features()
    }

    pub(super) fn feature_command(&mut self, command: FeatureCommand) {
        match command {
            FeatureCommand::List => self.list_features(),
            FeatureCommand::Save(name) => self.save_features(name),
            FeatureCommand::Look(recipe) => self.look_at_features(recipe),
            FeatureCommand::Leave => {
                if let Some(project) = self.project_mut() {
                    project.preparing.look = None;
                }
            }
            FeatureCommand::Use => self.use_features(),
            FeatureCommand::Forget => {
                self.edit("the feature recipe in use", |p| p.prep.recipe = None);
            }
        }
    }

    pub(super) fn feature_outcome(&mut self, outcome: FeatureOutcome) {
        match outcome {
            FeatureOutcome::Listed { attempt, result } => {
                if self.features == Saved::Reading(attempt) {
                    self.features = match result {
                        Ok(mut all) => {
                            all.sort_by(|a, b| b.saved.cmp(&a.saved));
                            Saved::Known(all)
                        }
                        Err(e) => Saved::Failed(e),
                    };
                }
            }
            FeatureOutcome::Saved { attempt, result } => {
                let Some(project) = self.project_mut() else { return };
                if project.preparing.saving != Saving::Running(attempt) {
                    return;
                }
                match result {
                    Ok(saved) => {
                        let (recipe, new) = *saved;
                        let (name, version) = (recipe.name, recipe.version);
                        project.preparing.saving = Saving::Done { name, version, new };
                        self.list_features();
                    }
                    Err(e) => project.preparing.saving = Saving::Failed(e),
                }
            }
            FeatureOutcome::Looked { attempt, result } => {
                let look = self.project_mut().and_then(|p| p.preparing.look.as_mut());
                if let Some(look) = look.filter(|l| l.attempt == attempt) {
                    look.effect = Some(result);
                }
            }
            FeatureOutcome::Compared { attempt, result } => {
                if let Some(project) = self.project_mut()
                    && project.preparing.skew == Skew::Running(attempt)
                {
                    project.preparing.skew = match result {
                        Ok(found) => Skew::Known(found),
                        Err(e) => Skew::Failed(e),
                    };
                }
            }
        }
    }

    fn list_features(&mut self) {
        let attempt = self.attempt();
        let folder = self.features_folder();
        self.features = Saved::Reading(attempt);
        let answer = move |result| Outcome::Features(FeatureOutcome::Listed { attempt, result });
        self.tasks.spawn(
            "Reading feature recipes",
            false,
            &self.wake,
            move |_| answer(features::list(&folder)),
            move |e| answer(Err(e)),
        );
    }

    fn save_features(&mut self, name: String) {
        let attempt = self.attempt();
        let folder = self.features_folder();
        let Some(project) = self.project_mut() else { return };
        let Ok(schema) = project.schema().cloned() else { return };
        let (basis, dataset) = (project.project.clone(), Arc::clone(&project.dataset));
        project.preparing.saving = Saving::Running(attempt);
        let answer = move |result| Outcome::Features(FeatureOutcome::Saved { attempt, result });
        self.tasks.spawn(
            "Saving a feature recipe",
            false,
            &self.wake,
            move |_| answer(save(&folder, &name, &basis, &dataset, &schema)),
            move |e| answer(Err(e)),
        );
    }

    fn look_at_features(&mut self, recipe: Box<FeatureRecipe>) {
        let attempt = self.attempt();
        let Some(project) = self.project_mut() else { return };
        let of = Box::new(project.project.clone());
        let (current, original) = (Arc::clone(&project.dataset), Arc::clone(&project.original));
        let (with, before) = (recipe.clone(), of.clone());
        project.preparing.look = Some(Look { recipe, of, effect: None, attempt });
        let answer = move |result| Outcome::Features(FeatureOutcome::Looked { attempt, result });
        self.tasks.spawn(
            "Working out what would change",
            false,
            &self.wake,
            move |_| answer(effect(&with, &before, &current, &original)),
            move |e| answer(Err(e)),
        );
    }

    fn use_features(&mut self) {
        let Some(project) = self.project_mut() else { return };
        let Some(look) = project.preparing.look.take() else { return };
        if !same(&look.of, &project.project) {
            // Edited since; what would change is another thing now.
            self.look_at_features(look.recipe);
            return;
        }
        let Some(Ok(effect)) = look.effect else { return };
        let redo = effect.to.steps != project.project.steps;
        let details = serde_json::json!({ "recipe": look.recipe.mark(), "report": effect.applied });
        self.edit("a feature recipe", |p| {
            p.columns = effect.to.columns;
            p.prep = effect.to.prep;
            p.steps = effect.to.steps;
        });
        self.log("feature recipe used", details);
        if redo {
            self.do_steps();
        } else {
            self.infer_schema();
        }
    }

    /// Reads the saved recipes once Data is in view, and compares the project with its own whenever
    /// it has changed.
    pub(super) fn features_if_needed(&mut self) {
        let table = |p: &ProjectState| matches!(p.dataset.samples, Samples::Table(_));
        if !self.in_view || self.step != Step::Data || !self.project().is_some_and(table) {
            return;
        }
        if self.features == Saved::None {
            self.list_features();
        }
        let attempt = self.attempts + 1;
        let folder = self.features_folder();
        let Some(project) = self.project_mut() else { return };
        if project.project.prep.recipe.is_none() {
            project.preparing.skew = Skew::None;
            project.preparing.basis = None;
            return;
        }
        let Ok(schema) = project.schema().cloned() else { return };
        let old = project.preparing.basis.as_ref();
        if old.is_some_and(|b| same(&b.0, &project.project) && b.1 == schema) {
            return;
        }
        let basis = project.project.clone();
        let dataset = Arc::clone(&project.dataset);
        project.preparing.basis = Some(Box::new((basis.clone(), schema.clone())));
        project.preparing.skew = Skew::Running(attempt);
        self.attempts = attempt;
        let answer = move |result| Outcome::Features(FeatureOutcome::Compared { attempt, result });
        self.tasks.spawn(
            "Comparing with the feature recipe",
            false,
            &self.wake,
            move |_| answer(features::skew(&folder, &basis, &dataset, &schema)),
            move |e| answer(Err(e)),
        );
    }
}
