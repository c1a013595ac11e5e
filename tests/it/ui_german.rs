//! The window in German: from Home to a model file by German labels, and a change of language.

use egui_kittest::kittest::NodeT;
use fp8_studio::app::Command;
use fp8_studio::app::prefs::LanguageChoice;
use fp8_studio::app::{Preferences, Step};
use fp8_studio::deploy::Input;
use fp8_studio::error::UserError;
use fp8_studio::train::{Event, StopReason};

use super::ui_support::{Window, finish, go_on, play};

fn german() -> Window {
    Window::with([1280.0, 800.0], Default::default(), |store| {
        let language = LanguageChoice::German;
        store.save(&Preferences { language, ..Default::default() }).unwrap();
    })
}

#[test]
fn the_main_flow_is_german() {
    let mut w = german();
    w.see("Woraus möchten Sie lernen?");
    w.click("Beispiel Pinguine öffnen");
    w.see("Was vorhergesagt werden soll");
    w.see("Klassifikation mit mehreren Klassen");
    w.click("Weiter: Prüfen");
    w.see("Taugen die Daten zum Lernen?");
    w.click("Weiter: Einstellen");
    w.see("Wie genau soll gerechnet werden?");
    w.see("FP8, aktuelle Skalierung");
    w.click("Sorgfältig");
    w.click("Rückgängig: Vorlage");
    w.click("Training starten");
    let run = w.run();
    play(&run, 10);
    w.settle();
    w.see("Epoche 11 von 30");
    w.see("Trainingsverlust");
    w.see("Lernrate");
    go_on(&run, 11, 30);
    finish(&run, StopReason::Completed);
    w.settle();
    w.see("Von 100 neuen Zeilen bekommt es etwa 97 richtig.");
    w.click("Weiter: Bewerten");
    w.see("Können Sie ihm trauen?");
    w.click("Fehler");
    w.see("Was womit verwechselt wird");
    w.click("Weiter: Exportieren");
    let to = std::env::temp_dir().join("pinguine.safetensors");
    w.script.picks.lock().unwrap().insert("export", to);
    w.click("Modelldatei speichern …");
    w.see("14,3 kB");
    w.see("3 von 12");
}

#[test]
fn figures_and_errors_from_below_are_german() {
    let mut w = german();
    w.click("Beispiel Pinguine öffnen");
    w.click("Weiter: Prüfen");
    w.click("Weiter: Einstellen");
    w.click("Training starten");
    w.run().send(Event::Failed(UserError::new(
        "Training diverged at step 61",
        "Choose a smaller batch size or a smaller model.",
    )));
    w.settle();
    w.see("Das Training ist bei Schritt 61 auseinandergelaufen");
    w.see("Wählen Sie eine kleinere Batchgröße oder ein kleineres Modell.");
}

/// Types into a control in place of what it holds.
fn fill(w: &mut Window, label: &str, text: &str) {
    w.node(label).focus();
    w.harness.run_steps(2);
    w.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    w.node(label).type_text(text);
    w.settle();
}

#[test]
fn numbers_take_a_comma_or_a_point() {
    let mut w = german();
    w.click("Beispiel Pinguine öffnen");
    w.click("Weiter: Prüfen");
    w.click("Weiter: Einstellen");
    let config = |w: &Window| w.harness.state().state.project().unwrap().project.train.clone();
    let rate = "Größe jedes Lernschritts";
    assert_eq!(w.node(rate).accesskit_node().value().as_deref(), Some("0,001"));
    fill(&mut w, rate, "0,01");
    assert_eq!(config(&w).learning_rate, 0.01);
    fill(&mut w, rate, "0.02");
    assert_eq!(config(&w).learning_rate, 0.02);
    fill(&mut w, rate, "0,0x");
    w.see("Das ist keine Zahl.");
}

#[test]
fn a_typed_row_takes_a_comma_and_reaches_the_model_as_the_data_write_it() {
    let mut w = german();
    w.click("Beispiel Pinguine öffnen");
    w.click("Weiter: Prüfen");
    w.click("Weiter: Einstellen");
    w.click("Training starten");
    play(&w.run(), 3);
    finish(&w.run(), StopReason::Completed);
    w.settle();
    w.click("Weiter: Bewerten");
    w.click("Try it");
    let field = "bill_length_mm";
    let tried = |w: &Window| match w.script.tried.lock().unwrap().last() {
        Some(Input::Row(cells)) => cells.iter().find(|(n, _)| n == field).unwrap().1.clone(),
        other => panic!("{other:?}"),
    };
    let shown = w.node(field).accesskit_node().value().unwrap();
    assert!(shown.contains(',') && tried(&w) == shown.replace(',', "."), "{shown}");
    fill(&mut w, field, "50,25");
    assert_eq!(tried(&w), "50.25");
    fill(&mut w, field, "50.5");
    assert_eq!(tried(&w), "50.5");
}

#[test]
fn a_change_of_language_shows_at_once_and_keeps_everything() {
    let mut w = Window::new();
    w.click("Open sample Penguins");
    w.click("Next: Check");
    w.click("Next: Configure");
    w.click("Careful");
    let before = w.harness.state().state.project().unwrap().project.clone();
    w.click("Language");
    w.click("Deutsch");
    w.see("Wie soll trainiert werden?");
    assert!(!w.has("How should it train?"));
    w.see("Einstellen");
    let state = &w.harness.state().state;
    assert_eq!(state.step, Step::Configure);
    assert_eq!(state.project().unwrap().project, before);
    assert_eq!(state.prefs.language, LanguageChoice::German);
    // What is stored stays English.
    assert_eq!(state.project().unwrap().undo.undo_label(), Some("the preset"));
    w.harness.state_mut().state.apply(Command::SetLanguage(LanguageChoice::System));
    w.settle();
    w.see("How should it train?");
}
