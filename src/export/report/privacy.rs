//! What the model gives away, in the report.

use super::html::{heading, paragraph, table};
use crate::eval::Evaluation;
use crate::eval::privacy::EXTRACTION;

/// The section.
pub fn section(e: &Evaluation) -> String {
    let p = &e.privacy;
    let mut out = heading("What it gives away");
    out += &paragraph(&format!("Risk that training rows are recognised: {}.", p.risk.word()));
    out += &paragraph(&p.statement);
    if let Some(m) = &p.membership {
        let rows: Vec<Vec<String>> = m
            .attacks
            .iter()
            .map(|a| {
                let (auc, found) = (a.auc_interval, a.found_interval);
                vec![
                    a.name.to_owned(),
                    format!("{:.3} ({:.3} to {:.3})", a.auc, auc.low, auc.high),
                    format!(
                        "{:.1} % ({:.1} to {:.1} %)",
                        100.0 * a.found,
                        100.0 * found.low,
                        100.0 * found.high
                    ),
                ]
            })
            .collect();
        let head = ["membership inference by", "AUC (guessing: 0.5)", "found at 1 % false alarms"];
        out += &table(&head, &rows);
        out += &paragraph(&format!(
            "{} training rows against {} that training never saw; 95 % intervals.",
            m.members, m.others
        ));
    }
    if !p.attributes.is_empty() {
        let percent = |v: f64| format!("{:.1} %", 100.0 * v);
        let rows: Vec<Vec<String>> = p
            .attributes
            .iter()
            .map(|a| {
                let mark = if a.leaks() { "; given away" } else { "" };
                vec![
                    a.column.clone(),
                    percent(a.commonest),
                    percent(a.members),
                    percent(a.others),
                    format!("{} to {}{mark}", percent(a.gap.low), percent(a.gap.high)),
                ]
            })
            .collect();
        let head = [
            "model inversion: column inferred",
            "commonest value",
            "training rows",
            "other rows",
            "difference",
        ];
        out += &table(&head, &rows);
    }
    if let Some(spent) = &p.guaranteed {
        out += &paragraph(&format!("{}.", spent.describe()));
    }
    out + &EXTRACTION.iter().map(|a| paragraph(a)).collect::<String>()
}
