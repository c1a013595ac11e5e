//! From a job to a session: split, fit the preprocessing, encode, compile, open the engine, make or
//! open the run folder.

use std::path::Path;
use std::sync::Arc;

use crossbeam::channel::{Receiver, TryRecvError};
use sha2::{Digest, Sha256};

use super::checkpoint::{self, Position};
use super::fair::Penalty;
use super::private::{self, Chance, Mechanism, Source};
use super::reporter::Reporter;
use super::run_folder::{self, RunFolder, RunRecord};
use super::session::{Ending, Session};
use super::whole;
use super::worker::{Job, Start};
use super::{Control, Event, RunState};
use crate::data::preprocess::EmbeddingWidth;
use crate::data::{Dataset, Encoded, Preprocessor, Samples, Schema, Split, TargetData, Task};
use crate::device::DeviceChoice;
use crate::engine::preflight::{Limits, preflight};
use crate::engine::{self, Engine};
use crate::error::{DataError, Place, TrainError};
use crate::eval::Meaning;
use crate::eval::attack::Attacker;
use crate::eval::groups::Grouping;
use crate::fp8::Precision;
use crate::model::init::{Param, init};
use crate::model::{EmbeddingSpec, Head, ImageShape, InputSpec, ModelSpec};
use crate::plan::{self, PlanConfig};

/// Most dense values of the training data that enter the fingerprint.
const FINGERPRINT_VALUES: usize = 1 << 22;

/// Everything a session computes with.
pub struct Prepared {
    /// Training rows.
    pub train: Arc<Encoded>,
    /// Validation rows.
    pub validation: Encoded,
    /// Test rows.
    pub test: Encoded,
    /// Size and, per channel, black and white, where rows are images.
    pub images: Option<(ImageShape, Vec<[f32; 2]>)>,
    /// What every training row counts; `None` for all alike.
    pub weights: Option<Arc<Vec<f32>>>,
    /// Pays for treating groups differently, if it is asked for.
    pub penalty: Option<Penalty>,
    /// Groups of the validation rows that are watched.
    pub watched: Option<Grouping>,
    /// Makes misleading rows, if they are trained on.
    pub attacker: Option<Attacker>,
    /// What the outputs mean.
    pub meaning: Meaning,
    /// Rows of a step.
    pub lot: usize,
    /// Clips and adds noise, and where that comes from, if rows are kept private.
    pub mechanism: Option<(Mechanism, Chance)>,
    /// Evaluates in the place of `engine`, where that takes rows one by one.
    pub judge: Option<Box<dyn Engine>>,
    /// The engine, its parameters loaded.
    pub engine: Box<dyn Engine>,
    /// Why the engine is not the one asked for, if so.
    pub fallback: Option<String>,
    /// The same run in f32, if there is one beside.
    pub shadow: Option<Box<dyn Engine>>,
}

/// Encoded data and the network that fits it.
struct Encoding {
    train: Encoded,
    validation: Encoded,
    test: Encoded,
    weights: Option<Vec<f32>>,
    penalty: Option<Penalty>,
    watched: Option<Grouping>,
    meaning: Meaning,
    preprocessor: Preprocessor,
    model: ModelSpec,
    /// Lines for the log.
    told: Vec<String>,
}

