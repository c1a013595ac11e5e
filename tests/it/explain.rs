//! What an answer hangs on, with trained models; and the history of real runs.

use std::path::Path;
use std::sync::Arc;

use fp8_studio::app::history;
use fp8_studio::data::{Column, ColumnType, Dataset, Progress, Samples, Schema, Table};
use fp8_studio::deploy::explain::Reason;
use fp8_studio::deploy::{Input, Model, Prediction, Predictor, explain};
use fp8_studio::device::DeviceChoice;
use fp8_studio::project::Project;
use fp8_studio::train::{Job, RunFolder, RunNotes, RunState, TrainConfig, run_folder};

use crate::support::{begin, rest, summary};

/// Trains on the CPU and gives the run's folder.
fn train(dataset: &Arc<Dataset>, target: &str, folder: &Path, config: TrainConfig) -> RunFolder {
    let schema = Schema::infer(dataset, Some(target), &Default::default()).unwrap();
    let job = Job {
        project: "planted".into(),
        dataset: Arc::clone(dataset),
        schema,
        prep: Default::default(),
        split: Default::default(),
        config: TrainConfig { device: DeviceChoice::Cpu, ..config },
        folder: folder.to_owned(),
        resume: false,
        start_from: None,
    };
    summary(&rest(&begin(job)));
    RunFolder::open(folder).unwrap()
}

/// The answer is yes where `cause` is above 50 or the text says "good"; `noise` means nothing.
fn planted() -> Arc<Dataset> {
    let mut columns: Vec<Column> = [
        ("cause", ColumnType::Number),
        ("noise", ColumnType::Number),
        ("says", ColumnType::Text),
        ("y", ColumnType::Category),
    ]
    .map(|(name, kind)| {
        let mut column = Column::new(name);
        column.kind = kind;
        column.inferred = kind;
        column
    })
    .into();
    for i in 0..600_usize {
        let (cause, noise) = (i * 37 % 100, i * 53 % 89);
        let good = i % 5 == 0;
        columns[0].push(&cause.to_string());
        columns[1].push(&noise.to_string());
        columns[2].push(if good { "a good thing here" } else { "some other thing here" });
        columns[3].push(if cause > 50 || good { "yes" } else { "no" });
    }
    let table = Table::new(columns, (2..602).collect());
    Arc::new(Dataset { name: "planted".into(), samples: Samples::Table(table), notes: vec![] })
}

fn cells(cells: &[(&str, &str)]) -> Input {
    Input::Row(cells.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
}

/// The effect of one column by the definition: predicted one by one, row by row.
fn by_hand(predictor: &mut Predictor, data: &Dataset, row: &[(&str, &str)], swap: &str) -> f64 {
    let Samples::Table(table) = &data.samples else { panic!("no table") };
    let mut one = |cell: Option<&str>| {
        let columns = row
            .iter()
            .map(|(name, own)| {
                let mut column = Column::new(*name);
                column.push(if *name == swap { cell.unwrap_or(own) } else { own });
                column
            })
            .collect();
        let data = Dataset {
            name: String::new(),
            samples: Samples::Table(Table::new(columns, vec![1])),
            notes: vec![],
        };
        let mut found = Vec::new();
        predictor
            .predict(&data, |_, p| {
                found.extend_from_slice(p);
                Ok::<(), fp8_studio::error::ExportError>(())
            })
            .unwrap();
        found.remove(0)
    };
    let Prediction::Class { index, probabilities } = one(None) else { panic!("no class") };
    let own = f64::from(probabilities[index]);
    let others: Vec<f64> = (0..64)
        .map(|i| {
            let cell = table.column(swap).unwrap().raw(i * 600 / 64).to_owned();
            match one(Some(&cell)) {
                Prediction::Class { probabilities, .. } => f64::from(probabilities[index]),
                Prediction::Value(_) => panic!("no class"),
            }
        })
        .collect();
    own - others.iter().sum::<f64>() / others.len() as f64
}

#[test]
fn the_planted_cause_matters_and_noise_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = planted();
    let config = TrainConfig { epochs: 60, learning_rate: 5e-3, patience: 0, ..Default::default() };
    let run = train(&data, "y", &dir.path().join("runs/a"), config);
    let mut predictor = Model::of_run(&run).unwrap().predictor().unwrap();
    let row = [("cause", "90"), ("noise", "40"), ("says", "some other thing here")];
    let answer = explain(&mut predictor, &data, &cells(&row)).unwrap();
    assert_eq!(answer.words_for_it().0, "yes");
    assert_eq!(answer.columns[0].name, "cause");
    assert!(answer.columns[0].effect > 0.2, "{:?}", answer.columns);
    let effect = |reasons: &[Reason], name: &str| {
        reasons.iter().find(|r| r.name == name).map(|r| r.effect).unwrap()
    };
    assert!(effect(&answer.columns, "noise").abs() < 0.1, "{:?}", answer.columns);
    for (name, _) in row {
        let slow = by_hand(&mut predictor, &data, &row, name);
        let fast = effect(&answer.columns, name);
        assert!((slow - fast).abs() < 1e-5, "{name}: {slow} {fast}");
    }
    // The comparison would notice a swap of the wrong column.
    let wrong = by_hand(&mut predictor, &data, &row, "noise");
    assert!((wrong - answer.columns[0].effect).abs() > 0.1);

    // With a low cause only the word speaks for yes.
    let row = [("cause", "10"), ("noise", "40"), ("says", "a good thing here")];
    let answer = explain(&mut predictor, &data, &cells(&row)).unwrap();
    assert_eq!(answer.words_for_it().0, "yes");
    assert_eq!(answer.words[0].name, "good", "{:?}", answer.words);
    assert!(answer.words[0].effect > 0.1, "{:?}", answer.words);

    // Columns left out are empty; a wrong kind of input is refused in words.
    assert!(explain(&mut predictor, &data, &cells(&[])).is_ok());
    let refused = explain(&mut predictor, &data, &Input::Sample(0)).unwrap_err();
    assert!(refused.what.contains("rows of a table"), "{refused}");
}

