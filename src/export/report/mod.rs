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
use crate::eval::groups;
use crate::eval::slices::Slice;
use crate::eval::verdict::Verdict;
use crate::eval::{Interval, Outcomes};
use crate::metrics::MetricKind;
use crate::text::{figure, of, shown};
use crate::tr;
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
    let title = tr!("{project}: report of the model", project = record.project);
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
            heading(tr!("What FP8 cost or saved"))
                + &paragraph(tr!(
                    "Not measured. The Evaluate step or \"fp8-studio compare\" does that."
                ))
        }
    };
    body += &risks::register(found);
    body += &risks::oversight(found);
    html::page(&title, &body)
}

/// A value of a metric in the language of the report.
fn value(kind: MetricKind, value: f64) -> String {
    figure(kind.format(value))
}

fn range(kind: MetricKind, i: Interval) -> String {
    tr!("{low} to {high}", low = value(kind, i.low), high = value(kind, i.high))
}

fn summary(e: &Evaluation) -> String {
    let mut out = String::new();
    if let Some(m) = e.headline() {
        let compared = e.best_baseline().map_or(String::new(), |(name, b)| {
            tr!(
                " The best simple answer, {name}, reaches {score}.",
                name = shown(name),
                score = value(m.kind, b.value)
            )
        });
        out += &format!(
            "<p class=\"big\">{}: <strong>{}</strong> {}{}</p>",
            html::escape(of(m.kind.label())),
            value(m.kind, m.value),
            tr!(
                "(95 % interval {range}) on {rows} rows.",
                range = range(m.kind, m.interval),
                rows = e.rows
            ),
            html::escape(&compared)
        );
    }
    out += &paragraph(match e.part {
        Part::Test => tr!("Measured on test rows that training never saw."),
        Part::Validation => tr!("Measured on validation rows."),
        Part::All => tr!("Measured on data of its own."),
    });
    e.notes.iter().fold(out, |out, note| out + &paragraph(&shown(note)))
}

