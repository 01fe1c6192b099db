use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Known, known, secret_variable, variable};
use super::problem::{ConfigError, Place, Problem};
use super::{Environment, Flag};

/// The three places a value can come from: a flag beats the environment, which beats the file. Asked for a value it
/// remembers what was wrong with it, so that all problems are told at once.
pub(crate) struct Source<'a> {
    file: File<'a>,
    environment: &'a dyn Environment,
    flags: &'a [Flag],
    problems: RefCell<Vec<Problem>>,
}

struct File<'a> {
    name: &'a str,
    text: &'a str,
    root: Spanned<DeValue<'a>>,
}

/// A value as it was written.
enum Raw<'a> {
    Toml(&'a DeValue<'a>),
    Text(String),
}

impl<'a> Source<'a> {
    pub(crate) fn new(
        name: &'a str,
        text: &'a str,
        environment: &'a dyn Environment,
        flags: &'a [Flag],
    ) -> Result<Self, ConfigError> {
        let table = DeTable::parse(text).map_err(|error| {
            // its own rendering repeats the line, which may hold a secret
            let place = place(name, text, error.span().unwrap_or(0..0));
            ConfigError { problems: vec![Problem { place, message: error.message().to_owned() }] }
        })?;
        let span = table.span();
        let root = Spanned::new(span, DeValue::Table(table.into_inner()));
        let source =
            Self { file: File { name, text, root }, environment, flags, problems: RefCell::default() };
        source.refuse_unknown_keys("", &source.file.root);
        Ok(source)
    }

