//! Arguments of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::data::SplitMethod;
use crate::device::DeviceChoice;
use crate::export::{ExportFormat, Variant};
use crate::fp8::Recipe;
use crate::train::{Architecture, Augmentation};

/// Train, check and export small models in 8-bit floating point, offline.
///
/// Without a command the window opens. Everything the window does to a model can be done by a
/// command as well.
#[derive(Debug, Parser)]
#[command(name = "fp8-studio", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, subcommand_precedence_over_arg = true)]
pub struct Cli {
    /// Project or data to open in the window
    #[arg(value_name = "PROJECT|DATA")]
    pub open: Option<PathBuf>,

    /// What to do; nothing opens the window.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  fp8-studio                                    open the window
  fp8-studio customers.csv                      open the window with your own table
  fp8-studio samples                            list the sample projects that come along
  fp8-studio samples penguins                   copy one to this folder
  fp8-studio check penguins                     look for problems in its data
  fp8-studio train penguins                     train its model
  fp8-studio eval penguins                      how good it is, and for whom it fails
  fp8-studio compare penguins                   what training in 8 bits cost or saved
  fp8-studio report penguins                    all of that in one web page
  fp8-studio runs penguins                      list all its runs with settings and scores
  fp8-studio export penguins                    write its newest model to a file
  fp8-studio predict model.safetensors new.csv  predict the rows of a table
  fp8-studio monitor penguins new.csv           whether new data are still like the old
  fp8-studio bench --model cnn                  how long training steps take here

  fp8-studio train customers.csv --target churned     your own table, one column to predict

Exit codes:
  0 done   1 failed, the message says why   2 wrong arguments
  3 `check` or `monitor` found warnings   4 serious problems   130 interrupted

FP8_STUDIO_LOG=debug shows what the program does in detail.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model and keep the best one in a run folder
    Train(TrainArgs),
    /// Look for problems in data before training
    Check(CheckArgs),
    /// Show how good a model is, for whom it fails, and whether its probabilities can be trusted
    Eval(EvalArgs),
    /// Train the same in 8, 16 and 32 bits and show what 8 bits cost or saved
    Compare(CompareArgs),
    /// Write all that is known about a model into one web page
    Report(ReportArgs),
    /// List the runs of a project with their settings and scores
    Runs(RunsArgs),
    /// Write a trained model to a file that holds all that is needed to predict
    Export(ExportArgs),
    /// Bring the result of a training in PyTorch back, once its score is found again here
    Import(ImportArgs),
    /// Predict every row of a table with an exported model
    Predict(PredictArgs),
    /// Compare new data with the training data of a model: have they drifted, is it still right?
    Monitor(MonitorArgs),
    /// Keep how the columns of a project are prepared, and use it in other projects
    Features(FeaturesArgs),
    /// Seal a model file or a whole project with a passphrase or a key (age)
    Seal(SealArgs),
    /// Open what was sealed
    Unseal(UnsealArgs),
    /// Time training steps in 8, 16 and 32 bits on this computer
    Bench(BenchArgs),
    /// Show what this computer can compute with, and whether it computes correctly
    Info(InfoArgs),
    /// List the sample projects, or copy one to a folder
    Samples(SamplesArgs),
}

/// `runs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fp8-studio runs projects/penguins
  fp8-studio runs customers.csv --tag sweep
  fp8-studio runs projects/penguins --json       all settings and scores, for scripts")]
