//! Everything that can be done from the keyboard: one list for the shortcuts, for the command palette
//! and for the list of shortcuts.

use egui::{Key, KeyboardShortcut, Modifiers};

use super::glossary::TERMS;
use super::overlay::Overlay;
use super::screens::{self, Local};
use crate::app::prefs::{ZOOM_MAX, ZOOM_MIN};
use crate::app::{
    AppState, Command, LiveRun, Pick, Preset, RunCommand, Step, StepStatus, ThemeChoice, Workspace,
};
use crate::text::{of, shown};
use crate::tr;
use crate::train::{Control, RunState};

/// What an action does.
#[derive(Debug, Clone)]
pub enum Act {
    /// A command to the application.
    Do(Command),
    /// Opens something over the window.
    Open(Overlay),
    /// Opens the explanation of a term.
    Explain(usize),
    /// Starts the tour.
    Tour,
    /// Shows all runs.
    Runs,
    /// Shows where the model can be tried.
    TryIt,
}

/// One action.
#[derive(Debug, Clone)]
pub struct Action {
    /// What it is called.
    pub label: String,
    /// Keys.
    pub keys: Option<KeyboardShortcut>,
    /// Why it cannot be done now, if so.
    pub blocked: Option<String>,
    /// What it does.
    pub act: Act,
    /// Shown only when searched for.
    pub hidden: bool,
    /// Left to the text field while one has the focus.
    pub not_in_text: bool,
}

impl Action {
    fn new(label: impl Into<String>, act: Act) -> Self {
        Self {
            label: label.into(),
            keys: None,
            blocked: None,
            act,
            hidden: false,
            not_in_text: false,
        }
    }

    fn command(label: impl Into<String>, command: Command) -> Self {
        Self::new(label, Act::Do(command))
    }

    fn keys(self, modifiers: Modifiers, key: Key) -> Self {
        Self { keys: Some(KeyboardShortcut::new(modifiers, key)), ..self }
    }

    fn blocked(self, why: Option<impl Into<String>>) -> Self {
        Self { blocked: why.map(|why| shown(&why.into()).into_owned()), ..self }
    }

    /// Does it.
    pub fn run(&self, local: &mut Local, out: &mut Vec<Command>) {
        if self.blocked.is_some() {
            return;
        }
        match &self.act {
            Act::Do(command) => out.push(command.clone()),
            Act::Open(overlay) => local.overlay.open(*overlay),
            Act::Explain(term) => local.overlay.explain(*term),
            Act::Tour => local.overlay.start_tour(),
            Act::Runs => {
                local.runs.all = true;
                out.push(Command::Go(Step::Train));
            }
            Act::TryIt => {
                local.evaluate.show_trying();
                out.push(Command::Go(Step::Evaluate));
            }
        }
    }
}

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers { shift: true, ..Modifiers::COMMAND };

/// All actions as things stand, the likeliest first.
pub fn all(state: &AppState) -> Vec<Action> {
    let mut list = Vec::with_capacity(96);
    if let Some(next) = screens::action(state) {
        let label = next.label.clone();
        list.push(
            Action::command(label, next.command.clone())
                .blocked(next.blocked)
                .keys(CTRL, Key::Enter),
        );
    }
    steps(state, &mut list);
    files(state, &mut list);
    edits(state, &mut list);
    training(state, &mut list);
    view(state, &mut list);
    help(&mut list);
    list
}

fn locked(state: &AppState, step: Step) -> Option<&'static str> {
    match state.status(step) {
        StepStatus::Locked(why) => Some(of(why)),
        _ => None,
    }
}

fn steps(state: &AppState, list: &mut Vec<Action>) {
    const KEYS: [Key; 8] =
        [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8];
    for (step, key) in Step::ALL.into_iter().zip(KEYS) {
        list.push(
            Action::command(tr!("Go to {step}", step = of(step.name())), Command::Go(step))
                .blocked(locked(state, step))
                .keys(CTRL, key),
        );
    }
    let runs = locked(state, Step::Train);
    list.push(Action::new(tr!("Show all runs"), Act::Runs).blocked(runs).keys(CTRL, Key::H));
    let model = locked(state, Step::Evaluate);
    list.push(Action::new(tr!("Try the model"), Act::TryIt).blocked(model).keys(CTRL, Key::T));
}

