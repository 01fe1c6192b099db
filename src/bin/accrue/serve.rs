use std::process::ExitCode;

use tracing::warn;

use crate::Configured;
use crate::run::run;
use crate::{check, process, telemetry};

pub(crate) fn serve(configured: &Configured) -> Result<ExitCode, String> {
    let config = process::config(configured)?;
    telemetry::start(&config.log, config.log_format)?;
    for warning in check::warnings(&config) {
        warn!("{warning}");
    }
    run(config, |_, _| {}, |_| {})
}
