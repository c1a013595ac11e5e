//! The `fp8-studio` program: arguments and launch only.
fn main() {}
