//! The command line: everything that the window can do, without a window.

pub mod args;
mod bench;
mod check;
mod compare;
mod describe;
mod eval;
mod export;
mod features;
mod import;
mod info;
mod monitor;
mod predict;
mod report;
mod runs;
mod samples;
mod seal;
mod source;
pub mod terminal;
mod train;

pub use args::{Cli, Command};

use crate::error::UserError;

/// Exit code when the command failed.
pub const FAILED: u8 = 1;
/// Exit code when `check` found warnings.
pub const WARNINGS: u8 = 3;
/// Exit code when `check` found serious problems.
pub const SERIOUS: u8 = 4;
/// Exit code after a second Ctrl-C, as shells report it.
pub const INTERRUPTED: u8 = 130;

/// Runs one command and returns the exit code.
pub fn run(command: &Command) -> Result<u8, UserError> {
    match command {
        Command::Train(args) => train::run(args).map(|()| 0),
        Command::Check(args) => check::run(args),
        Command::Eval(args) => eval::run(args).map(|()| 0),
        Command::Compare(args) => compare::run(args).map(|()| 0),
        Command::Report(args) => report::run(args).map(|()| 0),
        Command::Runs(args) => runs::run(args).map(|()| 0),
        Command::Export(args) => export::run(args).map(|()| 0),
        Command::Import(args) => import::run(args).map(|()| 0),
        Command::Predict(args) => predict::run(args).map(|()| 0),
        Command::Features(args) => features::run(args),
        Command::Monitor(args) => monitor::run(args),
        Command::Bench(args) => bench::run(args).map(|()| 0),
        Command::Info(args) => info::run(args).map(|()| 0),
        Command::Seal(args) => seal::seal(args).map(|()| 0),
        Command::Unseal(args) => seal::unseal(args).map(|()| 0),
        Command::Samples(args) => samples::run(args).map(|()| 0),
    }
}
