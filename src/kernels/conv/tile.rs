//! The innermost product: a tile of a few rows times one panel of columns, kept in registers.
//!
//! Row `r` of the left matrix is not stored as such. Its values for one tap lie in the window at
//! `bases[r] + tap.offset + k · step` bytes, `k` in `0..tap.steps`; the right panel holds one group
//! of `width` words per step, taps one after the other.

/// Most rows and columns of a tile of any kernel.
pub(super) const MAX_ROWS: usize = 12;
/// See [`MAX_ROWS`].
pub(super) const MAX_WIDTH: usize = 32;

/// A finished tile; only the kernel's rows and width are meaningful.
pub(super) type Tile = [[f32; MAX_WIDTH]; MAX_ROWS];

/// A run of consecutive steps of the inner dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    /// Bytes from a row's base to the first step.
    pub offset: usize,
    /// Steps.
    pub steps: usize,
}

/// What the steps of a product multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One f32 of the row times a group of columns.
    F32,
    /// Two bf16 of the row (low half first) times a group of columns of such pairs.
    Bf16,
    /// As many f32 of the row as there are columns, each times its own column (depthwise).
    Direct,
}

type Run = unsafe fn(*const u8, &[u32], &[Tap], usize, *const u32, &mut Tile);

/// One compiled product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    /// Rows of a tile; a multiple of 4, so that pooling windows stay together.
    pub rows: usize,
    /// Columns of a panel.
    pub width: usize,
    /// What a step multiplies.
    pub mode: Mode,
    run: Run,
}

/// One left matrix and the taps that all its rows share.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    /// The window.
    pub window: &'a [u32],
    /// Bytes that are added to every base.
    pub shift: usize,
    /// Taps.
    pub taps: &'a [Tap],
    /// Bytes from one step to the next.
    pub step: usize,
}

impl Left<'_> {
    /// Steps of all taps.
    pub fn steps(&self) -> usize {
        self.taps.iter().map(|t| t.steps).sum()
    }
}

impl Kernel {
    /// The best kernel that the processor has: `fp8` says that both operands are FP8.
    pub fn pick(fp8: bool, direct: bool) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use super::super::simd::{has_avx2, has_avx512};
            let (rows, width) = (12, 32);
            if has_avx512() {
                if direct {
                    return Self { rows, width, mode: Mode::Direct, run: x86::direct_512 };
                }
                if fp8 && is_x86_feature_detected!("avx512bf16") {
                    return Self { rows, width, mode: Mode::Bf16, run: x86::bf16_512 };
                }
                return Self { rows, width, mode: Mode::F32, run: x86::f32_512 };
            }
            if has_avx2() {
                let (rows, width) = (4, 16);
                return if direct {
                    Self { rows, width, mode: Mode::Direct, run: x86::direct_256 }
                } else {
                    Self { rows, width, mode: Mode::F32, run: x86::f32_256 }
                };
            }
        }
        Self::portable(direct, fp8)
    }

    /// Without any instruction-set extension. The paired form is for tests on every processor.
    pub fn portable(direct: bool, paired: bool) -> Self {
        let (rows, width) = (4, 16);
        if direct {
            Self { rows, width, mode: Mode::Direct, run: direct_any }
        } else if paired && cfg!(test) {
            Self { rows, width, mode: Mode::Bf16, run: bf16_any }
        } else {
            Self { rows, width, mode: Mode::F32, run: f32_any }
        }
    }

    /// Every kernel that this processor can run.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut list = vec![
            Self::portable(false, false),
            Self::portable(false, true),
            Self::portable(true, false),
        ];
        #[cfg(target_arch = "x86_64")]
        {
            use super::super::simd::{has_avx2, has_avx512};
            let mut push = |rows, width, mode, run| list.push(Self { rows, width, mode, run });
            if has_avx2() {
                push(4, 16, Mode::F32, x86::f32_256 as Run);
                push(4, 16, Mode::Direct, x86::direct_256);
            }
            if has_avx512() {
                push(12, 32, Mode::F32, x86::f32_512);
                push(12, 32, Mode::Direct, x86::direct_512);
                if is_x86_feature_detected!("avx512bf16") {
                    push(12, 32, Mode::Bf16, x86::bf16_512);
                }
            }
        }
        list
    }

    /// Tells kernels apart.
    pub fn id(&self) -> usize {
        self.run as usize
    }

    /// Bytes of an element of a window that rows are read from.
    pub fn element(&self) -> usize {
        if self.mode == Mode::Bf16 { 2 } else { 4 }
    }

    /// Steps of a run of values.
    pub fn steps(&self, values: usize) -> usize {
        if self.mode == Mode::Bf16 { values.div_ceil(2) } else { values }
    }

    /// Checks that no row of `bases` reaches past the window; call before [`Kernel::tile`].
    pub fn check(&self, left: &Left<'_>, bases: &[u32]) -> bool {
        let read = if self.mode == Mode::Direct { 4 * self.width } else { 4 };
        let end = |t: &Tap| t.offset + t.steps.saturating_sub(1) * left.step + read;
        let reach = left.taps.iter().filter(|t| t.steps > 0).map(end).max().unwrap_or(0);
        let base = bases.iter().copied().max().unwrap_or(0) as usize;
        base + left.shift + reach <= 4 * left.window.len()
    }

    /// The product of the rows at `bases` (as many as the kernel's) and a panel of at least
    /// `left.steps() · width` words.
    ///
    /// # Safety
    /// [`Kernel::check`] holds for `bases`.
    pub unsafe fn tile(&self, left: &Left<'_>, bases: &[u32], panel: &[u32], out: &mut Tile) {
        assert!(bases.len() >= self.rows && panel.len() >= left.steps() * self.width);
        // SAFETY: rows stay inside the window (the caller's promise) and groups inside the panel
        // (checked); `pick` chose a kernel that the processor can run.
        unsafe {
            let window = left.window.as_ptr().cast::<u8>().add(left.shift);
            (self.run)(window, bases, left.taps, left.step, panel.as_ptr(), out);
        }
    }
}

