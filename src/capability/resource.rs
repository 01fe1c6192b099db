use std::fmt;

/// What a capability is about: a channel, or a pattern of channels, queues or metachannels.
///
/// A qualifier comes first: none, `[meta]`, `[queue]` or `[*]`; any other is malformed. Then segments,
/// split at `:`. Only a segment that is exactly `*` is a wildcard. As the last segment it stands for
/// one or more segments, empty ones too; anywhere else for exactly one that is not empty.
///
/// ```
/// use accrue::Resource;
///
/// let pattern = Resource::parse("foo:*")?;
/// for inside in ["foo:1", "foo:1:2", "foo::x", "foo:*"] {
///     assert!(pattern.contains(Resource::parse(inside)?), "{inside}");
/// }
/// for outside in ["foo", "foobar", "[meta]foo:1", "*"] {
///     assert!(!pattern.contains(Resource::parse(outside)?), "{outside}");
/// }
/// # Ok::<(), accrue::ResourceError>(())
/// ```
///
/// Source: <https://ably.com/docs/auth/capabilities#wildcards>. Where that page is silent (does `foo:*`
/// cover `foo`?), this is the narrower reading.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource<'a> {
    text: &'a str,
    /// Whether it may contain anything but itself. Follows from the text; kept because it is asked often.
    pattern: bool,
}

impl<'a> Resource<'a> {
    /// The longest resource, in bytes.
    pub const MAX_BYTES: usize = 2048;

    /// Reads a resource.
    ///
    /// # Errors
    /// See [`ResourceError`].
    pub fn parse(text: &'a str) -> Result<Self, ResourceError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ResourceError::TooLong);
        }
        // in one pass, as most texts are ASCII and hold neither
        let (mut is_ascii, mut has_control, mut has_star) = (true, false, false);
        for byte in text.bytes() {
            is_ascii &= byte.is_ascii();
            has_control |= byte.is_ascii_control();
            has_star |= byte == b'*';
        }
        if has_control || (!is_ascii && text.contains(char::is_control)) {
            return Err(ResourceError::Control);
        }
        let (kind, name) = Kind::split(text).ok_or(ResourceError::Qualifier)?;
        match name.chars().next() {
            None => return Err(ResourceError::Empty),
            Some('[') => return Err(ResourceError::Qualifier),
            Some(c) if c == ':' || c == ',' || c.is_whitespace() => return Err(ResourceError::Start),
            Some(_) => {}
        }
        let pattern = kind == Kind::Any || (has_star && name.split(':').any(|segment| segment == "*"));
        Ok(Self { text, pattern })
    }

    /// One that was parsed before.
    pub(super) fn parsed(text: &'a str, pattern: bool) -> Self {
        Self { text, pattern }
    }

    /// The resource as text.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    pub(super) fn is_pattern(self) -> bool {
        self.pattern
    }

    /// Whether every channel that `other` stands for, this stands for too. A channel's name is a
    /// resource itself, so this also says whether a channel matches.
    pub fn contains(self, other: Resource<'_>) -> bool {
        if !self.pattern {
            return self.text == other.text;
        }
        let ((kind, name), (other_kind, other_name)) = (self.parts(), other.parts());
        (kind == other_kind || kind == Kind::Any) && segments_contain(name, other_name)
    }

    fn parts(self) -> (Kind, &'a str) {
        Kind::split(self.text).expect("parse has checked the qualifier")
    }
}

fn segments_contain(pattern: &str, other: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let mut theirs = other.split(':');
    let mut ours = pattern.split(':').peekable();
    while let Some(our) = ours.next() {
        let last = ours.peek().is_none();
        let Some(their) = theirs.next() else {
            return false;
        };
        match (our, last) {
            ("*", true) => return true,
            ("*", false) if their.is_empty() => return false,
            ("*", false) => {}
            (literal, _) if literal != their => return false,
            _ => {}
        }
    }
    theirs.next().is_none()
}

/// What a qualifier chooses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Channel,
    Meta,
    Queue,
    Any,
}

impl Kind {
    fn split(text: &str) -> Option<(Self, &str)> {
        if !text.starts_with('[') {
            return Some((Self::Channel, text));
        }
        [("[meta]", Self::Meta), ("[queue]", Self::Queue), ("[*]", Self::Any)]
            .into_iter()
            .find_map(|(prefix, kind)| text.strip_prefix(prefix).map(|name| (kind, name)))
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl fmt::Debug for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text, f)
    }
}

