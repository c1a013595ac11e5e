//! Several projects open at once: one in view, the others as they were left. What runs in those out
//! of view goes on, and its results find their own project.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::apply::file_name;
use super::{AppState, Interrupted, LiveRun, Outcome, Retry, Step, StepStatus, Tone, Workspace};
use crate::error::UserError;
use crate::project::FILE;

/// Most projects open at a time; each holds its data in memory.
pub const MOST_OPEN: usize = 8;

/// A project out of view, as it was left.
#[derive(Debug, Default)]
pub(super) struct Tab {
    id: u64,
    step: Step,
    workspace: Workspace,
    edited: Option<Instant>,
    retry: Option<Retry>,
    resume_after_open: Option<Interrupted>,
    return_to: Option<Step>,
}

/// What the switcher shows of an open project.
#[derive(Debug, Clone, PartialEq)]
pub struct TabInfo {
    /// Identifies it.
    pub id: u64,
    /// Name of the project, or of what is being opened.
    pub name: String,
    /// Whether it is in view.
    pub in_view: bool,
    /// Whether it is being opened.
    pub loading: bool,
    /// Whether it is training; how far, from 0 to 1.
    pub training: Option<f32>,
    /// Why it cannot be closed now, if so.
    pub close_blocked: Option<&'static str>,
}

/// A project that was open when the program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenProject {
    /// Project folder.
    pub folder: PathBuf,
    /// Name.
    pub name: String,
    /// Step in view.
    #[serde(default)]
    pub step: Step,
    /// Whether it was the one in view.
    #[serde(default)]
    pub in_view: bool,
}

impl Workspace {
    fn info(&self, id: u64, in_view: bool) -> Option<TabInfo> {
        let mut info = TabInfo {
            id,
            name: String::new(),
            in_view,
            loading: false,
            training: None,
            close_blocked: None,
        };
        match self {
            Self::Empty => return None,
            Self::Loading { name, .. } => {
                info.name.clone_from(name);
                info.loading = true;
            }
            Self::Asleep { name, .. } => info.name.clone_from(name),
            Self::Failed { retry, .. } => info.name = retry.name(),
            Self::Sealed { path, .. } => info.name = file_name(path),
            Self::Open(project) => {
                info.name.clone_from(&project.project.name);
                if let Some(run) = project.run.as_ref().filter(|r| r.active()) {
                    info.training = Some(run.fraction().unwrap_or(0.0));
                    info.close_blocked = Some("Training is running. Stop it first.");
                }
            }
        }
        Some(info)
    }

    /// Whether this is what lies at a path.
    fn is_at(&self, path: &Path) -> bool {
        let same = |a: &Path, b: &Path| {
            a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
        };
        match self {
            Self::Open(p) => {
                let folder = &p.project.folder;
                same(folder, path)
                    || same(&folder.join(FILE), path)
                    || same(&p.project.dataset_path(), path)
            }
            Self::Asleep { folder, .. } => same(folder, path),
            _ => false,
        }
    }
}

impl Retry {
    fn name(&self) -> String {
        match self {
            Self::Path(path) => file_name(path),
            Self::Sample(id) => id.clone(),
        }
    }
}

impl AppState {
    /// All open projects in their order.
    pub fn tabs(&self) -> Vec<TabInfo> {
        self.order.iter().filter_map(|id| self.at(*id)?.info(*id, *id == self.tab)).collect()
    }

    /// Which project is in view.
    pub fn tab(&self) -> u64 {
        self.tab
    }

