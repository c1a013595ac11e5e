//! How a precision is written in files.
//!
//! A word, where it is a named recipe as it is, or none: `precision = "delayed"`, `"f32"`. Else a
//! table that says where it differs from a named recipe:
//!
//! ```toml
//! [train.precision]
//! recipe = "delayed"
//! history = 16
//! algorithm = "most_recent"
//! margin = 1
//! ```
//!
//! | key | values |
//! |---|---|
//! | `recipe` | `current`, `delayed`, `rowwise`, `rowwise-hp`, `block`, `mx`; without it, that of `scaling`, else `current` |
//! | `forward`, `gradient` | `e4m3`, `e5m2` |
//! | `margin` | extra powers of two of headroom |
//! | `stochastic_gradients` | `true`, `false` |
//! | `history`, `algorithm` | of the delayed recipe: steps; `max`, `most_recent`, `first` (a scale that never changes) |
//! | `scaling` | the whole rule as a table with a `kind`, as this program writes it |
//! | `kind` | `fp8`, `bf16`, `f32` |

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Format;
use super::recipe::{AmaxAlgorithm, Precision, Recipe, Scaling};

/// Word for 32-bit products.
const F32: &str = "f32";
/// Word for products of bf16 operands.
const BF16: &str = "bf16";
/// Word for FP8 products, whose recipe is the default or said elsewhere.
const FP8: &str = "fp8";

impl Serialize for Precision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let recipe = match self {
            Self::F32 => return serializer.serialize_str(F32),
            Self::Bf16 => return serializer.serialize_str(BF16),
            Self::Fp8(recipe) => recipe,
        };
        if let Some((name, _)) = Recipe::NAMED.iter().find(|(_, named)| named == recipe) {
            return serializer.serialize_str(name);
        }
        let Recipe { scaling, forward, gradient, margin, stochastic_gradients } = recipe;
        let mut table = serializer.serialize_struct("Precision", 6)?;
        table.serialize_field("kind", FP8)?;
        table.serialize_field("forward", forward)?;
        table.serialize_field("gradient", gradient)?;
        table.serialize_field("margin", margin)?;
        table.serialize_field("stochastic_gradients", stochastic_gradients)?;
        table.serialize_field("scaling", scaling)?;
        table.end()
    }
}

impl<'de> Deserialize<'de> for Precision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Notation)
    }
}

struct Notation;

impl<'de> Visitor<'de> for Notation {
    type Value = Precision;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a precision, or a table of its settings")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Precision, E> {
        match word {
            F32 => Ok(Precision::F32),
            BF16 => Ok(Precision::Bf16),
            FP8 => Ok(Precision::Fp8(Recipe::default())),
            _ => named(word).map(Precision::Fp8).map_err(E::custom),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Precision, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        table.precision().map_err(de::Error::custom)
    }
}

fn named(word: &str) -> Result<Recipe, String> {
    match Recipe::NAMED.iter().find(|(name, _)| *name == word) {
        Some((_, recipe)) => Ok(*recipe),
        None => {
            let names: Vec<&str> = Recipe::NAMED.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "there is no precision \"{word}\"; choose {F32}, {BF16} or one of the FP8 recipes {}",
                names.join(", ")
            ))
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: Option<String>,
    recipe: Option<String>,
    scaling: Option<Scaling>,
    history: Option<u32>,
    algorithm: Option<AmaxAlgorithm>,
    forward: Option<Format>,
    gradient: Option<Format>,
    margin: Option<u32>,
    stochastic_gradients: Option<bool>,
}

impl Table {
    fn precision(self) -> Result<Precision, String> {
        match self.kind.as_deref() {
            None | Some(FP8) => {}
            Some(word @ (F32 | BF16)) => {
                let Self { recipe, scaling, .. } = self;
                return if recipe.is_none() && scaling.is_none() {
                    Ok(if word == F32 { Precision::F32 } else { Precision::Bf16 })
                } else {
                    Err(format!("{word} takes no recipe"))
                };
            }
            Some(other) => {
                return Err(format!(
                    "there is no precision \"{other}\"; choose {FP8}, {BF16} or {F32}"
                ));
            }
        }
        let mut recipe = match (&self.recipe, self.scaling) {
            (Some(name), _) => named(name)?,
            (None, Some(scaling)) => preset(scaling),
            (None, None) => Recipe::default(),
        };
        recipe.scaling = self.scaling.unwrap_or(recipe.scaling);
        if self.history.is_some() || self.algorithm.is_some() {
            let Scaling::Delayed { history, algorithm } = &mut recipe.scaling else {
                return Err("only the delayed recipe has a history and an algorithm".to_owned());
            };
            *history = self.history.unwrap_or(*history);
            *algorithm = self.algorithm.unwrap_or(*algorithm);
        }
        recipe.forward = self.forward.unwrap_or(recipe.forward);
        recipe.gradient = self.gradient.unwrap_or(recipe.gradient);
        recipe.margin = self.margin.unwrap_or(recipe.margin);
        recipe.stochastic_gradients =
            self.stochastic_gradients.unwrap_or(recipe.stochastic_gradients);
        Ok(Precision::Fp8(recipe))
    }
}

