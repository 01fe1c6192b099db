use std::error::Error;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CONTENT_SECURITY_POLICY, COOKIE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Body as HttpBody;

use super::carrier::Carrier;
use super::origin::{self, Origins, Site};
use super::outcome::{Outcome, OutcomeKind};
use super::request::{self, Parameters};
use super::response::{self, Body, Rejection, Wishes};
use super::{Page, Shared};
use crate::authenticate::{Caller, Unauthenticated};
use crate::capability::Capability;
use crate::client::Client;
use crate::issuer::{Ask, RefusalReason, SealedChange};
use crate::moment::Moment;

/// One request on its way to its answer.
pub(super) struct Exchange<'a> {
    shared: &'a Shared,
    moment: &'a Moment,
    /// What CORS answers echo, if the origin is listed.
    cors: Option<HeaderValue>,
    outcome: Outcome,
}

pub(super) type Answer = Result<Response<Body>, Rejection>;

impl<'a> Exchange<'a> {
    pub(super) fn new(shared: &'a Shared, head: &Parts, moment: &'a Moment) -> Self {
        Self {
            shared,
            moment,
            cors: shared.settings.origins.named(&head.headers).cloned(),
            outcome: Outcome {
                request_id: request_id(&head.headers, moment),
                method: head.method.clone(),
                route: route(head.uri.path()),
                ..Outcome::default()
            },
        }
    }

