//! What running the model costs, in the report.

use super::html::{heading, paragraph, table};
use crate::deploy::cost::Assumptions;
use crate::eval::verdict::Verdict;

/// The section: FP8 beside f32 in each place, from speeds measured for the comparison.
pub fn section(v: &Verdict, a: &Assumptions) -> String {
    let arm = |name| v.arms.iter().find(|arm| arm.name == name);
    let (Some(fp8), Some(f32)) = (arm("FP8"), arm("f32")) else { return String::new() };
    let rows: Vec<Vec<String>> = a
        .places
        .iter()
        .map(|place| {
            let [x, y] = [fp8, f32].map(|arm| a.cost(place, arm.fastest(), arm.train_seconds));
            let training = |c: Option<f64>| c.map_or("–".to_owned(), |c| format!("{c:.2e}"));
            let paid = if place.always_on { "around the clock" } else { "while it works" };
            vec![
                place.name.to_owned(),
                format!("{} ({paid})", place.per_hour),
                format!("{} W", place.watts),
                format!("{} ×", place.speed),
                format!("{:.2e}", x.per_thousand),
                format!("{:.2e}", y.per_thousand),
                training(x.per_training),
                training(y.per_training),
                format!("{:.0} / {:.0}", x.machines, y.machines),
            ]
        })
        .collect();
    let head = [
        "place",
        "an hour",
        "power on top",
        "speed by this machine's",
        "1,000 rows, FP8",
        "1,000 rows, f32",
        "a training, FP8",
        "a training, f32",
        "machines, FP8 / f32",
    ];
    heading("What running it costs")
        + &paragraph(&format!(
            "Prices, power and speeds of other machines are assumptions to be replaced by your own; they are in any one currency, with {} a kilowatt hour and {} predictions a day. Only the speeds of this machine were measured.",
            a.per_kilowatt_hour, a.load
        ))
        + &table(&head, &rows)
}