/// A vector of sums and what feeds it.
trait Lanes: Copy {
    /// A group of the panel, or a value of the row in every lane.
    type Word: Copy;
    /// Columns.
    const COUNT: usize;
    fn zero() -> Self;
    unsafe fn group(at: *const u32) -> Self::Word;
    unsafe fn row(at: *const u8) -> Self::Word;
    fn add_product(self, row: Self::Word, group: Self::Word) -> Self;
    unsafe fn store(self, to: *mut f32);
}

#[allow(clippy::needless_range_loop)]
/// Body of every kernel: `R` rows, `V` vectors of columns. With `STRIDED` each vector of columns
/// has its own part of the row.
#[inline(always)]
unsafe fn body<L: Lanes, const R: usize, const V: usize, const STRIDED: bool>(
    window: *const u8,
    bases: &[u32],
    taps: &[Tap],
    step: usize,
    mut panel: *const u32,
    out: &mut Tile,
) {
    let mut sums = [[L::zero(); V]; R];
    let mut starts = [window; R];
    // SAFETY (all of this function): the caller keeps rows inside the window and the panel as long
    // as the steps; the tile has at least R rows of V · COUNT columns.
    unsafe {
        for r in 0..R {
            starts[r] = window.add(*bases.get_unchecked(r) as usize);
        }
        for tap in taps {
            let mut offset = tap.offset;
            for _ in 0..tap.steps {
                let mut groups = [L::group(panel); V];
                for (v, group) in groups.iter_mut().enumerate().skip(1) {
                    *group = L::group(panel.add(v * L::COUNT));
                }
                for r in 0..R {
                    let at = starts[r].add(offset);
                    if STRIDED {
                        for v in 0..V {
                            let row = L::row(at.add(4 * v * L::COUNT));
                            sums[r][v] = sums[r][v].add_product(row, groups[v]);
                        }
                    } else {
                        let row = L::row(at);
                        for v in 0..V {
                            sums[r][v] = sums[r][v].add_product(row, groups[v]);
                        }
                    }
                }
                panel = panel.add(V * L::COUNT);
                offset += step;
            }
        }
        // By index: moving the sums through an iterator would copy them through memory.
        for r in 0..R {
            for v in 0..V {
                sums[r][v].store(out[r].as_mut_ptr().add(v * L::COUNT));
            }
        }
    }
}