    pub(super) async fn answer<B>(&mut self, head: Parts, body: B) -> Answer
    where
        B: HttpBody,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if head_bytes(&head) > MAX_HEAD_BYTES || head.headers.len() > MAX_HEADERS {
            return Err(Rejection::HeadTooLarge);
        }
        if self.shared.authenticate.believes_anybody() && !origin::is_local(&head) {
            return Err(Rejection::Misdirected);
        }
        match (self.outcome.route, &head.method) {
            ("/auth", _) => self.auth(head, body).await,
            ("/healthz", &Method::GET | &Method::HEAD) => Ok(response::plain("ok\n")),
            ("/readyz", &Method::GET | &Method::HEAD) => match self.shared.ready(self.moment).await {
                Ok(()) => Ok(response::plain("ok\n")),
                Err(cause) => {
                    self.outcome.cause = Some(cause);
                    Err(Rejection::NotReady)
                }
            },
            ("/healthz" | "/readyz", _) => Err(Rejection::Method { allowed: "GET, HEAD" }),
            ("/", method) => match (&self.shared.settings.page, method) {
                (Some(page), &Method::GET | &Method::HEAD) => Ok(show(page, self.moment)),
                (Some(_), _) => Err(Rejection::Method { allowed: "GET, HEAD" }),
                (None, _) => Err(Rejection::NotFound),
            },
            _ => Err(Rejection::NotFound),
        }
    }

    async fn auth<B>(&mut self, head: Parts, body: B) -> Answer
    where
        B: HttpBody,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let site = self.shared.settings.origins.site(&head.headers, &head.uri);
        if let Site::Foreign(origin) = site {
            self.outcome.advice = Some(advice_to_list(&self.shared.settings.origins, origin));
            return Err(Rejection::ForeignOrigin);
        }
        match head.method {
            Method::OPTIONS => return Ok(self.preflight()),
            Method::GET | Method::POST | Method::DELETE => {}
            _ => return Err(Rejection::Method { allowed: ALLOWED }),
        }

        let carrier = Carrier::read(&head.headers, &self.shared.settings.cookies);
        let without_cookies = !head.headers.contains_key(COOKIE) && !carrier.is_header();
        if site == Site::Listed && without_cookies && self.shared.settings.origins.tell_once(&head.headers) {
            let held_in_cookies = self.shared.issuer.keeps_with_client();
            self.outcome.advice = Some(advice_on_cookies(self.cors.as_ref(), held_in_cookies));
        }

        let body = match head.method {
            Method::GET => None,
            _ => request::read_body(&head.headers, body).await?,
        };
        let body = body.as_ref().map(|(body_type, bytes)| (*body_type, bytes.as_ref()));
        let parameters = Parameters::read(head.uri.query().unwrap_or_default(), body)?;
        // a link or an image on a foreign page must not make a browser change what it holds
        let inert = is_navigation(&head.headers);
        match head.method {
            Method::DELETE if inert => {
                let mut answer = response::empty(StatusCode::NO_CONTENT);
                carrier.leave(answer.headers_mut());
                Ok(answer)
            }
            Method::DELETE => self.give_up(head, &parameters, &carrier).await,
            _ => self.issue(head, &parameters, &carrier, inert).await,
        }
    }

    async fn issue(
        &mut self,
        head: Parts,
        parameters: &Parameters,
        carrier: &Carrier,
        inert: bool,
    ) -> Answer {
        let issuer = &self.shared.issuer;
        let wishes = match issuer.heeds_wishes() && !inert {
            true => parameters.wishes(issuer.vocabulary())?,
            false => Capability::default(),
        };
        let ttl = parameters.ttl()?;
        let client = self.authenticate(head, parameters).await?;

        let unmet = match issuer.heeds_wishes() {
            false => Wishes::NotRead,
            true if wishes.is_empty() => Wishes::None,
            true => Wishes::Refused,
        };
        let ask = Ask { wishes, ttl, presented: carrier.presented(), ..Ask::new(client) };

        let (mut answer, change, refused, report) = match issuer.issue(ask, self.moment).await {
            Ok(issued) => {
                let met = issued.refused.is_empty();
                self.outcome.kind = if met { OutcomeKind::Granted } else { OutcomeKind::Partial };
                (response::token(&issued.token), Some(issued.change), issued.refused, issued.report)
            }
            Err(refusal) => {
                let (rejection, change) = match refusal.reason {
                    RefusalReason::Nothing => (Rejection::Nothing(unmet), Some(refusal.change)),
                    RefusalReason::Barred => (Rejection::Barred, Some(refusal.change)),
                    RefusalReason::Unavailable => (Rejection::Unavailable, None),
                };
                (self.refuse(rejection), change, refusal.refused, refusal.report)
            }
        };
        if !refused.is_empty() {
            answer.headers_mut().insert(response::REFUSED, response::refused_header(&refused));
        }
        // a navigation changes nothing, but a client without cookies is told what it holds all the same
        let change = match change {
            Some(_) if inert => carrier.is_header().then(SealedChange::default),
            change => change,
        };
        if let Some(change) = change {
            let cookies = &self.shared.settings.cookies;
            let carried = carrier.write(&change, &report, cookies, issuer.keep_for(), answer.headers_mut());
            self.outcome.carried = Some(carried);
        }
        self.outcome.cause.clone_from(&report.cause);
        self.outcome.report = report;
        Ok(answer)
    }

    async fn give_up(&mut self, head: Parts, parameters: &Parameters, carrier: &Carrier) -> Answer {
        let issuer = &self.shared.issuer;
        let cookies = &self.shared.settings.cookies;
        let mut answer = response::empty(StatusCode::NO_CONTENT);
        let unwanted = match parameters.has_wishes() {
            true => Some(parameters.wishes(issuer.vocabulary())?),
            false => None,
        };
        let carried = if unwanted.is_none() && !issuer.keeps_in_store() {
            // whoever has these cookies may throw them away: that is what signing out does
            carrier.clear(cookies, answer.headers_mut())
        } else {
            let client = self.authenticate(head, parameters).await?;
            let given_up = issuer.give_up(&client, unwanted.as_ref(), carrier.presented(), self.moment).await;
            let (change, report) = given_up.map_err(|error| {
                self.outcome.cause = Some(error.to_string());
                Rejection::Unavailable
            })?;
            let headers = answer.headers_mut();
            let carried = match unwanted {
                Some(_) => carrier.write(&change, &report, cookies, issuer.keep_for(), headers),
                None => carrier.clear(cookies, headers),
            };
            self.outcome.cause.clone_from(&report.cause);
            self.outcome.report = report;
            carried
        };
        self.outcome.kind = OutcomeKind::GivenUp;
        self.outcome.carried = Some(carried);
        Ok(answer)
    }

    async fn authenticate(&mut self, head: Parts, parameters: &Parameters) -> Result<Client, Rejection> {
        let claimed = parameters.client_id()?;
        let mut caller = Caller::new(head.headers, self.moment.now_secs());
        caller.extensions = head.extensions;
        caller.claimed.clone_from(&claimed);

        let authenticate = &self.shared.authenticate;
        let started = self.moment.elapsed();
        let client = authenticate.authenticate(caller).await;
        self.outcome.authenticating = Some(self.moment.elapsed().saturating_sub(started));
        let client = client.map_err(|error| {
            self.outcome.cause = Some(error.to_string());
            match error {
                Unauthenticated::Refused(_) => Rejection::Unauthenticated { advice: authenticate.advice() },
                Unauthenticated::ClientId(error) => Rejection::ClientId(error.to_string()),
                Unauthenticated::Unavailable(_) => Rejection::Unavailable,
            }
        })?;
        self.outcome.client = Some(client.id.clone());
        match claimed {
            Some(claimed) if claimed != client.id => Err(Rejection::OtherClient),
            _ => Ok(client),
        }
    }

    fn preflight(&self) -> Response<Body> {
        let mut answer = response::empty(StatusCode::NO_CONTENT);
        let headers = answer.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static(ALLOWED));
        if self.cors.is_some() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("authorization, content-type, accrue-grant"),
            );
        }
        answer
    }

    fn refuse(&mut self, rejection: Rejection) -> Response<Body> {
        self.outcome.kind = kind_of(&rejection);
        self.outcome.code = Some(rejection.code());
        if self.outcome.cause.is_none() {
            self.outcome.cause = rejection.cause().map(str::to_owned);
        }
        rejection.into_response()
    }

    pub(super) fn finish(mut self, answer: Answer) -> Response<Body> {
        let mut response = answer.unwrap_or_else(|rejection| self.refuse(rejection));
        response::finish(&mut response, &self.outcome.request_id);
        if let Some(origin) = self.cors {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(
                    "Accrue-Refused, Accrue-Grant, X-Ably-ErrorCode, X-Ably-ErrorMessage, X-Request-Id",
                ),
            );
        }
        response.extensions_mut().insert(self.outcome);
        response
    }
}

