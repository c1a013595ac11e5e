//! The window on the real library: a sample is opened, trained and exported by clicking.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use fp8_studio::app::{Library, Pick, Store};
use fp8_studio::ui::{Options, StudioApp};

#[test]
fn a_sample_is_trained_and_exported_by_clicking() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("penguins.safetensors");
    let services = Arc::new(Library::at(dir.path()));
    let answer = model.clone();
    let dialogs =
        Arc::new(move |what: Pick, _: &str| (what == Pick::ExportTo).then(|| answer.clone()));
    let store = Store::at(dir.path());
    let mut w = Harness::builder().with_size([1280.0, 800.0]).build_eframe(|cc| {
        StudioApp::new(&cc.egui_ctx, services, dialogs, store, &Options::default())
    });
    press(&mut w, "Open sample Penguins");
    press(&mut w, "Next: Check");
    press(&mut w, "Next: Configure");
    press(&mut w, "Fast");
    press(&mut w, "Start training");
    press(&mut w, "Next: Evaluate");
    press(&mut w, "Next: Export");
    let run = w.state().state.run().unwrap();
    let summary = run.summary.as_ref().unwrap();
    let accuracy = summary.test.main().unwrap().1;
    assert!(accuracy > 0.9 && accuracy > summary.baseline, "{accuracy}");
    assert!(!run.tensors.is_empty(), "no tensor statistics arrived");
    assert!(!run.train_loss.is_empty() && !run.validation_loss.is_empty());
    press(&mut w, "Save model file…");
    wait(&mut w, |w| w.query_by_label("Copy the path").is_some());
    let bytes = std::fs::read(&model).unwrap();
    let header = String::from_utf8_lossy(&bytes[8..200.min(bytes.len())]).into_owned();
    assert!(header.starts_with('{'), "{header}");
}

pub(super) fn wait(w: &mut Harness<'_, StudioApp>, done: impl Fn(&Harness<'_, StudioApp>) -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        w.run_steps(2);
        if done(w) {
            return;
        }
        let state = &w.state().state;
        assert!(
            Instant::now() < end,
            "waited too long; {:?}, {:?}",
            state.notifications.all(),
            state.run().map(|r| (&r.state, &r.error, r.log.back()))
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the control can be pressed, and presses it.
pub(super) fn press(w: &mut Harness<'_, StudioApp>, label: &str) {
    let ready = |w: &Harness<'_, StudioApp>| {
        w.query_all_by_label(label).any(|n| {
            let node = n.accesskit_node();
            egui::accessibility::is_input(node.role()) && !node.is_disabled()
        })
    };
    wait(w, ready);
    let click = |w: &Harness<'_, StudioApp>| {
        let node = w
            .query_all_by_label(label)
            .find(|n| egui::accessibility::is_input(n.accesskit_node().role()));
        node.unwrap().click_accesskit();
    };
    click(w);
    w.run_steps(3);
}
