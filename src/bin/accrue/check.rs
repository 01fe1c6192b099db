use std::process::ExitCode;

use crate::Configured;
use crate::{process, telemetry};

pub(crate) fn check(configured: &Configured) -> Result<ExitCode, String> {
    let (config, notes) = process::config(configured)?;
    telemetry::filter(config.log())?;
    print!("{config}");
    for note in notes {
        println!("note: {note}");
    }
    Ok(ExitCode::SUCCESS)
}
