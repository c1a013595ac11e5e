//! The fitted preprocessing as part of the graph.
//!
//! Numbers are computed in 64 bits and rounded once, as the studio does. What a graph cannot do is
//! left to the caller and said in the input's type: dates come as days since 1970-01-01, texts as
//! counts of the vocabulary's words.

use std::f64::consts::TAU;

use super::build::{Builder, int};
use super::graph::{Attribute, ML, Port};
use super::tensor::{Data, Kind, Tensor};
use crate::data::preprocess::{Fit, Inputs, LIMIT, PixelFit, Preprocessor, Standard};
use crate::data::table::MISSING;

/// What the network takes.
pub(super) struct Prepared {
    /// Plain numbers `[rows, width]`; `None` if there are none.
    pub(super) dense: Option<String>,
    /// Index into every embedding table, `[rows, 1]`.
    pub(super) codes: Vec<String>,
    /// Pixels `[rows, height, width, channels]` in place of plain numbers.
    pub(super) image: Option<String>,
}

/// Input names by column, in the order of the columns. `taken` are names in use.
pub(super) fn names(prep: &Preprocessor, taken: &[String]) -> Vec<(String, String)> {
    let columns: Vec<String> = match prep.inputs() {
        Inputs::Columns(columns) => columns.iter().map(|c| c.name.clone()).collect(),
        Inputs::Pixels(_) => vec!["image".to_owned()],
    };
    let mut used: Vec<String> = taken.to_vec();
    let mut list = Vec::with_capacity(columns.len());
    for column in columns {
        let mut name = column.clone();
        // An input without a name means none; `/` begins the names of inner values.
        while name.is_empty() || name.starts_with('/') || used.contains(&name) {
            name = format!("column {name}");
        }
        used.push(name.clone());
        list.push((column, name));
    }
    list
}

/// Columns of the parts made so far and the place that each belongs to.
#[derive(Default)]
struct Parts {
    values: Vec<String>,
    places: Vec<usize>,
}

impl Parts {
    fn push(&mut self, value: String, places: impl IntoIterator<Item = usize>) {
        self.values.push(value);
        self.places.extend(places);
    }
}

