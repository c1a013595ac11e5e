//! Arguments of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::data::SplitMethod;
use crate::device::DeviceChoice;
use crate::fp8::Recipe;

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
  fp8-studio export penguins                    write its newest model to a file
  fp8-studio predict model.safetensors new.csv  predict the rows of a table

  fp8-studio train customers.csv --target churned     your own table, one column to predict

Exit codes:
  0 done   1 failed, the message says why   2 wrong arguments
  3 `check` found warnings   4 `check` found serious problems   130 interrupted

FP8_STUDIO_LOG=debug shows what the program does in detail.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model and keep the best one in a run folder
    Train(TrainArgs),
    /// Look for problems in data before training
    Check(CheckArgs),
    /// Write a trained model to a file that holds all that is needed to predict
    Export(ExportArgs),
    /// Predict every row of a table with an exported model
    Predict(PredictArgs),
    /// Show what this computer can compute with, and whether it computes correctly
    Info(InfoArgs),
    /// List the sample projects, or copy one to a folder
    Samples(SamplesArgs),
}

/// `train`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fp8-studio train projects/penguins
  fp8-studio train customers.csv --target churned --epochs 50
  fp8-studio train projects/penguins --precision f32     the same in ordinary 32-bit numbers
  fp8-studio train projects/penguins --resume            go on with a run that was cut off

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
    /// Number format of the matrix products: 8-bit (fp8), 16-bit (bf16) or 32-bit (f32)
    #[arg(long)]
    pub precision: Option<PrecisionArg>,
    /// How 8-bit values are scaled
    #[arg(long)]
    pub recipe: Option<RecipeArg>,
    /// What computes: the processor, a GPU (also one that is only simulated), or the best there is
    #[arg(long)]
    pub device: Option<DeviceArg>,
    /// Most passes over the training rows
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Seed of everything random; the same seed on the same device gives the same model
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Widths of the hidden layers, e.g. 128,64 (0 for none)
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub hidden: Option<Vec<usize>>,
    /// Peak learning rate
    #[arg(long, value_name = "X")]
    pub lr: Option<f32>,
    /// Rows per training step
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Go on with the newest run that was cut off (or the one in --out)
    #[arg(long)]
    pub resume: bool,
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

/// `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run folder, or a project folder (its newest finished run)
    #[arg(value_name = "RUN|PROJECT")]
    pub source: PathBuf,
    /// File to write
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
    /// The table (or images) to predict
    #[arg(value_name = "DATA")]
    pub input: PathBuf,
    /// File to write instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// As JSON on standard output
    #[arg(long)]
    pub json: bool,
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
