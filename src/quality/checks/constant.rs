//! Columns with one value.

use super::{Check, Finding, Run, Severity};
use crate::quality::context::TableContext;
use crate::quality::wording;

pub(super) const CHECK: Check = Check {
    name: "constant",
    title: "Columns with one value",
    definition: "Columns whose cells that are not missing all hold the same value. Source: deepchecks, \
                 Is Single Value.",
    run: Run::Table(run),
};

fn run(ctx: &TableContext) -> Vec<Finding> {
    // A column with missing cells still says something: whether it is filled.
    let constant = |c: &&crate::quality::context::Col| c.present() > 0 && c.distinct(2) == 1;
    let columns: Vec<_> = ctx.features().filter(constant).collect();
    let (bare, partly): (Vec<_>, Vec<_>) =
        columns.into_iter().partition(|c| c.present() == c.len());
    let mut found = Vec::new();
    let names = |c: &[&crate::quality::context::Col]| {
        c.iter().map(|c| c.name.to_owned()).collect::<Vec<_>>()
    };
    if !bare.is_empty() && ctx.rows() > 1 {
        let names = names(&bare);
        let title = format!(
            "{} the same value in every row: {}",
            if names.len() == 1 {
                "One column holds".to_owned()
            } else {
                format!("{} hold", wording::counted(names.len(), "column"))
            },
            wording::list(&names, 8)
        );
        let advice = "A column that never changes cannot help to tell cases apart. It does no harm; \
                      set it to \"ignore\", and check whether the data should vary here.";
        found.push(CHECK.finding(Severity::Info, title, advice).columns(names).value(1.0, 1.0));
    }
    if !partly.is_empty() {
        let names = names(&partly);
        let title = format!("Filled with one value or not at all: {}", wording::list(&names, 8));
        let advice =
            "Only whether the cell is filled can help the model. Check whether that is meant.";
        found.push(CHECK.finding(Severity::Info, title, advice).columns(names).value(1.0, 1.0));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn constants_are_listed_together() {
        let case = Case::rows("one,two,flag,three,y", 30, |i| {
            format!("5,x,{},{i},p", if i % 2 == 0 { "yes" } else { "" })
        });
        let found = case.run(&CHECK);
        assert_eq!(found[0].columns, ["one", "two"]);
        assert_eq!(found[1].columns, ["flag"]);
    }
}