/// Adds the preprocessing to a graph that has no nodes yet.
pub(super) fn prepare(
    b: &mut Builder,
    prep: &Preprocessor,
    names: &[(String, String)],
) -> Prepared {
    let columns = match prep.inputs() {
        Inputs::Pixels(fit) => {
            let name = names.first().map_or("image", |n| n.1.as_str());
            let image = pixels(b, fit, name);
            return Prepared { dense: None, codes: Vec::new(), image: Some(image) };
        }
        Inputs::Columns(columns) => columns,
    };
    let (mut numbers, mut parts, mut codes) = (Vec::new(), Parts::default(), Vec::new());
    let mut at = 0;
    for (fit, (_, name)) in columns.iter().zip(names) {
        let width = fit.width();
        let mark = fit.fit.marks_missing().then(|| at + width - 1);
        let input = |b: &mut Builder, kind, width| {
            let shape = vec![None, Some(width)];
            b.model.inputs.push(Port { name: name.clone(), kind, shape });
        };
        match &fit.fit {
            Fit::Number { median, squash, standard, .. } => {
                input(b, Kind::F64, 1);
                numbers.push(Number {
                    name: name.clone(),
                    median: *median,
                    squash: *squash,
                    standard: *standard,
                    at,
                    mark,
                });
            }
            Fit::Boolean { values, .. } => {
                input(b, Kind::Text, 1);
                let keys: Vec<(String, f32)> = values
                    .iter()
                    .zip([0.0, 1.0])
                    .flat_map(|(key, value)| spellings(key).into_iter().map(move |s| (s, value)))
                    .collect();
                parts.push(map_floats(b, name, &keys, 0.5), [at]);
                if let Some(mark) = mark {
                    let known: Vec<_> = keys.iter().map(|(key, _)| (key.clone(), 0.0)).collect();
                    parts.push(map_floats(b, name, &known, 1.0), [mark]);
                }
            }
            Fit::Date { median, year, elapsed, time, .. } => {
                input(b, Kind::F64, 1);
                let missing = b.op("IsNaN", &[name], vec![]);
                let median = b.double(*median);
                let days = b.op("Where", &[&missing, &median, name], vec![]);
                let date = Date { year: *year, elapsed: *elapsed, time: *time };
                for (i, part) in date.parts(b, &days).into_iter().enumerate() {
                    parts.push(part, [at + i]);
                }
                if let Some(mark) = mark {
                    parts.push(b.cast(&missing, Kind::F32), [mark]);
                }
            }
            Fit::OneHot { values, rare, .. } => {
                input(b, Kind::Text, 1);
                // What is no value of its own lights up nothing, the place after the last.
                let nothing = width as i64;
                let keys = values.iter().cloned().zip(0..);
                let absent = if mark.is_some() { nothing - 1 } else { nothing };
                let other = if rare.is_empty() { nothing } else { values.len() as i64 };
                let index = map_ints(b, name, keys, absent, other);
                let places = b.constant(Tensor::row(Data::I64((0..nothing).collect())));
                let hot = b.op("Equal", &[&index, &places], vec![]);
                parts.push(b.cast(&hot, Kind::F32), at..at + width);
            }
            Fit::Embedding { values, rare } => {
                input(b, Kind::Text, 1);
                let other = if rare.is_empty() { 0 } else { values.len() as i64 + 1 };
                codes.push(map_ints(b, name, values.iter().cloned().zip(1..), 0, other));
            }
            Fit::Text { words, idf } => {
                input(b, Kind::F32, words.len());
                parts.push(weigh(b, name, idf), at..at + width);
            }
        }
        at += width;
    }
    standardise(b, &numbers, &mut parts);
    let dense = b.concat(&parts.values).map(|all| ordered(b, &all, &parts.places));
    Prepared { dense, codes, image: None }
}

/// Columns in the order of the places that they belong to.
fn ordered(b: &mut Builder, all: &str, places: &[usize]) -> String {
    if places.is_sorted() {
        return all.to_owned();
    }
    let mut from: Vec<usize> = (0..places.len()).collect();
    from.sort_by_key(|i| places.get(*i));
    let from = Tensor::list(Data::I64(from.into_iter().map(|i| i as i64).collect()));
    let from = b.constant(from);
    b.op("Gather", &[all, &from], vec![int("axis", 1)])
}

struct Number {
    name: String,
    median: f64,
    squash: Option<f64>,
    standard: Standard,
    at: usize,
    mark: Option<usize>,
}

/// All numbers at once.
fn standardise(b: &mut Builder, numbers: &[Number], parts: &mut Parts) {
    let names: Vec<String> = numbers.iter().map(|n| n.name.clone()).collect();
    let Some(all) = b.concat(&names) else { return };
    let row = |b: &mut Builder, value: &dyn Fn(&Number) -> f64| {
        b.constant(Tensor::row(Data::F64(numbers.iter().map(value).collect())))
    };
    let missing = b.op("IsNaN", &[&all], vec![]);
    let medians = row(b, &|n| n.median);
    let mut value = b.op("Where", &[&missing, &medians, &all], vec![]);
    if numbers.iter().any(|n| n.squash.is_some()) {
        let unit = row(b, &|n| n.squash.unwrap_or(1.0));
        let scaled = b.op("Div", &[&value, &unit], vec![]);
        let squashed = asinh(b, &scaled);
        let which = numbers.iter().map(|n| n.squash.is_some()).collect();
        let which = b.constant(Tensor::row(Data::Bool(which)));
        value = b.op("Where", &[&which, &squashed, &value], vec![]);
    }
    let (means, scales) = (row(b, &|n| n.standard.mean), row(b, &|n| n.standard.scale));
    parts.push(scaled(b, &value, &means, &scales), numbers.iter().map(|n| n.at));
    if numbers.iter().any(|n| n.mark.is_some()) {
        let marks = b.cast(&missing, Kind::F32);
        let with: Vec<usize> = (0..numbers.len())
            .filter(|i| numbers.get(*i).is_some_and(|n| n.mark.is_some()))
            .collect();
        let marks = if with.len() == numbers.len() {
            marks
        } else {
            let with = Tensor::list(Data::I64(with.iter().map(|i| *i as i64).collect()));
            let with = b.constant(with);
            b.op("Gather", &[&marks, &with], vec![int("axis", 1)])
        };
        parts.push(marks, numbers.iter().filter_map(|n| n.mark));
    }
}

