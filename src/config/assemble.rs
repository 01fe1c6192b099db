use super::{AuthenticateBy, CheckBy, Config, StrategyName};
use crate::authenticate::{Claimed, ForwardAuth};
use crate::http_client::{AnyHttpClient, HttpClient};
use crate::issuer::{Issuer, IssuerError, Sealing, Strategy};
use crate::maybe_send::{MaybeSend, MaybeSync};
use crate::moment::Moment;
use crate::permission::{NoPermissions, PermissionCheck, Webhook};
use crate::revocation::Revocation;
use crate::service::{AdminService, AuthService, Origins, ServiceSettings};
use crate::store::{Store, StoreError};

/// What a configuration describes, ready to be served.
#[derive(Debug)]
#[non_exhaustive]
pub struct Assembled {
    /// `/auth`.
    pub service: AuthService,
    /// `/metrics` and `/revoke`, if `admin` is set.
    pub admin: Option<AdminService>,
    /// What `/revoke` does, for its second half: see [`Revocation::again`].
    pub revocation: Revocation,
}

/// Why a configuration, though well-formed, can't be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The strategy and the check don't go together.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
}

impl Config {
    /// Makes what this configuration describes.
    ///
    /// `client` makes the requests to other servers, `metrics` says what `/metrics` shows, and `moments` is asked once for
    /// each request; see [`AuthService::new`].
    ///
    /// # Errors
    /// See [`AssembleError`].
    pub fn assemble(
        mut self,
        client: impl HttpClient,
        metrics: impl Fn() -> String + MaybeSend + MaybeSync + 'static,
        moments: impl Fn() -> Moment + Clone + MaybeSend + MaybeSync + 'static,
    ) -> Result<Assembled, AssembleError> {
        let client = AnyHttpClient::new(client);
        let store = match &self.store {
            Some(url) => Some(url.open(self.key.app_id())?),
            None => None,
        };
        let mut revocation = Revocation::new();
        if let Some(store) = &store {
            revocation = revocation.with_store(store.clone());
        }
        if self.revocable {
            revocation = revocation.with_ably(self.key.clone(), self.rest_url.clone(), client.clone());
        }
        let admin = self.admin.take().map(|admin| {
            AdminService::new(revocation.clone(), admin.access(), admin.token(), metrics, moments.clone())
                .expect("parse has checked the token")
        });

        let issuer = match self.check.take() {
            CheckBy::Rules(rules) => self.issuer(store, rules),
            CheckBy::Webhook(settings) => self.issuer(store, Webhook::new(settings, client.clone())),
            CheckBy::Nobody => self.issuer(store, NoPermissions),
        }?;
        let settings = ServiceSettings {
            origins: Origins::new(&self.origins).expect("parse has checked them"),
            cookies: self.cookies,
            page: self.page,
        };
        let service = match self.authenticate {
            AuthenticateBy::Claimed => AuthService::new(issuer, Claimed, settings, moments),
            AuthenticateBy::Header(header) => AuthService::new(issuer, header, settings, moments),
            AuthenticateBy::Forward { url, timeout } => AuthService::new(
                issuer,
                ForwardAuth::new(url, client).with_timeout(timeout),
                settings,
                moments,
            ),
            #[cfg(feature = "jwt")]
            AuthenticateBy::Jwt(jwt) => AuthService::new(issuer, jwt.through(client), settings, moments),
        };
        Ok(Assembled { service, admin, revocation })
    }

    fn issuer(&mut self, store: Option<Store>, check: impl PermissionCheck) -> Result<Issuer, IssuerError> {
        let strategy = match self.strategy {
            StrategyName::Cookie => {
                let keys = self.sealing_keys.take().expect("parse refuses this strategy without secrets");
                let mut sealing = Sealing::new(keys);
                sealing.max_bytes = self.max_bytes.saturating_sub(self.cookies.name_bytes());
                Strategy::Cookie(sealing)
            }
            StrategyName::Store => {
                Strategy::Store(store.clone().expect("parse refuses this strategy without a store"))
            }
            StrategyName::Client => Strategy::Client,
            StrategyName::Server => Strategy::Server,
        };
        let issuer = Issuer::new(self.key.clone(), strategy, check)?
            .with_given(self.given.clone())
            .with_key_capability(self.key_capability.clone())
            .with_vocabulary(self.vocabulary.clone())
            .with_format(self.format)
            .with_ttl(self.token_ttl())
            .with_jitter(self.jitter)
            .with_recheck_after(self.recheck_after.as_secs());
        Ok(match store {
            Some(store) => issuer.with_revocations(store),
            None => issuer,
        })
    }
}
