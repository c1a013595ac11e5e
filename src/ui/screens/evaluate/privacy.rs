//! What the model gives away: training rows, single cells, itself.

use std::sync::Arc;

use egui::{Label, TextureHandle, TextureOptions, Ui, Vec2};

use crate::eval::privacy::{EXTRACTION, Inversion, Privacy, Risk};
use crate::eval::{Evaluation, Interval};
use crate::text::{figure, of, shown};
use crate::tr;
use crate::ui::icons;
use crate::ui::screens::count;
use crate::ui::widgets::plot::format_value;
use crate::ui::widgets::table::table;
use crate::ui::widgets::{Mood, banner, card, section, small};

/// Draws the part.
pub fn show(ui: &mut Ui, found: &Evaluation) {
    let p = &found.privacy;
    let (mood, icon) = match p.risk {
        Risk::Low => (Mood::Good, icons::CHECK_CIRCLE),
        Risk::Some => (Mood::Warn, icons::WARNING),
        Risk::High => (Mood::Bad, icons::WARNING_CIRCLE),
        Risk::Unknown => (Mood::Neutral, icons::INFO),
    };
    let heading = tr!("Risk that training rows are recognised: {risk}", risk = of(p.risk.word()));
    banner(ui, mood, icon, &heading, &shown(&p.statement), |_| {});
    membership(ui, p);
    attributes(ui, p);
    inversion(ui, p);
    card(ui, |ui| {
        section(ui, tr!("Private training"), tr!("differential privacy"));
        match &p.guaranteed {
            Some(spent) => {
                ui.add(Label::new(shown(&spent.describe())).wrap());
                small(
                    ui,
                    tr!(
                        "It covers the training steps, not the figures that prepare the columns (means, names of categories), nor settings chosen by looking at the data."
                    ),
                );
            }
            None => {
                ui.add(
                    Label::new(tr!("This model was trained without it. Turn on \"Keep rows private\" in Configure to bound what any attack can find, for some accuracy and a longer training."))
                        .wrap(),
                );
            }
        }
    });
    card(ui, |ui| {
        section(ui, tr!("Against copying the model"), tr!("extraction"));
        for advice in EXTRACTION {
            ui.add(Label::new(of(advice)).wrap());
        }
    });
}

fn percent(value: f64) -> String {
    format_value(value, true, false)
}

fn range(i: Interval) -> String {
    tr!("{low} to {high}", low = percent(i.low), high = percent(i.high))
}

fn membership(ui: &mut Ui, p: &Privacy) {
    let Some(m) = &p.membership else { return };
    card(ui, |ui| {
        section(
            ui,
            tr!("Can rows of the training be recognised?"),
            &tr!(
                "membership inference: {members} training rows against {others} that training never saw",
                members = count(m.members),
                others = count(m.others)
            ),
        );
        let head = [
            tr!("Attack"),
            tr!("AUC (guessing: 0.5)"),
            tr!("95 % range"),
            tr!("Found at 1 % false alarms"),
            tr!("95 % range"),
        ];
        table(ui, "membership", &head, m.attacks.len(), |ui, row, column| {
            let Some(a) = m.attacks.get(row) else { return };
            let interval = a.auc_interval;
            match column {
                0 => {
                    ui.add(Label::new(of(a.name)).truncate());
                }
                1 => {
                    small(ui, figure(format!("{:.3}", a.auc)));
                }
                2 => {
                    small(
                        ui,
                        tr!("{low:.3} to {high:.3}", low = interval.low, high = interval.high),
                    );
                }
                3 => {
                    small(ui, percent(a.found));
                }
                _ => {
                    small(ui, range(a.found_interval));
                }
            }
        });
    });
}

