use std::process::ExitCode;

use accrue::Config;

use crate::Configured;
use crate::{process, telemetry};

pub(crate) fn check(configured: &Configured) -> Result<ExitCode, String> {
    let config = process::config(configured)?;
    telemetry::filter(&config.log)?;
    print!("{config}");
    for warning in warnings(&config) {
        println!("note: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What `check` prints and `serve` logs.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let variables = process::variables();
    let misspelt = Config::misspelt(variables.iter().map(String::as_str));
    let misspelt =
        misspelt.into_iter().map(|(name, near)| format!("{name} is not read; did you mean {near}?"));
    config.warnings().into_iter().chain(misspelt).collect()
}