/// Defines one kernel: name, features, lanes, rows, vectors, whether strided.
macro_rules! kernel {
    ($name:ident, $($features:literal,)? $lanes:ty, $rows:literal, $vectors:literal, $strided:literal) => {
        $(#[target_feature(enable = $features)])?
        pub(super) unsafe fn $name(
            window: *const u8,
            bases: &[u32],
            taps: &[Tap],
            step: usize,
            panel: *const u32,
            out: &mut Tile,
        ) {
            // SAFETY: the caller's promise.
            unsafe {
                body::<$lanes, $rows, $vectors, $strided>(window, bases, taps, step, panel, out);
            }
        }
    };
}

/// Eight lanes without extensions. `PAIRED` takes two bf16 per word, `SPLAT` repeats the row's one.
#[derive(Clone, Copy)]
struct Any<const PAIRED: bool, const SPLAT: bool>([f32; 8]);

impl<const PAIRED: bool, const SPLAT: bool> Lanes for Any<PAIRED, SPLAT> {
    type Word = [u32; 8];
    const COUNT: usize = 8;

    #[inline(always)]
    fn zero() -> Self {
        Self([0.0; 8])
    }

    #[inline(always)]
    unsafe fn group(at: *const u32) -> [u32; 8] {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<[u32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn row(at: *const u8) -> [u32; 8] {
        // SAFETY: the caller's promise.
        unsafe {
            if SPLAT {
                [at.cast::<u32>().read_unaligned(); 8]
            } else {
                at.cast::<[u32; 8]>().read_unaligned()
            }
        }
    }

    #[inline(always)]
    fn add_product(mut self, row: [u32; 8], group: [u32; 8]) -> Self {
        for ((sum, a), b) in self.0.iter_mut().zip(row).zip(group) {
            if PAIRED {
                let half = |w: u32, high: bool| {
                    f32::from_bits(if high { w & 0xffff_0000 } else { w << 16 })
                };
                *sum += half(a, true) * half(b, true);
                *sum += half(a, false) * half(b, false);
            } else if cfg!(target_arch = "aarch64") {
                *sum = f32::from_bits(a).mul_add(f32::from_bits(b), *sum);
            } else {
                *sum += f32::from_bits(a) * f32::from_bits(b);
            }
        }
        self
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
}

kernel!(f32_any, Any<false, true>, 4, 2, false);
kernel!(bf16_any, Any<true, true>, 4, 2, false);
kernel!(direct_any, Any<false, false>, 4, 2, true);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, Tap, Tile, body};
    use std::arch::x86_64::*;

    /// Sixteen f32; a word is an f32, repeated from the row if `SPLAT`.
    #[derive(Clone, Copy)]
    pub struct F512<const SPLAT: bool>(__m512);

    impl<const SPLAT: bool> Lanes for F512<SPLAT> {
        type Word = __m512;
        const COUNT: usize = 16;

        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: only used in kernels compiled with AVX-512.
            Self(unsafe { _mm512_setzero_ps() })
        }

        #[inline(always)]
        unsafe fn group(at: *const u32) -> __m512 {
            // SAFETY: as above, and the caller's promise.
            unsafe { _mm512_loadu_ps(at.cast()) }
        }

        #[inline(always)]
        unsafe fn row(at: *const u8) -> __m512 {
            // SAFETY: as above, and the caller's promise.
            unsafe {
                if SPLAT {
                    _mm512_set1_ps(at.cast::<f32>().read_unaligned())
                } else {
                    _mm512_loadu_ps(at.cast())
                }
            }
        }

        #[inline(always)]
        fn add_product(self, row: __m512, group: __m512) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_fmadd_ps(row, group, self.0) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above, and the caller's promise.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
    }

    /// Sixteen f32 sums of pairs of bf16.
    #[derive(Clone, Copy)]
    pub struct B512(__m512);

    impl Lanes for B512 {
        type Word = __m512bh;
        const COUNT: usize = 16;

        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: only used in kernels compiled with AVX-512 and its bf16 products.
            Self(unsafe { _mm512_setzero_ps() })
        }

        #[inline(always)]
        unsafe fn group(at: *const u32) -> __m512bh {
            // SAFETY: as above, and the caller's promise; both types are 512 plain bits.
            unsafe { std::mem::transmute(_mm512_loadu_si512(at.cast())) }
        }

        #[inline(always)]
        unsafe fn row(at: *const u8) -> __m512bh {
            // SAFETY: as above.
            unsafe { std::mem::transmute(_mm512_set1_epi32(at.cast::<i32>().read_unaligned())) }
        }

        #[inline(always)]
        fn add_product(self, row: __m512bh, group: __m512bh) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_dpbf16_ps(self.0, row, group) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above, and the caller's promise.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
    }

    /// Eight f32.
    #[derive(Clone, Copy)]
    pub struct F256<const SPLAT: bool>(__m256);

    impl<const SPLAT: bool> Lanes for F256<SPLAT> {
        type Word = __m256;
        const COUNT: usize = 8;

        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: only used in kernels compiled with AVX2.
            Self(unsafe { _mm256_setzero_ps() })
        }

        #[inline(always)]
        unsafe fn group(at: *const u32) -> __m256 {
            // SAFETY: as above, and the caller's promise.
            unsafe { _mm256_loadu_ps(at.cast()) }
        }

        #[inline(always)]
        unsafe fn row(at: *const u8) -> __m256 {
            // SAFETY: as above, and the caller's promise.
            unsafe {
                if SPLAT {
                    _mm256_set1_ps(at.cast::<f32>().read_unaligned())
                } else {
                    _mm256_loadu_ps(at.cast())
                }
            }
        }

        #[inline(always)]
        fn add_product(self, row: __m256, group: __m256) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_fmadd_ps(row, group, self.0) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above, and the caller's promise.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
    }

    kernel!(f32_512, "avx512f,avx512bw,avx512vl,avx512dq", F512<true>, 12, 2, false);
    kernel!(direct_512, "avx512f,avx512bw,avx512vl,avx512dq", F512<false>, 12, 2, true);
    kernel!(bf16_512, "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16", B512, 12, 2, false);
    kernel!(f32_256, "avx2,fma", F256<true>, 4, 2, false);
    kernel!(direct_256, "avx2,fma", F256<false>, 4, 2, true);
}
