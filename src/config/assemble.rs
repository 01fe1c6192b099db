use super::{AuthenticateBy, Config, StrategyName};
use crate::authenticate::Claimed;
use crate::issuer::{Issuer, Sealing, Strategy};
use crate::maybe_send::{MaybeSend, MaybeSync};
use crate::moment::Moment;
use crate::permission::{NoPermissions, PermissionCheck};
use crate::service::{AuthService, Origins, ServiceSettings};

impl Config {
    /// Makes the service that this configuration describes.
    ///
    /// `moments` is asked once for each request; see [`AuthService::new`].
    pub fn assemble(mut self, moments: impl Fn() -> Moment + MaybeSend + MaybeSync + 'static) -> AuthService {
        let settings = ServiceSettings {
            origins: Origins::new(&self.origins).expect("parse has checked them"),
            cookies: self.cookies.clone(),
            page: self.page.take(),
        };

        let issuer = match self.rules.take() {
            Some(rules) => self.issuer(rules),
            None => self.issuer(NoPermissions),
        };
        match self.authenticate {
            AuthenticateBy::Claimed => AuthService::new(issuer, Claimed, settings, moments),
            AuthenticateBy::Header(header) => AuthService::new(issuer, header, settings, moments),
            #[cfg(feature = "jwt")]
            AuthenticateBy::Jwt(jwt) => AuthService::new(issuer, jwt, settings, moments),
        }
    }

    fn issuer(&mut self, check: impl PermissionCheck) -> Issuer {
        let strategy = match (self.strategy, self.sealing_keys.take()) {
            (StrategyName::Cookie, keys) => {
                let mut sealing = Sealing::new(keys.expect("parse refuses this strategy without secrets"));
                sealing.max_bytes = self.max_bytes.saturating_sub(self.cookies.name_bytes());
                Strategy::Cookie(sealing)
            }
            (StrategyName::Client, _) => Strategy::Client,
            (StrategyName::Server, _) => Strategy::Server,
        };
        Issuer::new(self.key.clone(), strategy, check)
            .with_given(self.given.clone())
            .with_key_capability(self.key_capability.clone())
            .with_vocabulary(self.vocabulary.clone())
            .with_format(self.format)
            .with_ttl(self.token_ttl())
            .with_jitter(self.jitter)
            .with_recheck_after(self.recheck_after.as_secs())
    }
}
