use std::io::Write as _;

/// Says what is not tried here, past the test runner, which shows what a test prints only if it fails.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
