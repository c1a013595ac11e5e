//! Rows read many at a time, held against rows read one by one and against the `csv` crate.

use super::*;
use crate::data::rng::Rng;

/// What a table holds and what is said about it.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    cells: Vec<Vec<String>>,
    lines: Vec<u64>,
    columns: Vec<String>,
    notes: Vec<ImportNote>,
}

fn told(text: &str, together: bool, chunk: usize) -> Result<Told, String> {
    let sizes = Sizes { chunk, together, ..Sizes::default() };
    let options = ImportOptions { delimiter: Some(b','), header: Some(true), ..Default::default() };
    let (path, p) = (Path::new("t.csv"), Progress::default());
    let (t, notes) =
        read_in(path, text.as_bytes(), &options, &p, sizes).map_err(|e| e.to_string())?;
    let column = |c: &Column| {
        format!(
            "{} {:?} {} {:?} {} {}",
            c.name(),
            c.kind,
            c.reason,
            c.format,
            c.format_unsure,
            c.day_first
        )
    };
    Ok(Told {
        cells: cells(&t),
        lines: (0..t.rows()).map(|r| t.line(r)).collect(),
        columns: t.columns().iter().map(column).collect(),
        notes,
    })
}

/// Whether two readings of a text are the same; what differs first.
fn same(a: &Result<Told, String>, b: &Result<Told, String>) -> Result<(), String> {
    match (a, b) {
        (Ok(a), Ok(b)) => {
            let row = a.cells.iter().zip(&b.cells).position(|(x, y)| x != y);
            if let Some(r) = row {
                return Err(format!("row {r}: {:?} and {:?}", a.cells[r], b.cells[r]));
            }
            if a.cells.len() != b.cells.len() || a.lines != b.lines {
                return Err(format!(
                    "{} and {} rows or their places",
                    a.cells.len(),
                    b.cells.len()
                ));
            }
            if a.columns != b.columns {
                return Err(format!("{:?} and {:?}", a.columns, b.columns));
            }
            if a.notes == b.notes {
                Ok(())
            } else {
                Err(format!("{:?} and {:?}", a.notes, b.notes))
            }
        }
        (a, b) if a == b => Ok(()),
        (a, b) => Err(format!("{:?} and {:?}", a.as_ref().err(), b.as_ref().err())),
    }
}

/// A cell of one of the kinds of columns, seldom one that does not fit.
fn cell(rng: &mut Rng, kind: usize, row: usize, odd: usize) -> String {
    let mut below = |n: usize| rng.below(n);
    if odd > 0 && below(odd) == 0 {
        let odd = [
            "",
            " ",
            "NA",
            "n/a",
            "?",
            "-",
            "none",
            ".",
            "-.",
            "5.",
            ".5",
            "-.5",
            "--5",
            "1.2.3",
            "1e5",
            "-1E-3",
            "inf",
            "nan",
            "+7",
            " 8 ",
            "9 ",
            "1,234",
            "12,5",
            "$5",
            "5 kg",
            "(12)",
            "0x1",
            "12345678901234567",
            "1234567890123456",
            "-123456789012345",
            "0.1234567890123",
            "2024-02-29",
            "2023-02-29",
            "2024-13-01",
            "2024-1-1",
            "2024-01-32",
            "01/02/2024",
            "20240101",
            "north ",
            " north",
            "a1",
            "1a",
            "é",
            "north é",
            "an unusually long cell of many words",
            "say \"hi\"",
            "two\nlines",
            "two\r\nlines",
            "a,b",
            "#5",
            "٣",
            "x\u{a0}",
        ];
        return odd[below(odd.len())].to_owned();
    }
    match kind {
        0 => format!("{}.{:03}", below(1000), below(1000)),
        1 => format!("{}", below(100_000)),
        2 => ["north", "south", "east", "West", "centre"][below(5)].to_owned(),
        3 => format!("20{:02}-{:02}-{:02}", below(24), below(12) + 1, below(28) + 1),
        4 => format!("{}", row + 1),
        5 => ["yes", "no"][below(2)].to_owned(),
        6 => format!("-{}.0", below(50)),
        7 => format!("{},{:02}", below(500), below(100)),
        8 => format!("{}/{}/20{:02}", below(12) + 1, below(28) + 1, below(24)),
        9 => ["0", "1"][below(2)].to_owned(),
        10 => format!("word{}", (b'a' + below(26) as u8) as char),
        11 => format!("a sentence of {} words or a few more than that", below(90)),
        12 => format!("k{}x", below(3000)),
        _ => "same".to_owned(),
    }
}

