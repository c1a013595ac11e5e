//! One file per step.

pub mod check;
mod column_profile;
pub mod configure;
pub mod data;
pub mod evaluate;
pub mod export;
mod features;
mod folds;
mod gradients;
pub mod home;
pub mod insight;
mod live_groups;
pub mod monitor;
mod reading;
pub mod run;
pub mod runs;
mod safeguards;
pub mod sealed;
pub mod tensors;
pub mod train;
pub mod watching;

use std::borrow::Borrow;

use egui::Ui;

use std::path::PathBuf;

use super::overlay::Local as Overlays;
use super::shell::Action;
use super::widgets::save::Camera;
use crate::app::{AppState, Command, MonitorCommand, Step, Workspace};
use crate::metrics::MetricKind;
use crate::text::{figure, group_mark};
use crate::tr;

/// What only the drawing needs to know, by step.
#[derive(Debug, Default)]
pub struct Local {
    /// Data.
    pub data: data::Local,
    /// Check.
    pub check: check::Local,
    /// Configure.
    pub configure: configure::Local,
    /// Train.
    pub train: train::Local,
    /// All runs.
    pub runs: runs::Local,
    /// Evaluate.
    pub evaluate: evaluate::Local,
    /// Monitor.
    pub monitor: monitor::Local,
    /// Passphrases being typed.
    pub sealed: sealed::Local,
    /// What is open over the window.
    pub overlay: Overlays,
    /// Plots on their way to files.
    pub camera: Camera,
}

/// What a file dropped on the window asks for.
pub fn dropped(state: &AppState, local: &Local, path: PathBuf) -> Command {
    let trained = !matches!(state.status(Step::Monitor), crate::app::StepStatus::Locked(_));
    if state.step == Step::Monitor && trained {
        return Command::Monitor(MonitorCommand::Check(path));
    }
    let tried = (state.step == Step::Evaluate && local.evaluate.trying())
        .then(|| state.project())
        .flatten()
        .and_then(|project| evaluate::try_it::dropped(&project.dataset, &path));
    tried.unwrap_or(Command::Open(path))
}

/// Draws the step in view.
pub fn show(ui: &mut Ui, state: &AppState, local: &mut Local, out: &mut Vec<Command>) {
    match state.step {
        Step::Home => home::show(ui, state, out),
        Step::Data => match &state.workspace {
            Workspace::Sealed { path, opening, error } => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let (opening, error) = (opening.is_some(), error.as_ref());
                sealed::show(ui, &name, opening, error, &mut local.sealed, out);
            }
            _ => data::show(ui, state, &mut local.data, out),
        },
        Step::Check => check::show(ui, state, &mut local.check, out),
        Step::Configure => configure::show(ui, state, &mut local.configure, out),
        Step::Train => {
            if let Some(project) = state.project() {
                runs::switch(ui, project, &mut local.runs);
            }
            if local.runs.all {
                runs::show(ui, state, &mut local.runs, out);
            } else {
                train::show(ui, state, &mut local.train, out);
            }
        }
        Step::Evaluate => evaluate::show(ui, state, &mut local.evaluate, out),
        Step::Export => export::show(ui, state, &mut local.sealed, out),
        Step::Monitor => monitor::show(ui, state, &mut local.monitor, out),
    }
}

/// The next action of the step in view.
pub fn action(state: &AppState) -> Option<Action> {
    match state.step {
        Step::Home => home::action(state),
        Step::Data => data::action(state),
        Step::Check => check::action(state),
        Step::Configure => configure::action(state),
        Step::Train => train::action(state),
        Step::Evaluate => evaluate::action(state),
        Step::Export => export::action(state),
        Step::Monitor => monitor::action(state),
    }
}

/// A count with marks between thousands.
pub fn count(n: usize) -> String {
    let (digits, mark) = (n.to_string(), group_mark());
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(mark);
        }
        out.push(c);
    }
    out
}

/// A value of a metric as it is shown.
pub fn score(kind: impl Borrow<MetricKind>, value: f64) -> String {
    figure(kind.borrow().format(value))
}

/// A number of seconds in words.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    if seconds < 9.95 {
        return figure(format!("{seconds:.1} s"));
    }
    let s = seconds.round() as u64;
    match s {
        0..=59 => format!("{s} s"),
        60..=3599 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

/// A number of bytes in words.
pub fn bytes(n: u64) -> String {
    let text = match n {
        0..=999 => return tr!("{n} bytes", n),
        1000..=999_999 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..=999_999_999 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    };
    figure(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_figures() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(duration(0.62), "0.6 s");
        assert_eq!(duration(59.4), "59 s");
        assert_eq!(duration(61.0), "1 min 01 s");
        assert_eq!(duration(7260.0), "2 h 01 min");
        assert_eq!(duration(f64::INFINITY), "–");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(12_340), "12.3 kB");
        assert_eq!(bytes(8_000_000_000), "8.0 GB");
    }
}
