use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::Serialize;
use serde_json::Value;

use super::{ApiKey, Ttl};
use crate::client::ClientId;
use crate::mac::Tag;
use crate::moment::Moment;
use crate::proposal::Signable;

/// A signed request for a token, which the client itself exchanges at Ably.
///
/// Good for one exchange within two minutes. It serialises to just these members: ably-python refuses any
/// other. Source: specification items TE2 to TE5 and RSA9,
/// <https://ably.com/docs/api/token-request-spec>.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRequest {
    key_name: Arc<str>,
    ttl: u64,
    capability: Signable,
    client_id: ClientId,
    timestamp: u64,
    nonce: String,
    mac: String,
}

impl TokenRequest {
    pub(super) fn sign(
        key: &ApiKey,
        capability: &Signable,
        client_id: &ClientId,
        ttl: Ttl,
        moment: &Moment,
    ) -> Self {
        let nonce = moment.nonce();
        let text = SignText {
            key_name: key.name(),
            ttl: &ttl.as_millis().to_string(),
            capability: capability.text(),
            client_id: client_id.as_str(),
            timestamp: &moment.now_ms().to_string(),
            nonce: &nonce,
        };
        let mac = BASE64.encode(text.sign(key).as_bytes());
        Self {
            key_name: key.shared_name(),
            ttl: ttl.as_millis(),
            capability: capability.clone(),
            client_id: client_id.clone(),
            timestamp: moment.now_ms(),
            nonce,
            mac,
        }
    }
}

/// Without the mac: whoever has it has the token.
impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("key_name", &self.key_name)
            .field("ttl", &self.ttl)
            .field("capability", &self.capability.capability())
            .field("client_id", &self.client_id)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

/// The text under the mac: six lines, each ended, absent members as empty lines.
struct SignText<'a> {
    key_name: &'a str,
    ttl: &'a str,
    capability: &'a str,
    client_id: &'a str,
    timestamp: &'a str,
    nonce: &'a str,
}

impl SignText<'_> {
    fn sign(&self, key: &ApiKey) -> Tag {
        key.signing().sign(&self.lines())
    }

    fn lines(&self) -> [&[u8]; 12] {
        let end = b"\n".as_slice();
        [
            self.key_name.as_bytes(),
            end,
            self.ttl.as_bytes(),
            end,
            self.capability.as_bytes(),
            end,
            self.client_id.as_bytes(),
            end,
            self.timestamp.as_bytes(),
            end,
            self.nonce.as_bytes(),
            end,
        ]
    }
}

/// A TokenRequest from anywhere, to be explained: who signed it is not known until [`verify`](Self::verify).
#[derive(Clone)]
pub struct UntrustedTokenRequest {
    members: Value,
}

impl fmt::Debug for UntrustedTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntrustedTokenRequest").finish_non_exhaustive()
    }
}

impl UntrustedTokenRequest {
    /// Takes a JSON object that has a `keyName`.
    pub fn from_json(members: Value) -> Option<Self> {
        members.get("keyName")?.as_str()?;
        Some(Self { members })
    }

    /// The members as they came.
    pub fn untrusted_members(&self) -> &Value {
        &self.members
    }

    /// Whether this key signed it.
    pub fn verify(&self, key: &ApiKey) -> bool {
        // an absent ttl and a ttl of 0 are signed alike
        let ttl = Some(self.text("ttl")).filter(|ttl| ttl != "0").unwrap_or_default();
        let (capability, client_id) = (self.text("capability"), self.text("clientId"));
        let (timestamp, nonce) = (self.text("timestamp"), self.text("nonce"));
        let text = SignText {
            key_name: &self.text("keyName"),
            ttl: &ttl,
            capability: &capability,
            client_id: &client_id,
            timestamp: &timestamp,
            nonce: &nonce,
        };
        BASE64
            .decode(self.text("mac"))
            .is_ok_and(|mac| self.text("keyName") == key.name() && key.signing().verify(&text.lines(), &mac))
    }

    fn text(&self, member: &str) -> String {
        match self.members.get(member) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ably-js 2.28.0's own requests: the text it signed, and its mac, byte for byte.
    #[test]
    fn ably_js() {
        let file: Value = serde_json::from_str(include_str!("../../tests/data/token-request.json")).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 32);
        for vector in vectors {
            let id = &vector["id"];
            let key = ApiKey::parse(vector["key"].as_str().unwrap()).unwrap();
            let request = UntrustedTokenRequest::from_json(vector["tokenRequest"].clone()).unwrap();
            assert!(request.verify(&key), "{id}");

            let text = |member| request.text(member);
            let (name, ttl, capability) = (text("keyName"), text("ttl"), text("capability"));
            let (client_id, timestamp, nonce) = (text("clientId"), text("timestamp"), text("nonce"));
            let sign_text = SignText {
                key_name: &name,
                ttl: &ttl,
                capability: &capability,
                client_id: &client_id,
                timestamp: &timestamp,
                nonce: &nonce,
            };
            assert_eq!(sign_text.lines().concat(), vector["signText"].as_str().unwrap().as_bytes(), "{id}");
            assert_eq!(
                BASE64.encode(sign_text.sign(&key).as_bytes()),
                vector["mac"].as_str().unwrap(),
                "{id}"
            );

            let mut changed = vector["tokenRequest"].clone();
            changed["nonce"] = "fedcba9876543210".into();
            assert!(!UntrustedTokenRequest::from_json(changed).unwrap().verify(&key), "{id}");
        }
    }
}