/// sign(x) · ln(|x| + √(x² + 1)); the operator of that name has no 64-bit form.
fn asinh(b: &mut Builder, x: &str) -> String {
    let one = b.double(1.0);
    let square = b.op("Mul", &[x, x], vec![]);
    let sum = b.op("Add", &[&square, &one], vec![]);
    let root = b.op("Sqrt", &[&sum], vec![]);
    let size = b.op("Abs", &[x], vec![]);
    let sum = b.op("Add", &[&size, &root], vec![]);
    let log = b.op("Log", &[&sum], vec![]);
    let sign = b.op("Sign", &[x], vec![]);
    b.op("Mul", &[&sign, &log], vec![])
}

/// (x − mean) · scale within the limit, as f32.
fn scaled(b: &mut Builder, x: &str, mean: &str, scale: &str) -> String {
    let centred = b.op("Sub", &[x, mean], vec![]);
    let scaled = b.op("Mul", &[&centred, scale], vec![]);
    let (low, high) = (b.double(-LIMIT), b.double(LIMIT));
    let held = b.op("Clip", &[&scaled, &low, &high], vec![]);
    b.cast(&held, Kind::F32)
}

struct Date {
    year: Standard,
    elapsed: Standard,
    time: bool,
}

impl Date {
    /// The numbers of a day, as `data::date::civil` finds them; every quotient is below 2⁵³ and
    /// floored, so 64-bit arithmetic is exact.
    fn parts(&self, b: &mut Builder, days: &str) -> Vec<String> {
        let standard = |b: &mut Builder, x: &str, s: Standard| {
            let (mean, scale) = (b.double(s.mean), b.double(s.scale));
            scaled(b, x, &mean, &scale)
        };
        let whole = b.op("Floor", &[days], vec![]);
        let z = add(b, &whole, 719_468.0);
        let era = quotient(b, &z, 146_097.0);
        let of_era = less(b, &z, &era, 146_097.0);
        let (a, c, d) = (
            quotient(b, &of_era, 1460.0),
            quotient(b, &of_era, 36_524.0),
            quotient(b, &of_era, 146_096.0),
        );
        let t = b.op("Sub", &[&of_era, &a], vec![]);
        let t = b.op("Add", &[&t, &c], vec![]);
        let t = b.op("Sub", &[&t, &d], vec![]);
        let years = quotient(b, &t, 365.0);
        // of_year = of_era − (365 · years + years / 4 − years / 100)
        let t = less(b, &of_era, &years, 365.0);
        let (fours, hundreds) = (quotient(b, &years, 4.0), quotient(b, &years, 100.0));
        let t = b.op("Sub", &[&t, &fours], vec![]);
        let of_year = b.op("Add", &[&t, &hundreds], vec![]);
        let five = b.double(5.0);
        let t = b.op("Mul", &[&of_year, &five], vec![]);
        let t = add(b, &t, 2.0);
        let shifted = quotient(b, &t, 153.0);
        // Months from March; January and February belong to the next year.
        let (ten, zero, one, twelve) =
            (b.double(10.0), b.double(0.0), b.double(1.0), b.double(12.0));
        let early = b.op("Less", &[&shifted, &ten], vec![]);
        let carry = b.op("Where", &[&early, &zero, &one], vec![]);
        let back = b.op("Mul", &[&carry, &twelve], vec![]);
        // month − 1 = shifted + 2, or shifted − 10
        let month = b.op("Sub", &[&shifted, &back], vec![]);
        let month = add(b, &month, 2.0);
        let four_hundred = b.double(400.0);
        let t = b.op("Mul", &[&era, &four_hundred], vec![]);
        let t = b.op("Add", &[&years, &t], vec![]);
        let year = b.op("Add", &[&t, &carry], vec![]);
        let w = add(b, &whole, 3.0);
        let weeks = quotient(b, &w, 7.0);
        let weekday = less(b, &w, &weeks, 7.0);
        let mut parts = vec![standard(b, &year, self.year), standard(b, days, self.elapsed)];
        parts.extend(circle(b, &month, 12.0));
        parts.extend(circle(b, &weekday, 7.0));
        if self.time {
            let clock = b.op("Sub", &[days, &whole], vec![]);
            parts.extend(circle(b, &clock, 1.0));
        }
        parts
    }
}

