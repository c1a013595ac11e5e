//! Loops compiled for the widest vectors that the processor has.

/// Defines `$name`, which runs `$body` (an `#[inline(always)]` function) compiled for AVX-512, for
/// AVX2, or for the baseline, whichever is the widest that the processor has.
macro_rules! widest {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path;) => {
        $(#[$meta])*
        fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
                fn wide($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn mid($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
                if $crate::kernels::simd::has_avx512() {
                    // SAFETY: the processor has every feature that the function is compiled for.
                    return unsafe { wide($($arg),*) };
                }
                if $crate::kernels::simd::has_avx2() {
                    // SAFETY: as above.
                    return unsafe { mid($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}
pub(in crate::kernels) use widest;

/// AVX-512 with the extensions that every processor with bf16 products also has.
#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("fma")
}

/// AVX2 with fused multiply-add.
#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}
