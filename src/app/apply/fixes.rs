//! Fixes of findings, acceptances, and tables from the clipboard.

use std::sync::Arc;

use crate::app::columns::{self, ColumnSummary};
use crate::app::{AppState, CheckState, Outcome, Preview, SchemaState, Tone};
use crate::data::{Dataset, steps};
use crate::error::UserError;
use crate::project::{self, Acceptance, Gate};
use crate::quality::fixes::Fix;

impl AppState {
    /// Writes a decision to the project's audit log, in the background.
    pub(in crate::app) fn log(&mut self, action: &'static str, details: serde_json::Value) {
        let Some(project) = self.project() else { return };
        let folder = project.project.folder.clone();
        self.tasks.spawn(
            "Writing the audit log",
            false,
            &self.wake,
            move |_| {
                Outcome::Saved(project::record(&folder, action, details).map_err(UserError::from))
            },
            |e| Outcome::Saved(Err(e)),
        );
    }

    pub(super) fn accept(&mut self, reason: &str, only: Option<usize>) {
        if reason.trim().is_empty() {
            self.notifications.push(
                Tone::Warning,
                "Say why you accept these findings",
                "The reason is kept in the project's audit log.",
            );
            return;
        }
        let Some(project) = self.project() else { return };
        let CheckState::Done(report) = &project.check else { return };
        let gate = Gate::of(report, &project.project.accepted);
        let chosen = |f: &&crate::quality::Finding| {
            only.is_none_or(|at| report.findings.get(at).is_some_and(|g| std::ptr::eq(g, *f)))
        };
        let new: Vec<Acceptance> =
            gate.open.into_iter().filter(chosen).map(|f| Acceptance::of(f, reason)).collect();
        if new.is_empty() {
            return;
        }
        let details = serde_json::to_value(&new).unwrap_or_default();
        self.edit("accepted findings", |p| p.accepted.extend(new));
        self.log("accepted", details);
    }

    /// Looks at a column in the background.
    pub(super) fn profile(&mut self, column: Option<String>) {
        let Some(project) = self.project_mut() else { return };
        project.profile = column.clone().map(|c| (c, None));
        let Some(column) = column else { return };
        let dataset = Arc::clone(&project.dataset);
        let schema = project.schema().ok().cloned();
        self.tasks.spawn(
            "Looking at a column",
            false,
            &self.wake,
            move |_| {
                let found = crate::quality::profile::column(&dataset, schema.as_ref(), &column);
                Outcome::Profiled(found.map(Box::new))
            },
            Outcome::Failed,
        );
    }

    pub(super) fn preview(&mut self, finding: usize, fix: Fix) {
        let attempt = self.attempt();
        let Some(project) = self.project_mut() else { return };
        let dataset = Arc::clone(&project.dataset);
        let steps = fix.steps.clone();
        project.preview = Some(Preview { finding, fix, effects: None, attempt });
        self.tasks.spawn(
            "Working out what would change",
            false,
            &self.wake,
            move |_| Outcome::Previewed {
                attempt,
                result: steps::apply(&dataset, &steps).map(|done| done.1).map_err(Into::into),
            },
            move |e| Outcome::Previewed { attempt, result: Err(e) },
        );
    }

    pub(super) fn apply_fix(&mut self) {
        let Some(preview) = self.project_mut().and_then(|p| p.preview.take()) else { return };
        let details = serde_json::json!({
            "fix": preview.fix.label,
            "effects": preview.effects.as_ref().and_then(|e| e.as_ref().ok()),
        });
        self.edit(&preview.fix.label.clone(), |p| p.steps.extend(preview.fix.steps));
        self.log("step", details);
        self.do_steps();
    }

    /// Does the recorded steps to the data as read, in the background.
    pub(in crate::app) fn do_steps(&mut self) {
        let attempt = self.attempt();
        let Some(project) = self.project_mut() else { return };
        let (original, steps) = (Arc::clone(&project.original), project.project.steps.clone());
        project.schema = SchemaState::Inferring(attempt);
        project.preview = None;
        let work = move || -> Result<(Arc<Dataset>, Vec<ColumnSummary>), UserError> {
            let dataset = if steps.is_empty() {
                original
            } else {
                Arc::new(steps::apply(&original, &steps)?.0)
            };
            let summaries = columns::summarise(&dataset.samples);
            Ok((dataset, summaries))
        };
        self.tasks.spawn(
            "Changing the data",
            false,
            &self.wake,
            move |_| Outcome::Changed { attempt, result: work() },
            move |e| Outcome::Changed { attempt, result: Err(e) },
        );
    }

    pub(super) fn changed(
        &mut self,
        attempt: u64,
        result: Result<(Arc<Dataset>, Vec<ColumnSummary>), UserError>,
    ) {
        let Some(project) = self.project_mut() else { return };
        if project.schema != SchemaState::Inferring(attempt) {
            return;
        }
        match result {
            Ok((dataset, summaries)) => {
                project.dataset = dataset;
                project.summaries = summaries;
                self.infer_schema();
            }
            Err(e) => project.schema = SchemaState::Unusable(e),
        }
    }

    /// Keeps what was copied in a spreadsheet as a file of its own and opens that.
    pub(super) fn paste(&mut self, text: String) {
        let folder = self.services.pasted();
        let now = jiff::Timestamp::now().to_string().replace([':', '.'], "-");
        let path = folder.join(format!("pasted {now}.tsv"));
        let wanted = path.clone();
        self.tasks.spawn(
            "Keeping the pasted table",
            false,
            &self.wake,
            move |_| {
                let kept =
                    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, text));
                match kept {
                    Ok(()) => {
                        Outcome::Picked { what: crate::app::Pick::DataFile, path: Some(wanted) }
                    }
                    Err(e) => Outcome::Failed(UserError::new(
                        format!("The pasted table cannot be kept: {e}"),
                        "Free some disk space, or save it as a file and open that.",
                    )),
                }
            },
            Outcome::Failed,
        );
    }
}

/// Whether a text looks like cells copied in a spreadsheet: two rows or more of as many cells. A cell in
/// quotes may hold line ends.
pub fn is_table(text: &str) -> bool {
    [b'\t', b',', b';'].into_iter().any(|between| {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(between)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut widths = reader.records().map_while(Result::ok).map(|r| r.len());
        let first = widths.next();
        first.is_some_and(|w| w > 1) && widths.next() == first
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_spreadsheet_are_told_from_other_text() {
        assert!(is_table("a\tb\n1\t2\n"));
        assert!(is_table("a\tb\r\n1\t2\r\n"));
        // Excel and LibreOffice quote cells with line ends, and double the quotes inside.
        assert!(is_table("a\tb\n\"two\nlines\"\t2\n"));
        assert!(is_table("\"long\nhead\"\tb\n1\t2\n"));
        assert!(is_table("a\tb\n\"say \"\"hi\"\"\"\t2\n"));
        assert!(is_table("a;b\n1;2\n") && is_table("a,b\n1,2\n"));
        assert!(!is_table("one line\twith a tab"));
        assert!(!is_table("Dear Ada,\nthank you, and see you soon, too."));
        assert!(!is_table("a\tb\n1\n") && !is_table(""));
    }
}