fn add(b: &mut Builder, x: &str, value: f64) -> String {
    let value = b.double(value);
    b.op("Add", &[x, &value], vec![])
}

/// ⌊x / by⌋
fn quotient(b: &mut Builder, x: &str, by: f64) -> String {
    let by = b.double(by);
    let ratio = b.op("Div", &[x, &by], vec![]);
    b.op("Floor", &[&ratio], vec![])
}

/// x − times · by
fn less(b: &mut Builder, x: &str, times: &str, by: f64) -> String {
    let by = b.double(by);
    let product = b.op("Mul", &[times, &by], vec![]);
    b.op("Sub", &[x, &product], vec![])
}

/// Sine and cosine of a turn; the cosine has no 64-bit form everywhere.
fn circle(b: &mut Builder, x: &str, whole: f64) -> [String; 2] {
    let factor = b.double(TAU / whole);
    let angle = b.op("Mul", &[x, &factor], vec![]);
    let angle = b.cast(&angle, Kind::F32);
    ["Sin", "Cos"].map(|op| b.op(op, &[&angle], vec![]))
}

/// (1 + ln count) · idf of every word, brought to length √words / 2.
fn weigh(b: &mut Builder, counts: &str, idf: &[f32]) -> String {
    let length = (idf.len() as f64).sqrt() as f32 / 2.0;
    let (zero, one) = (b.number(0.0), b.number(1.0));
    let least = b.op("Max", &[counts, &one], vec![]);
    let log = b.op("Log", &[&least], vec![]);
    let idf = b.constant(Tensor::row(Data::F32(idf.to_vec())));
    let factor = b.op("Add", &[&log, &one], vec![]);
    let weight = b.op("Mul", &[&factor, &idf], vec![]);
    let has = b.op("Greater", &[counts, &zero], vec![]);
    let weight = b.op("Where", &[&has, &weight, &zero], vec![]);
    let square = b.op("Mul", &[&weight, &weight], vec![]);
    let axes = b.constant(Tensor::list(Data::I64(vec![1])));
    let sum = b.op("ReduceSum", &[&square, &axes], vec![int("keepdims", 1)]);
    let norm = b.op("Sqrt", &[&sum], vec![]);
    let tiny = b.number(f32::MIN_POSITIVE);
    let norm = b.op("Max", &[&norm, &tiny], vec![]);
    let length = b.number(length);
    let unit = b.op("Div", &[&weight, &norm], vec![]);
    b.op("Mul", &[&unit, &length], vec![])
}

