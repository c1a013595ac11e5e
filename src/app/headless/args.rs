//! Arguments of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Bring the result of a training in PyTorch back, once its score is found again here
    Import(ImportArgs),
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
  fp8-studio train my-photos --model resnet --augment flip,shift     a deeper network for pictures

Ctrl-C stops and keeps the best model so far; a second Ctrl-C ends at once (the run can then be
resumed from its last checkpoint). What is not given comes from the project, or is a default that
suits a small table.")]
pub struct TrainArgs {
    /// A project folder, or data: a CSV or TSV table, a folder of images, a folder of IDX files
    #[arg(value_name = "PROJECT|DATA")]
    pub source: PathBuf,
    /// Column to predict [default: as the project says, else a guess that is shown]
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
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
    /// Column to predict [default: as the project says, else a guess that is shown]
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// Findings as JSON on standard output
    #[arg(long)]
    pub json: bool,
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
