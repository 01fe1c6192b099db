use serde::Serialize;

/// An error as Ably's SDKs read it.
///
/// All members are always there and `status_code` equals the HTTP status: with a member missing or a
/// code that is a text, ably-js turns a final refusal into one that it retries. Source: specification
/// items TI1 to TI5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ErrorInfo {
    /// Ably's error code, such as 40160.
    pub code: u32,
    /// The HTTP status.
    pub status_code: u16,
    /// What to do about it.
    pub message: String,
    /// Where Ably explains the code.
    pub href: String,
}

impl ErrorInfo {
    /// An error with the usual address of its explanation.
    pub fn new(status_code: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            code,
            status_code,
            message: message.into(),
            href: format!("https://help.ably.io/error/{code}"),
        }
    }

    /// `{"error":{...}}`, the body of an error answer.
    pub fn to_body(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a ErrorInfo,
        }
        serde_json::to_string(&Body { error: self }).expect("numbers and texts serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape() {
        let body = ErrorInfo::new(401, 40160, "no \"x\"").to_body();
        assert_eq!(
            body,
            r#"{"error":{"code":40160,"statusCode":401,"message":"no \"x\"","href":"https://help.ably.io/error/40160"}}"#
        );
    }
}
