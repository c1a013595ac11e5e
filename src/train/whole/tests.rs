use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::data::formats::csv::sampled;
use crate::data::preprocess::PrepConfig;
use crate::data::steps;
use crate::data::{ColumnType, SplitMethod};
use crate::device::DeviceChoice;
use crate::train::{Control, Event, Job, RunFolder, RunHandle, RunState, Summary, TrainConfig};

const ROWS: u32 = 4000;

/// A table with a number for every row, so that encoded rows can be told apart.
fn text() -> String {
    let mut text = "id,n,word,g,t,part,y\n".to_owned();
    for i in 0..ROWS {
        let word = ["red", "green", "blue"][(i * 7 % 3) as usize];
        let (day, month) = (i % 28 + 1, i / 28 % 12 + 1);
        let part = ["train", "train", "val", "test"][(i / 3 % 4) as usize];
        let y = ["p", "q"][(i % 97 > 40) as usize];
        text += &format!(
            "{i}.25,{}.5,{word},g{},{day:02}/{month:02}/{},{part},{y}\n",
            i % 97,
            i % 50,
            1990 + i / 400
        );
    }
    text
}

struct Case {
    folder: tempfile::TempDir,
    data: Dataset,
    schema: Schema,
}

impl Case {
    /// Of `text`, of which `sample` bytes are read; the recorded steps done.
    fn of(text: &str, sample: usize, steps: &[Step]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let (table, notes) = sampled(&path, 1000, sample);
        let mut data = Dataset { name: "t".to_owned(), samples: Samples::Table(table), notes };
        if !steps.is_empty() {
            data = steps::apply(&data, steps).unwrap().0;
        }
        let types = BTreeMap::from([
            ("id".to_owned(), ColumnType::Number),
            ("part".to_owned(), ColumnType::Ignore),
        ]);
        if let Samples::Table(table) = &mut data.samples {
            for column in table.columns_mut() {
                column.kind = types.get(column.name()).copied().unwrap_or(column.kind);
            }
        }
        let schema = Schema::infer(&data, Some("y"), &types).unwrap();
        Self { folder, data, schema }
    }

    fn new() -> Self {
        Self::of(&text(), 30_000, &[])
    }

    fn table(&self) -> &Table {
        of(&self.data).unwrap().0
    }

    fn parts(&self, config: &SplitConfig) -> Split {
        Split::make(&self.data, &self.schema, config).unwrap()
    }

    fn fit(&self, parts: &Split) -> Preprocessor {
        Preprocessor::fit(&self.data, &self.schema, &PrepConfig::default(), &parts.train).unwrap()
    }

    fn encode(&self, config: &SplitConfig) -> Result<(Split, Preprocessor, Streamed), TrainError> {
        let parts = self.parts(config);
        let prep = self.fit(&parts);
        let split = (&parts, config);
        let folder = self.folder.path();
        let found = encode(&self.data, &self.schema, &prep, split, folder, &mut |_, _| true)?;
        Ok((parts, prep, found.unwrap()))
    }

    /// Numbers of encoded rows in the file, from 0, found by their `id`.
    fn ids(&self, prep: &Preprocessor, encoded: &Encoded) -> Vec<u32> {
        // "id" is linear in what it is encoded as: found from two rows of the sample.
        let at = prep.feature_names().iter().position(|n| n == "id").unwrap();
        let two = prep.transform(&self.data, &[0, self.data.len() as u32 - 1]).unwrap();
        let line = |row: usize| self.table().line(row) as f64 - 2.0;
        let of = |row: usize| f64::from(two.dense[row * two.dense_width + at]);
        let slope = (line(self.data.len() - 1) - line(0)) / (of(1) - of(0));
        let id = |row: usize| {
            let x = f64::from(encoded.dense[row * encoded.dense_width + at]);
            (line(0) + (x - of(0)) * slope).round() as u32
        };
        (0..encoded.rows).map(id).collect()
    }

    fn held(&self, parts: &Split) -> HashSet<u32> {
        let rows = parts.validation.iter().chain(&parts.test);
        rows.map(|r| self.table().line(*r as usize) as u32 - 2).collect()
    }

    fn job(&self, name: &str) -> Job {
        let config = TrainConfig {
            hidden: vec![8],
            batch_size: 64,
            epochs: 4,
            dropout: 0.0,
            device: DeviceChoice::Cpu,
            ..TrainConfig::default()
        };
        Job {
            project: "t".to_owned(),
            dataset: Arc::new(self.data.clone()),
            schema: self.schema.clone(),
            prep: PrepConfig::default(),
            split: SplitConfig::default(),
            config,
            folder: self.folder.path().join("runs").join(name),
            resume: false,
            start_from: None,
        }
    }
}

