//! What several topics need: made-up tables, jobs, and waiting for runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fp8_studio::data::preprocess::PrepConfig;
use fp8_studio::data::{
    Column, ColumnType, Dataset, ImageSet, Samples, Schema, SplitConfig, Table, Task,
};
use fp8_studio::device::DeviceChoice;
use fp8_studio::train::{Event, Job, RunHandle, Summary, TrainConfig, start};

/// Longest wait for an event; reaching it is a failure.
pub const LONG: Duration = Duration::from_secs(120);

/// Numbers in 0..1 that are the same every time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn table(
    name: &str,
    columns: Vec<(&str, ColumnType, Vec<String>)>,
) -> (Dataset, Vec<(String, ColumnType)>) {
    let rows = columns[0].2.len();
    let types = columns.iter().map(|(n, k, _)| ((*n).to_owned(), *k)).collect();
    let columns = columns
        .into_iter()
        .map(|(name, kind, cells)| {
            let mut column = Column::new(name);
            cells.iter().for_each(|c| column.push(c));
            column.kind = kind;
            column.inferred = kind;
            column
        })
        .collect();
    let lines = (2..rows as u64 + 2).collect();
    let samples = Samples::Table(Table::new(columns, lines));
    (Dataset { name: name.to_owned(), samples, notes: vec![] }, types)
}

/// Rows of two classes: inside or outside a circle, and a category that leans towards the class.
pub fn circle(rows: usize) -> (Dataset, Schema) {
    let mut random = Random::new(1);
    let (mut x, mut y, mut colour, mut label) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rows {
        let (a, b) = (random.next() * 2.0 - 1.0, random.next() * 2.0 - 1.0);
        let inside = a * a + b * b < 0.6;
        let lean = random.next() < if inside { 0.8 } else { 0.3 };
        x.push(format!("{a:.5}"));
        y.push(format!("{b:.5}"));
        colour.push(if lean { "red" } else { "blue" }.to_owned());
        label.push(if inside { "in" } else { "out" }.to_owned());
    }
    let (dataset, columns) = table(
        "circle",
        vec![
            ("x", ColumnType::Number, x),
            ("y", ColumnType::Number, y),
            ("colour", ColumnType::Category, colour),
            ("side", ColumnType::Category, label),
        ],
    );
    let task = Task::Binary { classes: vec!["in".to_owned(), "out".to_owned()] };
    (dataset, Schema { columns, target: "side".to_owned(), task })
}

/// Rows of a smooth function with a little noise, in a unit far from 1.
pub fn hills(rows: usize) -> (Dataset, Schema) {
    let mut random = Random::new(2);
    let (mut x, mut y, mut height) = (vec![], vec![], vec![]);
    for _ in 0..rows {
        let (a, b) = (random.next() * 4.0 - 2.0, random.next() * 4.0 - 2.0);
        let h = 2000.0 + 300.0 * (a.sin() + 0.5 * a * b) + 10.0 * (random.next() - 0.5);
        x.push(format!("{a:.5}"));
        y.push(format!("{b:.5}"));
        height.push(format!("{h:.3}"));
    }
    let (dataset, columns) = table(
        "hills",
        vec![
            ("x", ColumnType::Number, x),
            ("y", ColumnType::Number, y),
            ("height", ColumnType::Number, height),
        ],
    );
    (dataset, Schema { columns, target: "height".to_owned(), task: Task::Regression })
}

/// Pictures of 12 × 12 grey pixels: noise with a bright bar, whose direction is the class.
pub fn pictures(count: usize) -> (Dataset, Schema) {
    let mut random = Random::new(3);
    let (side, classes) = (12, vec!["across".to_owned(), "down".to_owned()]);
    let mut images = ImageSet {
        width: side,
        height: side,
        channels: 1,
        classes: classes.clone(),
        ..ImageSet::default()
    };
    for i in 0..count {
        let at = 2 + (random.next() * 8.0) as usize;
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let on = if i % 2 == 0 { y == at } else { x == at };
            images.pixels.push((random.next() * 90.0) as u8 + if on { 160 } else { 0 });
        }
        images.labels.push((i % 2) as u32);
    }
    let samples = Samples::Images(images);
    let dataset = Dataset { name: "bars".to_owned(), samples, notes: vec![] };
    let schema = Schema::infer(&dataset, None, &BTreeMap::new()).unwrap();
    (dataset, schema)
}

/// A job on the CPU engine.
pub fn job(data: (Dataset, Schema), config: TrainConfig, folder: &Path) -> Job {
    Job {
        project: "test".to_owned(),
        dataset: Arc::new(data.0),
        schema: data.1,
        prep: PrepConfig::default(),
        split: SplitConfig::default(),
        config: TrainConfig { device: DeviceChoice::Cpu, ..config },
        folder: folder.to_owned(),
        resume: false,
    }
}

/// Starts a job that nothing but its events tells of.
pub fn begin(job: Job) -> RunHandle {
    start(job, Arc::new(|| {})).expect("the settings are in range")
}

/// Starts a job that goes on after an event only once [`Gated::next`] has returned it and is called
/// again, so that a test decides exactly where it acts.
pub fn begin_gated(job: Job) -> Gated {
    let (open, gate) = crossbeam::channel::bounded::<()>(0);
    // When the test lets go of its end, the run goes on freely.
    let wake = move || {
        let _ = gate.recv();
    };
    let run = start(job, Arc::new(wake)).expect("the settings are in range");
    Gated { run, open, first: true }
}

/// A run in step with its test.
pub struct Gated {
    /// The run.
    pub run: RunHandle,
    open: crossbeam::channel::Sender<()>,
    first: bool,
}

impl Gated {
    /// Lets the run go on to its next event; it stands there until the next call.
    pub fn next(&mut self) -> Event {
        if !std::mem::take(&mut self.first) {
            self.open.send_timeout((), LONG).expect("the run waits");
        }
        next(&self.run)
    }

    /// Lets the run go on freely.
    pub fn free(self) -> RunHandle {
        self.run
    }

    /// Lets go of the run where it stands, as a window that closes does, and waits until its thread
    /// is gone.
    pub fn leave(self) {
        let events = self.run.events.clone();
        drop(self.run);
        drop(self.open);
        while events.recv_timeout(LONG).is_ok() {}
    }
}

/// The next event.
pub fn next(run: &RunHandle) -> Event {
    run.events.recv_timeout(LONG).expect("the run goes on")
}

/// All events to the end of a run.
pub fn rest(run: &RunHandle) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        match run.events.recv_timeout(LONG) {
            Ok(event) => events.push(event),
            Err(crossbeam::channel::RecvTimeoutError::Disconnected) => return events,
            Err(e) => panic!("{e} after {events:?}"),
        }
    }
}

/// The results in a run's events; a failed run is a failed test.
pub fn summary(events: &[Event]) -> Summary {
    match events.last() {
        Some(Event::Finished(summary)) => (**summary).clone(),
        other => panic!("the run ended with {other:?}"),
    }
}

/// Epoch, training loss and validation loss of every epoch, bit for bit.
pub fn losses(events: &[Event]) -> Vec<(usize, u32, u32)> {
    events
        .iter()
        .filter_map(|e| match e {
            Event::Epoch { epoch, train_loss, validation, .. } => {
                Some((*epoch, train_loss.to_bits(), validation.loss.to_bits()))
            }
            _ => None,
        })
        .collect()
}
