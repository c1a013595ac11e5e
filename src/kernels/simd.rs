//! Loops compiled for the widest vectors that the processor has.

/// Defines `$name`, which runs `$body` (an `#[inline(always)]` function) as
/// [`crate::fp8::simd::vectorised`] does.
macro_rules! widest {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path;) => {
        $crate::fp8::simd::vectorised! {
            $(#[$meta])*
            fn $name($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
        }
    };
}
pub(in crate::kernels) use widest;

/// AVX-512 with the extensions that every processor with bf16 products also has.
#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) fn has_avx512() -> bool {
    crate::fp8::simd::level() >= crate::fp8::simd::AVX512 && is_x86_feature_detected!("fma")
}

/// AVX2 with fused multiply-add.
#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) fn has_avx2() -> bool {
    crate::fp8::simd::level() >= crate::fp8::simd::AVX2 && is_x86_feature_detected!("fma")
}
