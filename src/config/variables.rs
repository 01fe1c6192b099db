use super::keys::{KEYS, Known, TABLES, advice, known, secret_variable, variable};
use super::problem::Place;
use super::{Config, ConfigError, Problem};
use crate::nearest::nearest;

impl Config {
    /// Looks through the names of all environment variables for those that begin with `ACCRUE_` and set nothing, and
    /// returns notes on those that may be misspelt.
    ///
    /// # Errors
    /// For those that can only be meant for this configuration: with `__` in them, or the name of a table. Others
    /// are only noted, as Kubernetes makes some of its own where a service is called accrue.
    pub fn check_variables<'v>(names: impl IntoIterator<Item = &'v str>) -> Result<Vec<String>, ConfigError> {
        let (mut notes, mut problems) = (Vec::new(), Vec::new());
        for name in names {
            match unread(name) {
                Some(Unread::Refused(message)) => {
                    problems.push(Problem { place: Place::Variable(name.to_owned()), message });
                }
                Some(Unread::Noted(near)) => notes.push(format!("{name} is not read; did you mean {near}?")),
                None => {}
            }
        }
        if problems.is_empty() { Ok(notes) } else { Err(ConfigError { problems }) }
    }
}

enum Unread {
    Refused(String),
    Noted(String),
}

fn unread(name: &str) -> Option<Unread> {
    let rest = name.strip_prefix("ACCRUE_")?;
    let path = rest.to_lowercase().replace("__", ".");
    // the last one names the file, where there is no command line
    if matches!(rest, "SECRETS" | "SECRETS_FILE" | "ADMIN_TOKEN_FILE" | "CONFIG") {
        return None;
    }
    match known(&path) {
        Known::Key => return None,
        Known::Section | Known::Resources => {
            let message = format!("a table can't be set by the environment; write [{path}] in the file");
            return Some(Unread::Refused(message));
        }
        Known::Unknown => {}
    }
    if let Some(key) = path.strip_suffix("_file").filter(|key| KEYS.contains(key)) {
        let set = secret_variable(key).map_or_else(|| variable(key), |name| format!("{name}_FILE"));
        let message =
            format!("only ABLY_API_KEY, ACCRUE_SECRETS and ACCRUE_ADMIN_TOKEN have a _FILE form; set {set}");
        return Some(Unread::Refused(message));
    }
    if rest.contains("__") {
        return Some(Unread::Refused(format!("unknown key {path:?}; {}", advice(&path))));
    }
    let flat = |key: &&str| key.replace('.', "__");
    let known: Vec<String> = KEYS.iter().chain(TABLES).map(flat).chain(["secrets".to_owned()]).collect();
    let near = nearest(&rest.to_lowercase(), known.iter().map(String::as_str))?;
    Some(Unread::Noted(format!("ACCRUE_{}", near.to_uppercase())))
}
