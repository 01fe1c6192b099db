use crate::capability::Vocabulary;
use crate::grant::{Grant, MAX_AHEAD, canonical, is_sealable};

/// A grant as stores keep it: `SINCE.CAPABILITY`, the capability as canonical JSON. `None` for what can't be sealed
/// either: one that is empty, longer than 64 KiB, or without a time.
pub(crate) fn write(grant: &Grant) -> Option<String> {
    is_sealable(grant).then(|| format!("{}.{}", grant.since, grant.capability))
}

/// The grant, if that is what the text says, and not of a time that is still to come: the clock that wrote it was wrong.
pub(crate) fn read(text: &str, now: u64, vocabulary: &Vocabulary) -> Option<Grant> {
    let (since, capability) = text.split_once('.')?;
    let since = since.parse().ok().filter(|since| *since <= now.saturating_add(MAX_AHEAD))?;
    let grant = Grant { capability: canonical(capability.to_owned(), vocabulary)?, since };
    (write(&grant)? == text).then_some(grant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_writing_would_not_have_written_is_not_read() {
        let now = 1_700_000_200;
        let vocabulary = Vocabulary::default();
        let good = r#"1700000100.{"chat:1":["publish"]}"#;
        let grant = read(good, now, &vocabulary).unwrap();
        assert_eq!(write(&grant).as_deref(), Some(good));
        for text in [
            "",
            "1700000100",
            "1700000100.",
            "1700000100.{}",
            r#"01700000100.{"a":["publish"]}"#,
            r#"+1700000100.{"a":["publish"]}"#,
            r#"0.{"a":["publish"]}"#,
            r#"1700000261.{"a":["publish"]}"#,
            r#"1700000100.{"a": ["publish"]}"#,
            r#"1700000100.{"a":["subscribe","publish"]}"#,
            r#"1700000100.{"a":["no-such-operation"]}"#,
            r#"{"a":["publish"]}"#,
        ] {
            assert_eq!(read(text, now, &vocabulary), None, "{text}");
        }
    }
}
