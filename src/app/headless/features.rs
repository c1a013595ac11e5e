//! `fp8-studio features`.

use super::args::{DataArgs, FeaturesArgs, FeaturesCommand};
use super::{source, terminal};
use crate::error::UserError;
use crate::project::{self, features};

/// Saves, lists, shows, uses or compares feature recipes.
pub(super) fn run(args: &FeaturesArgs) -> Result<u8, UserError> {
    let folder = features::folder();
    match &args.command {
        FeaturesCommand::Save { project, name } => {
            let source = source::open_with(project, &DataArgs::default(), false)?;
            let recipe =
                features::save(&folder, name, &source.project, &source.dataset, &source.schema)?;
            terminal::out(&format!(
                "{} version {}: {} columns, {} rules\nsha256 {}\n",
                recipe.name,
                recipe.version,
                recipe.content.features.len(),
                recipe.content.rules.len(),
                recipe.sha256
            ))?;
            Ok(0)
        }
        FeaturesCommand::List { json } => {
            let all = features::list(&folder)?;
            if *json {
                terminal::json(&all)?;
            } else if all.is_empty() {
                terminal::out("No feature recipe is saved yet.\n")?;
            } else {
                let head = ["feature recipe", "version", "columns", "rules", "from", "saved (UTC)"];
                let mut rows = vec![head.map(str::to_owned).to_vec()];
                rows.extend(all.iter().map(|r| {
                    vec![
                        r.name.clone(),
                        r.version.to_string(),
                        r.content.features.len().to_string(),
                        r.content.rules.len().to_string(),
                        r.project.clone(),
                        r.saved.get(..16).unwrap_or(&r.saved).replace('T', " "),
                    ]
                }));
                terminal::out(&terminal::table(&rows))?;
            }
            Ok(0)
        }
        FeaturesCommand::Show { recipe } => {
            terminal::json(&features::find(&folder, recipe)?)?;
            Ok(0)
        }
        FeaturesCommand::Apply { project, recipe } => {
            let recipe = features::find(&folder, recipe)?;
            let mut source = source::open_with(project, &DataArgs::default(), false)?;
            // A guess of what is predicted would change with the types of the columns.
            source.project.target = Some(source.schema.target.clone());
            let applied = recipe.apply(&mut source.project, &source.dataset)?;
            source.project.save()?;
            let details = serde_json::json!({ "recipe": recipe.mark(), "report": applied });
            project::record(&source.project.folder, "feature recipe used", details)?;
            let lines = applied.lines().join("\n  ");
            terminal::out(&format!("{} version {}\n  {lines}\n", recipe.name, recipe.version))?;
            Ok(if applied.absent.is_empty() { 0 } else { super::WARNINGS })
        }
        FeaturesCommand::Check { project } => {
            let source = source::open_with(project, &DataArgs::default(), false)?;
            let Some(mark) = &source.project.prep.recipe else {
                terminal::out("This project uses no feature recipe.\n")?;
                return Ok(0);
            };
            let found = features::skew(&folder, &source.project, &source.dataset, &source.schema)?;
            let name = format!("{} version {}", mark.name, mark.version);
            if found.is_empty() {
                terminal::out(&format!("Columns are prepared as {name} says.\n"))?;
                return Ok(0);
            }
            terminal::out(&format!("Differs from {name}:\n  {}\n", found.join("\n  ")))?;
            Ok(super::WARNINGS)
        }
    }
}

/// Says how a project that uses a feature recipe differs from it.
pub(super) fn say_skew(source: &source::Source) {
    let folder = features::folder();
    match features::skew(&folder, &source.project, &source.dataset, &source.schema) {
        Ok(found) if found.is_empty() => {}
        Ok(found) => terminal::note(&format!(
            "The columns are not prepared as the feature recipe says: {}.",
            found.join("; ")
        )),
        Err(e) => terminal::note(&format!("The feature recipe cannot be compared: {}.", e.what)),
    }
}
