//! The `fp8-studio` program: arguments and launch only.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use fp8_studio::app::headless::{self, Cli, terminal};
use fp8_studio::ui::Options;
use tracing_subscriber::EnvFilter;

/// Environment variable that chooses what is logged, as in `FP8_STUDIO_LOG=debug`.
const LOG: &str = "FP8_STUDIO_LOG";

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.command.is_some() {
        quieten_graphics_library();
    }
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .with_env_var(LOG)
        .from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match &cli.command {
        Some(command) => headless::run(command),
        None if let Some(path) = cli.open.as_ref().filter(|p| !p.exists()) => {
            let what = format!("'{}' is neither a command nor a file or folder", path.display());
            Cli::command().error(ErrorKind::InvalidValue, what).exit()
        }
        None => fp8_studio::ui::run(Options { open: cli.open }).map(|()| 0),
    };
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            terminal::error(&error);
            headless::FAILED.into()
        }
    }
}

/// Without a runtime folder, as under sudo or in a container, the graphics driver prints a line that
/// begins with "error" for every adapter that it is asked for, although nothing is wrong.
#[cfg(target_os = "linux")]
fn quieten_graphics_library() {
    const RUNTIME: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(RUNTIME).is_none() {
        // SAFETY: called first in `main`, before any other thread is there to read the environment.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var(RUNTIME, std::env::temp_dir());
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn quieten_graphics_library() {}
