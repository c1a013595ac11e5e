//! The window in German: from Home to a model file by German labels, and a change of language.

use fp8_studio::app::Command;
use fp8_studio::app::prefs::LanguageChoice;
use fp8_studio::app::{Preferences, Step};
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
    w.click("Beispiel Penguins öffnen");
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
    w.click("Beispiel Penguins öffnen");
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
