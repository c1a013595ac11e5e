//! Part of the Train step: how groups fare while it trains.

use egui::Ui;

use crate::app::LiveRun;
use crate::text::shown;
use crate::ui::widgets::plot::Curves;
use crate::ui::widgets::{card, section};
use crate::{key, tr};

/// Draws the part; nothing for a run that watches no groups.
pub fn show(ui: &mut Ui, run: &LiveRun) {
    let Some((column, figure)) = &run.watched else { return };
    let percent = figure == key!("Accuracy");
    let figure = shown(figure);
    card(ui, |ui| {
        section(
            ui,
            &tr!("{figure} by {column}", figure, column),
            tr!("On validation rows after every epoch, of groups with 30 rows or more."),
        );
        let mut plot = Curves::new("groups", &figure, tr!("Epoch"));
        if percent {
            plot = plot.percent();
        }
        for (i, (name, series)) in run.groups.iter().enumerate() {
            plot = plot.curve(name, series, i % 2 == 1);
        }
        plot.show(ui);
    });
}