/// Pixels 0–255, standardised per channel: `[rows, height, width, channels]`.
fn pixels(b: &mut Builder, fit: &PixelFit, name: &str) -> String {
    let shape = [fit.height, fit.width, fit.channels()];
    let dims = std::iter::once(None).chain(shape.map(Some)).collect();
    b.model.inputs.push(Port { name: name.to_owned(), kind: Kind::U8, shape: dims });
    // A table of 256 values per channel, as the studio computes them: exact and quick.
    let index = b.cast(name, Kind::I64);
    let table =
        |s: &Standard| (0..256).map(|p| s.apply(f64::from(p) / 255.0)).collect::<Vec<f32>>();
    let tables: Vec<f32> = fit.standard.iter().flat_map(table).collect();
    let offsets = (0..fit.channels() as i64).map(|c| 256 * c).collect();
    let offsets = b.constant(Tensor::list(Data::I64(offsets)));
    let index = b.op("Add", &[&index, &offsets], vec![]);
    let tables = b.constant(Tensor::list(Data::F32(tables)));
    b.op("Gather", &[&tables, &index], vec![int("axis", 0)])
}

/// Spellings of one answer of a yes/no column that mean the same.
fn spellings(key: &str) -> Vec<String> {
    let words: &[&str] = match key {
        "true" => &["1", "yes", "true", "y", "t", "on", "1.0", "1.", "+1", "1.00"],
        "false" => &["0", "no", "false", "n", "f", "off", "0.0", "0.", "-0", "0.00", ".0"],
        key => &[key],
    };
    words.iter().flat_map(|w| cases(w)).filter(|w| !w.is_empty()).collect()
}

/// A word in every mixture of small and capital letters, or the usual ones of a long word.
fn cases(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut list = vec![word.to_owned(), word.to_uppercase()];
    if letters.len() <= 6 {
        let upper = |c: char| c.to_uppercase().next().unwrap_or(c);
        let mixed = |bits: u32| {
            let pick = |(i, c): (usize, &char)| if bits >> i & 1 == 1 { upper(*c) } else { *c };
            letters.iter().enumerate().map(pick).collect::<String>()
        };
        list.extend((0..1 << letters.len()).map(mixed));
    } else if let Some((first, rest)) = letters.split_first() {
        list.push(first.to_uppercase().chain(rest.iter().copied()).collect());
    }
    list.sort();
    list.dedup();
    list
}

fn map_floats(b: &mut Builder, input: &str, keys: &[(String, f32)], other: f32) -> String {
    let attributes = vec![
        ("keys_strings".to_owned(), Attribute::Texts(keys.iter().map(|k| k.0.clone()).collect())),
        ("values_floats".to_owned(), Attribute::Floats(keys.iter().map(|k| k.1).collect())),
        ("default_float".to_owned(), Attribute::Float(other)),
    ];
    b.op_in(ML, "LabelEncoder", &[input], attributes)
}

/// Index of a text; `absent` for every spelling of a missing cell, `other` for anything else.
fn map_ints(
    b: &mut Builder,
    input: &str,
    keys: impl Iterator<Item = (String, i64)>,
    absent: i64,
    other: i64,
) -> String {
    let missing = MISSING.iter().flat_map(|m| cases(m));
    let all = keys.chain(missing.filter(|_| absent != other).map(|m| (m, absent)));
    let (keys, values) = all.unzip();
    let attributes = vec![
        ("keys_strings".to_owned(), Attribute::Texts(keys)),
        ("values_int64s".to_owned(), Attribute::Ints(values)),
        int("default_int64", other),
    ];
    b.op_in(ML, "LabelEncoder", &[input], attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_in_every_case() {
        assert_eq!(cases("no"), ["NO", "No", "nO", "no"]);
        assert_eq!(cases("missing"), ["MISSING", "Missing", "missing"]);
        assert_eq!(cases(""), [""]);
        assert!(spellings("true").contains(&"tRuE".to_owned()));
        assert!(spellings("").is_empty());
    }
}
