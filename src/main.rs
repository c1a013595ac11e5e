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
