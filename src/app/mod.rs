//! Application state and the commands that change it. Knows nothing of how it is drawn.

pub mod headless;
