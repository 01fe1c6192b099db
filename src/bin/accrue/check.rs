use std::process::ExitCode;

use crate::Configured;
use crate::{process, telemetry};

pub(crate) fn check(configured: &Configured) -> Result<ExitCode, String> {
    let (config, notes) = process::config(configured)?;
    telemetry::filter(config.log())?;
    let files = process::short_of_files(config.limits().connections);
    let notes: String = notes.iter().chain(&files).map(|note| format!("note: {note}\n")).collect();
    process::print(&format!("{config}{notes}"))?;
    Ok(ExitCode::SUCCESS)
}