/// Encoded rows that must not be trained on, of those that are.
fn leaked(trained: &[u32], held: &HashSet<u32>) -> Vec<u32> {
    trained.iter().copied().filter(|id| held.contains(id)).collect()
}

fn begin(job: Job) -> RunHandle {
    crate::train::start(job, Arc::new(|| {})).unwrap()
}

fn finish(handle: &RunHandle) -> (Summary, Vec<String>) {
    let mut log = Vec::new();
    loop {
        match handle.events.recv_timeout(Duration::from_secs(120)).unwrap() {
            Event::Finished(summary) => return (*summary, log),
            Event::Failed(error) => panic!("{error}"),
            Event::Log(line) => log.push(line),
            _ => {}
        }
    }
}

fn weights(job: &Job) -> Vec<crate::model::init::Param> {
    RunFolder::open(&job.folder).unwrap().best_params().unwrap()
}

#[test]
fn every_row_is_trained_on_but_the_held_out_ones() {
    let case = Case::new();
    let (parts, prep, found) = case.encode(&SplitConfig::default()).unwrap();
    let mut ids = case.ids(&prep, &found.train);
    let held = case.held(&parts);
    assert!(leaked(&ids, &held).is_empty());
    ids.sort_unstable();
    let wanted: Vec<u32> = (0..ROWS).filter(|id| !held.contains(id)).collect();
    assert_eq!(ids, wanted);
    assert!(found.train.dense.in_file() && case.data.len() < 1000);
    // What is held out is encoded as ever.
    let alone = prep.transform(&case.data, &parts.test).unwrap();
    assert!(alone == found.test && case.ids(&prep, &alone).iter().all(|id| held.contains(id)));
    // A row of the test that is put into training is found.
    let planted = [ids.as_slice(), &case.ids(&prep, &found.test)[..1]].concat();
    assert_eq!(leaked(&planted, &held).len(), 1);
    assert!(found.told[0].contains(&count(wanted.len(), "row")), "{:?}", found.told);
    // The temporary files have no name.
    assert_eq!(std::fs::read_dir(case.folder.path()).unwrap().count(), 1);
}

#[test]
fn rows_outside_of_the_sample_are_encoded_as_those_in_it() {
    let case = Case::new();
    let (_, prep, found) = case.encode(&SplitConfig::default()).unwrap();
    let ids = case.ids(&prep, &found.train);
    // All rows read at once, encoded with the same preprocessing.
    let all = crate::data::testing::dataset(&text());
    let rows: Vec<u32> = ids.clone();
    let (dense, target) = match &all.samples {
        Samples::Table(_) => {
            let encoded = prep.transform(&all, &rows).unwrap();
            (encoded.dense, encoded.target)
        }
        Samples::Images(_) => panic!(),
    };
    assert!(dense == found.train.dense && target == found.train.target);
}

#[test]
fn groups_later_rows_and_given_parts_stay_out() {
    let case = Case::new();
    let by = |method, column: &str| SplitConfig {
        method,
        column: Some(column.to_owned()),
        ..SplitConfig::default()
    };
    let (parts, prep, found) = case.encode(&by(SplitMethod::Group, "g")).unwrap();
    let held: HashSet<u32> = case.held(&parts).iter().map(|id| id % 50).collect();
    let ids = case.ids(&prep, &found.train);
    assert_eq!(ids.len(), 80 * (50 - held.len()));
    assert!(ids.iter().all(|id| !held.contains(&(id % 50))));
    assert!(found.told.iter().any(|l| l.contains("has the same \"g\"")), "{:?}", found.told);

    let (parts, prep, found) = case.encode(&by(SplitMethod::Time, "n")).unwrap();
    let first = case.held(&parts).iter().map(|id| id % 97).min().unwrap();
    let ids = case.ids(&prep, &found.train);
    assert_eq!(ids.len(), (0..ROWS).filter(|id| id % 97 < first).count());
    assert!(ids.iter().all(|id| id % 97 < first));

    let (_, prep, found) = case.encode(&by(SplitMethod::Given, "part")).unwrap();
    let ids = case.ids(&prep, &found.train);
    assert_eq!(ids.len(), (0..ROWS).filter(|id| id / 3 % 4 < 2).count());
    assert!(ids.iter().all(|id| id / 3 % 4 < 2));
}

