//! What the model gives away, in the report.

use base64ct::{Base64, Encoding};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::html::{escape, heading, paragraph, table};
use crate::eval::Evaluation;
use crate::eval::privacy::EXTRACTION;
use crate::text::{figure, of, shown};
use crate::tr;

/// The section.
pub fn section(e: &Evaluation) -> String {
    let p = &e.privacy;
    let mut out = heading(tr!("What it gives away"));
    out += &paragraph(&tr!(
        "Risk that training rows are recognised: {risk}.",
        risk = of(p.risk.word())
    ));
    out += &paragraph(&shown(&p.statement));
    if let Some(m) = &p.membership {
        let rows: Vec<Vec<String>> = m
            .attacks
            .iter()
            .map(|a| {
                let (auc, found) = (a.auc_interval, a.found_interval);
                vec![
                    of(a.name).to_owned(),
                    tr!(
                        "{value:.3} ({low:.3} to {high:.3})",
                        value = a.auc,
                        low = auc.low,
                        high = auc.high
                    ),
                    tr!(
                        "{value:.1} % ({low:.1} to {high:.1} %)",
                        value = 100.0 * a.found,
                        low = 100.0 * found.low,
                        high = 100.0 * found.high
                    ),
                ]
            })
            .collect();
        let head = [
            tr!("membership inference by"),
            tr!("AUC (guessing: 0.5)"),
            tr!("found at 1 % false alarms"),
        ];
        out += &table(&head, &rows);
        out += &paragraph(&tr!(
            "{members} training rows against {others} that training never saw; 95 % intervals.",
            members = m.members,
            others = m.others
        ));
    }
    if !p.attributes.is_empty() {
        let percent = |v: f64| figure(format!("{:.1} %", 100.0 * v));
        let rows: Vec<Vec<String>> = p
            .attributes
            .iter()
            .map(|a| {
                let mark = if a.leaks() { tr!("; given away") } else { "" };
                vec![
                    a.column.clone(),
                    percent(a.commonest),
                    percent(a.members),
                    percent(a.others),
                    tr!(
                        "{low} to {high}{mark}",
                        low = percent(a.gap.low),
                        high = percent(a.gap.high),
                        mark
                    ),
                ]
            })
            .collect();
        let head = [
            tr!("model inversion: column inferred"),
            tr!("commonest value"),
            tr!("training rows"),
            tr!("other rows"),
            tr!("difference"),
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
                    figure(format!("{:.1} %", 100.0 * c.confidence)),
                    figure(format!("{:.2}", c.average)),
                    figure(format!("{:.2}", c.training)),
                    figure(format!("{:.2}", c.others)),
                ]
            })
            .collect();
        let head = [
            tr!("picture made from the weights for"),
            tr!("confidence"),
            tr!("correlation with the average picture"),
            tr!("with the most alike training picture"),
            tr!("with the most alike other picture"),
        ];
        out += &table(&head, &rows);
        for c in &inversion.classes {
            out += &picture(&c.pixels, inversion.shape, &c.class).unwrap_or_default();
        }
    }
    if let Some(spent) = &p.guaranteed {
        out += &paragraph(&format!("{}.", shown(&spent.describe())));
    }
    out + &EXTRACTION.iter().map(|a| paragraph(of(a))).collect::<String>()
}

/// A picture in the page itself.
fn picture(pixels: &[u8], [width, height, channels]: [usize; 3], name: &str) -> Option<String> {
    let kind = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(pixels, width as u32, height as u32, kind).ok()?;
    let data = Base64::encode_string(&png);
    let name = escape(name);
    let made = tr!("made for {name}", name);
    Some(format!(
        "<img alt=\"{made}\" title=\"{name}\" style=\"width:84px;image-rendering:pixelated;margin:2px\" src=\"data:image/png;base64,{data}\">"
    ))
}