fn kind_of(rejection: &Rejection) -> OutcomeKind {
    match rejection {
        Rejection::Nothing(_) => OutcomeKind::Refused,
        Rejection::Barred => OutcomeKind::Barred,
        Rejection::Unavailable | Rejection::NotReady | Rejection::Overloaded => OutcomeKind::Unavailable,
        Rejection::Unauthenticated { .. } | Rejection::OtherClient => OutcomeKind::Unauthenticated,
        Rejection::ForeignOrigin => OutcomeKind::Foreign,
        _ => OutcomeKind::Malformed,
    }
}

fn route(path: &str) -> &'static str {
    ["/auth", "/healthz", "/readyz", "/"].into_iter().find(|route| *route == path).unwrap_or_default()
}

pub(super) fn request_id(headers: &HeaderMap, moment: &Moment) -> String {
    let sent = origin::only(headers, &response::REQUEST_ID).and_then(|value| value.to_str().ok());
    let well_formed = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    sent.filter(well_formed).map_or_else(|| moment.request_id(), str::to_owned)
}

fn head_bytes(head: &Parts) -> usize {
    let target = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() + target
}

/// A navigation, an image, anything that no script waits for (Fetch metadata).
fn is_navigation(headers: &HeaderMap) -> bool {
    let mut modes = headers.get_all(SEC_FETCH_MODE).iter();
    modes.any(|mode| !matches!(mode.as_bytes(), b"cors" | b"same-origin"))
}

fn show(page: &Page, moment: &Moment) -> Response<Body> {
    let nonce = moment.nonce();
    let mut response = response::html(page.html.replace("{nonce}", &nonce));
    let policy = page.content_security_policy.replace("{nonce}", &nonce);
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn advice_to_list(listed: &Origins, origin: Option<String>) -> String {
    let Some(origin) = origin else {
        return "a request from another site was refused; it named no origin that could be listed".to_owned();
    };
    let line: Vec<&str> = listed.names().chain([origin.as_str()]).collect();
    format!("a page on {origin} was refused; if it is yours, the line for it is: origins = {line:?}")
}

fn advice_on_cookies(origin: Option<&HeaderValue>, held_in_cookies: bool) -> String {
    let origin = origin.and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let (missing, otherwise) = match held_in_cookies {
        true => (
            "Unless that was its first call, what its clients hold is not remembered",
            "use an authCallback with the Accrue-Grant header, or ",
        ),
        false => ("Where the session is one, nobody is signed in", ""),
    };
    format!(
        "a page on {origin} calls without cookies. {missing}: browsers send none to another origin unless told to. Set \
         authHeaders: {{authorization: \"-\"}} in ably-js (same site), or {otherwise}serve /auth on the page's own origin"
    )
}

const ALLOWED: &str = "GET, POST, DELETE, OPTIONS";
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// Target and headers together.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 100;
