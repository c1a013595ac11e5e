//! Every term of the field that the program uses, in plain words.

use egui::{Response, Shape, Ui};

use super::theme;
use crate::key;
use crate::text::of;

/// One term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// As it is listed.
    pub name: &'static str,
    /// Other spellings it is recognised by, lower case.
    pub also: &'static [&'static str],
    /// What it means.
    pub text: &'static str,
}

const fn term(name: &'static str, also: &'static [&'static str], text: &'static str) -> Term {
    Term { name, also, text }
}

/// All terms by name.
pub const TERMS: &[Term] = &[
    term(
        key!("Accuracy"),
        &[],
        key!(
            "How many rows out of all got the right answer. With one class in 90 of 100 rows, always naming that class already reaches 90 %, so compare it with the commonest answer."
        ),
    ),
    term(
        key!("Activation"),
        &[key!("activations"), key!("non-linearity")],
        key!(
            "What a layer hands to the next one. The function in between (ReLU, GELU, SiLU) lets a network learn more than straight lines."
        ),
    ),
    term(
        key!("AdamW"),
        &[key!("optimiser"), key!("optimizer")],
        key!(
            "The rule that turns gradients into changes of the weights. AdamW gives every weight its own step size; SGD with momentum gives all the same."
        ),
    ),
    term(
        key!("amax"),
        &[key!("largest value")],
        key!(
            "The largest absolute value in a tensor. FP8 scales are chosen so that amax still fits."
        ),
    ),
    term(
        key!("Augmentation"),
        &[key!("random changes")],
        key!(
            "Small random changes of training pictures, such as mirroring or shifting, so that the model does not learn accidents of single pictures."
        ),
    ),
    term(
        key!("Batch size"),
        &[key!("batch"), key!("rows per step")],
        key!(
            "How many rows are looked at before the weights change once. Larger batches give steadier but fewer steps."
        ),
    ),
    term(
        "bf16",
        &[key!("bfloat16")],
        key!(
            "A 16-bit number format with the range of 32 bits and few digits. Most large networks are trained with it."
        ),
    ),
    term(
        key!("Calibration"),
        &[key!("calibrated"), key!("reliability"), key!("temperature"), key!("isotonic")],
        key!(
            "Whether \"80 % sure\" is right 80 times in 100. Temperature scaling and isotonic regression correct it afterwards without changing the network."
        ),
    ),
    term(
        key!("Checkpoint"),
        &[key!("checkpoints")],
        key!(
            "The state of a training, saved so that it can go on after a crash. The best one becomes the model."
        ),
    ),
    term(
        key!("Class"),
        &[key!("classes"), key!("category"), key!("labels")],
        key!("One of the answers that a model can give when it sorts rows into kinds."),
    ),
    term(
        key!("Conformal prediction"),
        &[key!("conformal")],
        key!(
            "Ranges around predicted numbers that hold the true value as often as promised, measured on rows kept aside."
        ),
    ),
    term(
        key!("Confusion matrix"),
        &[key!("confusion")],
        key!(
            "A table of true answers against given answers. What lies off the diagonal are mistakes, by kind."
        ),
    ),
    term(
        key!("Convolutional network"),
        &[key!("cnn"), key!("convolution"), key!("resnet"), key!("depthwise-separable")],
        key!(
            "A network that looks for small patterns anywhere in a picture. The usual choice for pictures."
        ),
    ),
    term(
        key!("Cross-validation"),
        &[key!("folds")],
        key!(
            "Training several times, each time with another part kept aside, to see how much the score depends on luck."
        ),
    ),
    term(
        key!("Drift"),
        &[key!("distribution shift")],
        key!(
            "New data that differ from what the model learned from. Its answers get worse without any error message."
        ),
    ),
    term(
        key!("Dropout"),
        &[],
        key!(
            "Switching off random parts of the network while it trains, so that it does not lean on single ones. A guard against overfitting."
        ),
    ),
    term(
        "E4M3",
        &[key!("e4m3fn")],
        key!(
            "The 8-bit format with 4 exponent and 3 mantissa bits: up to 448, finer steps. Used for weights and activations."
        ),
    ),
    term(
        "E5M2",
        &[],
        key!(
            "The 8-bit format with 5 exponent and 2 mantissa bits: up to 57 344, coarser steps. Used for gradients, whose sizes vary more."
        ),
    ),
    term(
        key!("Early stopping"),
        &[key!("patience"), key!("stopped early")],
        key!(
            "Ending the training when the validation loss has not got better for a while. The best model so far is kept."
        ),
    ),
    term(
        key!("Epoch"),
        &[key!("epochs"), key!("passes over the data")],
        key!(
            "One pass over all training rows. Too few and the model has not learned; too many and it may learn by heart."
        ),
    ),
    term(
        key!("Exponent"),
        &[key!("exponent bits")],
        key!("The part of a floating-point number that says how large it is, as a power of two."),
    ),
    term(
        key!("Fairness"),
        &[key!("demographic parity"), key!("equalised odds"), key!("equalized odds")],
        key!(
            "Whether groups of people get good and bad answers alike. There are several definitions, and not all can hold at once."
        ),
    ),
    term(
        key!("Feature"),
        &[key!("features"), key!("input column")],
        key!("A column that the model learns from; the target is what it predicts."),
    ),
    term(
        key!("Flush to zero"),
        &[key!("rounded to zero"), key!("flushed"), key!("underflow")],
        key!(
            "A value too small for the format that becomes zero. A few are harmless; many mean that small gradients no longer teach anything."
        ),
    ),
    term(
        "FP8",
        &[key!("8-bit floating point"), key!("8 bits")],
        key!(
            "Numbers stored in 8 bits: a sign, an exponent and a mantissa. A quarter of the memory of 32 bits; careful scaling keeps the results nearly the same."
        ),
    ),
    term(
        key!("Gradient"),
        &[key!("gradients"), key!("gradient norm")],
        key!(
            "For every weight, in which direction and how strongly the loss would change. Training walks against it. Its size (norm) should neither explode nor vanish."
        ),
    ),
    term(
        key!("Integrated gradients"),
        &[key!("occlusion"), key!("what mattered")],
        key!(
            "Ways to see what an answer hangs on. This program hides or swaps one value at a time (occlusion) and watches the answer."
        ),
    ),
    term(
        key!("Layer"),
        &[key!("layers"), key!("hidden layers"), key!("dense layers")],
        key!("One stage of a network. More and wider layers can learn more, and need more data."),
    ),
    term(
        key!("Layer normalisation"),
        &[key!("layer norm"), key!("normalisation"), key!("batch normalisation")],
        key!("Bringing values inside the network to a common size. It makes training steadier."),
    ),
    term(
        key!("Leak"),
        &[key!("leakage"), key!("target leakage")],
        key!(
            "A column that gives the answer away and will not be known when the model is used. Scores look great and mean nothing."
        ),
    ),
    term(
        key!("Learning rate"),
        &[],
        key!(
            "How large each learning step is. Too large and the loss jumps about or explodes; too small and nothing happens for long."
        ),
    ),
    term(
        key!("Loss"),
        &[key!("training loss"), key!("validation loss"), key!("cross-entropy")],
        key!(
            "How wrong the model is, as one number that training makes smaller. Compare training and validation: when only the first still falls, it overfits."
        ),
    ),
    term(
        key!("Mantissa"),
        &[key!("mantissa bits"), key!("significand")],
        key!(
            "The part of a floating-point number that holds its digits. 3 bits give eight steps between powers of two."
        ),
    ),
    term(
        key!("Master weights"),
        &[key!("f32 weights")],
        key!(
            "The exact 32-bit copy of the weights that small changes are added to. The 8-bit ones are made from it at every step."
        ),
    ),
    term(
        key!("Microscaling"),
        &[key!("mxfp8"), key!("mx"), "e8m0"],
        key!(
            "A scale for every 32 values (OCP Microscaling, MXFP8). The finest recipe, and what new AI chips compute with."
        ),
    ),
    term(
        key!("Missing value"),
        &[key!("missing"), key!("empty cells")],
        key!(
            "A cell without a value. It is filled with what is typical in the training rows, and the model may see that it was missing."
        ),
    ),
    term(
        key!("Neighbour"),
        &[key!("ulp")],
        key!(
            "The next number that a format can hold. Whatever lies between two neighbours is rounded to one of them."
        ),
    ),
    term(
        key!("ONNX"),
        &[],
        key!("A file format for models that many programs and languages can run."),
    ),
    term(
        key!("Overfitting"),
        &[key!("overfit"), key!("learned by heart")],
        key!(
            "Learning the training rows by heart instead of what they have in common. It shows as a validation loss that rises while the training loss falls."
        ),
    ),
    term(
        key!("Parameter"),
        &[key!("parameters"), key!("weights and biases")],
        key!(
            "A number inside the network that training adjusts. More parameters can learn more, and take more memory."
        ),
    ),
    term(
        key!("Precision and recall"),
        &[key!("precision"), key!("recall"), "f1"],
        key!(
            "When it names a class, how often that is right (precision); and how many rows of the class it finds (recall). F1 is both in one figure."
        ),
    ),
    term(
        key!("Preprocessing"),
        &[key!("standardised"), key!("one-hot"), key!("encoding")],
        key!(
            "Turning cells into numbers: numbers are standardised, categories get a column each or a learned table. Fitted on training rows only and stored in the model file."
        ),
    ),
    term(
        "R²",
        &["r2", key!("explained")],
        key!(
            "How much of the ups and downs of a predicted number is explained: 1 is all, 0 is no better than the mean."
        ),
    ),
    term(
        key!("Recipe"),
        &[
            key!("current scaling"),
            key!("delayed scaling"),
            key!("rowwise scaling"),
            key!("block scaling"),
        ],
        key!(
            "How FP8 scales are chosen: from the live tensor (current), from steps before (delayed), per row, per block of 128, or per 32 values (MX)."
        ),
    ),
    term(
        key!("ROC AUC"),
        &[key!("auc"), "roc"],
        key!(
            "How well rows are ranked: 1 is perfect, 0.5 is no better than tossing a coin. It does not depend on a threshold."
        ),
    ),
    term(
        key!("safetensors"),
        &[],
        key!("A simple file format for weights that cannot hold programs, so opening one is safe."),
    ),
    term(
        key!("Saturation"),
        &[key!("saturated"), key!("cut off")],
        key!(
            "A value too large for the format that becomes the largest one. It shows that a scale was chosen too small."
        ),
    ),
    term(
        key!("Scale"),
        &[key!("scaling"), key!("scales")],
        key!(
            "A power of two that a whole tensor, row or block is divided by before it is rounded to 8 bits, so that its values use the range of the format."
        ),
    ),
    term(
        key!("Seed"),
        &[key!("random seed")],
        key!(
            "The number that all chance is drawn from. The same seed on the same device gives the same model."
        ),
    ),
    term(
        key!("Slice"),
        &[key!("slices"), key!("weak group"), key!("segments")],
        key!(
            "A part of the rows, such as one region or age group. A good average can hide a slice where the model fails."
        ),
    ),
    term(
        key!("Split"),
        &[key!("training rows"), key!("test rows"), key!("validation rows")],
        key!(
            "Rows are divided: training rows teach, validation rows choose the best epoch, test rows give the score at the end and are used for nothing else."
        ),
    ),
    term(
        key!("Stochastic rounding"),
        &[key!("stochastic")],
        key!(
            "Rounding up or down at random, so that on average nothing is lost. Helps where many tiny changes are added up."
        ),
    ),
    term(
        key!("Subnormal"),
        &[key!("subnormals"), key!("denormal")],
        key!(
            "The smallest numbers of a format, with fewer digits than the others, just above zero."
        ),
    ),
    term(
        key!("Target"),
        &[key!("what to predict"), key!("label column")],
        key!("The column that the model learns to predict from the others."),
    ),
    term(
        key!("Tensor"),
        &[key!("tensors")],
        key!("A block of numbers with rows and columns: weights, activations, gradients."),
    ),
    term(
        key!("Threshold"),
        &[key!("cut-off")],
        key!(
            "The probability from which on a row is called positive. The best one depends on what each kind of mistake costs."
        ),
    ),
    term(
        key!("Throughput"),
        &[key!("rows per second"), key!("speed")],
        key!("How many rows are trained on per second, measured over the last moments."),
    ),
    term(
        key!("Warm-up"),
        &[key!("warmup")],
        key!(
            "Starting with a small learning rate that grows over the first steps, so that the first, random gradients do no harm."
        ),
    ),
    term(
        key!("Weight decay"),
        &[key!("decay")],
        key!("Pulling weights gently towards zero at every step, a guard against overfitting."),
    ),
    term(
        key!("Weight"),
        &[key!("weights")],
        key!(
            "A number of the network that says how strongly one value counts for another. Training adjusts it."
        ),
    ),
];

/// Whether `word` stands in `text` as a whole word; both in lower case.
fn holds(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|s| s.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|s| s.chars().next());
        let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !inside(before) && !inside(after)
    })
}

