//! What the tests run: HTTP/2 clients and servers of others, and the tools that make and cut networks.

use anyhow::Result;

use super::{debian, go, python};
use crate::checkout;

const PYTHON_PACKAGES: [&str; 3] = ["h2==4.4.1", "hyperframe==6.1.0", "httpx[http2]==0.28.1"];

pub(super) fn set_up() -> Result<()> {
    debian::install(&debian::CLIENTS)?;
    // One more client, and the oracle for frame counts.
    python::environment("Python with h2, hyperframe, httpx", "venv", &PYTHON_PACKAGES)?;
    go::VERSIONS.iter().try_for_each(|version| go::install(version))
}

/// The environment's interpreter.
pub(super) fn venv_python() -> std::path::PathBuf {
    checkout::cache("venv/bin/python")
}
