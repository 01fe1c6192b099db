use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, COOKIE};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Map, Value};

use super::credentials::authorization;
use super::{Authenticate, Caller, Unauthenticated, refused};
use crate::client::{Client, ClientId};
use crate::grant::MAX_SINCE;
use crate::http_client::{AnyHttpClient, Endpoint, HttpCall, HttpClient, json_answer};

/// Asks your application who is calling, with the caller's own session.
///
/// It sends `GET` with the caller's `Cookie` and `Authorization` and nothing else of the request, and takes `200` with
/// `{"clientId", "claims"?, "notBefore"?}`, `notBefore` in Unix seconds, or `401`. Whatever else comes, a redirect to a
/// sign-in page say, or nothing within the time, means that the application could not tell.
#[derive(Clone)]
pub struct ForwardAuth {
    url: Endpoint,
    timeout: Duration,
    client: AnyHttpClient,
}

impl ForwardAuth {
    /// Asks at this URL, through this client, and waits 2 seconds for the whole answer.
    pub fn new(url: Endpoint, client: impl HttpClient) -> Self {
        Self { url, timeout: Self::TIMEOUT, client: AnyHttpClient::new(client) }
    }

    pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

    /// Waits so long for the whole answer.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    async fn ask(&self, headers: &HeaderMap) -> Result<Bytes, Unauthenticated> {
        let mut request = Request::get(self.url.uri())
            .header(ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(unavailable)?;
        for cookie in headers.get_all(COOKIE) {
            request.headers_mut().append(COOKIE, cookie.clone());
        }
        if let Some(authorization) = authorization(headers)? {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let answer = self.client.send(HttpCall::new(request, self.timeout)).await.map_err(unavailable)?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            StatusCode::UNAUTHORIZED => Err(refused("the application says 401")),
            other => Err(unavailable(format!("answered {other}; it should answer 200 or 401"))),
        }
    }
}

impl Authenticate for ForwardAuth {
    async fn authenticate(&self, caller: Caller) -> Result<Client, Unauthenticated> {
        let answer = self.ask(&caller.headers).await?;
        let answer: Answer = read(&answer).map_err(unavailable)?;
        let mut client = Client::new(ClientId::try_from(answer.client_id.as_str())?);
        client.claims = answer.claims;
        client.not_before = answer.not_before;
        Ok(client)
    }
}

impl fmt::Debug for ForwardAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardAuth").field("url", &self.url).finish_non_exhaustive()
    }
}

struct Answer {
    client_id: String,
    claims: Map<String, Value>,
    not_before: Option<u64>,
}

/// What an answer says. Texts of errors don't repeat it: they go into the log.
fn read(body: &[u8]) -> Result<Answer, String> {
    let answer = json_answer(body)?;
    Ok(Answer {
        client_id: answer
            .get("clientId")
            .and_then(Value::as_str)
            .ok_or("the answer has no text \"clientId\"")?
            .to_owned(),
        claims: match answer.get("claims") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(claims)) => claims.clone(),
            Some(_) => return Err("\"claims\" in the answer is no object".to_owned()),
        },
        not_before: match answer.get("notBefore") {
            None | Some(Value::Null) => None,
            Some(time) => Some(
                // milliseconds would revoke whatever is permitted in the next fifty thousand years
                whole_seconds(time)
                    .filter(|seconds| *seconds <= MAX_SINCE)
                    .ok_or("\"notBefore\" in the answer is not a whole number of Unix seconds")?,
            ),
        },
    })
}

/// As a whole number, or as some languages write one: `1767225600.0`.
fn whole_seconds(time: &Value) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a large one saturates, and neither that nor a negative one is taken"
    )]
    let whole = |seconds: f64| (seconds >= 0.0 && seconds.fract() == 0.0).then_some(seconds as u64);
    time.as_u64().or_else(|| time.as_f64().and_then(whole))
}

fn unavailable(cause: impl ToString) -> Unauthenticated {
    Unauthenticated::Unavailable(format!("forward: {}", cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let answer =
            read(br#"{"clientId":"alice","claims":{"team":"blue"},"notBefore":1700000000,"x":1}"#).unwrap();
        assert_eq!((answer.client_id.as_str(), answer.not_before), ("alice", Some(1_700_000_000)));
        assert_eq!(answer.claims["team"], "blue");
        for (not_before, expected) in [("1700000000.0", 1_700_000_000), ("17e8", 1_700_000_000), ("0", 0)] {
            let answer =
                read(format!(r#"{{"clientId":"alice","notBefore":{not_before}}}"#).as_bytes()).unwrap();
            assert_eq!(answer.not_before, Some(expected));
        }
        let answer = read(br#"{"clientId":"alice","claims":null,"notBefore":null}"#).unwrap();
        assert_eq!((answer.claims.len(), answer.not_before), (0, None));

        for body in [
            "",
            "alice",
            "{}",
            r#"{"clientId":7}"#,
            r#"{"clientId":null}"#,
            r#"{"clientId":"alice","clientId":"bob"}"#,
            r#"{"clientId":"alice","claims":[]}"#,
            r#"{"clientId":"alice","notBefore":"2026-01-01"}"#,
            r#"{"clientId":"alice","notBefore":-1}"#,
            r#"{"clientId":"alice","notBefore":1700000000.5}"#,
            r#"{"clientId":"alice","notBefore":-1.0}"#,
            r#"{"clientId":"alice","notBefore":1e30}"#,
            r#"{"clientId":"alice","notBefore":1700000000000}"#,
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