/// The term that a label is about: the longest one named in it.
pub fn find(text: &str) -> Option<&'static Term> {
    let text = text.to_lowercase();
    let longest = |t: &'static Term| {
        let names = [t.name, of(t.name)].into_iter().chain(spellings(t)).map(str::to_lowercase);
        names.filter(|name| holds(&text, name)).map(|name| name.len()).max().map(|len| (len, t))
    };
    TERMS.iter().filter_map(longest).max_by_key(|(len, _)| *len).map(|(_, t)| t)
}

/// Other spellings of a term, in English and in the language of the window.
fn spellings(term: &Term) -> impl Iterator<Item = &'static str> {
    let own = term.also.iter().map(|a| of(a)).flat_map(|a| a.split(", "));
    term.also.iter().copied().chain(own)
}

/// Terms whose name, other spellings or explanation hold a text; those named so first.
pub fn search(text: &str) -> Vec<&'static Term> {
    let text = text.trim().to_lowercase();
    let named = |t: &&Term| {
        [t.name, of(t.name)].into_iter().any(|n| n.to_lowercase().contains(&text))
            || spellings(t).any(|a| a.to_lowercase().contains(&text))
    };
    let mut found: Vec<&Term> = TERMS.iter().filter(named).collect();
    found.extend(TERMS.iter().filter(|t| !named(t) && of(t.text).to_lowercase().contains(&text)));
    found
}

