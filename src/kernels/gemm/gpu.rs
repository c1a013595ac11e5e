//! Dispatches of `shaders/gemm.wgsl`.

use super::super::dispatch::{SCRATCH, SCRATCH_WORDS, dispatch, groups, read, write};
use super::super::{BufferId, Dispatch, Variant};
use super::{Gemm, Operand, Storage, blocks};
use crate::device::{Capabilities, adapter::MatrixUnits};
use crate::fp8::hash;

/// How the results are shared out to workgroups.
#[derive(Debug, Clone, Copy)]
struct Tile {
    name: Variant,
    /// The same with codes staged as f16.
    half: Variant,
    m: u32,
    n: u32,
    /// Rows of four results each per thread.
    rows: u32,
    /// Inner indices that are staged at a time.
    depth: u32,
}

const fn tile(name: Variant, half: Variant, [m, n, rows, depth]: [u32; 4]) -> Tile {
    Tile { name, half, m, n, rows, depth }
}

const TILES: [Tile; 7] = [
    tile("16x16", "16x16 f16", [16, 16, 1, 16]),
    tile("16x64", "16x64 f16", [16, 64, 4, 16]),
    tile("64x16", "64x16 f16", [64, 16, 4, 16]),
    tile("32x32", "32x32 f16", [32, 32, 4, 16]),
    tile("64x64", "64x64 f16", [64, 64, 4, 16]),
    tile("64x64 deep", "64x64 deep f16", [64, 64, 4, 32]),
    tile("128x64", "128x64 f16", [128, 64, 8, 16]),
];

/// Results and inner indices of a workgroup with matrix units: every subgroup has a square of
/// `UNIT_SQUARE`.
const UNIT_TILE: Tile = tile("", "", [64, 64, 16, 16]);
const UNIT_SQUARE: u32 = 32;

/// Variants with matrix units: of this size, in subgroups of so many threads.
const UNITS: [(Variant, MatrixUnits); 8] = [
    ("matrix units 8, subgroups of 8", MatrixUnits { size: 8, lanes: 8 }),
    ("matrix units 8, subgroups of 16", MatrixUnits { size: 8, lanes: 16 }),
    ("matrix units 8, subgroups of 32", MatrixUnits { size: 8, lanes: 32 }),
    ("matrix units 8, subgroups of 64", MatrixUnits { size: 8, lanes: 64 }),
    ("matrix units 16, subgroups of 8", MatrixUnits { size: 16, lanes: 8 }),
    ("matrix units 16, subgroups of 16", MatrixUnits { size: 16, lanes: 16 }),
    ("matrix units 16, subgroups of 32", MatrixUnits { size: 16, lanes: 32 }),
    ("matrix units 16, subgroups of 64", MatrixUnits { size: 16, lanes: 64 }),
];

/// Below this many large tiles smaller ones are used, to give every core of a GPU some work.
const FEW_TILES: u32 = 8;
/// Workgroups that keep a GPU busy; a product with fewer tiles is cut along its inner size.
const WANTED_GROUPS: u32 = 128;
/// Inner size below which cutting does not pay.
const MIN_PART: u32 = 256;

impl Tile {
    fn threads(&self) -> u32 {
        self.m * self.n / (4 * self.rows)
    }

    /// Tiles for a result.
    fn count(&self, m: u32, n: u32) -> u32 {
        m.div_ceil(self.m) * n.div_ceil(self.n)
    }
}

/// Whether all elements with the same outer index share a scale; the inner index runs along stored
/// rows or columns.
fn scaled_outside(operand: &Operand, inner_is_col: bool) -> bool {
    match operand.storage {
        Storage::F32 | Storage::Bf16 => false,
        Storage::Fp8 { block_rows, block_cols, .. } => {
            if inner_is_col != operand.transpose {
                block_cols >= operand.cols
            } else {
                block_rows >= operand.rows
            }
        }
    }
}

/// Whether rows of f32 can be read four values at a time.
fn wide(operand: &Operand) -> bool {
    let rows = operand.rows > 0 && operand.cols > 0 && operand.cols.is_multiple_of(4);
    operand.storage == Storage::F32 && rows
}

impl Operand {
    /// Finite numbers of all sizes that its storage has.
    pub(in super::super) fn sample(&self, salt: u32) -> Vec<(BufferId, Vec<u32>)> {
        let key = hash::key(salt, 1, hash::UNWATCHED);
        let words = 0..self.words() as u32;
        // One in eight of the exponent's bits stays zero, so nothing is infinite or no number.
        let word = |i: u32| match self.storage {
            Storage::F32 => ((hash::bits(key, i) >> 8) as f32 / 8_388_608.0 - 1.0).to_bits(),
            Storage::Bf16 => hash::bits(key, i) & 0xbfff_bfff,
            Storage::Fp8 { .. } => hash::bits(key, i) & 0xf7f7_f7f7,
        };
        let mut list = vec![(self.buffer, words.map(word).collect())];
        if let Storage::Fp8 { scales, block_rows, block_cols, .. } = self.storage {
            let count = blocks(self.rows, self.cols, block_rows, block_cols) as u32;
            let exponent = |i: u32| ((hash::bits(key, i ^ 77) % 9) as i32 - 4) as u32;
            list.push((scales, (0..count).map(exponent).collect()));
        }
        list
    }
}