/// Runs a job to its end.
pub fn run(
    job: &Job,
    control: &Receiver<Control>,
    reporter: &mut Reporter,
) -> Result<Ending, TrainError> {
    reporter.send(Event::State(RunState::Preparing));
    let resumed = if job.resume { Some(RunFolder::open(&job.folder)?) } else { None };
    let mut config = job.config.clone();
    if let Some(run) = &resumed {
        config = run.record.config.clone();
        config.device = job.config.device;
    }
    if config.private.is_some() {
        // What these do depends on single rows, and no noise covers it.
        (config.guard_rails, config.shadow, config.what_if_every) = (false, false, 0);
    }
    config.check()?;
    let mut listener = Listener { control, reporter, paused: false, ending: None };
    let encoding = encode(job, resumed.as_ref(), &config, &mut |rows, of| {
        listener.reporter.offer(Event::Encoding { rows, of });
        listener.go_on()
    });
    if !listener.go_on()
        && let Some(ending) = listener.ending
    {
        return Ok(ending);
    }
    let (paused, reporter, encoding) = (listener.paused, listener.reporter, encoding?);

    let rows = encoding.train.rows;
    let lot = config.batch_size.min(rows);
    let total = (rows.div_ceil(lot.max(1)) * config.epochs) as u64;
    let mechanism = match config.private {
        Some(want) => {
            let mechanism = Mechanism::new(want, rows, lot, total)?;
            Some((mechanism, Chance::new(Source::System)))
        }
        None => None,
    };
    let batch = if mechanism.is_some() { 1 } else { lot };
    // A run of two precisions goes on in the one that it was in, and as the guard rails left it.
    let before = match &resumed {
        Some(run) => Some(checkpoint::load_last(&run.last_checkpoint())?.1),
        None => None,
    };
    let precision = config.precision_after(before.as_ref().map_or(0, |at| at.step), total);
    let guard = before.as_ref().filter(|_| precision.recipe().is_some());
    let adjustments = guard.map(|at| at.known.guard.adjustments()).unwrap_or_default();
    let shadow_lost = before
        .as_ref()
        .is_some_and(|at| at.known.shadow.as_ref().is_some_and(|shadow| shadow.lost_at.is_some()));
    let with_shadow = config.shadow && !shadow_lost;
    let plan_config = plan_config(&config, batch, precision);
    let limits = Limits::of(config.device)?;
    preflight(&encoding.model, &plan_config, with_shadow, limits)?.into_result()?;
    let plan = plan::compile_adjusted(&encoding.model, &plan_config, &adjustments)?;
    let (mut engine, fallback) = engine::open(config.device, plan)?;
    let mut shadow = if with_shadow {
        let in_f32 = PlanConfig { precision: Precision::F32, ..plan_config };
        let plan = plan::compile(&encoding.model, &in_f32)?;
        Some(engine::open(engine.info().same_device(config.device), plan)?.0)
    } else {
        None
    };
    let judge = match mechanism {
        Some(_) => {
            let judging = PlanConfig { batch: lot, update: config.update, ..plan_config };
            let device = engine.info().same_device(config.device);
            Some(engine::open(device, plan::compile(&encoding.model, &judging)?)?.0)
        }
        None => None,
    };
    let Encoding {
        train,
        validation,
        test,
        weights,
        penalty,
        watched,
        meaning,
        preprocessor,
        model,
        told,
    } = encoding;
    let images = model.input.image.map(|shape| (shape, preprocessor.pixel_levels()));
    if images.is_none() && !config.augmentation.is_nothing() {
        return Err(TrainError::Config {
            setting: "random changes of pictures",
            what: "this is a table; only pictures can be changed at random".to_owned(),
        });
    }

    let attacker = match config.adversarial {
        Some(_) => {
            let params = init(&model, config.seed);
            Some(Attacker::of(&model, &params, preprocessor.movable(), batch)?)
        }
        None => None,
    };
    let mut keyed = config.clone();
    keyed.device = DeviceChoice::Auto;
    let recipe = fingerprint(&(&keyed, &model, &preprocessor), &train, &job.folder)?;
    let (folder, lock, at, best) = match resumed {
        None => {
            let params = match &job.start_from {
                Some(start) => start.params.clone(),
                None => init(&model, config.seed),
            };
            engine.load_params(&params)?;
            if let Some(shadow) = &mut shadow {
                shadow.load_params(&params)?;
            }
            let record = RunRecord {
                version: run_folder::VERSION,
                project: job.project.clone(),
                dataset: job.dataset.name.clone(),
                dataset_rows: job.dataset.len(),
                started: jiff::Timestamp::now().to_string(),
                state: RunState::Preparing,
                process: std::process::id(),
                recipe: recipe.clone(),
                schema: job.schema.clone(),
                prep: job.prep.clone(),
                preprocessor,
                split: job.split.clone(),
                model,
                config,
                summary: None,
            };
            let folder = RunFolder::create(&job.folder, record)?;
            let lock = folder.lock()?;
            (folder, lock, Position::start(recipe), None)
        }
        Some(mut folder) => {
            let lock = folder.lock()?;
            let (at, best) = load(&folder, engine.as_mut(), shadow.as_deref_mut(), &recipe)?;
            folder.record.process = std::process::id();
            folder.record.config.device = config.device;
            (folder, lock, at, best)
        }
    };
    reporter.open_log(&folder.event_log(), at.step)?;
    // A run that goes on has told it before.
    if !job.resume {
        told.into_iter().for_each(|line| reporter.send(Event::Log(line)));
    }
    let (train, weights) = (Arc::new(train), weights.map(Arc::new));
    let data = Prepared {
        train,
        validation,
        test,
        images,
        weights,
        penalty,
        watched,
        attacker,
        meaning,
        lot,
        mechanism,
        judge,
        engine,
        fallback,
        shadow,
    };
    Session::new(data, folder, lock, at, best, control, reporter).run(paused)
}

/// What the plan of these settings is compiled with.
pub(super) fn plan_config(
    config: &super::TrainConfig,
    batch: usize,
    precision: Precision,
) -> PlanConfig {
    let update = private::update_options(config);
    PlanConfig { batch, precision, optimizer: config.optimizer, update }
}

