//! What predictions and trainings cost in different places, from speeds measured on this machine
//! and prices that a person can change.

use serde::Serialize;

/// Where a model may run. Money is in any one currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// Plain name.
    pub name: &'static str,
    /// Price of an hour: rent, or what the device loses in worth.
    pub per_hour: f64,
    /// Electric power while it works that is paid on top, in watts.
    pub watts: f64,
    /// How many times as fast as this machine.
    pub speed: f64,
    /// Whether it is paid around the clock, also when idle.
    pub always_on: bool,
}

/// Prices and load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assumptions {
    /// Places.
    pub places: Vec<Place>,
    /// Price of a kilowatt hour.
    pub per_kilowatt_hour: f64,
    /// Predictions a day.
    pub load: f64,
}

impl Default for Assumptions {
    /// Examples to start from, to be replaced by one's own figures.
    fn default() -> Self {
        let place = |name, per_hour, watts, speed, always_on| Place {
            name,
            per_hour,
            watts,
            speed,
            always_on,
        };
        Self {
            places: vec![
                place("laptop", 0.05, 30.0, 1.0, false),
                place("edge device", 0.003, 5.0, 0.1, true),
                place("cloud CPU", 0.1, 0.0, 1.0, true),
                place("cloud GPU", 0.6, 0.0, 10.0, true),
            ],
            per_kilowatt_hour: 0.3,
            load: 10_000.0,
        }
    }
}

/// What one place costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Of 1,000 predictions.
    pub per_thousand: f64,
    /// Of one training, where its time is known.
    pub per_training: Option<f64>,
    /// Machines needed for the load.
    pub machines: f64,
}

impl Assumptions {
    /// What a model costs in a place that predicts `rows_per_second` and trains in `train_seconds`
    /// on this machine.
    pub fn cost(&self, place: &Place, rows_per_second: f64, train_seconds: Option<f64>) -> Cost {
        let speed = place.speed.max(1e-9);
        let hour = place.per_hour + place.watts / 1000.0 * self.per_kilowatt_hour;
        let load = self.load.max(1.0);
        let busy = load / (rows_per_second * speed).max(1e-9) / 3600.0;
        let machines = (busy / 24.0).ceil().max(1.0);
        let hours = if place.always_on { 24.0 * machines } else { busy };
        Cost {
            per_thousand: hours * hour / load * 1000.0,
            per_training: train_seconds.map(|s| s / speed / 3600.0 * hour),
            machines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_by_hand() {
        let place =
            |always_on| Place { name: "here", per_hour: 0.9, watts: 1000.0, speed: 2.0, always_on };
        let a = Assumptions { places: vec![], per_kilowatt_hour: 0.1, load: 7_200_000.0 };
        // 1,000 rows a second here are 2,000 there: one busy hour a day at 0.9 + 0.1.
        let cost = a.cost(&place(false), 1000.0, Some(7200.0));
        assert!((cost.per_thousand - 1.0 / 7200.0).abs() < 1e-12);
        assert_eq!((cost.per_training, cost.machines), (Some(1.0), 1.0));
        let cost = a.cost(&place(true), 1000.0, None);
        assert!((cost.per_thousand - 24.0 / 7200.0).abs() < 1e-12);
        // 25 busy hours a day need two machines.
        assert_eq!(a.cost(&place(true), 40.0, None).machines, 2.0);
        assert!(a.cost(&place(true), 0.0, None).per_thousand.is_finite());
    }
}
