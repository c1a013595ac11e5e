//! Rows behind points of plots, and tables that are wider than the window.

use egui_kittest::kittest::{NodeT, Queryable};
use fp8_studio::train::StopReason;

use super::ui_support::{Window, finish, play};

fn judged(size: [f32; 2]) -> Window {
    let mut w = Window::sized(size);
    for label in ["Open sample Penguins", "Next: Check", "Next: Configure", "Start training"] {
        w.click(label);
    }
    let run = w.run();
    play(&run, 30);
    finish(&run, StopReason::Completed);
    w.settle();
    w.click("Next: Evaluate");
    w
}

/// Presses a plot at a share of its width and height.
fn press(w: &mut Window, plot: &str, x: f32, y: f32) {
    let node = w.harness.query_all_by_label_contains(plot).last().unwrap();
    let rect = node.rect();
    let at = egui::pos2(rect.min.x + x * rect.width(), rect.min.y + y * rect.height());
    w.harness.hover_at(at);
    w.harness.run_steps(2);
    w.harness.drag_at(at);
    w.harness.run_steps(1);
    w.harness.drop_at(at);
    w.harness.run_steps(3);
}

#[test]
fn a_point_of_the_reliability_plot_opens_the_rows_behind_it() {
    let mut w = judged([1280.0, 1400.0]);
    w.click("Confidence");
    let said = "Rows of which it is";
    // Beside all points nothing opens.
    press(&mut w, "Reliability over", 0.5, 0.02);
    assert!(!w.has(said));
    let steps = |n: usize| (0..n).map(move |i| (i as f32 + 0.5) / n as f32);
    'found: for x in steps(40) {
        for y in steps(20) {
            press(&mut w, "Reliability over", x, y);
            if w.has(said) {
                break 'found;
            }
        }
    }
    w.see(said);
    w.see("Answered");
}

#[test]
fn every_group_shows_its_rows() {
    let mut w = judged([1280.0, 1400.0]);
    w.click("Groups");
    let button = w.texts().into_iter().find(|t| t.starts_with("Show rows of ")).unwrap();
    let name = button.trim_start_matches("Show rows of ").to_owned();
    w.click_first(&button);
    w.see(&format!("Hide rows of {name}"));
    w.see("Answered");
}

#[test]
fn a_wide_table_keeps_its_first_column_in_sight() {
    let mut w = judged([640.0, 1200.0]);
    w.click("FP8");
    w.click("Compare now");
    let left =
        |w: &Window, label: &str| w.harness.query_all_by_label(label).last().unwrap().rect().min.x;
    let (name, last) = ("f32 → int8", "Memory to train");
    let before = left(&w, name);
    assert!(left(&w, last) > 640.0, "the last column is out of sight");
    w.harness.query_all_by_label(last).last().unwrap().scroll_to_me();
    w.settle();
    w.harness.run_steps(20);
    assert!(left(&w, last) < 640.0, "and can be brought in, at {}", left(&w, last));
    assert_eq!(left(&w, name), before, "the names stay");
    w.see("80.0 kB");
    assert!((0.0..640.0).contains(&before));
    let _ = w.harness.root().accesskit_node();
}