fn attributes(ui: &mut Ui, p: &Privacy) {
    if p.attributes.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(
            ui,
            tr!("Can a missing cell be inferred?"),
            tr!(
                "model inversion: all other cells and the answer are known. Only what is found of training rows beyond other rows was learned by heart."
            ),
        );
        let head = [
            tr!("Column"),
            tr!("Commonest value"),
            tr!("Training rows"),
            tr!("Other rows"),
            tr!("Difference, 95 % range"),
        ];
        table(ui, "attributes", &head, p.attributes.len(), |ui, row, column| {
            let Some(a) = p.attributes.get(row) else { return };
            match column {
                0 => {
                    ui.add(Label::new(&a.column).truncate());
                }
                1 => {
                    small(ui, percent(a.commonest));
                }
                2 => {
                    small(ui, percent(a.members));
                }
                3 => {
                    small(ui, percent(a.others));
                }
                _ => {
                    let mark = if a.leaks() { tr!(" (given away)") } else { "" };
                    small(ui, format!("{}{mark}", range(a.gap)));
                }
            }
        });
    });
}

/// Textures of the pictures last shown.
#[derive(Clone)]
struct Drawn {
    of: Arc<Vec<Vec<u8>>>,
    handles: Vec<TextureHandle>,
}

fn drawn(ui: &Ui, found: &Inversion) -> Vec<TextureHandle> {
    let id = egui::Id::unique("inverted pictures");
    if let Some(drawn) = ui.data(|d| d.get_temp::<Drawn>(id))
        && drawn.of.iter().eq(found.classes.iter().map(|c| &c.pixels))
    {
        return drawn.handles;
    }
    let [width, height, channels] = found.shape;
    let texture = |pixels: &Vec<u8>| {
        let size = [width, height];
        let image = match channels {
            1 => egui::ColorImage::from_gray(size, pixels),
            _ => egui::ColorImage::from_rgb(size, pixels),
        };
        ui.ctx().load_texture("inverted", image, TextureOptions::NEAREST)
    };
    let of: Vec<Vec<u8>> = found.classes.iter().map(|c| c.pixels.clone()).collect();
    let handles: Vec<TextureHandle> = of.iter().map(texture).collect();
    let kept = Drawn { of: Arc::new(of), handles: handles.clone() };
    ui.data_mut(|d| d.insert_temp(id, kept));
    handles
}

fn inversion(ui: &mut Ui, p: &Privacy) {
    let Some(found) = &p.inversion else { return };
    card(ui, |ui| {
        section(
            ui,
            tr!("What do the weights show?"),
            tr!(
                "model inversion: for each class, a grey picture changed until the model is sure of it, without any data."
            ),
        );
        ui.add(Label::new(of(found.statement())).wrap());
        let side = 84.0;
        ui.horizontal_wrapped(|ui| {
            for (texture, class) in drawn(ui, found).iter().zip(&found.classes) {
                let size = texture.size_vec2();
                let high = (side * size.y / size.x.max(1.0)).min(2.0 * side);
                let alt = tr!("Made from the weights for {class}", class = class.class);
                ui.add(
                    egui::Image::new(texture)
                        .fit_to_exact_size(Vec2::new(side, high))
                        .alt_text(&alt),
                )
                .on_hover_text(&alt);
            }
        });
        let head = [
            tr!("Class"),
            tr!("Confidence"),
            tr!("Like the class's average"),
            tr!("Like a training picture"),
            tr!("Like another picture"),
        ];
        table(ui, "inversion", &head, found.classes.len(), |ui, row, column| {
            let Some(c) = found.classes.get(row) else { return };
            match column {
                0 => {
                    ui.add(Label::new(&c.class).truncate());
                }
                1 => {
                    small(ui, percent(c.confidence));
                }
                2 => {
                    small(ui, figure(format!("{:.2}", c.average)));
                }
                3 => {
                    small(ui, figure(format!("{:.2}", c.training)));
                }
                _ => {
                    small(ui, figure(format!("{:.2}", c.others)));
                }
            }
        });
        small(
            ui,
            tr!(
                "Correlations: 1 is the same picture, 0 nothing in common. The most alike of as many training pictures and others of the class are compared."
            ),
        );
    });
}
