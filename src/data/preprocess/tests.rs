use super::*;
use crate::data::testing::{dataset, table};
use crate::data::{Dataset, ImageSet, Samples, Schema};

/// A table with every type of column, some cells missing.
fn mixed(n: usize, change: impl Fn(usize, &mut Vec<String>)) -> (Dataset, Schema) {
    let mut text = String::from("age,money,colour,member,joined,review,town,price\n");
    for i in 0..n {
        let mut cells = vec![
            if i % 11 == 3 { String::new() } else { format!("{}.5", (i * 37) % 80) },
            if i % 12 == 0 {
                format!("{:.2}", 10.0 * 1.02_f64.powi(i as i32))
            } else {
                "0".to_owned()
            },
            ["red", "green", "blue", "?"][i % 4].to_owned(),
            ["yes", "no", "no"][i % 3].to_owned(),
            format!("2{:03}-{:02}-{:02}", 20 + i % 4, 1 + i % 12, 1 + i % 28),
            format!("this was a {} thing number w{}", ["good", "bad", "fine"][i % 3], i % 50),
            format!("town{}", (i * i) % 40),
            format!("{}.25", (i * 7) % 90),
        ];
        change(i, &mut cells);
        text += &(cells.join(",") + "\n");
    }
    table(&text, "price")
}

fn plain(n: usize) -> (Dataset, Schema) {
    mixed(n, |_, _| {})
}

fn rows(range: std::ops::Range<u32>) -> Vec<u32> {
    range.collect()
}

fn fit(d: &Dataset, s: &Schema, rows: &[u32]) -> Preprocessor {
    let config = PrepConfig { one_hot_limit: 8, ..PrepConfig::default() };
    Preprocessor::fit(d, s, &config, rows).unwrap()
}

#[test]
fn every_type_is_encoded_as_documented() {
    let (d, s) = plain(600);
    let p = fit(&d, &s, &rows(0..600));
    let names = p.feature_names();
    assert_eq!(names.len(), p.dense_width());
    assert_eq!(names[..3], ["age", "age is missing", "money"]);
    let at =
        |name: &str| names.iter().position(|n| n == name).unwrap_or_else(|| panic!("{names:?}"));
    let e = p.transform(&d, &rows(0..600)).unwrap();
    assert_eq!((e.rows, e.dense.len(), e.unknown.len()), (600, 600 * e.dense_width, 0));
    let cell = |row: usize, name: &str| e.dense[row * e.dense_width + at(name)];
    let column = |name: &str| (0..600).map(|r| f64::from(cell(r, name))).collect::<Vec<_>>();
    for name in ["age", "money", "joined: year", "joined: elapsed"] {
        let c = column(name);
        let mean = c.iter().sum::<f64>() / 600.0;
        let var = c.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 600.0;
        assert!(mean.abs() < 1e-5 && (var - 1.0).abs() < 1e-4, "{name}: {mean} {var}");
    }
    assert_eq!((cell(3, "age is missing"), cell(4, "age is missing")), (1.0, 0.0));
    assert_eq!((cell(0, "colour = red"), cell(1, "colour = red")), (1.0, 0.0));
    assert_eq!((cell(3, "colour is missing"), cell(3, "colour = red")), (1.0, 0.0));
    assert_eq!((cell(0, "member"), cell(1, "member")), (1.0, 0.0));
    // January: sine 0, cosine 1; 2020-01-01 was a Wednesday.
    assert_eq!((cell(0, "joined: month (sine)"), cell(0, "joined: month (cosine)")), (0.0, 1.0));
    let wednesday = (2.0 / 7.0 * std::f64::consts::TAU).sin() as f32;
    assert!((cell(0, "joined: weekday (sine)") - wednesday).abs() < 1e-6);
    assert!(cell(0, "review: good") > 0.0 && cell(1, "review: good") == 0.0);
    assert!(cell(1, "review: bad thing") > 0.0);
    let town = &p.embeddings()[0];
    assert_eq!((town.name.as_str(), e.category_width), ("town", 1));
    assert!(e.categories.iter().all(|c| *c >= 1 && (*c as usize) < town.cardinality));
    let dim = (1.6 * (town.cardinality as f64).powf(0.56)).round() as usize;
    assert_eq!(town.dim, dim.min(16));
    assert!(names.iter().all(|n| !n.starts_with("town") && !n.starts_with("price")));
}

#[test]
fn other_rows_have_no_influence_on_the_fit() {
    let (d, s) = plain(600);
    let train = rows(0..400);
    let before = fit(&d, &s, &train);
    let (changed, _) = mixed(600, |i, cells| {
        if i >= 400 {
            *cells = [
                "9999",
                "-5e6",
                "pink",
                "no",
                "2099-12-31",
                "entirely new words",
                "nowhere",
                "1e6",
            ]
            .map(str::to_owned)
            .to_vec();
        }
    });
    assert_eq!(fit(&changed, &s, &train), before);
    // The comparison does notice a training row.
    let (changed, _) = mixed(600, |i, cells| {
        if i == 399 {
            cells[0] = "9999".to_owned();
        }
    });
    assert_ne!(fit(&changed, &s, &train), before);
}

