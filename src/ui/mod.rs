//! ui.

/// Opens the window.
pub fn run() -> Result<(), crate::error::UserError> {
    Err(crate::error::UserError::new("This build has no window", "Use a command; see --help."))
}
