//! The risk register and the section on human oversight.
//!
//! Risks name the subcategory of the NIST AI Risk Management Framework 1.0 that the evidence
//! supports. They claim no more than that: whether an organisation meets it is not for a program
//! to say.

use super::html::{field, fillable, heading, paragraph};
use crate::eval::evaluation::{Evaluation, Part};
use crate::metrics::MetricKind;

/// Risks with the evidence that was found for or against each.
pub fn register(e: &Evaluation) -> String {
    let row = |risk: &str, evidence: String, supports: &str| {
        vec![risk.to_owned(), evidence, format!("supports {supports}"), String::new()]
    };
    let main = e.headline().map_or("nothing was measured".to_owned(), |m| {
        format!(
            "{} {} (95 % interval {} to {})",
            m.kind.label(),
            m.kind.format(m.value),
            m.kind.format(m.interval.low),
            m.kind.format(m.interval.high)
        )
    });
    let simple = match (e.headline(), e.best_baseline()) {
        (Some(m), Some((name, b))) if b.value < m.interval.low => {
            format!("better than {name} beyond chance")
        }
        (Some(_), Some((name, _))) => format!("not clearly better than {name}"),
        _ => "nothing to compare with".to_owned(),
    };
    let widest = e.fairness.iter().filter_map(|f| Some((f, f.demographic_parity_difference?)));
    let widest = widest.max_by(|a, b| a.1.value.total_cmp(&b.1.value));
    let fair = widest.map_or("no groups were compared".to_owned(), |(f, d)| {
        format!("largest demographic parity difference {:.3}, by {}", d.value, f.column)
    });
    let weak = match e.slices.weak.first() {
        Some(s) => format!("{} weak groups, the worst: {}", e.slices.weak.len(), s.name()),
        None => format!("{} groups tested, none weak", e.slices.tested),
    };
    let sure = e.get(MetricKind::Ece).map_or("does not apply to numbers".to_owned(), |m| {
        format!("calibration error {}", m.kind.format(m.value))
    });
    let leak = match e.part {
        Part::Test => "test rows were set aside before anything was fitted",
        Part::Validation => "no test rows; the validation rows chose the epoch",
        Part::All => "other data than that of the training; overlap is not known",
    };
    let rows = [
        row("The model is wrong too often for its use", format!("{main}; {simple}"), "MEASURE 2.5"),
        row("Figures are too good, as rows were seen in training", leak.to_owned(), "MEASURE 2.3"),
        row("Some groups of people are treated worse", fair, "MEASURE 2.11"),
        row("It fails on some kinds of rows unnoticed", weak, "MEASURE 2.11"),
        row("Its probabilities are believed although they are off", sure, "MEASURE 2.9"),
        row(
            "Wrong or hostile input misleads it",
            e.robustness.attacks.last().map_or("not attacked".to_owned(), |a| {
                format!(
                    "score {:.3} as it is, {:.3} under PGD of size {}",
                    e.robustness.clean, a.pgd, a.epsilon
                )
            }),
            "MEASURE 2.7",
        ),
        row(
            "It gives away who or what it was trained on",
            format!("risk that training rows are recognised: {}", e.privacy.risk.word()),
            "MEASURE 2.10",
        ),
        row(
            "New data differ from those it was tested on",
            "to be watched after release".to_owned(),
            "MEASURE 2.4",
        ),
        row(
            "People follow it without looking (automation bias)",
            "see the next section".to_owned(),
            "MANAGE 2.4",
        ),
    ];
    heading("Risk register")
        + &paragraph(
            "Each line names evidence in this report and the part of the NIST AI Risk Management Framework that it supports. It is no statement of compliance.",
        )
        + &fillable(
            &["risk", "evidence", "NIST AI RMF", "owner and measure (to be filled in)"],
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
        paragraph(&format!(
            "Of {} rows looked at, the model was less than 80 % sure of {n}. Sending such rows to a person is one way to guard against automation bias.",
            e.rows
        ))
    });
    heading("Human oversight")
        + &paragraph("To be completed by the people who put the model to use.")
        + &hint
        + &field("Which decisions may follow from an answer without a person, and which may not")
        + &field("Who looks at unsure or contested answers, and how long that may take")
        + &field("How someone concerned learns that a model was used, and how to object")
        + &field("When the model is switched off, and by whom")
}
