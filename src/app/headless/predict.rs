//! `fp8-studio predict`.

use std::fs::File;
use std::io::{self, Stdin, Write};
use std::path::{Path, PathBuf};

use super::args::{CalibrationArg, PredictArgs};
use super::terminal;
use crate::data::stream::RowStream;
use crate::data::{self, Dataset, ImportOptions, Progress, Samples};
use crate::deploy::{Model, Prediction, Predictor};
use crate::error::{DataError, ExportError, UserError};
use crate::eval::Calibration;
use crate::export::Variant;
use crate::export::bundle::Key;

/// The input that stands for rows from standard input.
const STREAM: &str = "-";

/// Where the samples come from.
enum Source {
    Whole(Dataset),
    Stream(RowStream<Stdin>),
}

/// Predicts and writes CSV.
pub(super) fn run(args: &PredictArgs) -> Result<(), UserError> {
    let (path, _opened) = super::seal::readable(&args.model, &args.open)?;
    let model = Model::load(&path)?;
    let calibration = calibration(&model, args)?;
    if let Some(signer) = model.signer() {
        terminal::note(&signed_by(signer));
    }
    let source = open(&model, &args.input)?;
    let from = match &source {
        Source::Whole(_) => args.input.as_path(),
        Source::Stream(_) => Path::new("standard input"),
    };
    let mut predictor = model.predictor()?;
    predictor.calibrate(calibration);
    match &args.output {
        None => match write(predictor, source, io::stdout().lock()) {
            // A reader that went away, as `head` does.
            Err(Failure::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map(|_| ()).map_err(|e| e.of(from, Path::new("standard output"))),
        },
        Some(path) => {
            let file = File::create(path).map_err(Failure::Write);
            let rows = file.and_then(|file| write(predictor, source, file));
            let rows = terminal::count(rows.map_err(|e| e.of(from, path))?);
            terminal::note(&format!("Wrote {rows} predictions to {}", path.display()));
            Ok(())
        }
    }
}

fn open(model: &Model, input: &Path) -> Result<Source, UserError> {
    if input != Path::new(STREAM) {
        let data = data::open(input, &ImportOptions::default(), &Progress::default())?;
        super::source::notes(&data, true);
        return Ok(Source::Whole(data));
    }
    let columns = &model.info().schema.columns;
    if columns.is_empty() {
        return Err(UserError::new(
            "This model looks at images, which do not come as rows of a table",
            "Give a folder of images in place of \"-\".",
        ));
    }
    Ok(Source::Stream(RowStream::open(io::stdin(), columns)?))
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

enum Failure {
    Predict(ExportError),
    Write(io::Error),
}

impl From<ExportError> for Failure {
    fn from(e: ExportError) -> Self {
        Self::Predict(e)
    }
}

impl From<DataError> for Failure {
    fn from(e: DataError) -> Self {
        Self::Predict(e.into())
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

/// One line per sample: where it is, the prediction, the probability of every class. Returns how
/// many samples there were.
fn write(mut predictor: Predictor, source: Source, to: impl Write) -> Result<usize, Failure> {
    let mut csv = csv::Writer::from_writer(to);
    let mut rows = 0;
    match source {
        Source::Whole(data) => rows = predict(&mut predictor, &data, &mut csv, true)?,
        Source::Stream(mut stream) => {
            while let Some(data) = stream.next_piece()? {
                rows += predict(&mut predictor, &data, &mut csv, rows == 0)?;
                // Whoever waits for these answers may send the next rows only then.
                csv.flush().map_err(Failure::Write)?;
                for row in stream.long_rows() {
                    terminal::note(&format!(
                        "note: row {row} has more cells than the header; the last were left out"
                    ));
                }
            }
        }
    }
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
    Ok(rows)
}

/// Predicts one dataset, or one piece of a stream, and returns how many samples it has.
fn predict<W: Write>(
    predictor: &mut Predictor,
    data: &Dataset,
    csv: &mut csv::Writer<W>,
    mut header: bool,
) -> Result<usize, Failure> {
    let classes = predictor.model().info().schema.task.classes().to_vec();
    predictor.predict(data, |start, predictions| {
        // Only now, so that a refused table leaves no output.
        if std::mem::take(&mut header) {
            let first = if matches!(data.samples, Samples::Images(_)) { "image" } else { "row" };
            csv.write_field(first)?;
            csv.write_field("prediction")?;
            for class in &classes {
                csv.write_field(format!("probability of {class}"))?;
            }
            csv.write_record(None::<&[u8]>)?;
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
    Ok(data.len())
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