/// A made-up table; `plain`: one that the `csv` crate reads alike.
fn table(seed: u64, plain: bool) -> (String, usize) {
    let mut rng = Rng::new(seed);
    let end = if rng.below(3) == 0 { "\r\n" } else { "\n" };
    let width = [1, 2, 3, 8, 14][rng.below(5)];
    let odd = [0, 3, 40, 2000][rng.below(4)];
    let ragged = if plain { 0 } else { [0, 12, 500][rng.below(3)] };
    let kinds: Vec<usize> = (0..width).map(|_| rng.below(14)).collect();
    let names: Vec<String> = (0..width).map(|c| format!("name {c}")).collect();
    let mut text = names.join(",") + end;
    let rows = 20 + rng.below(120_000 / (width * 8));
    for row in 0..rows {
        let mut cells: Vec<String> = kinds.iter().map(|k| cell(&mut rng, *k, row, odd)).collect();
        if ragged > 0 && rng.below(ragged) == 0 {
            match rng.below(5) {
                0 => text += end,
                1 => text += &(",".repeat(width - 1) + end),
                2 => text += &format!("# a remark{end}"),
                3 => cells.push("beyond".to_owned()),
                _ => cells.truncate(width.div_ceil(2)),
            }
        }
        for (i, cell) in cells.iter().enumerate() {
            text += if i > 0 { "," } else { "" };
            if cell.contains(['"', '\n', '\r', ',']) || (odd > 0 && rng.below(odd * 9) == 0) {
                text += &format!("\"{}\"", cell.replace('"', "\"\""));
            } else {
                text += cell;
            }
        }
        text += if row + 1 == rows && rng.below(2) == 0 { "" } else { end };
    }
    (text, width)
}

#[test]
fn rows_read_together_are_those_read_one_by_one() {
    let mut tables = 0;
    for seed in 0..300 {
        let (text, _) = table(seed, false);
        let one_by_one = told(&text, false, usize::MAX >> 1);
        tables += usize::from(one_by_one.is_ok());
        for chunk in [700, 50_000, usize::MAX >> 1] {
            let together = told(&text, true, chunk);
            assert_eq!(same(&together, &one_by_one), Ok(()), "table {seed}, {chunk}");
        }
    }
    // Most of the made-up tables can be read.
    assert!(tables > 200, "{tables}");
}

#[test]
fn rows_read_together_are_those_of_the_csv_crate() {
    for seed in 1000..1100 {
        let (text, width) = table(seed, true);
        // In one column an empty cell is a row of its own, which the crate passes over.
        let Ok(told) = told(&text, true, 30_000) else { continue };
        if width == 1 {
            continue;
        }
        // What stands below a table is left out by us alone.
        let mut expected = by_csv_crate(&text, width);
        expected.remove(0);
        expected.truncate(told.cells.len());
        assert!(told.cells == expected, "table {seed}");
    }
}

#[test]
fn a_planted_difference_is_seen() {
    let (text, _) = table(1, false);
    let right = told(&text, true, 50_000);
    assert_eq!(same(&right, &right), Ok(()));
    let wrong = |change: &dyn Fn(&mut Told)| {
        let mut told = right.clone().unwrap();
        change(&mut told);
        same(&Ok(told), &right).is_err()
    };
    assert!(wrong(&|t| t.cells[17][0].push('0')));
    assert!(wrong(&|t| t.lines[9] += 1));
    assert!(wrong(&|t| t.columns[0] = t.columns[0].replace("false", "true")));
    assert!(wrong(&|t| t.notes[0].text.push('.')));
    assert!(wrong(&|t| drop(t.cells.pop())));
    assert!(same(&Err("a".to_owned()), &right).is_err());
    // A number that is read wrongly changes what is said of its column.
    let numbers = "n\n".to_owned() + &"1.5\n".repeat(5000) + "2.5\n";
    let words = numbers.replace("2.5", "2.5.5");
    assert!(same(&told(&numbers, true, 9999), &told(&words, false, 9999)).is_err());
}