pub struct RunsArgs {
    /// A project folder, or the data it was made of
    #[arg(value_name = "PROJECT|DATA")]
    pub project: PathBuf,
    /// Only runs with this tag
    #[arg(long)]
    pub tag: Option<String>,
    /// Write JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `train`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fp8-studio train projects/penguins
  fp8-studio train customers.csv --target churned --epochs 50
  fp8-studio train projects/penguins --precision f32     the same in ordinary 32-bit numbers
  fp8-studio train projects/penguins --resume            go on with a run that was cut off
  fp8-studio train my-photos --model resnet --augment flip,shift     a deeper network for pictures

Ctrl-C stops and keeps the best model so far; a second Ctrl-C ends at once (the run can then be
resumed from its last checkpoint). What is not given comes from the project, or is a default that
suits a small table.")]
pub struct TrainArgs {
    /// A project folder, or data: a table (CSV, Excel, JSON, SQLite, Parquet and more), a folder of
    /// images or of texts, or a ZIP archive of one
    #[arg(value_name = "PROJECT|DATA")]
    pub source: PathBuf,
    /// What of the data, and how it is split
    #[command(flatten)]
    pub data: DataArgs,
    /// Train anyway although the check found serious problems; the reason goes to the audit log
    #[arg(long, value_name = "REASON")]
    pub accept: Option<String>,
    /// Cross-validate in this many folds instead of training one model to keep
    #[arg(long, value_name = "K", conflicts_with_all = ["resume", "out"])]
    pub folds: Option<usize>,
    /// Train with differential privacy: what the model says of any one training row is bounded by
    /// this ε (smaller protects more; usual are 1 to 10). Takes longer and costs accuracy
    #[arg(long, value_name = "EPSILON", conflicts_with = "folds")]
    pub private: Option<f64>,
    /// δ of private training [default: 1/(10 · training rows)]
    #[arg(long, value_name = "DELTA", requires = "private")]
    pub delta: Option<f64>,
    /// Number format of the matrix products: 8-bit (fp8), 16-bit (bf16) or 32-bit (f32)
    #[arg(long)]
    pub precision: Option<PrecisionArg>,
    /// How 8-bit values are scaled
    #[arg(long)]
    pub recipe: Option<RecipeArg>,
    /// Take little memory: 8-bit optimiser state, bf16 weights behind the 8-bit ones, layers a few
    /// rows at a time; instead of `current`, scaling by `mx` (with --precision fp8)
    #[arg(long)]
    pub lean: bool,
    /// What computes: the processor, a GPU (also one that is only simulated), or the best there is
    #[arg(long)]
    pub device: Option<DeviceArg>,
    /// Most passes over the training rows
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Seed of everything random; the same seed on the same device gives the same model
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Kind of network [default: as the project says, else a small CNN for pictures, mlp for tables]
    #[arg(long)]
    pub model: Option<ModelArg>,
    /// Random changes of training pictures, e.g. flip,shift (none: as they are) [default: as the
    /// project says, else none]
    #[arg(long, value_name = "CHANGE,CHANGE", value_delimiter = ',')]
    pub augment: Option<Vec<AugmentArg>>,
    /// Widths of the hidden dense layers, e.g. 128,64 (0 for none)
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub hidden: Option<Vec<usize>>,
    /// Peak learning rate
    #[arg(long, value_name = "X")]
    pub lr: Option<f32>,
    /// Rows per training step
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Weigh rows so that the groups of this column have equal shares of every class (fairness)
    #[arg(long, value_name = "COLUMN")]
    pub reweigh: Option<String>,
    /// Pay for calling different shares of the groups of this column favourable (fairness penalty;
    /// two classes)
    #[arg(long, value_name = "COLUMN", conflicts_with = "folds")]
    pub fair: Option<String>,
    /// How much a gap between groups may cost at most, with --fair [default: 0.15]
    #[arg(long, value_name = "X", requires = "fair")]
    pub fair_strength: Option<f32>,
    /// Score the groups of this column after every epoch
    #[arg(long, value_name = "COLUMN")]
    pub watch: Option<String>,
    /// Train on misleading rows: each value is changed by at most this (pixels from 0 to 1, numbers
    /// in standard deviations)
    #[arg(long, value_name = "X")]
    pub adversarial: Option<f32>,
    /// Do not help tensors that are in trouble in 8 bits; only tell
    #[arg(long)]
    pub no_guard_rails: bool,
    /// Train the same in 32 bits beside it, on the same rows in the same order, to compare
    #[arg(long)]
    pub shadow: bool,
    /// Steps between two looks at what other 8-bit recipes would do (0 for none) [default: 200]
    #[arg(long, value_name = "N")]
    pub what_if: Option<u64>,
    /// Go on with the newest run that was cut off (or the one in --out)
    #[arg(long)]
    pub resume: bool,
    /// Model file (safetensors, ONNX or bundle) to go on from, with its network and preprocessing,
    /// in place of random weights
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["resume", "hidden"])]
    pub from: Option<PathBuf>,
    /// Folder for this run [default: a new one in `runs` of the project; for data without a project,
    /// a folder of this program that the run's end names]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// No progress, only the results
    #[arg(long, short)]
    pub quiet: bool,
    /// Results as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// Precision of matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    /// 8-bit floating point
    Fp8,
    /// 16-bit floating point
    Bf16,
    /// 32-bit floating point
    F32,
}

/// Kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelArg {
    /// Dense layers: for tables, and for pictures where time is short
    Mlp,
    /// Two convolutions with pooling, then dense layers: for pictures
    Cnn,
    /// Residual blocks with batch normalisation: for pictures with many examples
    Resnet,
    /// Depthwise-separable convolutions: for pictures, with few weights
    Depthwise,
}

impl From<ModelArg> for Architecture {
    fn from(arg: ModelArg) -> Self {
        match arg {
            ModelArg::Mlp => Self::Mlp,
            ModelArg::Cnn => Self::SmallCnn,
            ModelArg::Resnet => Self::ResNet,
            ModelArg::Depthwise => Self::DepthwiseSeparable,
        }
    }
}

/// A random change of training pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AugmentArg {
    /// None of them
    None,
    /// Mirrors every second picture; wrong for digits and text
    Flip,
    /// Moves by up to a tenth of a side, cropping what leaves the picture
    Shift,
    /// Turns by up to 10 degrees
    Rotate,
    /// Makes up to 20 % lighter or darker
    Brightness,
}

impl AugmentArg {
    /// Adds it to `all`.
    pub fn add_to(self, all: &mut Augmentation) {
        match self {
            Self::None => *all = Augmentation::default(),
            Self::Flip => all.flip = true,
            Self::Shift => all.shift = 0.1,
            Self::Rotate => all.rotation = 10.0,
            Self::Brightness => all.brightness = 0.2,
        }
    }
}

/// `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Which network
    #[arg(long, default_value = "mlp")]
    pub model: BenchModel,
    /// What computes [default: cpu]
    #[arg(long)]
    pub device: Option<DeviceArg>,
    /// Rows per training step
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub batch: usize,
    /// Seconds that each run is timed, at least
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    pub seconds: f64,
    /// Where the time of a step on the processor goes, kernel by kernel
    #[arg(long)]
    pub profile: bool,
    /// Results as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// A network that `bench` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchModel {
    /// Dense layers of 784, 512, 512 and 10
    Mlp,
    /// The small convolutional network on pictures of 28 × 28
    Cnn,
}

/// FP8 recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecipeArg {
    /// One scale per tensor, from its largest value (the default)
    Current,
    /// One scale per tensor, from its largest values of earlier steps (Transformer Engine)
    Delayed,
    /// One scale per row (torchao)
    Rowwise,
    /// One scale per row, weight gradients in 32 bits
    RowwiseHp,
    /// One scale per 1 × 128 values, or 128 × 128 weights (DeepSeek-V3)
    Block,
    /// One scale per 32 values (Microscaling)
    Mx,
}

impl From<RecipeArg> for Recipe {
    fn from(arg: RecipeArg) -> Self {
        match arg {
            RecipeArg::Current => Self::current(),
            RecipeArg::Delayed => Self::delayed(),
            RecipeArg::Rowwise => Self::rowwise(),
            RecipeArg::RowwiseHp => Self::rowwise_high_precision_weight_gradient(),
            RecipeArg::Block => Self::block(),
            RecipeArg::Mx => Self::mx(),
        }
    }
}

/// Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    /// A real GPU if there is one that computes correctly, else the processor
    Auto,
    /// The processor
    Cpu,
    /// A GPU, a software one too
    Gpu,
}

impl From<DeviceArg> for DeviceChoice {
    fn from(arg: DeviceArg) -> Self {
        match arg {
            DeviceArg::Auto => Self::Auto,
            DeviceArg::Cpu => Self::Cpu,
            DeviceArg::Gpu => Self::Gpu,
        }
    }
}

