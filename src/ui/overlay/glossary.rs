//! The glossary.

use egui::{Label, Ui};

use crate::text::of;
use crate::tr;
use crate::ui::glossary::{TERMS, search};
use crate::ui::theme::space;
use crate::ui::widgets::{muted, strong};

/// What only the drawing needs to know.
#[derive(Debug, Default)]
pub struct Local {
    text: String,
    fresh: bool,
}

impl Local {
    /// It was just opened: the field gets the focus.
    pub fn opened(&mut self) {
        self.text.clear();
        self.fresh = true;
    }

    /// Looks for one term.
    pub fn show_term(&mut self, index: usize) {
        if let Some(term) = TERMS.get(index) {
            of(term.name).clone_into(&mut self.text);
        }
    }
}

/// Draws it.
pub fn show(ui: &mut Ui, local: &mut Local) {
    let field = ui
        .add(
            egui::TextEdit::singleline(&mut local.text)
                .hint_text(tr!("Find a term"))
                .desired_width((ui.available_width() - 18.0).max(80.0))
                .margin(egui::Margin::symmetric(8, 7)),
        )
        .accessible_name(tr!("Find a term"));
    if std::mem::take(&mut local.fresh) {
        field.request_focus();
    }
    let found = search(&local.text);
    if found.is_empty() {
        muted(ui, tr!("No term matches. Try a shorter word."));
    }
    for term in found {
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            strong(ui, of(term.name));
            ui.add(Label::new(of(term.text)).wrap());
        });
        ui.add_space(space::XS);
    }
}
