use super::*;
use crate::data::ColumnType;

fn table(text: &str) -> (Table, Vec<ImportNote>) {
    read(Path::new("t.json"), text.as_bytes(), None, &Progress::default()).unwrap()
}

fn names(t: &Table) -> Vec<&str> {
    t.columns().iter().map(|c| c.name()).collect()
}

fn rows(t: &Table) -> Vec<Vec<&str>> {
    (0..t.rows()).map(|r| t.columns().iter().map(|c| c.raw(r)).collect()).collect()
}

#[test]
fn a_list_of_objects_keeps_order_and_values() {
    let (t, notes) = table(
        r#"[{"z": 1, "a": "x", "in": {"deep": 0.1, "list": [1, "b"]}},
            {"a": null, "z": 12345678901234567890123, "new": true}]"#,
    );
    assert_eq!(names(&t), ["z", "a", "in.deep", "in.list", "new"]);
    assert_eq!(rows(&t)[0], ["1", "x", "0.1", r#"[1,"b"]"#, ""]);
    assert_eq!(rows(&t)[1], ["1.2345678901234568e22", "", "", "", "true"]);
    let text = notes.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join("\n");
    assert!(text.contains("3 numbers"), "{text}");
    assert!(text.contains("1 whole number of more than 16 digits"), "{text}");
    assert_eq!((t.line(0), t.line(1)), (1, 2));
}

#[test]
fn json_lines_are_rows() {
    let text = (0..40).map(|i| format!("{{\"n\": {i}.5, \"s\": \"w{}\"}}\n", i % 3));
    let (t, _) = table(&text.collect::<String>());
    assert_eq!(t.rows(), 40);
    assert_eq!(t.columns()[0].kind, ColumnType::Number);
    assert_eq!(t.columns()[1].kind, ColumnType::Category);
    assert_eq!(t.line(39), 40);
}

#[test]
fn tables_inside_objects_are_found() {
    for text in [
        r#"{"count": 2, "rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}"#,
        r#"{"a": [1, 2], "b": ["x", "y"]}"#,
        r#"{"a": {"0": 1, "1": 2}, "b": {"0": "x", "1": "y"}}"#,
    ] {
        let (t, _) = table(text);
        assert_eq!(rows(&t), [["1", "x"], ["2", "y"]], "{text}");
    }
    assert_eq!(rows(&table("[[1, 2], [3, 4]]").0), [["1", "2"], ["3", "4"]]);
}

#[test]
fn broken_json_says_where() {
    for (text, part, row) in [
        ("{\"a\": 1}\n{\"a\": 2}\n{\"a\": }\n", "expected value", Some(3)),
        ("[{\"a\": 1},\n {\"a\": 2}", "EOF", Some(2)),
        ("[{\"a\": 1},\n 5]", "an object of names and values", Some(2)),
        ("{\"a\": 5}", "no table", None),
        ("[]", "no column", None),
        ("", "empty", None),
        ("{\"a\": [1], \"b\": [1, 2]}", "1 values, others have 2", None),
    ] {
        let e = read(Path::new("t.json"), text.as_bytes(), None, &Progress::default()).unwrap_err();
        let e: crate::error::UserError = e.into();
        assert!(e.what.contains(part), "{text:?}: {e}");
        assert_eq!(e.place.row, row, "{text:?}: {e}");
        assert!(e.place.path.is_some() && e.advice.len() > 10, "{e}");
    }
}