/// `check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 nothing serious, 3 warnings, 4 serious problems, 1 the data cannot be read.")]
pub struct CheckArgs {
    /// A project folder, or data
    #[arg(value_name = "PROJECT|DATA")]
    pub source: PathBuf,
    /// What of the data, and how it is split
    #[command(flatten)]
    pub data: DataArgs,
    /// Findings as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Leave out the checks for which models have to be trained (labels, weak segments)
    #[arg(long)]
    pub quick: bool,
    /// Do a fix that a finding offers, and record it in the project; may be given several times
    #[arg(long, value_name = "CHECK:N")]
    pub fix: Vec<String>,
    /// Accept the serious findings; the reason goes to the project's audit log
    #[arg(long, value_name = "REASON")]
    pub accept: Option<String>,
    /// Shares that groups should have, e.g. sex=f:0.5,m:0.5; may be given several times
    #[arg(long, value_name = "COLUMN=VALUE:SHARE,…")]
    pub expect: Vec<String>,
    /// Write a data-quality report, one HTML page that can be printed
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Say how the data differs from another file or project, an earlier version
    #[arg(long, value_name = "PROJECT|DATA", conflicts_with = "json")]
    pub compare: Option<PathBuf>,
    /// Write a Croissant description of the data (JSON-LD)
    #[arg(long, value_name = "FILE")]
    pub croissant: Option<PathBuf>,
}

/// What of the data is used, and how it is split.
#[derive(Debug, Default, Clone, Args)]
pub struct DataArgs {
    /// Column to predict [default: as the project says, else a guess that is shown]
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// Sheet of a workbook or table of a database [default: the largest]
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
    /// Query that gives the rows of an SQLite database
    #[arg(long, value_name = "SQL", conflicts_with = "sheet")]
    pub query: Option<String>,
    /// Train on all rows of a text table above 1 GiB, read from the disk piece by piece, and not only
    /// on a random sample of them; checks, preprocessing and scores are of the sample
    #[arg(long)]
    pub whole: bool,
    /// How rows are split into training, validation and test
    #[arg(long)]
    pub split: Option<SplitArg>,
    /// Column that the split goes by (for group, time and given)
    #[arg(long, value_name = "COLUMN")]
    pub split_by: Option<String>,
}

/// How rows are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitArg {
    /// By chance, classes keeping their shares (the default)
    Stratified,
    /// By chance alone
    Random,
    /// By chance, rows with the same value in a column together
    Group,
    /// The latest rows by a column of dates or numbers are the test
    Time,
    /// As a column says: train, validation, test
    Given,
}

impl From<SplitArg> for SplitMethod {
    fn from(arg: SplitArg) -> Self {
        match arg {
            SplitArg::Stratified => Self::Stratified,
            SplitArg::Random => Self::Random,
            SplitArg::Group => Self::Group,
            SplitArg::Time => Self::Time,
            SplitArg::Given => Self::Given,
        }
    }
}

/// `eval`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fp8-studio eval projects/penguins                    its newest model, on its test rows
  fp8-studio eval model.safetensors projects/penguins  an exported file, on the project's test rows
  fp8-studio eval model.safetensors new.csv            on new rows whose answers are known
  fp8-studio eval projects/adult_census --group sex    how women and men are treated

