use std::time::Duration;

use super::secrets::Secrets;
use super::source::Source;
use super::{ConfigError, Environment, StrategyName, read};
use crate::ably::ApiKey;
use crate::capability::Vocabulary;
use crate::grant::SealingKeys;

/// Only what grants and tokens are signed with, so far as it is there: to explain one, not to serve.
#[derive(Debug)]
#[non_exhaustive]
pub struct Keyring {
    /// Signs tokens.
    pub ably_key: Option<ApiKey>,
    /// Seal grants; only with an Ably key, which says what app they are for.
    pub sealing_keys: Option<SealingKeys>,
    /// Which operations are well-formed.
    pub vocabulary: Vocabulary,
    /// After how long a grant is checked again.
    pub recheck_after: Duration,
}

impl Keyring {
    /// Reads it from the places that [`Config::parse`](super::Config::parse) reads.
    ///
    /// # Errors
    /// [`ConfigError`], if what is there is malformed.
    pub fn parse(name: &str, text: &str, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let source = Source::new(name, text, environment, &[])?;
        let mut secrets = Secrets::default();
        let ably_key = source.is_set("ably.key").then(|| read::ably_key(&source, &mut secrets)).flatten();
        // any strategy but "cookie" does without secrets
        let sealing_keys = ably_key
            .as_ref()
            .and_then(|key| read::sealing_keys(&source, Some(key), StrategyName::Server, &mut secrets));
        let keyring = Self {
            ably_key,
            sealing_keys,
            vocabulary: read::vocabulary(&source),
            recheck_after: read::recheck_after(&source),
        };
        source.finish()?;
        Ok(keyring)
    }
}
