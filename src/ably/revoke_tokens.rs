use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::ApiKey;
use crate::client::ClientId;

/// Ably's `POST /keys/{keyName}/revokeTokens`: what to send, and what its answer means.
///
/// With `allowReauthMargin` it is enforced 30 seconds later, and clients that are connected are told to come back for a
/// new token, which they do without a break. Source: specification items RSA17 and BAR2.
#[derive(Debug)]
pub(crate) struct RevokeTokens<'a> {
    pub(crate) key: &'a ApiKey,
    pub(crate) client: &'a ClientId,
}

impl RevokeTokens<'_> {
    /// Below Ably's REST URL.
    pub(crate) fn path(&self) -> String {
        format!("/keys/{}/revokeTokens", self.key.name())
    }

    /// Basic authentication with the key itself, as this request demands (RSA17d).
    pub(crate) fn authorization(&self) -> String {
        let credentials = [self.key.name().as_bytes(), b":", self.key.secret().expose()].concat();
        format!("Basic {}", BASE64_STANDARD.encode(credentials))
    }

    pub(crate) fn body(&self) -> String {
        json!({ "targets": [format!("clientId:{}", self.client)], "allowReauthMargin": true }).to_string()
    }
}

/// From this version on, answers are objects with a count of what failed.
pub(crate) const ABLY_VERSION: &str = "3";

/// From when on the tokens are refused, in Unix milliseconds, if the answer says that all went well.
pub(crate) fn applies_at(status: u16, body: &[u8]) -> Result<u64, String> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if !matches!(status, 200 | 201) {
        return Err(explain(status, &answer["error"]));
    }
    // earlier versions answer with the results alone, and without a count
    let (results, none_failed) = match &answer {
        Value::Array(results) => (Some(results), true),
        _ => (answer["results"].as_array(), answer["failureCount"] == 0),
    };
    match results.map(Vec::as_slice) {
        Some([result]) if result["error"].is_object() => Err(explain(status, &result["error"])),
        Some([result]) if none_failed => {
            result["appliesAt"].as_u64().ok_or_else(|| "Ably's answer does not say from when on".to_owned())
        }
        _ => Err(format!("Ably answered {status} with something that is not understood")),
    }
}

/// An error of Ably's, and what to do about it.
fn explain(status: u16, error: &Value) -> String {
    let code = error["code"].as_u64().unwrap_or_default();
    let message: String = error["message"].as_str().unwrap_or("no message").chars().take(200).collect();
    let advice = match code {
        40163 | 40164 => {
            ": enable revocable tokens for this key in the Ably dashboard, or set ably.revocable = false"
        }
        40133 | 40162 => ": ably.key must be the key that signs the tokens",
        _ => "",
    };
    format!("Ably answered {status}, code {code}, {message:?}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request() {
        let key = ApiKey::parse("app.key:secret").unwrap();
        let client = ClientId::try_from("org:a\"b").unwrap();
        let revoke = RevokeTokens { key: &key, client: &client };
        assert_eq!(revoke.path(), "/keys/app.key/revokeTokens");
        assert_eq!(revoke.authorization(), "Basic YXBwLmtleTpzZWNyZXQ=");
        let body: Value = serde_json::from_str(&revoke.body()).unwrap();
        assert_eq!(body, json!({ "targets": ["clientId:org:a\"b"], "allowReauthMargin": true }));
    }

    #[test]
    fn answers() {
        let done = r#"{"successCount":1,"failureCount":0,"results":[{"target":"clientId:a","issuedBefore":1,"appliesAt":30001}]}"#;
        assert_eq!(applies_at(201, done.as_bytes()), Ok(30_001));
        let plain = r#"[{"target":"clientId:a","issuedBefore":1,"appliesAt":30001}]"#;
        assert_eq!(applies_at(201, plain.as_bytes()), Ok(30_001));
        for (status, body, complaint) in [
            (
                201,
                r#"{"successCount":0,"failureCount":1,"results":[{"target":"clientId:a","error":{"code":40000,"statusCode":400,"message":"bad target"}}]}"#,
                "bad target",
            ),
            (201, r#"{"successCount":0,"failureCount":1,"results":[]}"#, "not understood"),
            (
                201,
                r#"{"successCount":1,"failureCount":1,"results":[{"target":"clientId:a","appliesAt":1}]}"#,
                "not understood",
            ),
            (
                201,
                r#"{"successCount":1,"failureCount":0,"results":[{"target":"clientId:a"}]}"#,
                "from when on",
            ),
            (201, "", "not understood"),
            (302, "", "302"),
            (
                401,
                r#"{"error":{"code":40164,"statusCode":401,"message":"not enabled"}}"#,
                "enable revocable tokens",
            ),
            (401, r#"{"error":{"code":40101,"statusCode":401,"message":"wrong key"}}"#, "wrong key"),
            (500, "<html>", "500"),
        ] {
            let error = applies_at(status, body.as_bytes()).unwrap_err();
            assert!(error.contains(complaint), "{body}: {error}");
        }
    }
}