On the data that the model was trained on, only the test rows of its split are used. Every figure
has a 95 % interval from resampling rows (bootstrap; --seed) and stands beside what simple models
reach. Evaluating a run also fits corrections of its probabilities on validation rows and keeps them
in the run folder; exports take them along, and `predict --calibrated` uses them.")]
pub struct EvalArgs {
    /// A model file, a run folder, or a project (its newest run)
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// A project, or data with the target column [default: the data of the model's project]
    #[arg(value_name = "DATA")]
    pub data: Option<PathBuf>,
    /// How a sealed model is opened
    #[command(flatten)]
    pub open: OpenArgs,
    /// Column whose groups are compared for fairness
    #[arg(long, value_name = "COLUMN")]
    pub group: Option<String>,
    /// Seed of the resampling
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Everything as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// `compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
The network of the project is trained in FP8, bf16 and f32 with the same seed and split, and the f32
model is rounded to FP8 and int8 afterwards. All are compared on the test rows. Times are those of
this machine. Nothing is kept but what is shown.")]
pub struct CompareArgs {
    /// A project folder, or data
    #[arg(value_name = "PROJECT|DATA")]
    pub source: PathBuf,
    /// What of the data, and how it is split
    #[command(flatten)]
    pub data: DataArgs,
    /// Most passes over the training rows
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// What computes the trainings
    #[arg(long)]
    pub device: Option<DeviceArg>,
    /// Predictions a day, for the costs
    #[arg(long, value_name = "N")]
    pub load: Option<f64>,
    /// Price of an hour in a place, such as "cloud CPU=0.08"; can be given several times
    #[arg(long, value_name = "PLACE=PRICE")]
    pub price: Vec<String>,
    /// Everything as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
The page holds the model card, all figures with intervals, mistakes, calibration, groups, a risk
register and a section on human oversight to be filled in. It needs no other file and no network;
print it from a browser for a PDF.")]
pub struct ReportArgs {
    /// A run folder, or a project (its newest run)
    #[arg(value_name = "RUN|PROJECT")]
    pub model: PathBuf,
    /// A project, or data with the target column [default: the data of the model's project]
    #[arg(value_name = "DATA")]
    pub data: Option<PathBuf>,
    /// File to write
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
    /// Also train in 8, 16 and 32 bits and compare (takes about three trainings)
    #[arg(long)]
    pub compare: bool,
}

/// `export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fp8-studio export penguins                          model.safetensors, for this program and Python
  fp8-studio export penguins -o penguins.onnx         for onnxruntime in any language
  fp8-studio export penguins --to onnx-int8 -o p.onnx
  fp8-studio export penguins -o penguins.zip          signed, with card, checks and examples

The format is taken from the name of the file where --to is left out. Whatever is written is read
back and must predict what the trained model predicts before the file gets its name.")]
pub struct ExportArgs {
    /// A run folder, or a project folder (its newest finished run)
    #[arg(value_name = "RUN|PROJECT")]
    pub source: PathBuf,
    /// File to write [default: `model` and the usual ending]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What the run was trained on, where its folder does not lie in that project
    #[arg(long, value_name = "PROJECT|DATA")]
    pub data: Option<PathBuf>,
    /// What to write
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<FormatArg>,
    /// Licence of the model, as SPDX names it, for the bundle's card (MIT, CC-BY-4.0, …)
    #[arg(long, value_name = "SPDX", alias = "license")]
    pub licence: Option<String>,
    /// Put the test rows into the bundle to compare with, not made-up ones
    #[arg(long)]
    pub with_test_rows: bool,
    /// Key (PEM) that signs the bundle [default: one of this computer, made when first used]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Seal the file with a passphrase; its name gets the ending .age
    #[arg(long)]
    pub encrypt: bool,
    /// File whose first line is the passphrase [default: the variable FP8_STUDIO_PASSPHRASE, else it
    /// is asked for]
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    pub passphrase_file: Option<PathBuf>,
    /// Seal it for whoever has the secret key of this public key (age1…), not with a passphrase
    #[arg(long, value_name = "KEY", requires = "encrypt", conflicts_with = "passphrase_file")]
    pub recipient: Option<String>,
    /// The report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Weights in 8 bits with all that is needed to predict, for this program and Python
    Safetensors,
    /// One graph from raw row to answer, weights in 8 bits; onnxruntime 1.19 or newer
    Onnx,
    /// The same with weights in 32 bits
    OnnxF32,
    /// The same with weights rounded to 8-bit whole numbers
    OnnxInt8,
    /// Inputs of the layers rounded to 8 bits too
    OnnxQdq,
    /// A signed folder or zip file with all of these, a model card, checks and examples
    Bundle,
    /// A folder or zip file with which PyTorch goes on with the training; it holds your rows
    Pytorch,
}

impl From<FormatArg> for ExportFormat {
    fn from(arg: FormatArg) -> Self {
        match arg {
            FormatArg::Safetensors => Self::Safetensors,
            FormatArg::Onnx => Self::Onnx(Variant::Portable),
            FormatArg::OnnxF32 => Self::Onnx(Variant::F32),
            FormatArg::OnnxInt8 => Self::Onnx(Variant::Int8),
            FormatArg::OnnxQdq => Self::Onnx(Variant::Qdq),
            FormatArg::Bundle => Self::Bundle,
            FormatArg::Pytorch => Self::Pytorch,
        }
    }
}

/// `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A folder that `export --to pytorch` wrote, after its train.py has run
    #[arg(value_name = "FOLDER")]
    pub source: PathBuf,
    /// Model file to write
    #[arg(long, short, value_name = "FILE", default_value = "model.safetensors")]
    pub output: PathBuf,
    /// The report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// `predict`.
#[derive(Debug, Args)]
#[command(after_help = "\
The table needs the columns that the model was trained on, in any order; others are left alone.
Output is CSV, one line per row in the same order: the row as a spreadsheet numbers it, the
prediction, and for classes the probability of each.")]
pub struct PredictArgs {
    /// A model file written by `export`
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// The table (or images) to predict; "-" for rows of a CSV table from standard input, each
    /// answered as soon as it comes, without keeping them in memory
    #[arg(value_name = "DATA", allow_hyphen_values = true)]
    pub input: PathBuf,
    /// File to write instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Correct the probabilities with what evaluating the model found, see `eval`
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "temperature")]
    pub calibrated: Option<CalibrationArg>,
    /// How a sealed model is opened
    #[command(flatten)]
    pub open: OpenArgs,
}