#[test]
fn recorded_steps_are_done_to_streamed_rows() {
    let text = text().replacen("\n900.25,", "\n,", 1);
    let (column, word) = ("word".to_owned(), "green".to_owned());
    let steps = [
        Step::DropRows { rows: vec![0] },
        Step::Empty { column: column.clone(), values: vec![word] },
        Step::DropMissing { column },
        Step::Cap { column: "n".to_owned(), low: 10.5, high: 60.5 },
        Step::DropColumns { columns: vec!["t".to_owned()] },
    ];
    let case = Case::of(&text, 30_000, &steps);
    let (parts, prep, found) = case.encode(&SplitConfig::default()).unwrap();
    // All at once, the same steps but the one that names a row of the sample.
    let all = crate::data::testing::dataset(&text);
    let all = steps::apply(&all, &steps[1..]).unwrap().0;
    let lines = |data: &Dataset, rows: &mut dyn Iterator<Item = usize>| -> Vec<u64> {
        let Samples::Table(table) = &data.samples else { panic!() };
        rows.map(|r| table.line(r)).collect()
    };
    let held =
        lines(&case.data, &mut parts.validation.iter().chain(&parts.test).map(|r| *r as usize));
    let dropped = of(&Case::of(&text, 30_000, &[]).data).unwrap().0.line(0);
    let expected: Vec<u32> = lines(&all, &mut (0..all.len()))
        .iter()
        .enumerate()
        .filter(|(_, line)| !held.contains(line) && **line != dropped)
        .map(|(row, _)| row as u32)
        .collect();
    let encoded = prep.transform(&all, &expected).unwrap();
    let sorted = |e: &Encoded| {
        let mut rows: Vec<Vec<u32>> = e
            .dense
            .chunks(e.dense_width)
            .map(|r| r.iter().map(|v| v.to_bits()).collect())
            .collect();
        rows.sort_unstable();
        rows
    };
    assert_eq!(found.train.rows, expected.len());
    assert!(sorted(&encoded) == sorted(&found.train));
    assert!(found.told.iter().any(|l| l.contains("left out, by the recorded steps")));
    assert!(found.told.iter().any(|l| l.contains("name single rows")));
    // What compares rows is refused, by name.
    let case = Case::of(&text, 30_000, &[Step::DropDuplicates { except: vec![] }]);
    let refused = case.encode(&SplitConfig::default()).unwrap_err().to_string();
    assert!(refused.contains("\"Leave out repeated rows\" compares all rows"), "{refused}");
}

