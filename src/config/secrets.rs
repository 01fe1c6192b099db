use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

/// All secrets of a configuration, to be compared with each other: one secret serves one purpose.
#[derive(Default)]
pub(crate) struct Secrets {
    seen: Vec<(String, Vec<Vec<u8>>)>,
}

impl Secrets {
    /// Takes note of a secret that somebody else made, to compare others with it.
    pub(crate) fn note(&mut self, path: &str, secret: &str) {
        self.seen.push((path.to_owned(), readings(secret)));
    }

    /// Takes note of a secret; `path` is the key that it belongs to.
    ///
    /// What is refused is too short, one byte over and over, printed in somebody's documentation, or the same as
    /// another secret, as text or decoded. The error never repeats it.
    pub(crate) fn add(&mut self, path: &str, secret: &str, least_bytes: usize) -> Result<(), String> {
        let readings = readings(secret);
        let refuse = |what: String| Err(format!("{path}: {what}; `accrue keygen` makes a good one"));
        if secret.len() < least_bytes {
            return refuse(format!(
                "a secret of {} bytes is too short, {least_bytes} are needed",
                secret.len()
            ));
        }
        if readings.iter().any(|reading| reading.iter().all(|byte| *byte == reading[0])) {
            return refuse("a secret of one repeated byte is none".to_owned());
        }
        if SAMPLES.iter().any(|sample| same(&readings, &self::readings(sample))) {
            return refuse("this secret is printed in documentation, so everybody knows it".to_owned());
        }
        let twin = self.seen.iter().find(|(_, seen)| same(&readings, seen));
        if let Some((other, _)) = twin {
            let other = if other == path { "another one there" } else { other };
            return refuse(format!("this secret is the same as {other}; every purpose needs one of its own"));
        }
        self.note(path, secret);
        Ok(())
    }
}

/// The bytes a secret can stand for: its text, and that decoded.
fn readings(secret: &str) -> Vec<Vec<u8>> {
    let unpadded = secret.trim_end_matches('=');
    let standard = BASE64_STANDARD.decode(secret).ok();
    let url_safe = BASE64_URL_SAFE_NO_PAD.decode(unpadded).ok();
    let decoded = standard.into_iter().chain(url_safe).filter(|bytes| bytes.len() >= 16);
    std::iter::once(secret.as_bytes().to_vec()).chain(decoded).collect()
}

fn same(a: &[Vec<u8>], b: &[Vec<u8>]) -> bool {
    a.iter().any(|reading| b.contains(reading))
}

/// From this project's documentation, and from places where people copy secrets from.
const SAMPLES: &[&str] = &[
    "ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE",
    "32 bytes or more, known to your app",
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-384-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "your-256-bit-secret",
    "your-256-bit-secret-your-256-bit-secret",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_shared_secrets() {
        let mut secrets = Secrets::default();
        let text = "a text of thirty-two bytes or more";
        assert_eq!(secrets.add("a", text, 32), Ok(()));
        let encoded = BASE64_URL_SAFE_NO_PAD.encode(text);
        for (secret, complaint) in [
            ("tiny", "too short"),
            (&"x".repeat(40), "one repeated byte"),
            (&BASE64_URL_SAFE_NO_PAD.encode([7; 32]), "one repeated byte"),
            ("ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE", "documentation"),
            ("a-string-secret-at-least-256-bits-long", "documentation"),
            (text, "the same as a;"),
            (&encoded, "the same as a;"),
            (&BASE64_STANDARD.encode(text), "the same as a;"),
        ] {
            let error = secrets.add("b", secret, 32).unwrap_err();
            assert!(error.contains(complaint), "{error}");
            assert!(!error.contains(secret), "{error}");
        }
    }
}
