//! The risk register and the section on human oversight.
//!
//! Risks name the subcategory of the NIST AI Risk Management Framework 1.0 that the evidence
//! supports. They claim no more than that: whether an organisation meets it is not for a program
//! to say.

use super::html::{field, fillable, heading, paragraph};
use crate::eval::evaluation::{Evaluation, Part};
use crate::metrics::MetricKind;
use crate::text::{figure, of, shown};
use crate::tr;

/// Risks with the evidence that was found for or against each.
pub fn register(e: &Evaluation) -> String {
    let row = |risk: &str, evidence: String, supports: &str| {
        vec![risk.to_owned(), evidence, tr!("supports {supports}", supports), String::new()]
    };
    let main = e.headline().map_or(tr!("nothing was measured").to_owned(), |m| {
        tr!(
            "{kind} {value} (95 % interval {low} to {high})",
            kind = of(m.kind.label()),
            value = figure(m.kind.format(m.value)),
            low = figure(m.kind.format(m.interval.low)),
            high = figure(m.kind.format(m.interval.high))
        )
    });
    let simple = match (e.headline(), e.best_baseline()) {
        (Some(m), Some((name, b))) if b.value < m.interval.low => {
            tr!("better than {name} beyond chance", name = shown(name))
        }
        (Some(_), Some((name, _))) => tr!("not clearly better than {name}", name = shown(name)),
        _ => tr!("nothing to compare with").to_owned(),
    };
    let widest = e.fairness.iter().filter_map(|f| Some((f, f.demographic_parity_difference?)));
    let widest = widest.max_by(|a, b| a.1.value.total_cmp(&b.1.value));
    let fair = widest.map_or(tr!("no groups were compared").to_owned(), |(f, d)| {
        tr!(
            "largest demographic parity difference {value:.3}, by {column}",
            value = d.value,
            column = f.column
        )
    });
    let weak = match e.slices.weak.first() {
        Some(s) => {
            tr!("{n} weak groups, the worst: {name}", n = e.slices.weak.len(), name = s.shown())
        }
        None => tr!("{n} groups tested, none weak", n = e.slices.tested),
    };
    let sure = e.get(MetricKind::Ece).map_or(tr!("does not apply to numbers").to_owned(), |m| {
        tr!("calibration error {value}", value = figure(m.kind.format(m.value)))
    });
    let leak = match e.part {
        Part::Test => tr!("test rows were set aside before anything was fitted"),
        Part::Validation => tr!("no test rows; the validation rows chose the epoch"),
        Part::All => tr!("other data than that of the training; overlap is not known"),
    };
    let rows = [
        row(
            tr!("The model is wrong too often for its use"),
            format!("{main}; {simple}"),
            "MEASURE 2.5",
        ),
        row(
            tr!("Figures are too good, as rows were seen in training"),
            leak.to_owned(),
            "MEASURE 2.3",
        ),
        row(tr!("Some groups of people are treated worse"), fair, "MEASURE 2.11"),
        row(tr!("It fails on some kinds of rows unnoticed"), weak, "MEASURE 2.11"),
        row(tr!("Its probabilities are believed although they are off"), sure, "MEASURE 2.9"),
        row(
            tr!("Wrong or hostile input misleads it"),
            e.robustness.attacks.last().map_or(tr!("not attacked").to_owned(), |a| {
                tr!(
                    "score {clean:.3} as it is, {pgd:.3} under PGD of size {size}",
                    clean = e.robustness.clean,
                    pgd = a.pgd,
                    size = figure(a.epsilon.to_string())
                )
            }),
            "MEASURE 2.7",
        ),
        row(
            tr!("It gives away who or what it was trained on"),
            tr!("risk that training rows are recognised: {risk}", risk = of(e.privacy.risk.word())),
            "MEASURE 2.10",
        ),
        row(
            tr!("New data differ from those it was tested on"),
            tr!("to be watched after release").to_owned(),
            "MEASURE 2.4",
        ),
        row(
            tr!("People follow it without looking (automation bias)"),
            tr!("see the next section").to_owned(),
            "MANAGE 2.4",
        ),
    ];
    heading(tr!("Risk register"))
        + &paragraph(tr!(
            "Each line names evidence in this report and the part of the NIST AI Risk Management Framework that it supports. It is no statement of compliance."
        ))
        + &fillable(
            &[
                tr!("risk"),
                tr!("evidence"),
                "NIST AI RMF",
                tr!("owner and measure (to be filled in)"),
            ],
            &rows,
        )
}

/// What people have to decide about people.
pub fn oversight(e: &Evaluation) -> String {
    let unsure = e.calibration.as_ref().map(|c| {
        let bins = c.model.bins.iter().filter(|b| b.to <= 0.81);
        bins.map(|b| b.rows).sum::<u64>()
    });
    let hint = unsure.map_or(String::new(), |n| {
        paragraph(&tr!(
            "Of {rows} rows looked at, the model was less than 80 % sure of {n}. Sending such rows to a person is one way to guard against automation bias.",
            rows = e.rows,
            n
        ))
    });
    heading(tr!("Human oversight"))
        + &paragraph(tr!("To be completed by the people who put the model to use."))
        + &hint
        + &field(tr!(
            "Which decisions may follow from an answer without a person, and which may not"
        ))
        + &field(tr!("Who looks at unsure or contested answers, and how long that may take"))
        + &field(tr!("How someone concerned learns that a model was used, and how to object"))
        + &field(tr!("When the model is switched off, and by whom"))
}
