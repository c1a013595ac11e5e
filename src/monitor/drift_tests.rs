use super::*;
use crate::data::rng::Rng;

fn signal(values: Vec<f64>) -> Signal {
    Signal {
        name: "x".to_owned(),
        column: Some("x".to_owned()),
        kind: Kind::Number,
        cells: Cells::Numbers(values),
        unreadable: (Vec::new(), 0),
    }
}

fn words(values: &[(&str, usize)]) -> Signal {
    let names: Vec<String> = values.iter().map(|v| v.0.to_owned()).collect();
    let codes = (0u32..).zip(values).flat_map(|(i, v)| std::iter::repeat_n(i, v.1)).collect();
    let cells = Cells::Codes { codes, names };
    Signal { kind: Kind::Category, cells, ..signal(Vec::new()) }
}

fn drift(old: &Signal, new: &Signal) -> ColumnDrift {
    let n = match &new.cells {
        Cells::Numbers(v) => v.len(),
        Cells::Codes { codes, .. } => codes.len(),
    };
    let rows: Vec<u32> = (0..n as u32).collect();
    let reference = [ColumnReference::of(old, 100_000)];
    let known = HashMap::from([(
        "x".to_owned(),
        match &old.cells {
            Cells::Codes { names, .. } => names.iter().cloned().collect(),
            Cells::Numbers(_) => HashSet::new(),
        },
    )]);
    compare(&reference, std::slice::from_ref(new), &rows, &known).remove(0)
}

fn normal(n: usize, seed: u64, mean: f64) -> Vec<f64> {
    let mut rng = Rng::new(seed);
    let mut unit = move || (rng.below(1 << 30) as f64 + 0.5) / f64::from(1 << 30);
    (0..n)
        .map(|_| (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos() + mean)
        .collect()
}

#[test]
fn the_method_is_that_of_evidently() {
    let of = |rows: usize, distinct: usize| {
        let values: Vec<f64> = (0..rows).map(|i| (i % distinct) as f64).collect();
        drift(&signal(values.clone()), &signal(values)).method.unwrap()
    };
    assert_eq!(of(1000, 6), Method::KolmogorovSmirnov);
    assert_eq!(of(1000, 5), Method::ChiSquared);
    assert_eq!(of(1000, 2), Method::Z);
    assert_eq!(of(1001, 6), Method::Wasserstein);
    assert_eq!(of(1001, 5), Method::JensenShannon);
    let of = |rows: &[(&str, usize)]| drift(&words(rows), &words(rows)).method.unwrap();
    assert_eq!(of(&[("a", 500), ("b", 500)]), Method::Z);
    assert_eq!(of(&[("a", 500), ("b", 400), ("c", 100)]), Method::ChiSquared);
    assert_eq!(of(&[("a", 501), ("b", 500)]), Method::JensenShannon);
}

#[test]
fn equal_samples_do_not_drift_and_shifted_ones_do() {
    for rows in [300, 3000] {
        for seed in 0..5 {
            let old = signal(normal(rows, seed, 0.0));
            let same = drift(&old, &signal(normal(400, 100 + seed, 0.0)));
            assert!(!same.drifted, "{same:?}");
            let moved = drift(&old, &signal(normal(400, 100 + seed, 0.6)));
            assert!(moved.drifted && moved.psi > 0.1, "{moved:?}");
        }
    }
    // Few new rows are far away by chance; that alone is no drift.
    let (mut far, mut drifted) = (0, 0);
    for seed in 0..100 {
        let few = drift(&signal(normal(3000, 1, 0.0)), &signal(normal(12, 200 + seed, 0.0)));
        far += usize::from(few.value >= DISTANCE);
        drifted += usize::from(few.drifted);
    }
    assert!(far > 90 && drifted <= 10, "{far} far, {drifted} drifted");
}

#[test]
fn categories_that_are_new_or_commoner_are_named() {
    let old = words(&[("a", 900), ("b", 600)]);
    let new = drift(&old, &words(&[("a", 50), ("b", 10), ("z", 40)]));
    assert!(new.drifted);
    assert_eq!(new.new_categories, [("z".to_owned(), 40)]);
    assert_eq!((new.summary.as_str(), new.row_count), ("\"z\" is new", 40));
    assert_eq!(new.rows.first(), Some(&60));
    let more = drift(&old, &words(&[("a", 20), ("b", 80)]));
    assert_eq!(more.summary, "\"b\" 40 % → 80 %");
    assert!(more.new_categories.is_empty());
}

#[test]
fn another_unit_is_recognised_and_a_shift_is_not_one() {
    let grams = normal(500, 1, 20.0);
    let unit = |scale: f64| {
        let new = normal(300, 2, 20.0).into_iter().map(|v| v * scale).collect();
        drift(&signal(grams.clone()), &signal(new)).unit
    };
    assert_eq!(unit(1000.0), Some(1000.0));
    assert_eq!(unit(0.01), Some(0.01));
    assert_eq!(unit(2.0), None);
}

#[test]
fn missing_cells_and_values_out_of_range_are_counted() {
    let old = signal((0..2000).map(f64::from).collect());
    let new = (0..100).map(|i| if i < 40 { f64::NAN } else { 3000.0 }).collect();
    let found = drift(&old, &signal(new));
    assert_eq!((found.missing, found.outside), ([0.0, 0.4], Some(1.0)));
    assert_eq!((found.row_count, found.rows[0]), (60, 40));
}

#[test]
fn p_values_of_shares_are_those_of_the_pooled_z_test() {
    assert!((z(&[70.0, 30.0], &[45.0, 45.0]) - 0.004_861_011_505_374_63).abs() < 1e-12);
    assert_eq!(z(&[5.0, 0.0], &[5.0, 0.0]), 1.0);
}
