//! What only a process has: an environment, files, chance.
#![expect(clippy::disallowed_methods, reason = "the edge: this is where environment and chance come from")]

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use accrue::{Config, ConfigError, Environment, Flag};

use crate::Configured;

/// The process's own environment and files.
pub(crate) struct Process;

impl Environment for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

/// A secret that this variable holds, or the file that it names with `_FILE` behind it.
pub(crate) fn secret(name: &str) -> Result<Option<String>, String> {
    let file = format!("{name}_FILE");
    match (Process.variable(name), Process.variable(&file)) {
        (Some(_), Some(_)) => Err(format!("{name} and {file} are both set; set one of them")),
        (Some(secret), None) => Ok(Some(secret)),
        (None, Some(path)) => {
            let content =
                Process.file(&path).map_err(|error| format!("{file}: can't read that file: {error}"))?;
            Ok(Some(content.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, None) => Ok(None),
    }
}

pub(crate) fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes);
    bytes
}

/// This moment, by chance that is drawn anew: processes that go on from one snapshot all have the same source of it.
#[cfg(feature = "lambda")]
pub(crate) fn moment() -> accrue::Moment {
    let _ = rand::rng().reseed();
    accrue::Moment::now()
}

/// The text of a configuration file and what to call it; empty if there is none.
pub(crate) fn config_text(path: Option<&Path>) -> Result<(String, String), String> {
    let Some(path) = path else {
        return Ok(("environment".to_owned(), String::new()));
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("can't read {name}: {error}"))?;
    Ok((name, text))
}

/// The configuration that the flags, the environment and the file make, and what is worth a second look.
pub(crate) fn config(configured: &Configured) -> Result<(Config, Vec<String>), String> {
    let (name, text) = config_text(configured.config.as_deref())?;
    let listen = configured.listen.iter();
    let flags: Vec<Flag> =
        listen.map(|listen| Flag { key: "listen", name: "--listen", value: listen.clone() }).collect();
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let variables: Vec<String> = set.filter_map(|(name, _)| name.into_string().ok()).collect();
    let config = Config::parse(&name, &text, &Process, &flags).map_err(|error| explain(&error));
    let notes =
        Config::check_variables(variables.iter().map(String::as_str)).map_err(|error| explain(&error));
    match (config, notes) {
        (Ok(config), Ok(notes)) => {
            let notes = config.warnings().into_iter().chain(notes).collect();
            Ok((config, notes))
        }
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        (Err(one), Err(other)) => Err(format!("{one}\n{other}")),
    }
}

/// What to say if this process may not open as many files as so many connections take.
pub(crate) fn short_of_files(connections: usize) -> Option<String> {
    // where the system does not tell, nothing is said
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let files: usize = line.split_whitespace().next()?.parse().ok()?;
    let needed = connections.saturating_add(FILES_BESIDE);
    (files < needed).then(|| {
        format!(
            "limits.connections = {connections} takes {needed} files, of which this process may open {files}: \
             raise that (`ulimit -n`, LimitNOFILE), or lower limits.connections"
        )
    })
}

/// Connections that are told to come back, those to others, and what else a process has open.
const FILES_BESIDE: usize = 400;

/// Writes to standard output. A reader that has had enough is no error.
pub(crate) fn print(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("can't write: {error}")),
        _ => Ok(()),
    }
}

pub(crate) fn explain(error: &ConfigError) -> String {
    match error.problems() {
        [only] => only.to_string(),
        several => format!("{} problems in the configuration\n{error}", several.len()),
    }
}
