//! The report of a model: one HTML file that needs nothing else, with its figures drawn in it.

mod costs;
pub(crate) mod html;
mod privacy;
mod risks;
pub(crate) mod svg;

use std::path::Path;

use self::html::{heading, paragraph, table};
use self::svg::Trace;
use crate::deploy::cost::Assumptions;
use crate::error::ExportError;
use crate::eval::calibration::Reliability;
use crate::eval::evaluation::{Evaluation, Measured, Part};
use crate::eval::fairness::{Estimate, Fairness};
use crate::eval::slices::Slice;
use crate::eval::verdict::Verdict;
use crate::eval::{Interval, Outcomes};
use crate::metrics::MetricKind;
use crate::train::run_folder::RunRecord;

/// Most points of a cloud.
const MOST_POINTS: usize = 800;
/// Most curves in a plot.
const MOST_CURVES: usize = 6;

/// Writes the report to `path`.
///
/// # Errors
/// The file cannot be written.
pub fn write(
    record: &RunRecord,
    found: &Evaluation,
    verdict: Option<&Verdict>,
    path: &Path,
) -> Result<(), ExportError> {
    let text = page(record, found, verdict);
    std::fs::write(path, text).map_err(|source| ExportError::Io { path: path.to_owned(), source })
}

/// The report as a page.
pub fn page(record: &RunRecord, found: &Evaluation, verdict: Option<&Verdict>) -> String {
    let title = format!("{}: report of the model", record.project);
    let mut body = format!("<h1>{}</h1>", html::escape(&title));
    body += &summary(found);
    body += &model_card(record, found);
    body += &metrics(found);
    body += &mistakes(found);
    body += &calibration(found);
    body += &groups(found);
    body += &robustness(found);
    body += &privacy::section(found);
    body += &match verdict {
        Some(verdict) => comparison(verdict) + &costs::section(verdict, &Assumptions::default()),
        None => {
            heading("What FP8 cost or saved")
                + &paragraph("Not measured. The Evaluate step or \"fp8-studio compare\" does that.")
        }
    };
    body += &risks::register(found);
    body += &risks::oversight(found);
    html::page(&title, &body)
}

fn range(kind: MetricKind, i: Interval) -> String {
    format!("{} to {}", kind.format(i.low), kind.format(i.high))
}

fn summary(e: &Evaluation) -> String {
    let mut out = String::new();
    if let Some(m) = e.headline() {
        let compared = e.best_baseline().map_or(String::new(), |(name, b)| {
            format!(" The best simple answer, {name}, reaches {}.", m.kind.format(b.value))
        });
        out += &format!(
            "<p class=\"big\">{}: <strong>{}</strong> (95 % interval {}) on {} rows.{}</p>",
            html::escape(m.kind.label()),
            m.kind.format(m.value),
            range(m.kind, m.interval),
            e.rows,
            html::escape(&compared)
        );
    }
    out += &paragraph(match e.part {
        Part::Test => "Measured on test rows that training never saw.",
        Part::Validation => "Measured on validation rows.",
        Part::All => "Measured on data of its own.",
    });
    e.notes.iter().fold(out, |out, note| out + &paragraph(note))
}

