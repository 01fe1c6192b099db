//! Unmodified SDKs and a real browser against the binary: what `npm test` runs in `tests/sdk`.

#[path = "support/skipped.rs"]
mod skipped;

use std::path::Path;
use std::process::Command;

use skipped::skipped;

/// Needs Node and what `npm ci` brings; scenarios that need more (Chromium, nginx, Python) skip themselves.
#[test]
fn sdks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    if !node_is_new_enough() {
        return skipped(
            "the scenarios with SDKs and a browser; there is no Node here, or it is older than 20",
        );
    }
    if !folder.join("node_modules").exists() {
        return skipped("the scenarios with SDKs and a browser; to run them: npm ci --prefix tests/sdk");
    }
    let status = Command::new("npm")
        .args(["test", "--silent"])
        .current_dir(folder)
        .env("ACCRUE", env!("CARGO_BIN_EXE_accrue"))
        .status()
        .expect("npm starts");
    assert!(status.success(), "npm test in tests/sdk: {status}");
}

fn node_is_new_enough() -> bool {
    let output = Command::new("node").arg("--version").output();
    let version =
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    major.is_some_and(|major: u32| major >= 20)
}
