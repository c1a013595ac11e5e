//! Rows that repeat another.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::{Role, TableContext};
use crate::quality::wording;

/// Largest share of repeated rows that is no warning.
const LIMIT: f64 = 0.05;

pub(super) const CHECK: Check = Check {
    name: "duplicates",
    title: "Repeated rows",
    definition: "Rows equal to an earlier row in every used column, target included (columns set to \
                 \"ignore\" are not compared; missing cells equal each other), over all rows. \
                 Warning above 5 %. Source: deepchecks, Data Duplicates; counted as pandas \
                 DataFrame.duplicated.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let mut repeats: Vec<usize> =
        ctx.all_groups.iter().flat_map(|g| &g[1..]).map(|r| *r as usize).collect();
    if repeats.is_empty() {
        return Vec::new();
    }
    repeats.sort_unstable();
    let share = repeats.len() as f64 / ctx.rows() as f64;
    let coarse = ctx.coarse();
    let severity = if share > LIMIT && !coarse { Severity::Warning } else { Severity::Info };
    let ignored: Vec<&str> =
        ctx.columns.iter().filter(|c| c.role == Role::Ignored).map(|c| c.name).collect();
    let mut title = format!(
        "{} ({}) {} an earlier row exactly",
        wording::counted(repeats.len(), "row"),
        wording::percent(share),
        if repeats.len() == 1 { "repeats" } else { "repeat" }
    );
    if !ignored.is_empty() {
        title += &format!(", {} not compared", wording::list(&ignored, 3));
    }
    let advice = if coarse {
        "The columns allow so few combinations that equal rows are to be expected. Nothing needs to \
         be done unless you know that rows were copied."
    } else {
        "Repeated rows count more than once in training, and copies in both training and test data \
         make the test score too good. Remove them unless each stands for a case of its own."
    };
    vec![CHECK.finding(severity, title, advice).rows(repeats).value(share, LIMIT)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::data::ColumnType;

    #[test]
    fn repeats_are_counted_after_the_first() {
        let case = Case::rows("a,b,y", 100, |i| {
            // Rows 90..100 copy row 3; "NA" and "" are both missing.
            let i = if i >= 90 { 3 } else { i };
            format!("{}.5,{},{}", i * 7, if i == 3 { "" } else { "x" }, ["p", "q"][i % 2])
        });
        let found = case.run(&CHECK);
        assert_eq!(found[0].rows, (90..100).collect::<Vec<_>>());
        assert_eq!((found[0].row_count, found[0].severity), (10, Severity::Warning));
        assert_eq!(found[0].value, Some(0.1));
    }

    #[test]
    fn ignored_columns_are_not_compared_and_said() {
        let case = Case::new("id,a,y\n1,5,p\n2,5,p\n3,6,q\n").kind("id", ColumnType::Ignore);
        let found = case.run(&CHECK);
        assert_eq!(found[0].rows, [1]);
        assert!(found[0].title.contains("\"id\" not compared"));
        assert!(Case::new("id,a,y\n1,5,p\n2,5,p\n").run(&CHECK).is_empty());
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert_eq!(Case::new("a,b,y\n1.0,-0,p\n1,0,p\n").run(&CHECK)[0].rows, [1]);
    }
}