    /// Why the project in view cannot be closed or moved now, if so.
    pub fn close_blocked(&self) -> Option<&'static str> {
        self.workspace.info(self.tab, true).and_then(|i| i.close_blocked)
    }

    fn at(&self, id: u64) -> Option<&Workspace> {
        if id == self.tab {
            return Some(&self.workspace);
        }
        self.others.iter().find(|t| t.id == id).map(|t| &t.workspace)
    }

    /// Exchanges what is in view with another project.
    fn exchange(&mut self, id: u64) -> bool {
        let Some(tab) = self.others.iter_mut().find(|t| t.id == id) else { return false };
        std::mem::swap(&mut tab.id, &mut self.tab);
        std::mem::swap(&mut tab.step, &mut self.step);
        std::mem::swap(&mut tab.workspace, &mut self.workspace);
        std::mem::swap(&mut tab.edited, &mut self.edited);
        std::mem::swap(&mut tab.retry, &mut self.retry);
        std::mem::swap(&mut tab.resume_after_open, &mut self.resume_after_open);
        std::mem::swap(&mut tab.return_to, &mut self.return_to);
        self.tasks.owner = self.tab;
        true
    }

    /// Does something to another project as if it were in view.
    pub(super) fn within(&mut self, id: u64, act: impl FnOnce(&mut Self)) {
        let viewed = self.tab;
        if id == viewed {
            act(self);
            return;
        }
        let was = self.in_view;
        if self.exchange(id) {
            self.in_view = false;
            act(self);
            self.exchange(viewed);
            self.in_view = was;
        }
    }

    /// Gives a task's result to the project that asked for it.
    pub(super) fn deliver(&mut self, owner: u64, outcome: Outcome) {
        if outcome.is_for_all() || owner == self.tab {
            self.take_in(outcome);
        } else {
            self.within(owner, |state| state.take_in(outcome));
        }
    }

    /// Takes in what the runs of all projects have told.
    pub(super) fn watch_runs(&mut self) {
        for id in self.order.clone() {
            if matches!(self.at(id), Some(Workspace::Open(p)) if p.run.is_some()) {
                self.within(id, Self::watch_run);
            }
        }
    }

    fn watch_run(&mut self) {
        if let Some(project) = self.project_mut()
            && let Some(run) = &mut project.run
        {
            let was_active = run.active();
            run.drain();
            if was_active && !run.active() {
                self.run_ended();
            }
        }
    }

    /// Saves each project whose last edit is a while ago; says when to look again.
    pub(super) fn autosave_projects(&mut self, now: Instant) -> Option<Duration> {
        let mut waiting = false;
        for id in self.order.clone() {
            self.within(id, |state| {
                state.save_project_if_due(now);
                waiting |= state.edited.is_some();
            });
        }
        waiting.then_some(super::AUTOSAVE)
    }

    /// Saves every edited project now.
    pub(super) fn save_all_now(&mut self) {
        for id in self.order.clone() {
            self.within(id, Self::save_project_now);
        }
    }

    /// Shows another project.
    pub(super) fn switch_tab(&mut self, id: u64) {
        if !self.exchange(id) {
            return;
        }
        if let Workspace::Asleep { folder, .. } = &self.workspace {
            let folder = folder.clone();
            let step = self.step;
            self.load(Retry::Path(folder));
            self.return_to = Some(step);
        }
        self.assess_if_needed();
    }

    /// Shows the project beside the one in view.
    pub(super) fn next_tab(&mut self, back: bool) {
        let tabs: Vec<u64> = self.tabs().iter().map(|t| t.id).collect();
        let n = tabs.len();
        let at = tabs.iter().position(|id| *id == self.tab);
        let next = match at {
            Some(at) if n > 1 => (at + if back { n - 1 } else { 1 }) % n,
            Some(_) => return,
            None => 0,
        };
        if let Some(id) = tabs.get(next) {
            self.switch_tab(*id);
        }
    }

    /// Goes to what is asked for if it is open already.
    pub(super) fn switch_if_open(&mut self, what: &Retry) -> bool {
        let is = |workspace: &Workspace, retry: &Option<Retry>| match workspace {
            Workspace::Empty | Workspace::Failed { .. } | Workspace::Sealed { .. } => false,
            Workspace::Loading { .. } => retry.as_ref() == Some(what),
            Workspace::Asleep { .. } | Workspace::Open(_) => match what {
                Retry::Path(path) => workspace.is_at(path),
                Retry::Sample(_) => retry.as_ref() == Some(what),
            },
        };
        if is(&self.workspace, &self.retry) {
            self.step = self.step.max(Step::Data);
            return true;
        }
        let found = self.others.iter().find(|t| is(&t.workspace, &t.retry)).map(|t| t.id);
        if let Some(id) = found {
            self.switch_tab(id);
            self.step = self.step.max(Step::Data);
        }
        found.is_some()
    }

    /// Makes room for something to be opened beside what is open; says whether there is room.
    pub(super) fn make_room(&mut self) -> bool {
        if matches!(self.workspace, Workspace::Empty | Workspace::Failed { .. }) {
            return true;
        }
        // An empty place is taken first.
        let empty = self.others.iter().find(|t| matches!(t.workspace, Workspace::Empty));
        if let Some(id) = empty.map(|t| t.id) {
            return self.exchange(id);
        }
        if self.order.len() >= MOST_OPEN {
            self.notifications.push(
                Tone::Warning,
                format!("{MOST_OPEN} projects are open"),
                "Close one that you do not need. It is saved, and listed under Recent.",
            );
            return false;
        }
        let id = self.add(Workspace::Empty, Step::Home);
        self.exchange(id)
    }

    fn add(&mut self, workspace: Workspace, step: Step) -> u64 {
        self.last_tab += 1;
        let id = self.last_tab;
        self.others.push(Tab { id, workspace, step, ..Tab::default() });
        self.order.push(id);
        id
    }

    /// Closes a project, which is saved first.
    pub(super) fn close_tab(&mut self, id: u64) {
        let blocked = self.at(id).and_then(|w| w.info(id, false)).and_then(|i| i.close_blocked);
        if let Some(why) = blocked {
            self.notifications.push(Tone::Warning, why, "");
            return;
        }
        self.within(id, |state| {
            state.save_project_now();
            if let Workspace::Loading { task, .. } = state.workspace {
                state.tasks.cancel(task);
            }
        });
        self.drop_tab(id);
    }

    /// Forgets a project; another one comes into view.
    pub(super) fn drop_tab(&mut self, id: u64) {
        if id == self.tab && !self.in_view {
            // The place stays for what is opened next.
            self.workspace = Workspace::Empty;
            self.edited = None;
            return;
        }
        let at = self.order.iter().position(|t| *t == id);
        if id == self.tab {
            let shown: Vec<u64> = self
                .others
                .iter()
                .filter(|t| !matches!(t.workspace, Workspace::Empty))
                .map(|t| t.id)
                .collect();
            // The one to the left, else the one to the right.
            let left = self.order.iter().take(at.unwrap_or(0)).rev().find(|t| shown.contains(t));
            let next = left.or_else(|| self.order.iter().find(|t| shown.contains(t))).copied();
            let Some(next) = next else {
                self.workspace = Workspace::Empty;
                self.step = Step::Home;
                self.edited = None;
                self.retry = None;
                self.resume_after_open = None;
                self.return_to = None;
                return;
            };
            self.switch_tab(next);
        }
        self.others.retain(|t| t.id != id);
        self.order.retain(|t| *t != id);
    }

    /// Whether another place holds the same project; it comes into view and this one is dropped.
    pub(super) fn drop_double(&mut self, folder: &Path) -> bool {
        let other = self
            .others
            .iter()
            .find(|t| matches!(&t.workspace, Workspace::Open(p) if p.project.folder == folder));
        let Some(id) = other.map(|t| t.id) else { return false };
        let this = self.tab;
        if self.in_view {
            self.switch_tab(id);
        }
        self.drop_tab(this);
        true
    }

    /// What is open, to be found again at the next start. What is still being opened is left out, so
    /// that data which bring the program down do so once.
    pub(super) fn session(&self) -> Vec<OpenProject> {
        let entry = |id: &u64| {
            let in_view = *id == self.tab;
            let other = self.others.iter().find(|t| t.id == *id);
            let step = other.map_or(self.step, |t| t.step);
            let (folder, name) = match self.at(*id)? {
                Workspace::Open(p) => (p.project.folder.clone(), p.project.name.clone()),
                Workspace::Asleep { folder, name } => (folder.clone(), name.clone()),
                _ => return None,
            };
            Some(OpenProject { folder, name, step, in_view })
        };
        self.order.iter().filter_map(entry).collect()
    }

    /// Brings back what was open when the program ended; only what was in view is read at once.
    pub fn restore_session(&mut self) {
        let mut view = None;
        for open in self.prefs.session.clone().into_iter().take(MOST_OPEN) {
            let asleep = Workspace::Asleep { folder: open.folder, name: open.name };
            let id = self.add(asleep, open.step);
            if open.in_view {
                view = Some(id);
            }
        }
        let Some(id) = view else { return };
        let empty = self.tab;
        self.switch_tab(id);
        self.restoring = Some(id);
        self.others.retain(|t| t.id != empty);
        self.order.retain(|t| *t != empty);
    }

    /// Goes on at the step that was in view, once it can be shown.
    pub(super) fn return_to_step(&mut self) {
        let Some(step) = self.return_to else { return };
        if !matches!(self.workspace, Workspace::Open(_)) {
            return;
        }
        if !matches!(self.status(step), StepStatus::Locked(_)) {
            self.return_to = None;
            self.step = step;
            self.assess_if_needed();
        } else if self.project().is_some_and(|p| p.history.runs.is_some())
            && self.tasks.running().is_empty()
        {
            self.return_to = None;
        }
    }

    /// A project of the last session that cannot be opened again is closed and told of.
    pub(super) fn restore_failed(&mut self, error: &UserError) -> bool {
        if self.restoring != Some(self.tab) {
            return false;
        }
        self.restoring = None;
        self.notifications.error(error);
        let id = self.tab;
        self.drop_tab(id);
        true
    }

    /// Whether any project is training.
    pub fn training(&self) -> bool {
        let active = |w: &Workspace| matches!(w, Workspace::Open(p) if p.run.as_ref().is_some_and(LiveRun::active));
        active(&self.workspace) || self.others.iter().any(|t| active(&t.workspace))
    }
}