/// Explains a label on hover if it names a term, and hints at that with a dotted line.
pub fn explained(ui: &Ui, response: Response, text: &str) -> Response {
    let Some(term) = find(text) else { return response };
    let p = theme::palette(ui);
    let rect = response.rect;
    let line = [rect.left_bottom(), rect.right_bottom()];
    ui.painter().extend(Shape::dotted_line(&line, p.outline, 3.0, 0.7));
    explain(response, term)
}

/// Explains on hover.
pub fn explain(response: Response, term: &Term) -> Response {
    let (name, text) = (of(term.name), of(term.text));
    response.on_hover_ui(move |ui| {
        ui.set_max_width(320.0);
        super::widgets::strong(ui, name);
        ui.add(egui::Label::new(text).wrap());
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_in_order_and_told_apart() {
        let names: Vec<String> = TERMS.iter().map(|t| t.name.to_lowercase()).collect();
        let mut seen = std::collections::BTreeSet::new();
        for term in TERMS {
            assert!(seen.insert(term.name.to_lowercase()), "{}", term.name);
            assert!(term.text.len() > 40 && term.text.ends_with('.'), "{}", term.name);
            for also in term.also {
                assert_eq!(*also, also.to_lowercase());
                assert!(seen.insert((*also).to_owned()), "{also} names two terms");
            }
        }
        let first: Vec<char> = names.iter().filter_map(|n| n.chars().next()).collect();
        assert!(first.is_sorted(), "{first:?}");
    }

    #[test]
    fn labels_lead_to_their_term() {
        let name = |text: &str| find(text).map(|t| t.name);
        assert_eq!(name("Validation loss"), Some("Loss"));
        assert_eq!(name("learning rate"), Some("Learning rate"));
        assert_eq!(name("FP8, delayed scaling"), Some("Recipe"));
        assert_eq!(name("Best epoch"), Some("Epoch"));
        assert_eq!(name("Took"), None);
        // Only whole words.
        assert_eq!(name("Translucent glossary"), None);
        for must in ["epoch", "overfitting", "FP8", "scale", "amax", "calibration"] {
            assert!(find(must).is_some(), "{must}");
        }
    }

    #[test]
    fn search_finds_names_first() {
        assert_eq!(search("epo").first().map(|t| t.name), Some("Epoch"));
        assert!(search("").len() == TERMS.len());
        assert!(search("no such thing at all").is_empty());
    }
}
