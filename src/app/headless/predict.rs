//! `fp8-studio predict`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::args::{CalibrationArg, PredictArgs};
use super::terminal;
use crate::data::{self, Dataset, ImportOptions, Progress, Samples};
use crate::deploy::{Model, Prediction};
use crate::error::{ExportError, UserError};
use crate::eval::Calibration;
use crate::export::Variant;
use crate::export::bundle::Key;

/// Predicts and writes CSV.
pub(super) fn run(args: &PredictArgs) -> Result<(), UserError> {
    let (path, _opened) = super::seal::readable(&args.model, &args.open)?;
    let model = Model::load(&path)?;
    let calibration = calibration(&model, args)?;
    if let Some(signer) = model.signer() {
        terminal::note(&signed_by(signer));
    }
    let data = data::open(&args.input, &ImportOptions::default(), &Progress::default())?;
    super::source::notes(&data, true);
    match &args.output {
        None => match write(model, calibration, &data, BufWriter::new(io::stdout().lock())) {
            // A reader that went away, as `head` does.
            Err(Failure::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|e| e.of(&args.input, Path::new("standard output"))),
        },
        Some(path) => {
            let result =
                to_file(model, calibration, &data, path).map_err(|e| e.of(&args.input, path));
            if result.is_ok() {
                let rows = terminal::count(data.len());
                terminal::note(&format!("Wrote {rows} predictions to {}", path.display()));
            }
            result
        }
    }
}

/// Whose signature a bundle has, as far as that can be known.
fn signed_by(signer: &str) -> String {
    let path = crate::project::signing_key();
    let ours = path.is_file() && Key::open(&path).is_ok_and(|key| key.fingerprint() == signer);
    if ours {
        "Every file of this bundle is as it was signed on this computer.".to_owned()
    } else {
        format!(
            "Every file of this bundle is as it was signed with the key {signer}. Compare that with \
             the key of the person who sent it."
        )
    }
}

/// The correction asked for, as it is stored with the model.
fn calibration(model: &Model, args: &PredictArgs) -> Result<Option<Calibration>, UserError> {
    let Some(how) = args.calibrated else { return Ok(None) };
    if model.graph().is_some_and(|graph| graph.variant == Variant::Qdq) {
        return Err(UserError::new(
            "Answers of a model with rounded activations cannot be calibrated here",
            "Use the model in another form, such as model.onnx or model.safetensors.",
        ));
    }
    let stored = model.info().calibration.as_ref().ok_or_else(|| {
        UserError::new(
            "This model has no calibration stored with it",
            "Evaluate its run first (fp8-studio eval RUN), then export it again.",
        )
    })?;
    Ok(Some(match how {
        CalibrationArg::Temperature => stored.by_temperature(),
        CalibrationArg::Isotonic => stored.by_isotonic(),
    }))
}

fn to_file(
    model: Model,
    calibration: Option<Calibration>,
    data: &Dataset,
    path: &Path,
) -> Result<(), Failure> {
    let file = File::create(path).map_err(Failure::Write)?;
    write(model, calibration, data, BufWriter::new(file))
}

enum Failure {
    Predict(ExportError),
    Write(io::Error),
}

impl From<ExportError> for Failure {
    fn from(e: ExportError) -> Self {
        Self::Predict(e)
    }
}

impl From<csv::Error> for Failure {
    fn from(e: csv::Error) -> Self {
        Self::Write(e.into())
    }
}

impl Failure {
    fn of(self, input: &Path, output: &Path) -> UserError {
        match self {
            Self::Predict(e) => {
                let mut e = UserError::from(e);
                e.place.path.get_or_insert_with(|| input.to_owned());
                e
            }
            Self::Write(source) => ExportError::Io { path: output.to_owned(), source }.into(),
        }
    }
}

/// One line per sample: where it is, the prediction, the probability of every class.
fn write(
    model: Model,
    calibration: Option<Calibration>,
    data: &Dataset,
    to: impl Write,
) -> Result<(), Failure> {
    let classes = model.info().schema.task.classes().to_vec();
    let mut predictor = model.predictor()?;
    predictor.calibrate(calibration);
    let mut csv = csv::Writer::from_writer(to);
    let first = if matches!(data.samples, Samples::Images(_)) { "image" } else { "row" };
    let mut header = vec![first.to_owned(), "prediction".to_owned()];
    header.extend(classes.iter().map(|c| format!("probability of {c}")));
    let mut started = false;
    predictor.predict(data, |start, predictions| {
        // Only now, so that a refused table leaves no output.
        if !std::mem::replace(&mut started, true) {
            csv.write_record(&header)?;
        }
        for (sample, prediction) in (start..).zip(predictions) {
            csv.write_field(place(data, sample))?;
            match prediction {
                Prediction::Value(value) => csv.write_field(value.to_string())?,
                Prediction::Class { index, probabilities } => {
                    csv.write_field(classes.get(*index).map_or("", String::as_str))?;
                    for p in probabilities {
                        csv.write_field(format!("{p:.6}"))?;
                    }
                }
            }
            csv.write_record(None::<&[u8]>)?;
        }
        Ok::<(), Failure>(())
    })?;
    csv.flush().map_err(Failure::Write)?;
    for (column, cells) in predictor.unknown() {
        terminal::note(&format!(
            "note: column \"{column}\": {} the training had nothing like; they count as unknown",
            match cells {
                1 => "1 cell holds a value that".to_owned(),
                n => format!("{} cells hold values that", terminal::count(*n)),
            }
        ));
    }
    Ok(())
}

/// The row as a spreadsheet numbers it, or the image's file.
fn place(data: &Dataset, sample: usize) -> String {
    match &data.samples {
        Samples::Table(table) => table.line(sample).to_string(),
        Samples::Images(images) => {
            let path: Option<&PathBuf> = images.paths.get(sample);
            path.map_or_else(|| (sample + 1).to_string(), |p| p.display().to_string())
        }
    }
}