/// Loads the state to resume from into the engine.
fn load(
    folder: &RunFolder,
    engine: &mut dyn Engine,
    shadow: Option<&mut (dyn Engine + 'static)>,
    recipe: &str,
) -> Result<(Position, Option<Vec<Param>>), TrainError> {
    let path = folder.last_checkpoint();
    if folder.record.state == RunState::Done {
        return Err(TrainError::Checkpoint {
            what: "this run is finished; there is nothing to resume".to_owned(),
            path: folder.path.clone(),
        });
    }
    let (tensors, at) = checkpoint::load_last(&path)?;
    if at.recipe != recipe {
        return Err(TrainError::Checkpoint {
            what: "the data changed since this run was started, so it cannot be resumed; start a \
                   new run"
                .to_owned(),
            path,
        });
    }
    checkpoint::restore(engine, &tensors, &path)?;
    if let Some(shadow) = shadow {
        checkpoint::restore_shadow(shadow, &tensors, &path)?;
    }
    let best = if at.best.is_some() { Some(folder.best_params()?) } else { None };
    Ok((at, best))
}

/// Splits and encodes; a resumed run uses the preprocessing that it was begun with.
fn encode(
    job: &Job,
    resumed: Option<&RunFolder>,
    config: &super::TrainConfig,
    go_on: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Encoding, TrainError> {
    let record = resumed.map(|run| &run.record);
    let schema = record.map_or(&job.schema, |r| &r.schema);
    let split_config = record.map_or(&job.split, |r| &r.split);
    let dataset = job.dataset.as_ref();
    let mut parts = Split::make(dataset, schema, split_config)?;
    let preprocessor = match record {
        Some(r) => r.preprocessor.clone(),
        None => match &job.start_from {
            Some(start) => {
                same_question(start, schema)?;
                start.preprocessor.clone()
            }
            None => Preprocessor::fit(dataset, schema, &job.prep, &parts.train)?,
        },
    };
    // Only now: figures are fitted on every row once.
    if split_config.balance {
        if config.private.is_some() {
            return Err(TrainError::Config {
                setting: "private training",
                what: "balancing shows rows of rare classes more than once; turn it off".to_owned(),
            });
        }
        parts.balance(dataset, schema)?;
    }
    fits_whole(dataset, split_config, config)?;
    // Files of encoded rows lie beside the runs.
    let folder = job.folder.ancestors().skip(1).find(|f| f.is_dir());
    let folder = folder.map_or_else(std::env::temp_dir, Path::to_path_buf);
    let split = (&parts, split_config);
    let streamed = whole::encode(dataset, schema, &preprocessor, split, &folder, go_on)?;
    let (train, validation, test, told) = match streamed {
        Some(s) => (s.train, s.validation, s.test, s.told),
        None => (
            preprocessor.transform(dataset, &parts.train)?,
            preprocessor.transform(dataset, &parts.validation)?,
            preprocessor.transform(dataset, &parts.test)?,
            Vec::new(),
        ),
    };
    if train.rows == 0 {
        return Err(DataError::Invalid {
            what: "no rows are left to train on".to_owned(),
            place: Place::default(),
            advice: "Use more data, or smaller shares for validation and test.".to_owned(),
        }
        .into());
    }
    let model = match record {
        Some(r) => r.model.clone(),
        None => match &job.start_from {
            Some(start) => start.model.clone(),
            None => config.model(inputs(&preprocessor), head(preprocessor.task()))?,
        },
    };
    let meaning = Meaning::of(&preprocessor);
    let weights = match &config.reweigh {
        Some(column) => Some(balancing_weights(dataset, column, &parts.train, &train.target)?),
        None => None,
    };
    let penalty = match &config.fair {
        Some(fair) => {
            let rows = [parts.train.as_slice(), &parts.validation].concat();
            let grouping = by_column(dataset, &fair.column, &rows, "fairness penalty")?;
            Some(Penalty::new(fair, &grouping, &train, meaning.outputs())?)
        }
        None => None,
    };
    let watched = match &config.watch {
        Some(column) => Some(by_column(dataset, column, &parts.validation, "groups watched")?),
        None => None,
    };
    Ok(Encoding {
        train,
        validation,
        test,
        weights,
        penalty,
        watched,
        meaning,
        preprocessor,
        model,
        told,
    })
}

/// Refuses what is made for rows in memory where all rows of a file are trained on.
fn fits_whole(
    dataset: &Dataset,
    split: &crate::data::SplitConfig,
    config: &super::TrainConfig,
) -> Result<(), TrainError> {
    if !matches!(&dataset.samples, Samples::Table(table) if table.whole().is_some()) {
        return Ok(());
    }
    for (on, setting) in [
        (split.balance, "balanced classes"),
        (config.reweigh.is_some(), "reweighting column"),
        (config.fair.is_some(), "fairness penalty"),
        (config.private.is_some(), "private training"),
    ] {
        if on {
            let what = "it does not go with training on the whole of a file larger than memory; turn it \
                        off, or train on the sample";
            return Err(TrainError::Config { setting, what: what.to_owned() });
        }
    }
    Ok(())
}

/// See [`super::TrainConfig::reweigh`].
fn balancing_weights(
    dataset: &Dataset,
    column: &str,
    rows: &[u32],
    target: &TargetData,
) -> Result<Vec<f32>, TrainError> {
    const SETTING: &str = "reweighting column";
    let grouping = by_column(dataset, column, rows, SETTING)?;
    let TargetData::Classes(classes) = target else {
        let what = "only classes can be weighted by group, not numbers".to_owned();
        return Err(TrainError::Config { setting: SETTING, what });
    };
    Ok(grouping.independence_weights(classes))
}

/// Rows grouped by the values of a column; `setting` is what asks for it.
fn by_column(
    dataset: &Dataset,
    column: &str,
    rows: &[u32],
    setting: &'static str,
) -> Result<Grouping, TrainError> {
    let found = match &dataset.samples {
        Samples::Table(table) => table.column(column),
        Samples::Images(_) => None,
    };
    let fail = || TrainError::Config { setting, what: format!("there is no column \"{column}\"") };
    Ok(Grouping::by_value(found.ok_or_else(fail)?, rows))
}

/// A model can go on only with data that ask what it was trained to answer.
fn same_question(start: &Start, schema: &Schema) -> Result<(), DataError> {
    let prep = &start.preprocessor;
    if prep.target() == schema.target && prep.task() == &schema.task {
        return Ok(());
    }
    Err(DataError::Invalid {
        what: format!(
            "The model to start from predicts \"{}\" with other answers than these data have for \
             \"{}\"",
            prep.target(),
            schema.target
        ),
        place: Place::default(),
        advice: "Choose the same target, with all of its classes in the data, or start anew."
            .to_owned(),
    })
}

/// What the encoded rows look like to a network.
pub(super) fn inputs(preprocessor: &Preprocessor) -> InputSpec {
    let table =
        |e: EmbeddingWidth| EmbeddingSpec { name: e.name, cardinality: e.cardinality, dim: e.dim };
    InputSpec {
        dense: preprocessor.dense_width(),
        embeddings: preprocessor.embeddings().into_iter().map(table).collect(),
        image: preprocessor.image_shape().map(|[width, height, channels]| ImageShape {
            height,
            width,
            channels,
        }),
    }
}

pub(super) fn head(task: &Task) -> Head {
    match task {
        Task::Binary { classes } | Task::Multiclass { classes } => {
            Head::Classes { count: classes.len() }
        }
        Task::Regression => Head::Regression,
    }
}

/// Hears what the watcher says while the run is prepared.
struct Listener<'a> {
    control: &'a Receiver<Control>,
    reporter: &'a mut Reporter,
    paused: bool,
    ending: Option<Ending>,
}

impl Listener<'_> {
    /// Whether the run is still wanted.
    fn go_on(&mut self) -> bool {
        while self.ending.is_none() {
            match self.control.try_recv() {
                Ok(Control::Cancel | Control::StopAndKeepBest) => {
                    self.reporter.send(Event::State(RunState::Cancelled));
                    self.ending = Some(Ending::Cancelled);
                }
                Ok(Control::Pause) => self.paused = true,
                Ok(Control::Resume) => self.paused = false,
                Ok(Control::UndoGuard(_)) => {}
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => self.ending = Some(Ending::Left),
            }
        }
        false
    }
}

