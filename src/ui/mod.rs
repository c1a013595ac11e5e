//! The window.

pub mod actions;
pub mod glossary;
pub mod icons;
pub mod notifications;
pub mod overlay;
pub mod screens;
pub mod shell;
pub mod studio;
mod tabs;
pub mod theme;
pub mod widgets;

pub use studio::{Options, StudioApp, run};
