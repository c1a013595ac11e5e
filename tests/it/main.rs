//! Integration tests, one binary.
mod ui_flow;
mod ui_screenshots;
mod ui_states;
mod ui_support;
