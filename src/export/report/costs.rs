//! What running the model costs, in the report.

use super::html::{heading, paragraph, table};
use crate::deploy::cost::Assumptions;
use crate::eval::verdict::Verdict;
use crate::text::{figure, of};
use crate::tr;

/// The section: FP8 beside f32 in each place, from speeds measured for the comparison.
pub fn section(v: &Verdict, a: &Assumptions) -> String {
    let arm = |name| v.arms.iter().find(|arm| arm.name == name);
    let (Some(fp8), Some(f32)) = (arm("FP8"), arm("f32")) else { return String::new() };
    let rows: Vec<Vec<String>> = a
        .places
        .iter()
        .map(|place| {
            let [x, y] = [fp8, f32].map(|arm| a.cost(place, arm.fastest(), arm.train_seconds));
            let training =
                |c: Option<f64>| c.map_or("–".to_owned(), |c| figure(format!("{c:.2e}")));
            let paid =
                if place.always_on { tr!("around the clock") } else { tr!("while it works") };
            vec![
                of(place.name).to_owned(),
                figure(format!("{} ({paid})", place.per_hour)),
                figure(format!("{} W", place.watts)),
                figure(format!("{} ×", place.speed)),
                figure(format!("{:.2e}", x.per_thousand)),
                figure(format!("{:.2e}", y.per_thousand)),
                training(x.per_training),
                training(y.per_training),
                format!("{:.0} / {:.0}", x.machines, y.machines),
            ]
        })
        .collect();
    let head = [
        tr!("place"),
        tr!("an hour"),
        tr!("power on top"),
        tr!("speed by this machine's"),
        tr!("1,000 rows, FP8"),
        tr!("1,000 rows, f32"),
        tr!("a training, FP8"),
        tr!("a training, f32"),
        tr!("machines, FP8 / f32"),
    ];
    heading(tr!("What running it costs"))
        + &paragraph(&tr!(
            "Prices, power and speeds of other machines are assumptions to be replaced by your own; they are in any one currency, with {price} a kilowatt hour and {load} predictions a day. Only the speeds of this machine were measured.",
            price = figure(a.per_kilowatt_hour.to_string()),
            load = a.load
        ))
        + &table(&head, &rows)
}
