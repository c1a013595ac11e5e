//! What the model gives away, in the report.

use base64ct::{Base64, Encoding};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::html::{escape, heading, paragraph, table};
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
    if let Some(inversion) = &p.inversion {
        let rows: Vec<Vec<String>> = inversion
            .classes
            .iter()
            .map(|c| {
                vec![
                    c.class.clone(),
                    format!("{:.1} %", 100.0 * c.confidence),
                    format!("{:.2}", c.average),
                    format!("{:.2}", c.training),
                    format!("{:.2}", c.others),
                ]
            })
            .collect();
        let head = [
            "picture made from the weights for",
            "confidence",
            "correlation with the average picture",
            "with the most alike training picture",
            "with the most alike other picture",
        ];
        out += &table(&head, &rows);
        for c in &inversion.classes {
            out += &picture(&c.pixels, inversion.shape, &c.class).unwrap_or_default();
        }
    }
    if let Some(spent) = &p.guaranteed {
        out += &paragraph(&format!("{}.", spent.describe()));
    }
    out + &EXTRACTION.iter().map(|a| paragraph(a)).collect::<String>()
}

/// A picture in the page itself.
fn picture(pixels: &[u8], [width, height, channels]: [usize; 3], name: &str) -> Option<String> {
    let kind = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(pixels, width as u32, height as u32, kind).ok()?;
    let data = Base64::encode_string(&png);
    let name = escape(name);
    Some(format!(
        "<img alt=\"made for {name}\" title=\"{name}\" style=\"width:84px;image-rendering:pixelated;margin:2px\" src=\"data:image/png;base64,{data}\">"
    ))
}
