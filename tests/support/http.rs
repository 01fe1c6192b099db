//! Answers as they come over the wire.
#![allow(dead_code, reason = "every test takes what it needs")]

/// One HTTP/1.1 answer, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The first answer in what was received and how many bytes it took; `None` while it is not all there.
    pub(crate) fn parse(received: &[u8]) -> Option<(Self, usize)> {
        let head_end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&received[..head_end]).expect("a head of ASCII");
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').expect("a header"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(0, |(_, length)| length.parse().expect("a length"));
        let body = received.get(head_end + 4..head_end + 4 + length)?;
        let body = String::from_utf8(body.to_vec()).expect("a body of UTF-8");
        Some((Self { status, headers, body }, head_end + 4 + length))
    }

    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that stands once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} stands twice in {self:?}");
        values.first().copied()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// An error in the shape that Ably's SDKs read.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: u64) {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert_eq!(json["error"]["code"], code, "{self:?}");
        assert_eq!(json["error"]["statusCode"], u64::from(status), "{self:?}");
        assert!(json["error"]["message"].is_string(), "{self:?}");
        assert_eq!(json["error"]["href"], format!("https://help.ably.io/error/{code}"), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert_eq!(self.header("x-ably-errorcode"), Some(code.to_string().as_str()), "{self:?}");
        assert!(self.header("x-ably-errormessage").is_some(), "{self:?}");
        self.assert_usual();
    }

    /// What stands on every response.
    #[track_caller]
    pub(crate) fn assert_usual(&self) {
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("vary"), Some("Origin, Cookie, Authorization"), "{self:?}");
        assert!(self.header("x-request-id").is_some(), "{self:?}");
    }
}

/// The chats in a token.
#[track_caller]
pub(crate) fn chats(answer: &Answer) -> Vec<usize> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json();
    let capability: serde_json::Value =
        serde_json::from_str(token["capability"].as_str().expect("a text")).expect("JSON");
    let names = capability.as_object().expect("an object").keys();
    names.map(|name| name.trim_start_matches("chat:").parse().expect("a number")).collect()
}