#[test]
fn columns_are_found_by_name_and_the_target_may_lack() {
    let (d, s) = plain(600);
    let p = fit(&d, &s, &rows(0..600));
    let want = p.transform(&d, &rows(1..3)).unwrap();
    // The same two rows with columns turned round, one more, and no target.
    let other = dataset(
        "extra,town,review,joined,member,colour,money,age\n\
         x,town1,this was a bad thing number w1,2021-02-02,no,green,0,37.5\n\
         y,town4,this was a fine thing number w2,2022-03-03,no,blue,0,74.5\n",
    );
    let got = p.transform(&other, &[0, 1]).unwrap();
    assert_eq!(got.dense, want.dense);
    assert_eq!(got.categories, want.categories);
    assert_eq!((got.target, want.target == TargetData::None), (TargetData::None, false));

    let lacking = dataset("age,money\n1,2\n2,3\n");
    let e = p.transform(&lacking, &[0]).unwrap_err();
    let text = e.to_string();
    assert!(text.contains("\"colour\"") && text.contains("\"review\""), "{text}");
    assert!(p.transform(&d, &[600]).is_err());
}

#[test]
fn what_training_has_not_seen_is_unknown_and_counted() {
    let (d, s) = plain(600);
    let p = fit(&d, &s, &rows(0..600));
    let new = dataset(
        "age,money,colour,member,joined,review,town\n\
         old,0,violet,maybe,someday,nothing,atlantis\n\
         1.5,0,red,yes,2021-01-01,good,town0\n",
    );
    let e = p.transform(&new, &[0, 1]).unwrap();
    let names = ["age", "colour", "member", "joined", "town"];
    assert_eq!(e.unknown, names.map(|n| (n.to_owned(), 1)));
    let at = |n: &str| p.feature_names().iter().position(|x| x == n).unwrap();
    assert_eq!(e.dense[at("colour = red")], 0.0);
    assert_eq!(e.dense[at("age is missing")], 1.0);
    assert_eq!(e.dense[at("member")], 0.5);
    assert!(e.categories[1] > 0);
    assert!(e.dense.iter().all(|x| x.is_finite()));
}

#[test]
fn absurd_values_are_held() {
    let (d, s) = plain(600);
    let p = fit(&d, &s, &rows(0..600));
    let new = dataset(
        "age,money,colour,member,joined,review,town\n1e300,-1e300,red,yes,9999-12-31,a,town0\n1,2,red,no,2020-01-01,b,town1\n",
    );
    let e = p.transform(&new, &[0]).unwrap();
    assert_eq!(e.dense[0], LIMIT as f32);
    assert!(e.dense.iter().all(|x| x.is_finite() && x.abs() <= 20.0), "{:?}", e.dense);
}

#[test]
fn rare_values_are_learned_together() {
    let mut text = String::from("c,y\n");
    for i in 0..600 {
        let c = if i < 6 { format!("rare{}", i % 3) } else { format!("v{}", i % 4) };
        text += &format!("{c},{}\n", ["a", "b"][i % 2]);
    }
    let (d, s) = table(&text, "y");
    let all = rows(0..600);
    let p = Preprocessor::fit(&d, &s, &PrepConfig::default(), &all).unwrap();
    assert_eq!(p.feature_names(), ["c = v0", "c = v1", "c = v2", "c = v3", "c = (other)"]);
    let new = dataset("c,x\nrare1,1\nnever,2\nv2,2\n");
    let e = p.transform(&new, &[0, 1, 2]).unwrap();
    assert_eq!(*e.dense, [0., 0., 0., 0., 1., 0., 0., 0., 0., 1., 0., 0., 1., 0., 0.]);
    let tight = PrepConfig { one_hot_limit: 3, ..PrepConfig::default() };
    let p = Preprocessor::fit(&d, &s, &tight, &all).unwrap();
    assert_eq!((p.dense_width(), p.embeddings()[0].cardinality), (0, 6));
    let e = p.transform(&new, &[0, 1, 2]).unwrap();
    assert_eq!(*e.categories, [5, 5, 3]);
    assert_eq!(e.unknown, [("c".to_owned(), 1)]);
}

#[test]
fn heavy_tails_are_squashed() {
    let (d, s) = plain(600);
    let p = fit(&d, &s, &rows(0..600));
    let Inputs::Columns(columns) = &p.inputs else { panic!() };
    let squash = |name: &str| match &columns.iter().find(|c| c.name == name).unwrap().fit {
        columns::Fit::Number { squash, .. } => *squash,
        other => panic!("{other:?}"),
    };
    assert_eq!(squash("age"), None);
    assert!(squash("money").is_some());
}