fn files(state: &AppState, list: &mut Vec<Action>) {
    let blocked = state.close_blocked();
    let none = state.project().is_none().then_some(tr!("No project is open."));
    let open = |label: &str, pick| Action::command(label, Command::Pick(pick));
    list.push(open(tr!("Open file…"), Pick::DataFile).keys(CTRL, Key::O));
    list.push(open(tr!("Open folder…"), Pick::Folder).keys(CTRL_SHIFT, Key::O));
    let save_as = Action::command(tr!("Save project as…"), Command::Pick(Pick::SaveAs));
    list.push(save_as.blocked(none.or(blocked.map(of))).keys(CTRL_SHIFT, Key::S));
    let close = Action::command(tr!("Close the project"), Command::Close);
    list.push(close.blocked(none.or(blocked.map(of))).keys(CTRL, Key::W));
    let tabs = state.tabs();
    let one = (tabs.len() < 2).then_some(tr!("No other project is open."));
    let next = Action::command(tr!("Next open project"), Command::NextTab { back: false });
    list.push(next.blocked(one).keys(CTRL, Key::PageDown));
    let back = Action::command(tr!("Previous open project"), Command::NextTab { back: true });
    list.push(back.blocked(one).keys(CTRL, Key::PageUp));
    for tab in tabs.iter().filter(|t| !t.in_view) {
        let label = tr!("Show open project {name}", name = tab.name);
        list.push(Action::command(label, Command::SwitchTo(tab.id)));
    }
    for recent in &state.prefs.recent {
        let label = tr!("Open recent project {name}", name = recent.name);
        list.push(Action::command(label, Command::Open(recent.folder.clone())));
    }
    for sample in &state.samples {
        let label = tr!("Open sample {name}", name = shown(&sample.name));
        let command = Command::OpenSample(sample.id.clone());
        list.push(Action::command(label, command));
    }
    let export = locked(state, Step::Export);
    list.push(
        Action::command(tr!("Save model file…"), Command::Pick(Pick::ExportTo)).blocked(export),
    );
    let watch = locked(state, Step::Monitor);
    let new = Action::command(tr!("Check new data…"), Command::Pick(Pick::NewData));
    list.push(new.blocked(watch));
    let judged = state
        .project()
        .is_some_and(|p| matches!(p.evaluation, crate::app::EvaluationState::Done(_)));
    let report = (!judged).then_some(tr!("Judge the model in Evaluate first."));
    list.push(Action::command(tr!("Save report…"), Command::Pick(Pick::ReportTo)).blocked(report));
}

fn edits(state: &AppState, list: &mut Vec<Action>) {
    let project = state.project();
    let undo = project.and_then(|p| p.undo.undo_label());
    let redo = project.and_then(|p| p.undo.redo_label());
    let label = |word: &str, what: Option<&str>| match what {
        Some(what) => format!("{word}: {}", shown(what)),
        None => word.to_owned(),
    };
    let nothing = |what: Option<&str>, why| what.is_none().then_some(why);
    let redo_blocked = nothing(redo, tr!("There is nothing to bring back."));
    // Before undo, which has the same key without Shift.
    for key in [Key::Z, Key::Y] {
        let keys = if key == Key::Z { CTRL_SHIFT } else { CTRL };
        let action = Action::command(label(tr!("Redo"), redo), Command::Redo).keys(keys, key);
        let hidden = key == Key::Y;
        list.push(Action { not_in_text: true, hidden, ..action.blocked(redo_blocked) });
    }
    let action = Action::command(label(tr!("Undo"), undo), Command::Undo).keys(CTRL, Key::Z);
    let undo_blocked = nothing(undo, tr!("There is nothing to take back."));
    list.push(Action { not_in_text: true, ..action.blocked(undo_blocked) });
    if project.is_some_and(|p| !p.history.deleted.is_empty()) {
        let restore = Command::Runs(RunCommand::Restore);
        list.push(Action::command(tr!("Bring back the deleted run"), restore));
    }
}

fn training(state: &AppState, list: &mut Vec<Action>) {
    let Workspace::Open(project) = &state.workspace else { return };
    let running = project.run.as_ref().filter(|r| r.active());
    match running {
        None => {
            let label =
                if project.run.is_some() { tr!("Train again") } else { tr!("Start training") };
            let blocked = project.train_blocked();
            list.push(Action::command(label, Command::Train).blocked(blocked));
        }
        Some(run) => {
            let busy = matches!(run.state, RunState::Preparing | RunState::Finishing)
                .then_some(tr!("Possible while it trains."));
            let (label, control) = match run.state {
                RunState::Paused => (tr!("Resume training"), Control::Resume),
                _ => (tr!("Pause training"), Control::Pause),
            };
            for (label, control) in [
                (label, control),
                (tr!("Stop training and keep the best"), Control::StopAndKeepBest),
            ] {
                let action = Action::command(label, Command::Control(control));
                list.push(action.blocked(busy));
            }
        }
    }
    for preset in Preset::ALL {
        let label = tr!("Use the preset {preset}", preset = of(preset.name()));
        list.push(Action::command(label, Command::ApplyPreset(preset)));
    }
    let done = project.run.as_ref().is_some_and(|r: &LiveRun| r.state == RunState::Done);
    let blocked = (!done).then_some(tr!("Train a model first."));
    list.push(Action::command(tr!("Judge the model again"), Command::Evaluate).blocked(blocked));
    list.push(
        Action::command(tr!("Compare FP8 with bf16 and f32"), Command::Compare).blocked(blocked),
    );
    list.push(Action::command(tr!("Check the data again"), Command::Check));
}