fn model_card(record: &RunRecord, e: &Evaluation) -> String {
    let hidden: Vec<String> = record.config.hidden.iter().map(usize::to_string).collect();
    let mut columns: Vec<&str> = record.schema.features().map(|(name, _)| name).collect();
    let more = columns.len().saturating_sub(60);
    columns.truncate(60);
    let rest = if more > 0 { tr!(" and {more} more", more) } else { String::new() };
    let classes =
        if e.classes.is_empty() { tr!("a number").to_owned() } else { e.classes.join(", ") };
    let row = |a: &str, b: String| vec![a.to_owned(), b];
    let parameters =
        record.summary.as_ref().map_or(record.model.parameter_count(), |s| s.parameters);
    let private = record.summary.as_ref().and_then(|s| s.privacy);
    let rows = [
        row(tr!("Predicts"), format!("{} ({classes})", e.target)),
        row(
            tr!("From"),
            if columns.is_empty() { tr!("pixels").to_owned() } else { columns.join(", ") + &rest },
        ),
        row(
            tr!("Network"),
            tr!(
                "multi-layer perceptron, hidden layers {hidden}, {parameters} parameters",
                hidden = if hidden.is_empty() { tr!("none").to_owned() } else { hidden.join(", ") },
                parameters
            ),
        ),
        row(tr!("Number format"), shown(&record.config.precision.describe()).into_owned()),
        row(
            tr!("Trained on"),
            tr!(
                "{data} ({rows} rows; {validation:.0} % validation, {test:.0} % test, split seed {seed})",
                data = record.dataset,
                rows = record.dataset_rows,
                validation = 100.0 * record.split.validation,
                test = 100.0 * record.split.test,
                seed = record.split.seed
            ),
        ),
        row(
            tr!("Privacy of training rows"),
            private.map_or(tr!("no private training; see below").to_owned(), |p| {
                shown(&p.describe()).into_owned()
            }),
        ),
        row(
            tr!("Trained"),
            tr!("{started}, seed {seed}", started = record.started, seed = record.config.seed),
        ),
        row(tr!("Made with"), concat!("fp8-studio ", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    heading(tr!("Model card"))
        + &table(&["", ""], &rows)
        + &html::field(tr!("Intended use, and uses that are out of scope"))
        + &html::field(tr!("Who is responsible, and how to reach them"))
}

fn metrics(e: &Evaluation) -> String {
    let mut head = vec!["", tr!("model"), tr!("95 % interval")];
    head.extend(e.baselines.iter().map(|b| of(b.name)));
    let rows: Vec<Vec<String>> = e
        .metrics
        .iter()
        .filter(|m| m.class.is_none())
        .map(|m| {
            let mut row = vec![
                of(m.kind.label()).to_owned(),
                value(m.kind, m.value),
                range(m.kind, m.interval),
            ];
            row.extend(e.baselines.iter().map(|b| {
                let same = b.metrics.iter().find(|o| o.kind == m.kind);
                same.map_or("–".to_owned(), |o| value(m.kind, o.value))
            }));
            row
        })
        .collect();
    let mut out = heading(tr!("All figures")) + &table(&head, &rows);
    if !e.classes.is_empty() {
        let kinds = [MetricKind::Precision, MetricKind::Recall, MetricKind::F1];
        let cell = |m: Option<&Measured>| {
            m.map_or("–".to_owned(), |m| {
                format!("{} ({})", value(m.kind, m.value), range(m.kind, m.interval))
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
        out += &table(&[tr!("class"), tr!("precision"), tr!("recall"), tr!("F1")], &rows);
    }
    out
}

fn mistakes(e: &Evaluation) -> String {
    let mut out = heading(tr!("Mistakes"));
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
        roc.push(diagonal(tr!("chance")));
        out += &svg::plot(
            tr!("ROC curve"),
            tr!("false positive rate"),
            tr!("true positive rate"),
            &roc,
        );
        let pr: Vec<Trace<'_>> = curves()
            .map(|c| {
                trace(&c.class, c.points.iter().map(|t| [t.recall(), t.precision()]).collect())
            })
            .collect();
        out += &svg::plot(tr!("Precision against recall"), tr!("recall"), tr!("precision"), &pr);
    }
    if let Outcomes::Values(v) = &e.outcomes {
        let step = v.truth.len().div_ceil(MOST_POINTS).max(1);
        let points =
            v.truth.iter().zip(&v.predicted).step_by(step).map(|(y, p)| [*p, p - y]).collect();
        let cloud = Trace { name: tr!("rows"), points, scattered: true, dashed: false };
        out +=
            &svg::plot(tr!("Errors"), tr!("answered value"), tr!("answered minus true"), &[cloud]);
        if let Some(r) = &e.ranges {
            out += &paragraph(&tr!(
                "A range of ± {width:.4} around each answer, chosen on {rows} validation rows to hold the truth for {promised:.0} % of new rows (split conformal prediction), holds it for {coverage:.1} % of these rows (95 % interval {low:.1} to {high:.1} %).",
                width = r.half_width,
                rows = r.rows,
                promised = 100.0 * r.promised,
                coverage = 100.0 * r.coverage,
                low = 100.0 * r.interval.low,
                high = 100.0 * r.interval.high
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
    let mut traces = vec![trace(tr!("the model"), line(&c.model))];
    let percent = |v: f64| figure(format!("{:.2} %", 100.0 * v));
    let mut rows =
        vec![vec![tr!("as the model says").to_owned(), percent(c.model.ece), percent(c.model.mce)]];
    if let (Some(r), Some(f)) = (&c.temperature, &c.fitted) {
        traces.push(trace(tr!("with a temperature"), line(r)));
        rows.push(vec![
            tr!("with temperature {temperature:.3}", temperature = f.temperature),
            percent(r.ece),
            percent(r.mce),
        ]);
    }
    if let Some(r) = &c.isotonic {
        rows.push(vec![tr!("with isotonic regression").to_owned(), percent(r.ece), percent(r.mce)]);
    }
    traces.push(diagonal(tr!("perfect")));
    heading(tr!("Do the probabilities mean what they say?"))
        + &svg::plot(
            tr!("Reliability"),
            tr!("how sure it is"),
            tr!("how often it is right"),
            &traces,
        )
        + &table(
            &[tr!("calibration error"), tr!("mean (ECE, 15 bins)"), tr!("largest (MCE)")],
            &rows,
        )
}

fn groups(e: &Evaluation) -> String {
    let kind = if e.classes.is_empty() { MetricKind::Mae } else { MetricKind::Accuracy };
    let row = |s: &Slice| {
        let p = s.adjusted.map_or(tr!("too few rows").to_owned(), |p| figure(format!("{p:.1e}")));
        vec![
            s.shown(),
            s.rows.to_string(),
            value(kind, s.value),
            range(kind, s.interval),
            value(kind, s.rest),
            p,
        ]
    };
    let head = [
        tr!("group"),
        tr!("rows"),
        of(kind.label()),
        tr!("95 % interval"),
        tr!("all others"),
        tr!("adjusted p"),
    ];
    let mut out = heading(tr!("Where it is weak"));
    out += &paragraph(&tr!(
        "{tested} groups and pairs of groups of at least {rows} rows were compared with the rest of the rows; p-values are adjusted for that (Benjamini and Hochberg, false discovery rate 5 %).",
        tested = e.slices.tested,
        rows = e.slices.min_rows
    ));
    let weak: Vec<Vec<String>> = e.slices.weak.iter().take(20).map(row).collect();
    out += &if weak.is_empty() {
        paragraph(tr!("None is worse beyond chance."))
    } else {
        table(&head, &weak)
    };
    if !e.fairness.is_empty() {
        out += &heading(tr!("Are groups treated alike?"));
        out += &e.fairness.iter().map(|f| fairness(e, f)).collect::<String>();
    }
    out
}

fn fairness(e: &Evaluation, f: &Fairness) -> String {
    let estimate = |v: Option<Estimate>| {
        v.map_or("–".to_owned(), |v| {
            tr!(
                "{value:.3} ({low:.3} to {high:.3})",
                value = v.value,
                low = v.interval.low,
                high = v.interval.high
            )
        })
    };
    let rows: Vec<Vec<String>> = f
        .groups
        .iter()
        .map(|g| {
            let few = if g.enough { "" } else { tr!(" (too few for a verdict)") };
            let rates = [
                g.base_rate,
                g.selection_rate,
                g.true_positive_rate,
                g.false_positive_rate,
                g.precision,
                g.ece,
            ];
            let head = [groups::shown(&g.group).into_owned(), format!("{}{few}", g.rows)];
            head.into_iter().chain(rates.map(estimate)).collect()
        })
        .collect();
    let gaps = [
        (tr!("Demographic parity difference"), f.demographic_parity_difference),
        (tr!("Demographic parity ratio"), f.demographic_parity_ratio),
        (tr!("Equalised odds difference"), f.equalised_odds_difference),
        (tr!("Equal opportunity difference"), f.equal_opportunity_difference),
        (tr!("Predictive parity difference"), f.predictive_parity_difference),
        (tr!("Accuracy difference"), f.accuracy_difference),
        (tr!("Calibration difference"), f.calibration_difference),
    ];
    let gaps: Vec<Vec<String>> = gaps.map(|(name, v)| vec![name.to_owned(), estimate(v)]).into();
    let truly = tr!("truly {class}", class = f.positive);
    let called = tr!("called {class}", class = f.positive);
    let head =
        [f.column.as_str(), tr!("rows"), &truly, &called, "TPR", "FPR", tr!("precision"), "ECE"];
    let mut out = format!(
        "<details><summary>{}</summary>",
        html::escape(&tr!("By {name}", name = shown(&f.name())))
    );
    out += &table(&head, &rows);
    out += &table(&[tr!("between groups"), tr!("value (95 % interval)")], &gaps);
    if let Some(m) = e.mitigations.iter().find(|m| m.column == f.column) {
        let pair = |v: [f64; 2]| v.map(|v| figure(format!("{v:.3}"))).to_vec();
        let line = |name: &str, v| [vec![name.to_owned()], pair(v)].concat();
        let rows = [
            line(tr!("Demographic parity difference"), m.demographic_parity_difference),
            line(tr!("Equalised odds difference"), m.equalised_odds_difference),
            line(tr!("Accuracy"), m.accuracy),
        ];
        out += &table(
            &[tr!("thresholds by group, chosen on validation rows"), tr!("before"), tr!("after")],
            &rows,
        );
    }
    if let Some(t) = e.treated.as_ref().filter(|t| t.column == f.column) {
        let line = |name: &str, v: [f64; 2]| {
            [vec![name.to_owned()], v.map(|v| figure(format!("{v:.3}"))).to_vec()].concat()
        };
        let rows = [
            line(tr!("Demographic parity difference"), t.demographic_parity_difference),
            line(tr!("Equalised odds difference"), t.equalised_odds_difference),
            line(tr!("Accuracy"), t.accuracy),
        ];
        let head = tr!(
            "trained with {how} (without: run of {without})",
            how = shown(&t.how),
            without = t.without
        );
        out += &table(&[&head, tr!("without"), tr!("with")], &rows);
    }
    out + "</details>"
}

fn robustness(e: &Evaluation) -> String {
    let r = &e.robustness;
    let kind = if e.classes.is_empty() { MetricKind::R2 } else { MetricKind::Accuracy };
    let mut rows = vec![vec![tr!("as it is").to_owned(), value(kind, r.clean), String::new()]];
    rows.extend(r.changes.iter().chain(r.columns.iter().take(10)).map(|c| {
        let interval = c.interval.map_or(String::new(), |i| range(kind, i));
        vec![shown(&c.what).into_owned(), value(kind, c.score), interval]
    }));
    let mut out = heading(tr!("How it holds out against worse data"));
    out += &table(&[tr!("change"), of(kind.label()), tr!("95 % interval")], &rows);
    if !r.attacks.is_empty() {
        let fgsm = r.attacks.iter().map(|a| [a.epsilon, a.fgsm]).collect();
        let pgd = r.attacks.iter().map(|a| [a.epsilon, a.pgd]).collect();
        out += &svg::plot(
            tr!("Accuracy under attack"),
            of(r.unit),
            tr!("accuracy"),
            &[trace("FGSM", fgsm), trace(tr!("PGD, 10 steps"), pgd)],
        );
    }
    if !r.referrals.is_empty() {
        let rows: Vec<Vec<String>> = r
            .referrals
            .iter()
            .map(|f| {
                vec![
                    figure(format!("{:.1} %", 100.0 * f.threshold)),
                    figure(format!("{:.1} %", 100.0 * f.referred)),
                    value(kind, f.accuracy),
                    range(kind, f.interval),
                ]
            })
            .collect();
        let head = [
            tr!("a person takes answers less sure than"),
            tr!("share of rows"),
            tr!("accuracy on the rest"),
            tr!("95 % interval"),
        ];
        out += &table(&head, &rows);
    }
    if let Some(s) = r.strangeness {
        out += &paragraph(&tr!(
            "{strange:.1} % of these rows are more unlike the training rows than 99 % of those are; of rows of noise, {found:.0} % would be noticed that way.",
            strange = 100.0 * s.strange,
            found = 100.0 * s.noise_found
        ));
    }
    out
}

fn comparison(v: &Verdict) -> String {
    let rows: Vec<Vec<String>> = v
        .arms
        .iter()
        .map(|a| {
            let time = a.train_seconds.map_or("–".to_owned(), |s| figure(format!("{s:.1} s")));
            let cores = a.core_seconds.map_or("–".to_owned(), |s| figure(format!("{s:.1} s")));
            let speed: Vec<String> =
                a.throughput.iter().map(|(b, r)| format!("{b}: {r:.0}")).collect();
            vec![
                a.name.to_owned(),
                format!("{} ({})", value(v.metric, a.score), range(v.metric, a.interval)),
                figure(format!("{:+.4}", a.loss_gap)),
                a.ece.map_or("–".to_owned(), |e| figure(format!("{:.2} %", 100.0 * e))),
                a.worst_slice.as_ref().map_or("–".to_owned(), |(n, s)| {
                    format!("{}: {}", shown(n), figure(format!("{s:.3}")))
                }),
                figure(format!("{:.1} %", 100.0 * a.agreement)),
                time,
                cores,
                format!("{:.0} / {:.0} µs", a.latency_p50, a.latency_p95),
                speed.join(", "),
                figure(format!("{:.1} kB", a.file_bytes as f64 / 1e3)),
                figure(format!("{:.1} kB", a.memory_bytes as f64 / 1e3)),
            ]
        })
        .collect();
    let head = [
        tr!("model"),
        of(v.metric.label()),
        tr!("loss gap"),
        "ECE",
        tr!("worst group"),
        tr!("same answers as f32"),
        tr!("training"),
        tr!("time × cores (in place of energy, which was not measured)"),
        tr!("one row, p50 / p95"),
        tr!("rows per second by batch"),
        tr!("file"),
        tr!("memory to train"),
    ];
    let points = |pareto: bool| {
        let arms = v.arms.iter().filter(|a| a.pareto == pareto);
        arms.map(|a| [a.file_bytes as f64 / 1e3, a.score]).collect::<Vec<_>>()
    };
    let cloud = |name, points| Trace { name, points, scattered: true, dashed: false };
    let traces = [
        cloud(tr!("no other is both better and smaller"), points(true)),
        cloud(tr!("others"), points(false)),
    ];
    let mut out = heading(tr!("What FP8 cost or saved"));
    out += &v.card.iter().map(|s| paragraph(&shown(s))).collect::<String>();
    out += &table(&head, &rows);
    out += &svg::plot(tr!("Score against size"), tr!("kilobytes"), of(v.metric.label()), &traces);
    out
}
