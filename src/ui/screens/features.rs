//! Feature recipes: how the columns are prepared, saved under a name and used again in another project.

use egui::{Label, Ui};

use super::data::type_name;
use crate::app::preparing::{Effect, Look, Saved, Saving, Skew};
use crate::app::{AppState, Command, FeatureCommand, ProjectState};
use crate::data::ColumnType;
use crate::project::features::FeatureRecipe;
use crate::text::shown;
use crate::ui::icons;
use crate::ui::theme::space;
use crate::ui::widgets::field::text_field;
use crate::ui::widgets::{self, Button, Kind, Mood, badge, card, problem, small, strong};
use crate::{tr, trn};

/// Recipes listed before one asks for more.
const SHOWN: usize = 4;
/// Names of columns in one line.
const NAMES: usize = 12;

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    name: String,
    /// Whether a name was typed.
    typed: bool,
    all: bool,
}

fn send(out: &mut Vec<Command>, command: FeatureCommand) {
    out.push(Command::Features(command));
}

/// Draws the card.
pub fn show(
    ui: &mut Ui,
    state: &AppState,
    project: &ProjectState,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        strong(ui, tr!("Feature recipes"));
        small(
            ui,
            tr!(
                "How the columns are prepared: types, rules for cells, and settings. Kept under a name, it lets another project prepare its columns alike."
            ),
        );
        in_use(ui, project, out);
        if let Some(look) = &project.preparing.look {
            preview(ui, project, look, out);
            return;
        }
        list(ui, state, project, local, out);
        ui.separator();
        save(ui, project, local, out);
    });
}

fn version(name: &str, version: u32) -> String {
    tr!("{name}, version {version}", name, version)
}

/// The recipe that the project uses, and whether it does as that says.
fn in_use(ui: &mut Ui, project: &ProjectState, out: &mut Vec<Command>) {
    let Some(mark) = &project.project.prep.recipe else { return };
    ui.add(Label::new(tr!("In use: {recipe}", recipe = version(&mark.name, mark.version))).wrap());
    match &project.preparing.skew {
        Skew::None | Skew::Running(_) => working(ui, tr!("Comparing with the recipe…")),
        Skew::Known(found) if found.is_empty() => {
            badge(ui, Mood::Good, Some(icons::CHECK), tr!("prepared as it says"));
        }
        Skew::Known(found) => {
            let text = trn!(found.len(), "{n} difference", "{n} differences", n = found.len());
            badge(ui, Mood::Warn, Some(icons::WARNING), &text);
            for line in found {
                small(ui, format!("{}.", shown(line)));
            }
        }
        Skew::Failed(error) => failure(ui, error),
    }
    let trained = project.run.as_ref().and_then(|r| r.basis.prep.recipe.as_ref());
    if let Some(trained) = trained.filter(|t| *t != mark) {
        let recipe = version(&trained.name, trained.version);
        problem(ui, &tr!("The model was trained with {recipe}. Train again.", recipe));
    }
    let hint = tr!("Types, rules and settings stay; only the comparison ends");
    let forget = Button::new(Kind::Quiet, tr!("No longer use it")).small().hint(hint);
    if forget.pressed(ui) {
        send(out, FeatureCommand::Forget);
    }
}

fn working(ui: &mut Ui, text: &str) {
    ui.horizontal(|ui| {
        ui.add(egui::Spinner::new().size(16.0)).accessible_name(tr!("Working"));
        small(ui, text);
    });
}

fn failure(ui: &mut Ui, error: &crate::error::UserError) {
    let (what, below) = widgets::state::error_texts(error);
    problem(ui, &what);
    small(ui, below);
}

fn list(
    ui: &mut Ui,
    state: &AppState,
    project: &ProjectState,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    let all = match &state.features {
        Saved::None | Saved::Reading(_) => {
            working(ui, tr!("Reading the saved recipes…"));
            return;
        }
        Saved::Failed(error) => {
            failure(ui, error);
            if Button::secondary(tr!("Read them again")).small().pressed(ui) {
                send(out, FeatureCommand::List);
            }
            return;
        }
        Saved::Known(all) if all.is_empty() => {
            small(ui, tr!("None is saved yet."));
            return;
        }
        Saved::Known(all) => all,
    };
    let blocked = if project.project.target.is_none() {
        Some(tr!("Choose first what to predict."))
    } else {
        project.schema().err().map(crate::text::of)
    };
    let listed = if local.all { all.len() } else { SHOWN.min(all.len()) };
    for recipe in all.iter().take(listed) {
        one(ui, project, recipe, blocked, out);
    }
    if all.len() > SHOWN {
        let label = super::monitor::fewer_or_more(local.all, all.len() - SHOWN);
        let name = tr!("Show more or fewer feature recipes");
        if Button::new(Kind::Quiet, &label).small().name(name).pressed(ui) {
            local.all = !local.all;
        }
    }
}

fn one(
    ui: &mut Ui,
    project: &ProjectState,
    recipe: &FeatureRecipe,
    blocked: Option<&str>,
    out: &mut Vec<Command>,
) {
    let title = version(&recipe.name, recipe.version);
    let used = project.project.prep.recipe.as_ref() == Some(&recipe.mark());
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.add(Label::new(egui::RichText::new(&title).font(crate::ui::theme::medium())).wrap());
        let n = recipe.content.features.len();
        let columns = trn!(n, "{n} column", "{n} columns", n);
        let rules = rules(recipe.content.rules.len());
        let day = recipe.saved.get(..16).unwrap_or(&recipe.saved).replace('T', " ");
        small(
            ui,
            tr!("{columns}, {rules}, from {project}", columns, rules, project = recipe.project),
        );
        small(ui, tr!("saved {day} UTC", day));
    });
    let blocked = if used { Some(tr!("It is in use.")) } else { blocked };
    let name = tr!("See what {recipe} would change", recipe = title);
    let see = Button::secondary(tr!("See what it changes…")).small().name(&name);
    if see.blocked(blocked).pressed(ui) {
        send(out, FeatureCommand::Look(Box::new(recipe.clone())));
    }
}

