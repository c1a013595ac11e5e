//! Passphrases: opening what is sealed, and sealing a project.

use egui::{TextEdit, Ui};

use crate::app::unsealing::{Unlock, is_public_key};
use crate::app::{Command, Pick, ProjectState};
use crate::error::UserError;
use crate::export::sealed::Secret;
use crate::text::shown;
use crate::tr;
use crate::ui::icons;
use crate::ui::widgets::{
    self, Button, card, labelled, muted, page, problem, section, small, title,
};

/// What only the drawing needs to know.
#[derive(Default)]
pub struct Local {
    typed: String,
    /// Whether passphrases can be read while they are typed.
    pub(super) show: bool,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a passphrase being typed")
    }
}

/// A field for a passphrase, hidden unless asked; gives its response.
pub fn passphrase(ui: &mut Ui, text: &mut String, show: &mut bool) -> egui::Response {
    let field = TextEdit::singleline(text)
        .password(!*show)
        .desired_width(ui.available_width().min(260.0))
        .margin(egui::Margin::symmetric(8, 6));
    let response = ui.add(field);
    ui.checkbox(show, tr!("Show what I type"));
    response
}

/// Asks for what opens a sealed file.
pub fn show(
    ui: &mut Ui,
    name: &str,
    opening: bool,
    error: Option<&UserError>,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    page(ui, "sealed", |ui| {
        title(ui, tr!("This file is sealed"));
        muted(
            ui,
            &tr!(
                "{name} was encrypted. Type the passphrase, or choose the file with the secret key. An opened copy is put beside it.",
                name
            ),
        );
        card(ui, |ui| {
            let entered = labelled(
                ui,
                tr!("Passphrase"),
                "",
                tr!("Capitals and spaces count. Nobody can find a lost passphrase again."),
                |ui| {
                    let response = passphrase(ui, &mut local.typed, &mut local.show);
                    response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter))
                },
            );
            if let Some(error) = error {
                problem(ui, &format!("{}.", shown(&error.what)));
                small(ui, shown(&error.advice));
            }
            let wait = opening.then_some(tr!("It is being opened."));
            let empty = local.typed.is_empty().then_some(tr!("Type the passphrase first."));
            ui.horizontal_wrapped(|ui| {
                let open = Button::primary(tr!("Open")).icon(icons::FOLDER_OPEN);
                let pressed = open.blocked(wait.or(empty)).pressed(ui);
                if pressed || (entered && wait.or(empty).is_none()) {
                    let secret = Secret(std::mem::take(&mut local.typed));
                    out.push(Command::Unseal(Unlock::Passphrase(secret)));
                }
                if Button::secondary(tr!("Key file…")).blocked(wait).pressed(ui) {
                    out.push(Command::Pick(Pick::KeyFile));
                }
                if opening {
                    ui.add(egui::Spinner::new().size(18.0)).accessible_name(tr!("Opening"));
                }
                if Button::new(widgets::Kind::Quiet, tr!("Cancel")).pressed(ui) {
                    out.push(Command::Close);
                }
            });
        });
    });
}

/// Seals the whole project.
pub fn seal_project(
    ui: &mut Ui,
    project: &ProjectState,
    local: &mut Local,
    out: &mut Vec<Command>,
) {
    card(ui, |ui| {
        section(
            ui,
            tr!("Seal the whole project"),
            tr!(
                "One encrypted file with the data, all runs and models, to keep or to pass on. The project itself stays as it is."
            ),
        );
        let mut text = project.seal_secret.0.clone();
        labelled(
            ui,
            tr!("Passphrase for the project"),
            tr!("or a public key (age1…)"),
            tr!("Only who knows the passphrase, or has the secret key, can open the file."),
            |ui| {
                if passphrase(ui, &mut text, &mut local.show).changed() {
                    out.push(Command::SetSealSecret(Secret(text.clone())));
                }
                if is_public_key(&text) {
                    small(ui, tr!("A public key: only its secret key opens the file."));
                }
            },
        );
        let why = text.is_empty().then_some(tr!("Type a passphrase first."));
        let button = Button::secondary(tr!("Save sealed project…")).icon(icons::SHIELD_CHECK);
        if button.blocked(why).pressed(ui) {
            out.push(Command::Pick(Pick::SealTo));
        }
    });
}