#[test]
fn regression_targets_go_there_and_back() {
    let (d, s) = plain(100);
    let p = fit(&d, &s, &rows(0..80));
    let e = p.transform(&d, &rows(80..100)).unwrap();
    let TargetData::Values(values) = e.target else { panic!() };
    for (i, v) in values.iter().enumerate() {
        let want = ((80 + i) * 7 % 90) as f64 + 0.25;
        assert!((p.target_value(*v) - want).abs() < 1e-4);
    }
}

#[test]
fn classes_are_found_whatever_their_spelling() {
    let mut text = String::from("x,y\n");
    for i in 0..40 {
        text += &format!("{}.5,{}\n", i % 7, ["1", "2.0", "3"][i % 3]);
    }
    let (d, s) = table(&text, "y");
    let p = Preprocessor::fit(&d, &s, &PrepConfig::default(), &rows(0..40)).unwrap();
    let e = p.transform(&dataset("x,y\n1,2\n1,3.0\n1,1\n"), &[0, 1, 2]).unwrap();
    assert_eq!(e.target, TargetData::Classes(vec![1, 2, 0]));
    let e = p.transform(&dataset("x,y\n1,2\n1,9\n"), &[0, 1]).unwrap();
    assert_eq!(e.target, TargetData::None);
}

#[test]
fn commas_are_read_as_in_training_where_a_file_leaves_it_open() {
    let mut text = String::from("x;y\n");
    for i in 0..40 {
        text += &format!("{},{:03};{}\n", i % 7, i * 13, ["a", "b"][i % 2]);
    }
    let (d, s) = table(&text, "y");
    let p = Preprocessor::fit(&d, &s, &PrepConfig::default(), &rows(0..40)).unwrap();
    let comma = p.transform(&dataset("x,z\n\"1,234\",k\n\"2,125\",k\n"), &[0]).unwrap();
    let point = p.transform(&dataset("x,z\n1.234,k\n2.125,k\n"), &[0]).unwrap();
    assert_eq!(comma.dense, point.dense);
}

#[test]
fn a_stored_preprocessing_is_the_same_to_the_bit() {
    let (d, s) = plain(600);
    let p = fit(&d, &s, &rows(0..421));
    let json = serde_json::to_string(&p).unwrap();
    let back: Preprocessor = serde_json::from_str(&json).unwrap();
    assert_eq!(back, p);
    let all = rows(0..600);
    let bits = |p: &Preprocessor| {
        p.transform(&d, &all).unwrap().dense.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(bits(&back), bits(&p));
}

#[test]
fn types_that_do_not_fit_are_explained() {
    let (d, s) = plain(100);
    for (name, kind, part) in [
        ("colour", ColumnType::Number, "holds none"),
        ("colour", ColumnType::Date, "holds none that can be read"),
        ("colour", ColumnType::Boolean, "other values"),
    ] {
        let mut s = s.clone();
        s.columns.iter_mut().find(|c| c.0 == name).unwrap().1 = kind;
        let e = Preprocessor::fit(&d, &s, &PrepConfig::default(), &rows(0..100)).unwrap_err();
        assert!(e.to_string().contains(part), "{e}");
    }
    assert!(Preprocessor::fit(&d, &s, &PrepConfig::default(), &[]).is_err());
}

#[test]
fn pixels_are_standardised_per_channel() {
    let images = ImageSet {
        width: 2,
        height: 1,
        channels: 3,
        pixels: vec![0, 10, 255, 100, 10, 255, 200, 10, 0, 100, 10, 0],
        labels: vec![0, 1],
        classes: vec!["a".into(), "b".into()],
        ..ImageSet::default()
    };
    let d = Dataset { name: "i".into(), samples: Samples::Images(images.clone()), notes: vec![] };
    let s = Schema::infer(&d, None, &std::collections::BTreeMap::new()).unwrap();
    let p = Preprocessor::fit(&d, &s, &PrepConfig::default(), &[0, 1]).unwrap();
    let e = p.transform(&d, &[0, 1]).unwrap();
    assert_eq!((p.dense_width(), p.image_shape()), (6, Some([2, 1, 3])));
    assert_eq!(p.feature_names()[5], "pixel 1,0 blue");
    let s2 = 2.0_f32.sqrt();
    let want = [-s2, 0.0, 1.0, 0.0, 0.0, 1.0, s2, 0.0, -1.0, 0.0, 0.0, -1.0];
    for (x, want) in e.dense.iter().zip(want) {
        assert!((x - want).abs() < 1e-6, "{:?}", e.dense);
    }
    assert_eq!(e.target, TargetData::Classes(vec![0, 1]));
    let wide = ImageSet { width: 1, height: 2, ..images };
    let d = Dataset { name: "i".into(), samples: Samples::Images(wide), notes: vec![] };
    assert!(p.transform(&d, &[0]).unwrap_err().to_string().contains("trained on 2 × 1"));
}