/// SHA-256 over settings and training data, in hexadecimal. Of very large data every n-th value is
/// taken.
fn fingerprint(
    settings: &impl serde::Serialize,
    train: &Encoded,
    path: &Path,
) -> Result<String, TrainError> {
    let json = serde_json::to_vec(settings).map_err(|e| TrainError::Checkpoint {
        what: format!("cannot store the settings: {e}"),
        path: path.to_owned(),
    })?;
    let mut hash = Sha256::new();
    hash.update(&json);
    hash.update((train.rows as u64).to_le_bytes());
    // Files of rows are marked as they are written; to read them again would take long.
    match train.dense.mark() {
        Some(mark) => hash.update(mark.to_le_bytes()),
        None => {
            let stride = train.dense.len() / FINGERPRINT_VALUES + 1;
            let values = train.dense.iter().step_by(stride);
            hash.update(values.flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    let words = |hash: &mut Sha256, words: &[u32]| {
        for part in words.chunks(1 << 16) {
            hash.update(part.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>());
        }
    };
    match train.categories.mark() {
        Some(mark) => hash.update(mark.to_le_bytes()),
        None => words(&mut hash, &train.categories),
    }
    match &train.target {
        TargetData::Classes(classes) => words(&mut hash, classes),
        TargetData::Values(values) => {
            hash.update(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        }
        TargetData::None => {}
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}