fn save(ui: &mut Ui, project: &ProjectState, local: &mut Local, out: &mut Vec<Command>) {
    if !local.typed && local.name.is_empty() {
        let used = project.project.prep.recipe.as_ref();
        local.name = used.map_or(&project.project.name, |mark| &mark.name).clone();
    }
    let label = small(ui, tr!("Save how the columns are prepared here as"));
    let width = ui.available_width() - 20.0;
    let field = text_field(ui, &mut local.name, width, false).labelled_by(label.id);
    local.typed |= field.changed();
    let nameless = !local.name.chars().any(char::is_alphanumeric);
    let blocked = match project.schema() {
        Err(why) => Some(crate::text::of(why)),
        Ok(_) if nameless => Some(tr!("Give it a name with letters or digits.")),
        Ok(_) if matches!(project.preparing.saving, Saving::Running(_)) => {
            Some(tr!("It is being saved."))
        }
        Ok(_) => None,
    };
    if Button::secondary(tr!("Save the feature recipe")).small().blocked(blocked).pressed(ui) {
        send(out, FeatureCommand::Save(local.name.clone()));
    }
    match &project.preparing.saving {
        Saving::None => {}
        Saving::Running(_) => working(ui, tr!("Saving…")),
        Saving::Done { name, version: v, new } => {
            let recipe = version(name, *v);
            let text = if *new {
                tr!("Saved as {recipe}.", recipe)
            } else {
                tr!("{recipe} says the same already.", recipe)
            };
            small(ui, text);
        }
        Saving::Failed(error) => failure(ui, error),
    }
}

fn preview(ui: &mut Ui, project: &ProjectState, look: &Look, out: &mut Vec<Command>) {
    ui.separator();
    strong(ui, version(&look.recipe.name, look.recipe.version));
    let blocked = match &look.effect {
        None => {
            working(ui, tr!("Working out what would change…"));
            Some(tr!("What would change is being worked out."))
        }
        Some(Err(error)) => {
            failure(ui, error);
            Some(tr!("It cannot be used here."))
        }
        Some(Ok(effect)) => {
            changes(ui, project, effect);
            None
        }
    };
    ui.horizontal_wrapped(|ui| {
        if Button::primary(tr!("Use it here")).small().blocked(blocked).pressed(ui) {
            send(out, FeatureCommand::Use);
        }
        if Button::secondary(tr!("Leave as it is")).small().pressed(ui) {
            send(out, FeatureCommand::Leave);
        }
    });
}

fn rules(n: usize) -> String {
    trn!(n, "{n} rule", "{n} rules", n)
}

fn names(all: &[String]) -> String {
    let names = all.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMES) {
        0 => names,
        more => tr!("{names} and {more} more", names, more = super::count(more)),
    }
}

fn changes(ui: &mut Ui, project: &ProjectState, effect: &Effect) {
    let applied = &effect.applied;
    small(ui, tr!("Prepared as it says: {columns}.", columns = names(&applied.matched)));
    for (name, before) in &applied.retyped {
        let after = effect.to.columns.get(name).copied().unwrap_or(*before);
        let (before, after) = (type_name(*before).0, type_name(after).0);
        small(ui, tr!("{name}: {before} becomes {after}.", name, before, after));
    }
    for (name, cells, row) in &applied.unfit {
        let cells = trn!(*cells, "{n} cell", "{n} cells", n = cells);
        problem(
            ui,
            &tr!(
                "{cells} of {name} do not fit, the first in row {row}; they count as missing.",
                cells,
                name,
                row
            ),
        );
    }
    if !applied.absent.is_empty() {
        let columns = names(&applied.absent);
        problem(ui, &tr!("In the recipe, but not in this data: {columns}.", columns));
    }
    if !applied.extra.is_empty() {
        let columns = names(&applied.extra);
        small(ui, tr!("Unknown to the recipe, so no longer learned from: {columns}.", columns));
    }
    let left: Vec<String> = project
        .columns()
        .into_iter()
        .filter(|(name, kind)| {
            *kind != ColumnType::Ignore
                && effect.to.columns.get(name) == Some(&ColumnType::Ignore)
                && !applied.extra.contains(name)
        })
        .map(|(name, _)| name)
        .collect();
    if !left.is_empty() {
        small(ui, tr!("Left out, as in the recipe: {columns}.", columns = names(&left)));
    }
    let (before, after) = (&project.project.prep, &effect.to.prep);
    if before.one_hot_limit != after.one_hot_limit {
        let (before, after) = (before.one_hot_limit, after.one_hot_limit);
        small(
            ui,
            tr!(
                "Categories get a learned table above {after} values, not {before}.",
                before,
                after
            ),
        );
    }
    if before.text_words != after.text_words {
        let (before, after) = (before.text_words, after.text_words);
        small(ui, tr!("{after} words are counted in texts, not {before}.", before, after));
    }
    for rule in &effect.rules {
        small(ui, format!("{}: {}.", shown(&rule.label), shown(&rule.sentence())));
    }
    let taken = &project.project.steps;
    let gone = taken.iter().filter(|s| !effect.to.steps.contains(s)).count();
    if gone > 0 {
        let rules = rules(gone);
        small(ui, tr!("Taken off, as the recipe decides on these columns: {rules}.", rules));
    }
}