    /// Whether a section is there: in the file, or by a variable for one of its keys.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.in_file(section).is_some()
            || keys::KEYS.iter().any(|key| keys::is_inside(key, section) && self.variables(key).is_some())
    }

    pub(crate) fn is_set(&self, path: &str) -> bool {
        self.raw(path).is_some()
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        self.read(path, "a text in quotes", |raw| match raw {
            Raw::Toml(DeValue::String(text)) => Some(text.clone().into_owned()),
            Raw::Text(text) => Some(text),
            Raw::Toml(_) => None,
        })
    }

    pub(crate) fn list(&self, path: &str) -> Option<Vec<String>> {
        self.read(path, "a list of texts, such as [\"a\", \"b\"]", |raw| match raw {
            Raw::Toml(value) => Some(texts(value)?.into_iter().map(str::to_owned).collect()),
            Raw::Text(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(items.map(str::to_owned).collect())
            }
        })
    }

    pub(crate) fn boolean(&self, path: &str, default: bool) -> bool {
        self.read(path, "true or false", |raw| match raw {
            Raw::Toml(value) => value.as_bool(),
            Raw::Text(text) => text.parse().ok(),
        })
        .unwrap_or(default)
    }

    pub(crate) fn whole(&self, path: &str, default: usize, allowed: Range<usize>) -> usize {
        let expected = format!("a whole number from {} to {}", allowed.start, allowed.end - 1);
        self.read(path, &expected, |raw| {
            let number = match raw {
                Raw::Toml(value) => {
                    let integer = value.as_integer()?;
                    usize::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
                }
                Raw::Text(text) => text.parse().ok(),
            };
            number.filter(|number| allowed.contains(number))
        })
        .unwrap_or(default)
    }

    pub(crate) fn fraction(&self, path: &str, default: f64, most: f64) -> f64 {
        self.read(path, &format!("a number from 0 to {most}"), |raw| {
            let number: Option<f64> = match raw {
                Raw::Toml(DeValue::Float(float)) => float.as_str().parse().ok(),
                Raw::Toml(DeValue::Integer(integer)) => integer.as_str().parse().ok(),
                Raw::Toml(_) => None,
                Raw::Text(text) => text.parse().ok(),
            };
            // adding nothing makes a negative zero a plain one
            number.filter(|number| (0.0..=most).contains(number)).map(|number| number + 0.0)
        })
        .unwrap_or(default)
    }

    pub(crate) fn duration(&self, path: &str, default: &str, least: &str, most: &str) -> Duration {
        let parse = |text: &str| humantime::parse_duration(text).ok();
        let bound = |text| parse(text).expect("written here");
        let expected = format!("a duration from {least} to {most}, such as {default:?}");
        self.read(path, &expected, |raw| {
            let duration = match raw {
                Raw::Toml(value) => parse(value.as_str()?),
                Raw::Text(text) => parse(&text),
            };
            duration.filter(|duration| (bound(least)..=bound(most)).contains(duration))
        })
        .unwrap_or_else(|| bound(default))
    }

    /// A text that becomes something else; its error is told with its place.
    pub(crate) fn parsed<T, E: ToString>(
        &self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(path)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(path, error.to_string());
                None
            }
        }
    }

    /// The entries of a table of resources, each with a list of operations. `each` says what is wrong with one.
    /// Whether nothing is wrong.
    pub(crate) fn resources(
        &self,
        path: &str,
        mut each: impl FnMut(&str, &[&str]) -> Result<(), String>,
    ) -> bool {
        let Some(table) = self.in_file(path) else { return true };
        let Some(entries) = table.get_ref().as_table() else {
            self.refuse(path, format!("{path} must be a table of resources"));
            return false;
        };
        let mut well_formed = true;
        for (resource, operations) in entries {
            let written = match texts(operations.get_ref()) {
                Some(operations) => each(resource.get_ref(), &operations),
                None => Err("the operations must be a list of texts, such as [\"subscribe\"]".to_owned()),
            };
            if let Err(message) = written {
                let place = self.file_place(resource.span());
                self.tell(place, format!("{path}: {:?}: {message}", resource.get_ref()));
                well_formed = false;
            }
        }
        well_formed
    }

    /// The content of a file that the configuration names.
    #[cfg(feature = "jwt")]
    pub(crate) fn content(&self, path: &str, file: &str) -> Option<String> {
        match self.environment.file(file) {
            Ok(content) => Some(content),
            Err(error) => {
                self.refuse(path, format!("{path}: can't read {file:?}: {error}"));
                None
            }
        }
    }

    /// Tells that a value is wrong, where it was written.
    pub(crate) fn refuse(&self, path: &str, message: impl Into<String>) {
        let place = self.raw(path).map_or_else(
            || self.in_file(path).map_or(Place::Absent, |value| self.file_place(value.span())),
            |(place, _)| place,
        );
        self.tell(place, message.into());
    }

    /// All that was told; nothing if all is well.
    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| match &problem.place {
            Place::File { line, column, .. } => (*line, *column),
            _ => (usize::MAX, 0),
        });
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ConfigError { problems }),
        }
    }

    fn read<T>(&self, path: &str, expected: &str, parse: impl FnOnce(Raw<'_>) -> Option<T>) -> Option<T> {
        let (place, raw) = self.raw(path)?;
        let value = parse(raw);
        if value.is_none() {
            self.tell(place, format!("{path} must be {expected}"));
        }
        value
    }

    fn raw(&self, path: &str) -> Option<(Place, Raw<'_>)> {
        if let Some(flag) = self.flags.iter().find(|flag| flag.key == path) {
            return Some((Place::Flag(flag.name), Raw::Text(flag.value.clone())));
        }
        if let Some((name, value)) = self.variables(path) {
            return Some((Place::Variable(name), Raw::Text(value)));
        }
        let value = self.in_file(path)?;
        Some((self.file_place(value.span()), Raw::Toml(value.get_ref())))
    }

    /// A variable's value. One that is empty counts as unset.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.environment.variable(name).filter(|value| !value.is_empty())
    }

    /// The environment's value for a key. Some secrets have a name of their own as well, and that with `_FILE` names a
    /// file to read it from.
    fn variables(&self, path: &str) -> Option<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        let secret = secret_variable(path);
        let mut names = vec![variable(path)];
        names.extend(secret.map(str::to_owned).filter(|name| *name != names[0]));
        for name in names {
            if let Some(value) = self.variable(&name) {
                found.push((name, value));
            }
        }
        let file_variable = secret.map(|name| format!("{name}_FILE"));
        if let Some(name) = file_variable
            && let Some(file) = self.variable(&name)
        {
            match self.environment.file(&file) {
                Ok(content) => found.push((name, content.trim_end_matches(['\r', '\n']).to_owned())),
                // its value is not repeated: it may be the secret itself, where the path of its file should stand
                Err(error) => {
                    self.tell(Place::Variable(name), format!("can't read the file that it names: {error}"));
                }
            }
        }
        if let [(first, _), (second, _), ..] = found.as_slice() {
            self.tell(Place::Variable(second.clone()), format!("{first} is set as well; set one of them"));
        }
        found.into_iter().next()
    }

    fn in_file(&self, path: &str) -> Option<&Spanned<DeValue<'a>>> {
        path.split('.').try_fold(&self.file.root, |value, name| {
            let entries = value.get_ref().as_table()?;
            entries.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
        })
    }

    fn refuse_unknown_keys(&self, path: &str, value: &Spanned<DeValue<'_>>) {
        let Some(entries) = value.get_ref().as_table() else {
            if known(path) == Known::Section {
                let message = format!("{path} must be a table: write [{path}] on a line of its own");
                self.tell(self.file_place(value.span()), message);
            }
            return;
        };
        for (key, value) in entries {
            let below = match path {
                "" => key.get_ref().to_string(),
                _ => format!("{path}.{}", key.get_ref()),
            };
            match known(&below) {
                Known::Key | Known::Resources => {}
                Known::Section => self.refuse_unknown_keys(&below, value),
                Known::Unknown => self.tell(
                    self.file_place(key.span()),
                    format!("unknown key {below:?}; {}", keys::advice(&below)),
                ),
            }
        }
    }

    fn tell(&self, place: Place, message: String) {
        let problem = Problem { place, message };
        let mut problems = self.problems.borrow_mut();
        // a value that is read twice is wrong twice
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    fn file_place(&self, span: Range<usize>) -> Place {
        place(self.file.name, self.file.text, span)
    }
}

fn texts<'v>(value: &'v DeValue<'_>) -> Option<Vec<&'v str>> {
    let items = value.as_array()?.iter();
    items.map(|item| item.get_ref().as_str()).collect()
}

fn place(name: &str, text: &str, span: Range<usize>) -> Place {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Place::File {
        name: name.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