/// Why a text is not a [`Resource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// No name, or nothing after the qualifier.
    #[error("the name is empty")]
    Empty,
    /// Longer than [`Resource::MAX_BYTES`].
    #[error("longer than 2048 bytes")]
    TooLong,
    /// Holds a control character.
    #[error("control characters are not allowed")]
    Control,
    /// The name starts with `:`, `,` or white space.
    #[error("a name must not start with \":\", \",\" or white space")]
    Start,
    /// Starts with `[`, but with none of the three qualifiers.
    #[error("the only qualifiers are [meta], [queue] and [*]")]
    Qualifier,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(text: &str) -> Resource<'_> {
        Resource::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    #[track_caller]
    fn yes(pattern: &str, other: &str) {
        assert!(resource(pattern).contains(resource(other)), "{pattern} should contain {other}");
    }

    #[track_caller]
    fn no(pattern: &str, other: &str) {
        assert!(!resource(pattern).contains(resource(other)), "{pattern} should not contain {other}");
    }

    #[test]
    fn wildcards() {
        yes("*", "foo");
        yes("*", "foo:bar");
        yes("*", "r::$chat");
        yes("*", "*:c");
        no("*", "[queue]q");
        no("*", "[*]*");
        yes("foo:*", "foo:1");
        yes("foo:*", "foo:1:2");
        yes("foo:*", "foo::x");
        yes("foo:*", "foo:");
        yes("foo:*", "foo:*:x");
        no("foo:*", "foo");
        no("foo:*", "foobar");
        no("foo:*", "Foo:1");
        yes("foo:*:baz", "foo:bar:baz");
        yes("foo:*:baz", "foo:*:baz");
        no("foo:*:baz", "foo:bar:bam:baz");
        no("foo:*:baz", "foo::baz");
        no("foo:*:baz", "foo:baz");
        no("foo:*:baz", "foo:*");
        no("foo:*:*", "foo:*");
        yes("foo:*", "foo:*:*");
        yes("*:*", "a::b");
        no("*:*", "a");
        no("foo*", "foobar");
        yes("foo*", "foo*");
        yes("a:b*", "a:b*");
        no("a:b*", "a:bc");
        no("chat:1", "chat:*");
    }

    #[test]
    fn qualifiers() {
        yes("[*]*", "foo:bar");
        yes("[*]*", "[meta]log");
        yes("[*]*", "[queue]*");
        yes("[*]*", "*");
        yes("[*]foo", "foo");
        yes("[*]foo", "[meta]foo");
        no("[*]foo", "bar");
        no("foo", "[*]foo");
        yes("[meta]*", "[meta]channel.lifecycle");
        no("[meta]*", "[queue]*");
        no("[meta]*", "foo");
        no("[meta]log", "log");
    }

    #[test]
    fn patterns() {
        for (text, is_pattern) in [
            ("*", true),
            ("a:*", true),
            ("*:a", true),
            ("[meta]*", true),
            ("[*]a", true),
            ("a", false),
            ("a*", false),
            ("a:*b", false),
            ("[meta]a", false),
        ] {
            assert_eq!(resource(text).is_pattern(), is_pattern, "{text}");
        }
    }

    #[test]
    fn malformed() {
        for (text, why) in [
            ("", ResourceError::Empty),
            ("[meta]", ResourceError::Empty),
            (":a", ResourceError::Start),
            (",a", ResourceError::Start),
            (" a", ResourceError::Start),
            ("\u{a0}a", ResourceError::Start),
            ("[meta]:a", ResourceError::Start),
            ("[foo]a", ResourceError::Qualifier),
            ("[", ResourceError::Qualifier),
            ("[]a", ResourceError::Qualifier),
            ("[meta][meta]a", ResourceError::Qualifier),
            ("[?rewind=1]a", ResourceError::Qualifier),
            ("a\nb", ResourceError::Control),
            ("a\u{7f}", ResourceError::Control),
            ("a\u{85}", ResourceError::Control),
            (&"x".repeat(2049), ResourceError::TooLong),
        ] {
            assert_eq!(Resource::parse(text).unwrap_err(), why, "{text:?}");
        }
        for good in ["a b", "a[b]", "a,b", "café:☕", "r::$chat", "a:", &"x".repeat(2048)] {
            assert_eq!(resource(good).to_string(), good);
        }
    }
}
