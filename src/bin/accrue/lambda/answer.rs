//! From a response to what the event's source takes for one.

use std::collections::BTreeMap;

use accrue::Body;
use http::Response;
use http::header::SET_COOKIE;
use http_body_util::BodyExt;
use serde::Serialize;

/// How to write down headers that stand more than once: all that the sources differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Payload 2.0: cookies have a list of their own.
    Cookies,
    /// Payload 1.0, and load balancers with `lambda.multi_value_headers.enabled`: each header is a list.
    MultiValue,
    /// Load balancers as they are by default: each header is one text.
    SingleValue,
}

/// A response, written down.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    status_code: u16,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    multi_value_headers: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    body: String,
    /// Never: all bodies are texts, and API Gateway decodes those only that it is told to expect.
    is_base64_encoded: bool,
}

impl Form {
    pub(super) async fn write(self, response: Response<Body>) -> Answer {
        let (head, body) = response.into_parts();
        let Ok(body) = body.collect().await;
        let mut answer = Answer {
            status_code: head.status.as_u16(),
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            ..Answer::default()
        };
        for name in head.headers.keys() {
            let values = head.headers.get_all(name).iter();
            let values: Vec<String> =
                values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
            match self {
                Self::MultiValue => {
                    answer.multi_value_headers.insert(name.as_str().to_owned(), values);
                }
                Self::Cookies if name == SET_COOKIE => answer.cookies = values,
                Self::SingleValue if name == SET_COOKIE => {
                    answer
                        .headers
                        .extend(values.into_iter().enumerate().map(|(n, value)| (spelling(n), value)));
                }
                Self::Cookies | Self::SingleValue => {
                    answer.headers.insert(name.as_str().to_owned(), values.join(", "));
                }
            }
        }
        answer
    }
}

/// `set-cookie` in one of its 512 spellings, more than an answer has cookies: of names that differ, load balancers send
/// each, and to clients they are all the same. Their order is that of the numbers, as some clients forget deletions that
/// stand before what is set.
fn spelling(n: usize) -> String {
    let mut name: Vec<char> = SET_COOKIE.as_str().to_uppercase().chars().collect();
    let letters = name.iter_mut().rev().filter(|c| c.is_ascii_alphabetic());
    for (place, letter) in letters.enumerate() {
        if (n >> place) & 1 == 1 {
            letter.make_ascii_lowercase();
        }
    }
    name.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_one_name_to_clients_and_several_to_load_balancers() {
        let spellings: Vec<String> = (0..512).map(spelling).collect();
        assert!(spellings.is_sorted_by(|one, next| one < next));
        assert!(spellings.iter().all(|spelling| spelling.eq_ignore_ascii_case("set-cookie")));
    }
}