fn view(state: &AppState, list: &mut Vec<Action>) {
    let zoom = state.prefs.zoom;
    let most = (zoom >= ZOOM_MAX - 0.01).then_some(tr!("200 % is the largest."));
    let least = (zoom <= ZOOM_MIN + 0.01).then_some(tr!("100 % is the smallest."));
    let larger = || Action::command(tr!("Larger"), Command::SetZoom(zoom + 0.1)).blocked(most);
    list.push(larger().keys(CTRL, Key::Plus));
    list.push(Action { hidden: true, ..larger().keys(CTRL, Key::Equals) });
    let smaller = Action::command(tr!("Smaller"), Command::SetZoom(zoom - 0.1)).blocked(least);
    list.push(smaller.keys(CTRL, Key::Minus));
    list.push(Action::command(tr!("Normal size"), Command::SetZoom(1.0)).keys(CTRL, Key::Num0));
    for (theme, label) in [
        (ThemeChoice::Light, tr!("Light colours")),
        (ThemeChoice::Dark, tr!("Dark colours")),
        (ThemeChoice::System, tr!("Colours as the system")),
    ] {
        list.push(Action::command(label, Command::SetTheme(theme)));
    }
}

fn help(list: &mut Vec<Action>) {
    list.push(Action::new(tr!("All commands"), Act::Open(Overlay::Palette)).keys(CTRL, Key::K));
    let glossary = Action::new(tr!("Glossary"), Act::Open(Overlay::Glossary));
    list.push(glossary.keys(Modifiers::NONE, Key::F1));
    let keys = Action::new(tr!("Keyboard shortcuts"), Act::Open(Overlay::Shortcuts));
    list.push(keys.keys(CTRL, Key::Slash));
    let playground = Action::new(tr!("FP8 playground"), Act::Open(Overlay::Playground));
    list.push(playground.keys(CTRL, Key::P));
    list.push(Action::new(tr!("Take the tour"), Act::Tour));
    for (index, term) in TERMS.iter().enumerate() {
        let label = tr!("What is: {name}", name = of(term.name));
        list.push(Action { hidden: true, ..Action::new(label, Act::Explain(index)) });
    }
}

/// Whether a key was pressed that may be one of the shortcuts; looking is cheaper than making the
/// list.
pub fn pressed(input: &egui::InputState) -> bool {
    input.events.iter().any(|e| match e {
        egui::Event::Key { key, pressed: true, modifiers, .. } => {
            modifiers.command || *key == Key::F1
        }
        _ => false,
    })
}

/// How well a label matches what was typed: lower is better, `None` not at all. All letters must come
/// in order; whole words and beginnings are better than scattered letters.
pub fn match_rank(label: &str, typed: &str) -> Option<usize> {
    let (label, typed) = (label.to_lowercase(), typed.trim().to_lowercase());
    if typed.is_empty() || label.starts_with(&typed) {
        return Some(0);
    }
    if let Some(at) = label.find(&typed) {
        let start = label.get(..at).and_then(|s| s.chars().next_back());
        return Some(if start.is_some_and(char::is_alphanumeric) { 20 } else { 10 });
    }
    let words: Vec<&str> = typed.split_whitespace().collect();
    if words.len() > 1 && words.iter().all(|w| label.contains(w)) {
        return Some(30);
    }
    let mut letters = label.chars();
    let mut skipped = 0;
    for c in typed.chars().filter(|c| !c.is_whitespace()) {
        skipped += letters.position(|l| l == c)?;
    }
    Some(100 + skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_matches_come_first() {
        let rank = |label| match_rank(label, "open fi");
        assert_eq!(rank("Open file…"), Some(0));
        assert!(match_rank("Save report…", "report") < match_rank("Save report…", "eport"));
        assert!(match_rank("Go to Evaluate", "goev").is_some_and(|r| r >= 100));
        assert_eq!(match_rank("Go to Data", "xyz"), None);
        assert_eq!(match_rank("Go to Data", "datax"), None);
        assert_eq!(match_rank("anything", ""), Some(0));
        assert_eq!(match_rank("Compare FP8 with bf16 and f32", "f32 compare"), Some(30));
    }
}
