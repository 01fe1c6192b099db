use std::process::ExitCode;

use accrue::SealingSecret;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::process::{print, random_bytes};

pub(crate) fn keygen(kid: &str) -> Result<ExitCode, String> {
    let secret = fresh(kid);
    SealingSecret::parse(&secret).map_err(|error| format!("--kid: {error}"))?;
    print(&format!("{secret}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// A secret as `ACCRUE_SECRETS` takes it.
pub(crate) fn fresh(kid: &str) -> String {
    format!("{kid}:{}", BASE64_URL_SAFE_NO_PAD.encode(random_bytes()))
}
