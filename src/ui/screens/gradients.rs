//! Part of the Train step: how strong the gradients are that reach each layer.

use egui::Ui;

use crate::app::LiveRun;
use crate::plan::TensorRole;
use crate::tr;
use crate::ui::widgets::plot::Curves;
use crate::ui::widgets::{card, section, small};

/// Layers that can be told apart by colour.
const MOST: usize = 6;

/// Draws the part; nothing for a run whose gradients are not watched.
pub fn show(ui: &mut Ui, run: &LiveRun) {
    let gradients: Vec<_> = run
        .tensors
        .iter()
        .filter(|t| t.role == TensorRole::Gradient && !t.norm.is_empty())
        .collect();
    if gradients.is_empty() {
        return;
    }
    card(ui, |ui| {
        section(
            ui,
            tr!("Gradients"),
            tr!(
                "How strong the signal is that tells each layer how to change. It should neither explode nor vanish from the output to the first layer."
            ),
        );
        let mut plot =
            Curves::new("gradients", tr!("Gradient norm"), tr!("Epoch")).log(true).height(180.0);
        for (index, track) in gradients.iter().take(MOST).enumerate() {
            plot = plot.curve(&track.name, &track.norm, index % 2 == 1);
        }
        plot.show(ui);
        let more = gradients.len().saturating_sub(MOST);
        let left_out = if more > 0 {
            tr!(" The first {most} of {all} layers.", most = MOST, all = MOST + more)
        } else {
            String::new()
        };
        small(
            ui,
            tr!(
                "Euclidean norm (L2) of the gradient of each layer's output over one batch, before it is rounded to 8 bits.{left_out}",
                left_out
            ),
        );
    });
}