#[test]
fn a_picture_hangs_on_what_is_drawn() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("projects/fashion_mnist");
    let project = Project::load(&root).unwrap();
    let data = Arc::new(project.open_data(&Progress::default()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let schema = Schema::infer(&data, project.target.as_deref(), &Default::default()).unwrap();
    let config = TrainConfig { epochs: 2, hidden: vec![32], ..Default::default() };
    let run = train(&data, &schema.target, &dir.path().join("runs/a"), config);
    let mut predictor = Model::of_run(&run).unwrap().predictor().unwrap();
    let Samples::Images(set) = &data.samples else { panic!("no pictures") };
    let size = set.width * set.height * set.channels;
    let answer = explain(&mut predictor, &data, &Input::Sample(3)).unwrap();
    let seen = answer.picture.clone().unwrap();
    assert_eq!(seen.pixels, set.pixels[3 * size..4 * size]);
    assert_eq!(seen.effects.len(), set.width * set.height);
    let most = seen.effects.iter().fold(f32::MIN, |m, e| m.max(*e));
    assert!(most > 0.01, "hiding a place changes something: {most}");

    // The same picture from a file.
    let path = dir.path().join("shirt.png");
    let grey = image::GrayImage::from_raw(
        set.width as u32,
        set.height as u32,
        seen.pixels.iter().step_by(set.channels).copied().collect(),
    );
    grey.unwrap().save(&path).unwrap();
    let again = explain(&mut predictor, &data, &Input::Picture(path)).unwrap();
    assert_eq!(again.words_for_it(), answer.words_for_it());
    let missing = Input::Picture(dir.path().join("none.png"));
    let refused = explain(&mut predictor, &data, &missing).unwrap_err();
    assert!(refused.what.contains("cannot be read") && !refused.advice.is_empty(), "{refused}");
}

#[test]
fn runs_are_listed_named_deleted_and_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = planted();
    let short = TrainConfig { epochs: 1, ..Default::default() };
    let path = run_folder::new_path(dir.path());
    // A name may be given before the run begins, as for waiting runs.
    let notes = RunNotes { name: "First".into(), ..RunNotes::default() };
    notes.save(&path).unwrap();
    train(&data, "y", &path, short);
    let runs = history::read(dir.path());
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].name().as_str(), runs[0].state), ("First", RunState::Done));
    assert!(runs[0].finished() && !runs[0].interrupted);
    let (record, events) = history::open(&path).unwrap();
    assert_eq!(record.summary, runs[0].summary);
    let curves = history::RunCurves::of(&events);
    assert_eq!(curves.validation.len(), 1);
    assert!(!curves.train.is_empty());

    history::delete(&path).unwrap();
    assert!(history::read(dir.path()).is_empty() && !path.exists());
    history::restore(&path).unwrap();
    assert_eq!(history::read(dir.path()), runs);
    assert!(Model::of_run(&RunFolder::open(&path).unwrap()).is_ok());
    // A second time there is nothing to bring back, and what is there stays.
    assert!(history::restore(&path).is_err());
    assert_eq!(history::read(dir.path()), runs);
}
