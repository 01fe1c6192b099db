use std::process::ExitCode;

use tracing::warn;

use crate::Configured;
use crate::run::run;
use crate::{process, telemetry};

pub(crate) fn serve(configured: &Configured) -> Result<ExitCode, String> {
    let (config, notes) = process::config(configured)?;
    telemetry::start(config.log(), config.log_format())?;
    for note in notes.into_iter().chain(process::short_of_files(config.limits().connections)) {
        warn!("{note}");
    }
    run(config, |_, _| {}, |_| {})
}
