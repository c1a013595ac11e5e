//! Too little to learn from.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::TableContext;
use crate::quality::wording;

const FEW_ROWS: usize = 50;

pub(super) const CHECK: Check = Check {
    name: "size",
    title: "Enough rows and columns",
    definition: "High when there is no row, no column to learn from or no target column; a warning \
                 below 50 rows with a target. Source: own rule; below 50 rows a test set of a fifth \
                 has fewer than 10 rows, and one row changes its accuracy by more than 10 points.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    let mut found = Vec::new();
    if ctx.target().is_none() {
        found.push(CHECK.finding(
            Severity::High,
            "There is no target column",
            "Choose the column that the model should predict.",
        ));
    }
    if ctx.features().next().is_none() {
        found.push(CHECK.finding(
            Severity::High,
            "There is no column to learn from",
            "Set at least one column besides the target to a type other than \"ignore\".",
        ));
    }
    let rows = ctx.target().map_or(ctx.rows(), |t| t.present());
    let value = |f: Finding| f.value(rows as f64, FEW_ROWS as f64);
    if ctx.rows() == 0 {
        found.push(value(CHECK.finding(
            Severity::High,
            "The table has no rows",
            "Choose a file that holds data below its header.",
        )));
    } else if rows > 0 && rows < FEW_ROWS {
        found.push(value(CHECK.finding(
            Severity::Warning,
            format!("Only {} to learn from", wording::counted(rows, "row")),
            "With so few rows the result depends on luck. Collect more data, and read the test \
             score as a rough hint.",
        )));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::data::ColumnType;

    #[test]
    fn small_and_empty_tables_are_named() {
        let small = Case::rows("a,y", 20, |i| format!("{i},{}", ["p", "q"][i % 2]));
        let found = small.run(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        let empty = Case::new("a,y\n").run(&CHECK);
        assert!(empty.iter().any(|f| f.title.contains("no rows")));
        let ignored = small.kind("a", ColumnType::Ignore).run(&CHECK);
        assert_eq!(ignored[0].severity, Severity::High);
        assert!(Case::rows("a,y", 60, |i| format!("{i},{}", i % 7)).run(&CHECK).is_empty());
    }
}