fn model_card(record: &RunRecord, e: &Evaluation) -> String {
    let hidden: Vec<String> = record.config.hidden.iter().map(usize::to_string).collect();
    let mut columns: Vec<&str> = record.schema.features().map(|(name, _)| name).collect();
    let more = columns.len().saturating_sub(60);
    columns.truncate(60);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let classes = if e.classes.is_empty() { "a number".to_owned() } else { e.classes.join(", ") };
    let row = |a: &str, b: String| vec![a.to_owned(), b];
    let parameters =
        record.summary.as_ref().map_or(record.model.parameter_count(), |s| s.parameters);
    let private = record.summary.as_ref().and_then(|s| s.privacy);
    let rows = [
        row("Predicts", format!("{} ({classes})", e.target)),
        row(
            "From",
            if columns.is_empty() { "pixels".to_owned() } else { columns.join(", ") + &rest },
        ),
        row(
            "Network",
            format!(
                "multi-layer perceptron, hidden layers {}, {parameters} parameters",
                if hidden.is_empty() { "none".to_owned() } else { hidden.join(", ") }
            ),
        ),
        row("Precision", record.config.precision.describe()),
        row(
            "Trained on",
            format!(
                "{} ({} rows; {:.0} % validation, {:.0} % test, split seed {})",
                record.dataset,
                record.dataset_rows,
                100.0 * record.split.validation,
                100.0 * record.split.test,
                record.split.seed
            ),
        ),
        row(
            "Privacy of training rows",
            private.map_or("no private training; see below".to_owned(), |p| p.describe()),
        ),
        row("Trained", format!("{}, seed {}", record.started, record.config.seed)),
        row("Made with", concat!("fp8-studio ", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    heading("Model card")
        + &table(&["", ""], &rows)
        + &html::field("Intended use, and uses that are out of scope")
        + &html::field("Who is responsible, and how to reach them")
}

fn metrics(e: &Evaluation) -> String {
    let mut head = vec!["", "model", "95 % interval"];
    head.extend(e.baselines.iter().map(|b| b.name));
    let rows: Vec<Vec<String>> = e
        .metrics
        .iter()
        .filter(|m| m.class.is_none())
        .map(|m| {
            let mut row =
                vec![m.kind.label().to_owned(), m.kind.format(m.value), range(m.kind, m.interval)];
            row.extend(e.baselines.iter().map(|b| {
                let same = b.metrics.iter().find(|o| o.kind == m.kind);
                same.map_or("–".to_owned(), |o| m.kind.format(o.value))
            }));
            row
        })
        .collect();
    let mut out = heading("All figures") + &table(&head, &rows);
    if !e.classes.is_empty() {
        let kinds = [MetricKind::Precision, MetricKind::Recall, MetricKind::F1];
        let cell = |m: Option<&Measured>| {
            m.map_or("–".to_owned(), |m| {
                format!("{} ({})", m.kind.format(m.value), range(m.kind, m.interval))
            })
        };
        let rows: Vec<Vec<String>> = e
            .classes
            .iter()
            .map(|class| {
                let figures = kinds.iter().map(|k| cell(e.of_class(*k, class)));
                std::iter::once(class.clone()).chain(figures).collect()
            })
            .collect();
        out += &table(&["class", "precision", "recall", "F1"], &rows);
    }
    out
}

fn mistakes(e: &Evaluation) -> String {
    let mut out = heading("Mistakes");
    if let Some(c) = e.confusion.as_ref().filter(|c| c.classes.len() <= 40) {
        out += &svg::confusion(c);
    }
    let curves = || e.curves.iter().take(MOST_CURVES);
    if !e.curves.is_empty() {
        let mut roc: Vec<Trace<'_>> = curves()
            .map(|c| {
                trace(&c.class, c.points.iter().map(|t| [t.false_alarms(), t.recall()]).collect())
            })
            .collect();
        roc.push(diagonal("chance"));
        out += &svg::plot("ROC curve", "false positive rate", "true positive rate", &roc);
        let pr: Vec<Trace<'_>> = curves()
            .map(|c| {
                trace(&c.class, c.points.iter().map(|t| [t.recall(), t.precision()]).collect())
            })
            .collect();
        out += &svg::plot("Precision against recall", "recall", "precision", &pr);
    }
    if let Outcomes::Values(v) = &e.outcomes {
        let step = v.truth.len().div_ceil(MOST_POINTS).max(1);
        let points =
            v.truth.iter().zip(&v.predicted).step_by(step).map(|(y, p)| [*p, p - y]).collect();
        let cloud = Trace { name: "rows", points, scattered: true, dashed: false };
        out += &svg::plot("Errors", "answered value", "answered minus true", &[cloud]);
        if let Some(r) = &e.ranges {
            out += &paragraph(&format!(
                "A range of ± {:.4} around each answer, chosen on {} validation rows to hold the truth for {:.0} % of new rows (split conformal prediction), holds it for {:.1} % of these rows (95 % interval {:.1} to {:.1} %).",
                r.half_width,
                r.rows,
                100.0 * r.promised,
                100.0 * r.coverage,
                100.0 * r.interval.low,
                100.0 * r.interval.high
            ));
        }
    }
    out
}

fn trace(name: &str, points: Vec<[f64; 2]>) -> Trace<'_> {
    Trace { name, points, scattered: false, dashed: false }
}

fn diagonal(name: &str) -> Trace<'_> {
    Trace { name, points: vec![[0.0, 0.0], [1.0, 1.0]], scattered: false, dashed: true }
}

fn calibration(e: &Evaluation) -> String {
    let Some(c) = &e.calibration else { return String::new() };
    let line = |r: &Reliability| {
        let bins = r.bins.iter().filter(|b| b.rows > 0);
        bins.map(|b| [b.confidence, b.accuracy]).collect::<Vec<_>>()
    };
    let mut traces = vec![trace("the model", line(&c.model))];
    let percent = |v: f64| format!("{:.2} %", 100.0 * v);
    let mut rows =
        vec![vec!["as the model says".to_owned(), percent(c.model.ece), percent(c.model.mce)]];
    if let (Some(r), Some(f)) = (&c.temperature, &c.fitted) {
        traces.push(trace("with a temperature", line(r)));
        rows.push(vec![
            format!("with temperature {:.3}", f.temperature),
            percent(r.ece),
            percent(r.mce),
        ]);
    }
    if let Some(r) = &c.isotonic {
        rows.push(vec!["with isotonic regression".to_owned(), percent(r.ece), percent(r.mce)]);
    }
    traces.push(diagonal("perfect"));
    heading("Do the probabilities mean what they say?")
        + &svg::plot("Reliability", "how sure it is", "how often it is right", &traces)
        + &table(&["calibration error", "mean (ECE, 15 bins)", "largest (MCE)"], &rows)
}

fn groups(e: &Evaluation) -> String {
    let figure = if e.classes.is_empty() { MetricKind::Mae } else { MetricKind::Accuracy };
    let row = |s: &Slice| {
        let p = s.adjusted.map_or("too few rows".to_owned(), |p| format!("{p:.1e}"));
        vec![
            s.name(),
            s.rows.to_string(),
            figure.format(s.value),
            range(figure, s.interval),
            figure.format(s.rest),
            p,
        ]
    };
    let head = ["group", "rows", figure.label(), "95 % interval", "all others", "adjusted p"];
    let mut out = heading("Where it is weak");
    out += &paragraph(&format!(
        "{} groups and pairs of groups of at least {} rows were compared with the rest of the rows; p-values are adjusted for that (Benjamini and Hochberg, false discovery rate 5 %).",
        e.slices.tested, e.slices.min_rows
    ));
    let weak: Vec<Vec<String>> = e.slices.weak.iter().take(20).map(row).collect();
    out += &if weak.is_empty() {
        paragraph("None is worse beyond chance.")
    } else {
        table(&head, &weak)
    };
    if !e.fairness.is_empty() {
        out += &heading("Are groups treated alike?");
        out += &e.fairness.iter().map(|f| fairness(e, f)).collect::<String>();
    }
    out
}

fn fairness(e: &Evaluation, f: &Fairness) -> String {
    let shown = |v: Option<Estimate>| {
        v.map_or("–".to_owned(), |v| {
            format!("{:.3} ({:.3} to {:.3})", v.value, v.interval.low, v.interval.high)
        })
    };
    let rows: Vec<Vec<String>> = f
        .groups
        .iter()
        .map(|g| {
            let few = if g.enough { "" } else { " (too few for a verdict)" };
            let rates = [
                g.base_rate,
                g.selection_rate,
                g.true_positive_rate,
                g.false_positive_rate,
                g.precision,
                g.ece,
            ];
            let head = [g.group.clone(), format!("{}{few}", g.rows)];
            head.into_iter().chain(rates.map(shown)).collect()
        })
        .collect();
    let gaps = [
        ("Demographic parity difference", f.demographic_parity_difference),
        ("Demographic parity ratio", f.demographic_parity_ratio),
        ("Equalised odds difference", f.equalised_odds_difference),
        ("Equal opportunity difference", f.equal_opportunity_difference),
        ("Predictive parity difference", f.predictive_parity_difference),
        ("Accuracy difference", f.accuracy_difference),
        ("Calibration difference", f.calibration_difference),
    ];
    let gaps: Vec<Vec<String>> = gaps.map(|(name, v)| vec![name.to_owned(), shown(v)]).into();
    let (truly, called) = (format!("truly {}", f.positive), format!("called {}", f.positive));
    let head = [f.column.as_str(), "rows", &truly, &called, "TPR", "FPR", "precision", "ECE"];
    let mut out = format!("<details><summary>By {}</summary>", html::escape(&f.name()));
    out += &table(&head, &rows);
    out += &table(&["between groups", "value (95 % interval)"], &gaps);
    if let Some(m) = e.mitigations.iter().find(|m| m.column == f.column) {
        let pair = |v: [f64; 2]| vec![format!("{:.3}", v[0]), format!("{:.3}", v[1])];
        let line = |name: &str, v| [vec![name.to_owned()], pair(v)].concat();
        let rows = [
            line("Demographic parity difference", m.demographic_parity_difference),
            line("Equalised odds difference", m.equalised_odds_difference),
            line("Accuracy", m.accuracy),
        ];
        out +=
            &table(&["thresholds by group, chosen on validation rows", "before", "after"], &rows);
    }
    if let Some(t) = e.treated.as_ref().filter(|t| t.column == f.column) {
        let line = |name: &str, v: [f64; 2]| {
            vec![name.to_owned(), format!("{:.3}", v[0]), format!("{:.3}", v[1])]
        };
        let rows = [
            line("Demographic parity difference", t.demographic_parity_difference),
            line("Equalised odds difference", t.equalised_odds_difference),
            line("Accuracy", t.accuracy),
        ];
        let head = format!("trained with {} (without: run of {})", t.how, t.without);
        out += &table(&[&head, "without", "with"], &rows);
    }
    out + "</details>"
}

fn robustness(e: &Evaluation) -> String {
    let r = &e.robustness;
    let kind = if e.classes.is_empty() { MetricKind::R2 } else { MetricKind::Accuracy };
    let mut rows = vec![vec!["as it is".to_owned(), kind.format(r.clean), String::new()]];
    rows.extend(r.changes.iter().chain(r.columns.iter().take(10)).map(|c| {
        let interval = c.interval.map_or(String::new(), |i| range(kind, i));
        vec![c.what.clone(), kind.format(c.score), interval]
    }));
    let mut out = heading("How it holds out against worse data");
    out += &table(&["change", kind.label(), "95 % interval"], &rows);
    if !r.attacks.is_empty() {
        let fgsm = r.attacks.iter().map(|a| [a.epsilon, a.fgsm]).collect();
        let pgd = r.attacks.iter().map(|a| [a.epsilon, a.pgd]).collect();
        out += &svg::plot(
            "Accuracy under attack",
            r.unit,
            "accuracy",
            &[trace("FGSM", fgsm), trace("PGD, 10 steps", pgd)],
        );
    }
    if !r.referrals.is_empty() {
        let rows: Vec<Vec<String>> = r
            .referrals
            .iter()
            .map(|f| {
                vec![
                    format!("{:.1} %", 100.0 * f.threshold),
                    format!("{:.1} %", 100.0 * f.referred),
                    kind.format(f.accuracy),
                    range(kind, f.interval),
                ]
            })
            .collect();
        let head = [
            "a person takes answers less sure than",
            "share of rows",
            "accuracy on the rest",
            "95 % interval",
        ];
        out += &table(&head, &rows);
    }
    if let Some(s) = r.strangeness {
        out += &paragraph(&format!(
            "{:.1} % of these rows are more unlike the training rows than 99 % of those are; of rows of noise, {:.0} % would be noticed that way.",
            100.0 * s.strange,
            100.0 * s.noise_found
        ));
    }
    out
}

fn comparison(v: &Verdict) -> String {
    let rows: Vec<Vec<String>> = v
        .arms
        .iter()
        .map(|a| {
            let time = a.train_seconds.map_or("–".to_owned(), |s| format!("{s:.1} s"));
            let cores = a.core_seconds.map_or("–".to_owned(), |s| format!("{s:.1} s"));
            let speed: Vec<String> =
                a.throughput.iter().map(|(b, r)| format!("{b}: {r:.0}")).collect();
            vec![
                a.name.to_owned(),
                format!("{} ({})", v.metric.format(a.score), range(v.metric, a.interval)),
                format!("{:+.4}", a.loss_gap),
                a.ece.map_or("–".to_owned(), |e| format!("{:.2} %", 100.0 * e)),
                a.worst_slice.as_ref().map_or("–".to_owned(), |(n, s)| format!("{n}: {s:.3}")),
                format!("{:.1} %", 100.0 * a.agreement),
                time,
                cores,
                format!("{:.0} / {:.0} µs", a.latency_p50, a.latency_p95),
                speed.join(", "),
                format!("{:.1} kB", a.file_bytes as f64 / 1e3),
                format!("{:.1} kB", a.memory_bytes as f64 / 1e3),
            ]
        })
        .collect();
    let head = [
        "model",
        v.metric.label(),
        "loss gap",
        "ECE",
        "worst group",
        "same answers as f32",
        "training",
        "time × cores (in place of energy, which was not measured)",
        "one row, p50 / p95",
        "rows per second by batch",
        "file",
        "memory to train",
    ];
    let points = |pareto: bool| {
        let arms = v.arms.iter().filter(|a| a.pareto == pareto);
        arms.map(|a| [a.file_bytes as f64 / 1e3, a.score]).collect::<Vec<_>>()
    };
    let cloud = |name, points| Trace { name, points, scattered: true, dashed: false };
    let traces = [
        cloud("no other is both better and smaller", points(true)),
        cloud("others", points(false)),
    ];
    let mut out = heading("What FP8 cost or saved");
    out += &v.card.iter().map(|s| paragraph(s)).collect::<String>();
    out += &table(&head, &rows);
    out += &svg::plot("Score against size", "kilobytes", v.metric.label(), &traces);
    out
}