impl Gemm {
    /// Numbers in both operands.
    pub fn sample(&self) -> Vec<(BufferId, Vec<u32>)> {
        [self.a.sample(1), self.b.sample(2)].concat()
    }

    /// Whether both operands are codes whose scales can be applied to the sums.
    fn outside(&self) -> bool {
        scaled_outside(&self.a, true) && scaled_outside(&self.b, false)
    }

    /// The tile for this shape where nothing has been measured.
    fn usual(&self) -> &'static Tile {
        let [small, flat, tall, middle, large, ..] = &TILES;
        let enough = large.count(self.m, self.n) * self.parts().0 >= FEW_TILES;
        match (self.m, self.n) {
            (0..=16, 64..) => flat,
            (64.., 0..=16) => tall,
            (0..=16, _) | (_, 0..=16) => small,
            (33.., 33..) if enough => large,
            _ => middle,
        }
    }

    /// Ways to run it that make sense for its shape, the usual one first.
    pub fn variants(&self, can: &Capabilities) -> Vec<Variant> {
        let usual = self.usual();
        let fits = |size: u32, tile: u32| tile <= size.max(16).next_power_of_two();
        let mut tiles = vec![usual];
        tiles.extend(
            TILES.iter().filter(|t| t.name != usual.name && fits(self.m, t.m) && fits(self.n, t.n)),
        );
        let mut names: Vec<Variant> = tiles.iter().map(|t| t.name).collect();
        if can.f16 && self.outside() {
            names.extend(tiles.iter().map(|t| t.half));
        }
        names
    }

    /// The variant with matrix units, where the adapter has them and the codes' scales can be applied to
    /// the sums. It is none of [`Gemm::variants`]: it adds in another order, so its results differ in
    /// the last bits.
    pub fn units(&self, can: &Capabilities) -> Option<Variant> {
        let units = can.matrix_units.filter(|_| self.outside() && self.m.min(self.n) > 8)?;
        UNITS.iter().find(|(_, u)| *u == units).map(|(name, _)| *name)
    }

    /// Parts that the inner size is cut into, and inner indices of each. They do not depend on the
    /// variant, so that all add in the same order.
    fn parts(&self) -> (u32, u32) {
        let tiles = (self.all_m.div_ceil(32) * self.n.div_ceil(32)).max(1);
        let fit = SCRATCH_WORDS as u32 / self.all_m.saturating_mul(self.n).max(1);
        let parts = WANTED_GROUPS.div_ceil(tiles).min(fit).min(self.k / MIN_PART).max(1);
        let part_k = self.k.div_ceil(parts).next_multiple_of(32).max(32);
        (self.k.div_ceil(part_k).max(1), part_k)
    }

    /// Dispatches of its shader in one of its [`Gemm::variants`]; an unknown one is the usual one.
    pub fn gpu(&self, variant: Option<&str>) -> Vec<Dispatch> {
        let named = |tile: &&Tile| variant.is_some_and(|v| v == tile.name || v == tile.half);
        let outside = self.outside();
        let units =
            UNITS.iter().find(|(name, _)| outside && variant == Some(*name)).map(|(_, u)| u);
        let tile = match units {
            Some(_) => &UNIT_TILE,
            None => TILES.iter().find(named).unwrap_or_else(|| self.usual()),
        };
        let half = units.is_some() || outside && variant == Some(tile.half);
        let squares = tile.m / UNIT_SQUARE * (tile.n / UNIT_SQUARE);
        let threads = units.map_or(tile.threads(), |u| squares * u.lanes);
        let ((a_format, a_scale), (b_format, b_scale)) = (self.a.constants(), self.b.constants());
        let inside = u32::from(!outside);
        let (parts, part_k) = self.parts();
        let constants = [
            ("A_FORMAT", a_format),
            ("B_FORMAT", b_format),
            ("A_SCALE", a_scale * inside),
            ("B_SCALE", b_scale * inside),
            ("A_WIDE", u32::from(wide(&self.a))),
            ("B_WIDE", u32::from(wide(&self.b))),
            ("A_TRANSPOSED", u32::from(self.a.transpose)),
            ("B_TRANSPOSED", u32::from(self.b.transpose)),
            ("OUTSIDE", u32::from(outside)),
            ("TILE_M", tile.m),
            ("TILE_N", tile.n),
            ("DEPTH", tile.depth),
            ("THREADS", threads),
            ("HALF", u32::from(half)),
            ("UNITS", units.map_or(0, |u| u.size)),
            ("SUBGROUP", units.map_or(0, |u| u.lanes)),
            ("SPLIT", u32::from(parts > 1)),
        ];
        let out = if parts > 1 { SCRATCH } else { self.out };
        let buffers = [
            read(self.a.buffer),
            read(self.a.scales()),
            read(self.b.buffer),
            read(self.b.scales()),
            write(out),
        ];
        let (down, across) = (self.m.div_ceil(tile.m), self.n.div_ceil(tile.n));
        let mut params = vec![self.m, self.n, self.k, down, across, part_k];
        params.extend(self.a.params());
        params.extend(self.b.params());
        let entry = match tile.rows {
            _ if units.is_some() => "gemm_units",
            1 => "gemm_1",
            4 => "gemm_4",
            _ => "gemm_8",
        };
        let all = down * across * parts;
        let mut calls = vec![dispatch("gemm", entry, &constants, &buffers, &params, all)];
        if parts > 1 {
            let len = self.m * self.n;
            let buffers = [read(SCRATCH), write(self.out)];
            calls.push(dispatch(
                "gemm",
                "collect",
                &constants,
                &buffers,
                &[len, parts],
                groups(len),
            ));
        }
        calls
    }

    /// What its speed depends on, for a table of measurements: sizes are rounded up to powers of two.
    pub fn speed_key(&self) -> String {
        let operand = |o: &Operand| {
            let (format, scale) = o.constants();
            let kind = ["f32", "e4m3", "e5m2", "bf16"].get(format as usize).unwrap_or(&"?");
            let scale = ["", "", "/blocks", "/blocks"].get(scale as usize).unwrap_or(&"");
            let scale = if self.outside() { "" } else { scale };
            format!("{kind}{scale}{}", if o.transpose { " transposed" } else { "" })
        };
        let size = |n: u32| n.max(1).checked_next_power_of_two().unwrap_or(n);
        let (m, n, k) = (size(self.m), size(self.n), size(self.k));
        let split = if self.parts().0 > 1 { ", in parts" } else { "" };
        format!("gemm {m}x{n}x{k}, {} by {}{split}", operand(&self.a), operand(&self.b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gemm(m: u32, n: u32, k: u32, all_m: u32) -> Gemm {
        let a = Operand::f32(BufferId(0), m, k, false);
        let b = Operand::f32(BufferId(1), k, n, false);
        Gemm { a, b, out: BufferId(2), m, n, k, all_m }
    }

    #[test]
    fn tiles_fit_what_every_adapter_has() {
        for tile in TILES {
            assert!(tile.threads() <= 256 && tile.m.is_multiple_of(4 * tile.rows.div_ceil(4)));
            assert!(4 * tile.depth * (tile.m + tile.n) <= 16 << 10, "{tile:?}");
        }
    }

    #[test]
    fn matrix_units_fill_workgroups_and_their_memory() {
        for (_, MatrixUnits { size, lanes }) in UNITS {
            let squares = (UNIT_TILE.m / UNIT_SQUARE) * (UNIT_TILE.n / UNIT_SQUARE);
            assert!(squares * lanes <= 256 && UNIT_TILE.depth.is_multiple_of(size));
            let tiles = 2 * UNIT_TILE.depth * (UNIT_TILE.m + UNIT_TILE.n);
            assert!(tiles + 4 * squares * size * size <= 16 << 10);
        }
    }

    #[test]
    fn small_results_of_long_sums_are_cut_and_parts_of_a_result_alike() {
        assert_eq!(gemm(512, 512, 256, 512).parts().0, 1);
        assert_eq!(gemm(2048, 2048, 9000, 2048).parts().0, 1);
        let (parts, part_k) = gemm(10, 100, 10_000, 10).parts();
        assert!(parts > 8 && parts * part_k >= 10_000 && (parts - 1) * part_k < 10_000);
        assert_eq!(gemm(64, 128, 4000, 256).parts(), gemm(256, 128, 4000, 256).parts());
        assert_eq!(gemm(0, 3, 0, 0).parts().0, 1);
    }

    #[test]
    fn the_usual_variant_comes_first_and_shapes_choose_it() {
        for (m, n, name) in [
            (512, 512, "64x64"),
            (10, 512, "16x64"),
            (512, 10, "64x16"),
            (3, 5, "16x16"),
            (64, 64, "32x32"),
        ] {
            let op = gemm(m, n, 64, m);
            assert_eq!(op.usual().name, name, "{m} {n}");
            assert_eq!(
                op.gpu(None).first().map(|d| d.source.contains("const HALF: u32 = 0u;")),
                Some(true)
            );
        }
    }
}
