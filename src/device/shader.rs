//! The WGSL sources and a tiny include mechanism.
//!
//! A shader names the shared parts it needs in its first lines, `// include: fp8, hash`, and is
//! specialised by constants that are put in front of it: every `(name, value)` becomes
//! `const NAME: u32 = valueu;`. A part that a shader needs for several of its buffers is written with
//! `$x` and `$X` in the place of a name: `operand a, operand b` puts it in twice. Lines between
//! `// when NAME = value` and `// else` or `// end` stay only where the constant has that value, and
//! `enable` directives move to the top.

use std::fmt::Write as _;

/// Shared parts by name.
const SHARED: &[(&str, &str)] = &[
    ("activate", include_str!("../../shaders/shared/activate.wgsl")),
    ("fp8", include_str!("../../shaders/shared/fp8.wgsl")),
    ("half", include_str!("../../shaders/shared/half.wgsl")),
    ("hash", include_str!("../../shaders/shared/hash.wgsl")),
    ("index", include_str!("../../shaders/shared/index.wgsl")),
    ("moment", include_str!("../../shaders/shared/moment.wgsl")),
    ("operand", include_str!("../../shaders/shared/operand.wgsl")),
    ("tree", include_str!("../../shaders/shared/tree.wgsl")),
];

/// Shaders by name: one per op family.
const SHADERS: &[(&str, &str)] = &[
    ("activation", include_str!("../../shaders/activation.wgsl")),
    ("average", include_str!("../../shaders/average.wgsl")),
    ("batch_norm", include_str!("../../shaders/batch_norm.wgsl")),
    ("bf16", include_str!("../../shaders/bf16.wgsl")),
    ("channel", include_str!("../../shaders/channel.wgsl")),
    ("clip", include_str!("../../shaders/clip.wgsl")),
    ("compact", include_str!("../../shaders/compact.wgsl")),
    ("conv", include_str!("../../shaders/conv.wgsl")),
    ("dropout", include_str!("../../shaders/dropout.wgsl")),
    ("elementwise", include_str!("../../shaders/elementwise.wgsl")),
    ("embedding", include_str!("../../shaders/embedding.wgsl")),
    ("gemm", include_str!("../../shaders/gemm.wgsl")),
    ("layer_norm", include_str!("../../shaders/layer_norm.wgsl")),
    ("loss", include_str!("../../shaders/loss.wgsl")),
    ("optimizer", include_str!("../../shaders/optimizer.wgsl")),
    ("pool", include_str!("../../shaders/pool.wgsl")),
    ("quantise", include_str!("../../shaders/quantise.wgsl")),
    ("reduce", include_str!("../../shaders/reduce.wgsl")),
    ("self_test", include_str!("../../shaders/self_test.wgsl")),
];

fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// The complete source of shader `name`, constants and shared parts in front. An unknown name or
/// include gives text that no driver accepts and that says what is missing.
pub fn source(name: &str, constants: &[(&str, u32)]) -> String {
    let body = find(SHADERS, name).unwrap_or("unknown shader");
    let mut text = String::with_capacity(body.len() + 8192);
    for part in includes(body) {
        let (part, of) = part.split_once(' ').unwrap_or((part, ""));
        let found = find(SHARED, part).unwrap_or("unknown include");
        text += &found.replace("$x", of).replace("$X", &of.to_uppercase());
        text.push('\n');
    }
    text += body;
    select(&text, constants)
}

/// Keeps the lines that are for these constants, and puts the constants in front.
fn select(text: &str, constants: &[(&str, u32)]) -> String {
    let holds = |condition: &str| {
        condition.split_once(" = ").is_some_and(|(name, value)| {
            constants.iter().any(|(n, v)| *n == name && value == v.to_string())
        })
    };
    let (mut directives, mut rest) = (String::new(), String::with_capacity(text.len()));
    let mut keep = true;
    for line in text.lines() {
        let plain = line.trim_start();
        if let Some(condition) = plain.strip_prefix("// when ") {
            keep = holds(condition);
        } else if plain == "// else" {
            keep = !keep;
        } else if plain == "// end" {
            keep = true;
        } else if keep {
            let to = if plain.starts_with("enable ") { &mut directives } else { &mut rest };
            to.push_str(line);
            to.push('\n');
        }
    }
    for (name, value) in constants {
        let _ = writeln!(directives, "const {name}: u32 = {value}u;");
    }
    directives + &rest
}

/// Names in the `// include:` lines at the top.
fn includes(body: &str) -> impl Iterator<Item = &str> {
    body.lines()
        .take_while(|line| line.starts_with("//"))
        .filter_map(|line| line.strip_prefix("// include:"))
        .flat_map(|names| names.split(',').map(str::trim))
}

/// Threads of a workgroup of the simple kernels.
pub const LANES: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_include_exists_and_every_file_is_listed() {
        for (name, body) in SHADERS {
            for part in includes(body) {
                let part = part.split(' ').next().unwrap();
                assert!(find(SHARED, part).is_some(), "{name} includes unknown {part}");
            }
        }
        let mut files: Vec<String> = std::fs::read_dir("shaders")
            .unwrap()
            .map(|f| f.unwrap().path())
            .filter(|p| p.is_file())
            .map(|p| p.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let listed: Vec<&str> = SHADERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(files, listed);
    }

    #[test]
    fn constants_and_parts_come_first() {
        let text = source("dropout", &[("LANES", 64)]);
        assert!(text.starts_with("const LANES: u32 = 64u;\n"));
        let hash = text.find("fn hash_bits").unwrap();
        assert!(hash < text.find("fn dropout").unwrap());
        assert!(source("nonsense", &[]).contains("unknown shader"));
    }

    #[test]
    fn lines_are_chosen_by_constants_and_directives_move_up() {
        let text = "one\n// when A = 1\n  enable f16;\ntwo\n// else\nthree\n// end\nfour";
        assert_eq!(
            select(text, &[("A", 1)]),
            "  enable f16;\nconst A: u32 = 1u;\none\ntwo\nfour\n"
        );
        assert_eq!(select(text, &[("A", 2)]), "const A: u32 = 2u;\none\nthree\nfour\n");
        assert_eq!(select(text, &[]), "one\nthree\nfour\n");
    }

    #[test]
    fn a_part_for_several_buffers_is_put_in_for_each() {
        let text = source("gemm", &[("A_WIDE", 0), ("B_WIDE", 1)]);
        assert!(!text.contains('$'));
        for name in ["fn a_quad(", "fn b_quad(", "fn a_at("] {
            assert_eq!(text.matches(name).count(), 1, "{name}");
        }
        assert!(!text.contains("fn b_at("));
    }
}