#[test]
fn what_cannot_be_read_is_counted_and_listed() {
    let broken = text()
        .replacen(
            "\n901.25,",
            "\n901.25\n# a remark\n,,,,,,\n902.25,1.5,red,g1,1/1/1991,train,p,x,y\n901.25,",
            1,
        )
        .replacen("\n2001.25,61.5,red", "\n2001.25,61.5,violet", 1)
        .replacen("train,q\n", "train,r\n", 1);
    let case = Case::of(&broken, 20_000, &[]);
    let (_, _, found) = case.encode(&SplitConfig::default()).unwrap();
    let told = found.told.join("\n");
    for line in [
        "1 row with too few cells filled up with missing values. First rows: 903.",
        "1 row with too many cells: those beyond the last column left out. First rows: 906.",
        "1 row without any value left out. First rows: 905.",
        "1 row that begin with \"#\" left out as remarks. First rows: 904.",
        "1 value of \"word\" not in the sample or not of its type; taken as unknown.",
        "2 rows outside of the sample left out, without a known \"y\".",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
}

#[test]
fn streamed_training_is_that_in_memory_where_the_sample_is_the_file() {
    let case = Case::of(&text(), 10_000_000, &[]);
    assert_eq!(case.data.len(), ROWS as usize);
    let streamed = case.job("streamed");
    let (one, log) = finish(&begin(streamed.clone()));
    assert!(log.iter().any(|l| l.starts_with("All rows of the file are trained on: 2,800 rows")));
    let mut memory = case.job("memory");
    let mut data = case.data.clone();
    let Samples::Table(table) = &mut data.samples else { panic!() };
    table.set_whole(None);
    memory.dataset = Arc::new(data);
    let (two, log) = finish(&begin(memory.clone()));
    assert!(!log.iter().any(|l| l.starts_with("All rows of the file")));
    assert!(weights(&streamed) == weights(&memory));
    assert_eq!((one.test, one.validation), (two.test, two.validation));
    // More rows give another model.
    let case = Case::new();
    let more = case.job("more");
    let (three, _) = finish(&begin(more.clone()));
    assert!(weights(&more) != weights(&streamed) && three.test.rows < 300);
}

#[test]
fn a_run_goes_on_exactly_and_not_on_a_changed_file() {
    let case = Case::new();
    let whole = case.job("whole");
    finish(&begin(whole.clone()));
    let mut cut = case.job("cut");
    cut.config.epochs = 40;
    let mut long = cut.clone();
    long.folder = whole.folder.with_file_name("long");
    finish(&begin(long.clone()));
    let handle = begin(cut.clone());
    loop {
        match handle.events.recv_timeout(Duration::from_secs(60)).unwrap() {
            Event::Epoch { epoch: 3, .. } => break,
            Event::Failed(error) => panic!("{error}"),
            _ => {}
        }
    }
    drop(handle);
    wait(|| RunFolder::open(&cut.folder).is_ok_and(|run| run.resumable()));
    let run = RunFolder::open(&cut.folder).unwrap();
    assert_ne!(run.record.state, RunState::Done);
    // Other rows outside of the sample are other data.
    let other = text().replacen("3001.25,", "3001.75,", 1);
    let changed = Case::of(&other, 30_000, &[]);
    let go_on = Job { resume: true, ..cut.clone() };
    let with = Job { dataset: Arc::new(changed.data.clone()), ..go_on.clone() };
    let refused = failure(&begin(with));
    assert!(refused.contains("the data changed since this run was started"), "{refused}");
    finish(&begin(go_on));
    assert!(weights(&cut) == weights(&long));
}

fn wait(done: impl Fn() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited too long");
}

fn failure(handle: &RunHandle) -> String {
    loop {
        match handle.events.recv_timeout(Duration::from_secs(60)).unwrap() {
            Event::Failed(error) => return error.to_string(),
            Event::Finished(_) => panic!("it did not fail"),
            _ => {}
        }
    }
}

#[test]
fn cancelling_leaves_nothing_behind() {
    let case = Case::new();
    // While rows are encoded.
    let (config, mut asked) = (SplitConfig::default(), 0);
    let parts = case.parts(&config);
    let prep = case.fit(&parts);
    let folder = case.folder.path();
    let stopped =
        encode(&case.data, &case.schema, &prep, (&parts, &config), folder, &mut |at, of| {
            asked += 1;
            assert!(at < of && of == u64::from(ROWS));
            asked < 3
        });
    assert!(matches!(stopped, Err(TrainError::Data(DataError::Cancelled))) && asked == 3);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    // As a run, before and while it trains.
    for while_training in [false, true] {
        let mut job = case.job("cancelled");
        job.config.epochs = 1000;
        let handle = begin(job.clone());
        if while_training {
            while !matches!(handle.events.recv().unwrap(), Event::Epoch { .. }) {}
        }
        handle.control.send(Control::Cancel).unwrap();
        while handle.events.recv().is_ok() {}
        assert!(!job.folder.exists());
        assert!(std::fs::read_dir(folder).unwrap().count() <= 2);
    }
}

#[test]
fn a_changed_file_is_refused() {
    let path = |case: &Case| case.folder.path().join("t.csv");
    let refused = |case: &Case| {
        let error = case.encode(&SplitConfig::default()).unwrap_err();
        crate::error::UserError::from(error).to_string()
    };
    let case = Case::new();
    std::fs::write(path(&case), "id,n\n1,2\n").unwrap();
    assert!(refused(&case).contains("has changed since its sample was read"));
    // Even where neither its length nor its time says so.
    let case = Case::new();
    let when = std::fs::metadata(path(&case)).unwrap().modified().unwrap();
    std::fs::write(path(&case), text().replacen("3001.25,", "3001.75,", 1)).unwrap();
    std::fs::File::options().write(true).open(path(&case)).unwrap().set_modified(when).unwrap();
    assert!(refused(&case).contains("has changed since its sample was read"));
    std::fs::remove_file(path(&case)).unwrap();
    assert!(refused(&case).contains("t.csv"));
}

#[test]
fn a_full_disk_is_told_before_anything_is_written() {
    let folder = Path::new("/runs");
    let error = room(3_000_000_000, Some(1_200_000_000), folder).unwrap_err();
    let text = crate::error::UserError::from(error).to_string();
    assert!(text.contains("about 3.0 GB") && text.contains("1.2 GB are free"), "{text}");
    assert!(room(3_000_000_000, Some(4_000_000_000), folder).is_ok());
    assert!(room(3_000_000_000, None, folder).is_ok());
    // The estimate is what is written.
    let case = Case::new();
    let config = SplitConfig::default();
    let (parts, prep, found) = case.encode(&config).unwrap();
    let told = extent(&case.data, &prep, &parts, &config).unwrap();
    assert_eq!(told.rows, found.train.rows);
    let all = found.train.rows + parts.validation.len() + parts.test.len();
    assert_eq!(told.bytes as usize, all * row_bytes(&prep));
}

#[test]
fn what_needs_all_rows_in_memory_is_refused() {
    let case = Case::new();
    let mut job = case.job("balanced");
    job.split.balance = true;
    let refused = failure(&begin(job));
    assert!(refused.contains("balanced classes"), "{refused}");
}
