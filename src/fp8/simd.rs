//! Loops compiled for the widest vectors that the processor has.
//!
//! Nothing here changes a result: multiplication and addition are never fused, and a sum keeps the
//! lanes that its loop is written with, whatever the vectors' width.

use std::sync::atomic::{AtomicU8, Ordering};

/// What the processor can do, from 1 (nothing that matters) upwards; 0 is not known yet.
static LEVEL: AtomicU8 = AtomicU8::new(0);
const PORTABLE: u8 = 1;
pub(crate) const AVX2: u8 = 2;
pub(crate) const AVX512: u8 = 3;

/// One of the levels above.
#[inline]
pub(crate) fn level() -> u8 {
    match LEVEL.load(Ordering::Relaxed) {
        0 => {
            let level = detect();
            LEVEL.store(level, Ordering::Relaxed);
            level
        }
        level => level,
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> u8 {
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi");
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt");
    match (avx512, avx2) {
        (true, true) => AVX512,
        (_, true) => AVX2,
        _ => PORTABLE,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> u8 {
    PORTABLE
}

/// Name of the vector extension in use.
pub fn simd_name() -> &'static str {
    match level() {
        AVX512 => "avx512",
        AVX2 => "avx2",
        _ if cfg!(target_arch = "aarch64") => "neon",
        _ => "portable",
    }
}

/// Defines a function whose body is compiled once per level and chosen at run time.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$generic:ident: $bound:path>)?
        ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name$(<$generic: $bound>)?($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body$(<$generic: $bound>)?($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2,popcnt")]
            fn avx512$(<$generic: $bound>)?($($arg: $ty),*) $(-> $ret)? {
                body$(::<$generic>)?($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
            fn avx2$(<$generic: $bound>)?($($arg: $ty),*) $(-> $ret)? {
                body$(::<$generic>)?($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            match $crate::fp8::simd::level() {
                // SAFETY: the processor has every feature that the function is compiled for.
                $crate::fp8::simd::AVX512 => return unsafe { avx512$(::<$generic>)?($($arg),*) },
                // SAFETY: as above.
                $crate::fp8::simd::AVX2 => return unsafe { avx2$(::<$generic>)?($($arg),*) },
                _ => {}
            }
            body$(::<$generic>)?($($arg),*)
        }
    };
}
pub(crate) use vectorised;

/// Lanes of a sum: enough for two of the widest vectors, so that additions overlap.
pub(crate) const LANES: usize = 32;

/// Adds the lanes of a sum, in a fixed order.
#[inline(always)]
pub(crate) fn add_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_all_added() {
        let lanes: [f32; LANES] = std::array::from_fn(|i| (1 + i) as f32);
        assert_eq!(add_lanes(lanes), (LANES * (LANES + 1) / 2) as f32);
        for i in 0..LANES {
            let mut without = lanes;
            without[i] = 0.0;
            assert_ne!(add_lanes(without), add_lanes(lanes));
        }
    }

    #[test]
    fn a_level_is_found_and_named() {
        assert!((PORTABLE..=AVX512).contains(&level()));
        assert!(["avx512", "avx2", "neon", "portable"].contains(&simd_name()));
    }
}