/// The named recipe of a kind of scaling.
fn preset(scaling: Scaling) -> Recipe {
    match scaling {
        Scaling::Current => Recipe::current(),
        Scaling::Delayed { .. } => Recipe::delayed(),
        Scaling::Rowwise { .. } => Recipe::rowwise(),
        Scaling::Block => Recipe::block(),
        Scaling::Mx => Recipe::mx(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct File {
        precision: Precision,
    }

    fn read(text: &str) -> Result<Precision, String> {
        toml::from_str::<File>(text).map(|f| f.precision).map_err(|e| e.message().to_owned())
    }

    fn comes_back(precision: Precision) -> String {
        let text = toml::to_string(&File { precision }).unwrap();
        assert_eq!(read(&text), Ok(precision), "{text}");
        let json = serde_json::to_string(&precision).unwrap();
        assert_eq!(serde_json::from_str::<Precision>(&json).unwrap(), precision, "{json}");
        text
    }

    #[test]
    fn named_recipes_are_words() {
        for (name, recipe) in Recipe::NAMED {
            let text = comes_back(Precision::Fp8(recipe));
            assert_eq!(text.trim(), format!("precision = \"{name}\""));
        }
        assert_eq!(comes_back(Precision::F32).trim(), "precision = \"f32\"");
        assert_eq!(comes_back(Precision::Bf16).trim(), "precision = \"bf16\"");
        assert_eq!(read("precision = \"fp8\""), Ok(Precision::default()));
    }

    #[test]
    fn settings_of_ones_own_come_back_whole() {
        for (_, named) in Recipe::NAMED {
            for recipe in [
                Recipe { margin: 3, ..named },
                Recipe { forward: Format::E5M2, ..named },
                Recipe { stochastic_gradients: true, ..named },
                Recipe { gradient: Format::E4M3, margin: 1, ..named },
                Recipe {
                    scaling: Scaling::Delayed { history: 7, algorithm: AmaxAlgorithm::MostRecent },
                    ..named
                },
            ] {
                comes_back(Precision::Fp8(recipe));
            }
        }
    }

    #[test]
    fn a_table_starts_from_a_named_recipe() {
        let scaling = Scaling::Delayed { history: 16, algorithm: AmaxAlgorithm::MostRecent };
        let want = Recipe { scaling, margin: 1, ..Recipe::delayed() };
        let text = "[precision]\nrecipe = \"delayed\"\nhistory = 16\n\
                    algorithm = \"most_recent\"\nmargin = 1";
        assert_eq!(read(text), Ok(Precision::Fp8(want)));
        let mx = Recipe { stochastic_gradients: true, ..Recipe::mx() };
        let text = "precision = { recipe = \"mx\", stochastic_gradients = true }";
        assert_eq!(read(text), Ok(Precision::Fp8(mx)));
        // E4M3 gradients belong to the rule, unless other ones are asked for.
        let text = "precision = { scaling = { kind = \"block\" } }";
        assert_eq!(read(text), Ok(Precision::Fp8(Recipe::block())));
        let text = "precision = { scaling = { kind = \"delayed\" }, gradient = \"e4m3\" }";
        let want = Recipe { gradient: Format::E4M3, ..Recipe::delayed() };
        assert_eq!(read(text), Ok(Precision::Fp8(want)));
        assert_eq!(read("precision = { kind = \"f32\" }"), Ok(Precision::F32));
        assert_eq!(read("precision = { kind = \"bf16\" }"), Ok(Precision::Bf16));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("precision = \"rowise\"", "rowwise-hp"),
            ("precision = 8", "name of a precision"),
            ("precision = { kind = \"int8\" }", "no precision \"int8\""),
            ("precision = { recipe = \"fast\" }", "no precision \"fast\""),
            ("precision = { recipe = \"mx\", history = 4 }", "only the delayed recipe"),
            ("precision = { kind = \"f32\", recipe = \"mx\" }", "takes no recipe"),
            ("precision = { recipe = \"mx\", colour = 1 }", "colour"),
            ("precision = { scaling = { kind = \"delayed\", colour = 1 } }", "colour"),
            ("precision = { forward = \"e3m4\" }", "e3m4"),
        ] {
            let e = read(text).unwrap_err();
            assert!(e.contains(part), "{text}: {e}");
        }
    }
}