/// How probabilities are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CalibrationArg {
    /// One temperature for all
    Temperature,
    /// A rising function per class
    Isotonic,
}

/// How a sealed file is opened.
#[derive(Debug, Default, Clone, Args)]
pub struct OpenArgs {
    /// File whose first line is the passphrase of a sealed file [default: the variable
    /// FP8_STUDIO_PASSPHRASE, else it is asked for]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// File with the secret key (AGE-SECRET-KEY-1…) of a file that was sealed for a key
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub identity: Option<PathBuf>,
}

/// `monitor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fp8-studio monitor penguins new.csv
  fp8-studio monitor model.safetensors june.csv --by date --report june.html
  fp8-studio monitor penguins --history          all checks of this project so far

Exit codes: 0 nothing to do, 3 warnings, 4 serious (train again, or repair the input), 1 it could not
be checked. Checks of a project are kept in its audit log.")]
pub struct MonitorArgs {
    /// A project (its newest run), a run folder, or a model file written by `export`
    #[arg(value_name = "PROJECT|MODEL")]
    pub model: PathBuf,
    /// New data of any kind that can be trained on; with right answers in it, the score is checked too
    #[arg(value_name = "NEW_DATA", required_unless_present = "history")]
    pub data: Option<PathBuf>,
    /// What was found as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Write what was found as one web page
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Compare with this data instead of the training rows
    #[arg(long, value_name = "PROJECT|DATA")]
    pub reference: Option<PathBuf>,
    /// Column of dates or numbers that orders the new rows [default: as they come]
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,
    /// Rows of a window of the timeline, at least 50 [default: forty windows at most]
    #[arg(long, value_name = "ROWS")]
    pub window: Option<usize>,
    /// Train again when the score fell by this much (0.05: five points) [default: as the project says]
    #[arg(long, value_name = "FALL")]
    pub score_drop: Option<f64>,
    /// Train again when this share of the columns drifts [default: as the project says, else 0.5]
    #[arg(long, value_name = "SHARE")]
    pub drifting: Option<f64>,
    /// Train again when this share of the answers is unsure [default: as the project says, else 0.25]
    #[arg(long, value_name = "SHARE")]
    pub unsure: Option<f64>,
    /// An answer less probable than this is unsure [default: the level below which a tenth of the
    /// held-out answers lay at training]
    #[arg(long, value_name = "PROBABILITY")]
    pub abstain_below: Option<f64>,
    /// List all checks of the project so far
    #[arg(long, conflicts_with_all = ["report", "reference"])]
    pub history: bool,
    /// How a sealed model is opened
    #[command(flatten)]
    pub open: OpenArgs,
}

/// `features`.
#[derive(Debug, Args)]
#[command(after_help = "\
A feature recipe holds which columns are learned from, their types, how categories and texts become
numbers, and the rules for cells that were recorded in Check. Means and the like are fitted on the
training rows of each project. Models record name, version and SHA-256 of the recipe they used.

Examples:
  fp8-studio features save shop-north.csv customers
  fp8-studio features apply shop-south.csv customers      its newest version; customers@1 the first
  fp8-studio features check shop-south.csv                whether the project still follows it")]
pub struct FeaturesArgs {
    /// What to do
    #[command(subcommand)]
    pub command: FeaturesCommand,
}

