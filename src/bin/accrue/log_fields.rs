//! The fields of a log line, written as `tracing_subscriber` writes them. Most are short words and numbers, which need none
//! of the escaping and formatting that it puts each through; without, two lines take half the time.

use std::error::Error;
use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// Formats fields like [`DefaultFields`](tracing_subscriber::fmt::format::DefaultFields).
pub(crate) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_empty: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    is_empty: bool,
    result: fmt::Result,
}

impl Line<'_> {
    /// Whether there is nothing to it but its name and its value.
    fn is_plain(&self, field: &Field) -> bool {
        let name = field.name();
        name != "message"
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            && !self.writer.has_ansi_escapes()
    }

    fn plainly(&mut self, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let space = if self.is_empty { "" } else { " " };
        let written = self.writer.write_str(space).and_then(|()| write(&mut self.writer));
        self.result = self.result.and(written);
        self.is_empty = false;
    }

    fn as_usual(&mut self, field: &Field, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        let mut visitor = DefaultVisitor::new(self.writer.by_ref(), self.is_empty);
        record(&mut visitor);
        let written = visitor.finish();
        self.result = self.result.and(written);
        // these it leaves out
        self.is_empty &= field.name().starts_with("log.");
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let stays_as_it_is = |b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
        if self.is_plain(field) && value.bytes().all(stays_as_it_is) {
            self.plainly(|writer| {
                [field.name(), "=\"", value, "\""].into_iter().try_for_each(|part| writer.write_str(part))
            });
        } else {
            self.as_usual(field, |visitor| visitor.record_str(field, value));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if self.is_plain(field) {
            self.plainly(|writer| write!(writer, "{}={value}", field.name()));
        } else {
            self.as_usual(field, |visitor| visitor.record_u64(field, value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.as_usual(field, |visitor| visitor.record_debug(field, value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.as_usual(field, |visitor| visitor.record_error(field, value));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::{info, subscriber};
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn events() {
        let error: io::Error = io::ErrorKind::NotFound.into();
        for text in
            ["", "a word", "\"", "\\", "caf\u{e9}", "\u{7f}", "\u{1b}[31m", "line\nbreak", "'", "\u{2028}"]
        {
            info!(target: "audit", text, none = None::<&str>, some = Some(text), shown = %text, debug = ?text, "{text}");
            info!(log.file = text, after = text);
            info!(name: "no message", text, number = u64::MAX, small = 7_u16, signed = -7, yes = true, half = 0.5);
            info!(
                r#type = text,
                "log.file" = text,
                a.b = text,
                error = &error as &(dyn Error + 'static),
                "{}",
                text
            );
        }
    }

    /// What these fields make of all events.
    fn lines<F>(fields: F, with_ansi: bool) -> String
    where
        F: for<'w> FormatFields<'w> + Send + Sync + 'static,
    {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(with_ansi)
            .fmt_fields(fields)
            .with_writer(move || writer.clone())
            .finish();
        subscriber::with_default(subscriber, events);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_same_as_usual() {
        for with_ansi in [false, true] {
            let usual = lines(DefaultFields::new(), with_ansi);
            assert_eq!(lines(Fields, with_ansi), usual);
            assert_eq!(usual.matches("signed").count(), 10);
        }
    }
}
