//! What a model gives away: whether a row took part in its training, what a missing cell of a known
//! row may hold, and how it can be copied.

mod attributes;
mod inversion;
mod membership;

use serde::Serialize;

pub use attributes::{Attribute, MOST_ROWS as MOST_ATTRIBUTE_ROWS};
pub use inversion::{Inversion, Inverted, MOST_CLASSES as MOST_INVERTED_CLASSES};
pub use membership::{Attack, Membership};

use super::evaluation::Options;
use super::outcomes::Outcomes;
use crate::data::{Dataset, Encoded, Progress};
use crate::deploy::Predictor;
use crate::error::ExportError;
use crate::train::Spent;

/// How much was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Too few rows to tell, or no training rows.
    Unknown,
    /// The attacks do little better than guessing.
    Low,
    /// Better than guessing.
    Some,
    /// Much better than guessing.
    High,
}

impl Risk {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "not known",
            Self::Low => "low",
            Self::Some => "some",
            Self::High => "high",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Privacy {
    /// What the training itself guarantees.
    pub guaranteed: Option<Spent>,
    /// Whether training rows can be told from others; `None` without training rows.
    pub membership: Option<Membership>,
    /// What can be inferred of single columns; empty for pictures.
    pub attributes: Vec<Attribute>,
    /// Pictures made from the weights; `None` for tables and without training pictures.
    pub inversion: Option<Inversion>,
    /// How high the risk is.
    pub risk: Risk,
    /// The same in plain words.
    pub statement: String,
}

/// What to do against copying, whatever was measured.
pub const EXTRACTION: [&str; 4] = [
    "Whoever may ask a model often enough can train a copy of it. Give out the answer alone, or rounded probabilities, where the probabilities are not needed.",
    "Behind a service, limit how many rows one client may ask for and look at those who ask for many unlike real ones.",
    "A model file is the model: whoever has it can ask without limit. Give it to as few as need it, sealed with a passphrase (\"fp8-studio export --encrypt\").",
    "A model trained on people's data may be personal data itself. Treat it like the table it came from.",
];

/// Of an AUC, below which an attack counts as guessing and above which as much better.
pub const AUC: [f64; 2] = [0.55, 0.6];
/// Of the share of training rows found at 1 % false alarms; guessing finds 1 %.
pub const FOUND: [f64; 2] = [0.03, 0.05];

/// What is needed to look.
pub struct Subject<'a> {
    /// The model.
    pub predictor: &'a mut Predictor,
    /// Data.
    pub dataset: &'a Dataset,
    /// Training rows.
    pub train: Option<(&'a Encoded, &'a [u32])>,
    /// Validation rows, of which the attacker makes a model to compare with.
    pub validation: Option<&'a Encoded>,
    /// Rows that training never saw, and the answers on them.
    pub held_out: (&'a Encoded, &'a [u32], &'a Outcomes),
    /// Seed and replicates.
    pub options: Options,
}

/// Tries the attacks.
///
/// # Errors
/// The engine; cancelled.
pub fn look(mut subject: Subject<'_>, progress: &Progress) -> Result<Privacy, ExportError> {
    let guaranteed = subject.predictor.model().info().privacy;
    let membership = membership::look(&mut subject, progress)?;
    let attributes = attributes::look(&mut subject, progress)?;
    let inversion = inversion::look(&mut subject, progress)?;
    let mut risk = membership.as_ref().map_or(Risk::Unknown, Membership::risk);
    if risk != Risk::High && inversion.as_ref().and_then(Inversion::leaks) == Some(true) {
        risk = Risk::Some;
    }
    let mut statement = statement(guaranteed.as_ref(), membership.as_ref(), &attributes, risk);
    if let Some(inversion) = &inversion {
        statement.push(' ');
        statement += inversion.statement();
    }
    Ok(Privacy { guaranteed, membership, attributes, inversion, risk, statement })
}

fn statement(
    guaranteed: Option<&Spent>,
    membership: Option<&Membership>,
    attributes: &[Attribute],
    risk: Risk,
) -> String {
    let mut text = match (risk, membership) {
        (Risk::Unknown, None) => "These are not the data that the model was trained on, so nobody can tell here whether it gives its training rows away.".to_owned(),
        (Risk::Unknown, Some(m)) => format!("There are too few rows ({} from the training and {} others) to tell whether the model gives its training rows away.", m.members, m.others),
        (Risk::Low, _) => "Someone with a row in hand could hardly tell from the model whether it was in the training data.".to_owned(),
        (Risk::Some, _) => "Someone with a row in hand can tell a little better than by guessing whether it was in the training data.".to_owned(),
        (Risk::High, _) => "Someone with a row in hand can often tell whether it was in the training data. If taking part is a secret, do not give this model away.".to_owned(),
    };
    let leaky: Vec<&str> =
        attributes.iter().filter(|a| a.leaks()).map(|a| a.column.as_str()).collect();
    if !leaky.is_empty() {
        text += &format!(
            " Of training rows it also gives away more about {} than of other rows.",
            leaky.join(", ")
        );
    }
    text += &match guaranteed {
        Some(spent) => format!(
            " Training was private with ε = {:.2} at δ = {:.0e}: no attack on the weights, known or not, can do better than that allows.",
            spent.epsilon, spent.delta
        ),
        None => " These attacks are simple; better ones may find more. Only private training bounds what any attack can find.".to_owned(),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_say_what_was_found() {
        let plain = statement(None, None, &[], Risk::Unknown);
        assert!(plain.contains("not the data") && plain.contains("Only private training"));
        let spent = Spent {
            epsilon: 2.5,
            delta: 1e-5,
            noise_multiplier: 1.0,
            clip: 1.0,
            sample_rate: 0.01,
            steps: 10,
        };
        let kept = statement(Some(&spent), None, &[], Risk::Low);
        assert!(kept.contains("ε = 2.50 at δ = 1e-5"), "{kept}");
    }
}