/// What `features` does.
#[derive(Debug, Subcommand)]
pub enum FeaturesCommand {
    /// Save how a project prepares its columns, as the next version of a name
    Save {
        /// A project folder, or data
        #[arg(value_name = "PROJECT|DATA")]
        project: PathBuf,
        /// Name of the recipe
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List all saved recipes
    List {
        /// Write JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show what a recipe says, as JSON
    Show {
        /// NAME, or NAME@VERSION
        #[arg(value_name = "NAME")]
        recipe: String,
    },
    /// Prepare the columns of a project as a recipe says; exit code 3 if the data lack some of them
    Apply {
        /// A project folder, or data
        #[arg(value_name = "PROJECT|DATA")]
        project: PathBuf,
        /// NAME, or NAME@VERSION
        #[arg(value_name = "NAME")]
        recipe: String,
    },
    /// Say how a project differs from the recipe that it uses; exit code 3 if it does
    Check {
        /// A project folder, or data
        #[arg(value_name = "PROJECT|DATA")]
        project: PathBuf,
    },
}

/// `seal`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fp8-studio seal penguins                           penguins.zip.age, the project with its data
  fp8-studio seal model.onnx --passphrase-file word.txt
  fp8-studio seal --new-key mine.key                 a key pair; prints the public key
  fp8-studio seal model.onnx --recipient age1…       for whoever has that key

The files are of the age format, version 1, so the programs age and rage open them too. Whoever
loses the passphrase or key loses the content. What was sealed is left where it is.")]
pub struct SealArgs {
    /// A model file or a project folder
    #[arg(value_name = "FILE|FOLDER", required_unless_present = "new_key")]
    pub source: Option<PathBuf>,
    /// File to write [default: the same name with .age]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// File whose first line is the passphrase [default: the variable FP8_STUDIO_PASSPHRASE, else it
    /// is asked for]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Public key (age1…) of whoever may open it, in place of a passphrase
    #[arg(long, value_name = "KEY", conflicts_with = "passphrase_file")]
    pub recipient: Option<String>,
    /// Make a key pair and write the secret key to this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "recipient"])]
    pub new_key: Option<PathBuf>,
}

/// `unseal`.
#[derive(Debug, Args)]
pub struct UnsealArgs {
    /// A sealed file (.age)
    #[arg(value_name = "FILE")]
    pub source: PathBuf,
    /// File or folder to write [default: the name without .age; a project becomes a folder]
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// How it is opened
    #[command(flatten)]
    pub open: OpenArgs,
}

/// `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// As JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Also how fast each variant of each kernel was on the graphics processors measured so far
    #[arg(long)]
    pub tuning: bool,
    /// Forget those measurements; they are made again when needed
    #[arg(long, conflicts_with_all = ["tuning", "json"])]
    pub clear_tuning: bool,
}

/// `samples`.
#[derive(Debug, Args)]
pub struct SamplesArgs {
    /// Sample to copy; none lists them
    pub name: Option<String>,
    /// Folder to copy it into [default: here]
    #[arg(requires = "name")]
    pub folder: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_format_can_be_asked_for() {
        for format in ExportFormat::ALL {
            let arg = FormatArg::from_str(&format.to_string(), false).unwrap();
            assert_eq!(ExportFormat::from(arg), format);
        }
    }

    #[test]
    fn every_recipe_can_be_asked_for() {
        for (name, recipe) in Recipe::NAMED {
            assert_eq!(Recipe::from(RecipeArg::from_str(name, false).unwrap()), recipe, "{name}");
        }
    }

    #[test]
    fn train_arguments_are_read() {
        let cli = Cli::try_parse_from(
            "fp8-studio train d.csv --target y --hidden 8,4 --lr 1e-2 --device cpu --recipe delayed"
                .split(' '),
        )
        .unwrap();
        let Some(Command::Train(train)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(train.hidden, Some(vec![8, 4]));
        assert_eq!(train.lr, Some(0.01));
        assert_eq!(train.device, Some(DeviceArg::Cpu));
        assert_eq!(train.recipe, Some(RecipeArg::Delayed));
        assert!(Cli::try_parse_from(["fp8-studio"]).unwrap().command.is_none());
        assert!(Cli::try_parse_from(["fp8-studio", "train"]).is_err());
        assert!(Cli::try_parse_from(["fp8-studio", "train", "x", "--epochs", "many"]).is_err());
    }
}
