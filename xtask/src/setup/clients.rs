//! What the tests run: HTTP/2 clients and servers of others, and the tools that make and cut networks.

use anyhow::{Context, Result};

use super::{debian, go, python, step};
use crate::{checkout, command};

/// curl_cffi is a client with BoringSSL inside.
const PYTHON_PACKAGES: [&str; 4] =
    ["h2==4.4.1", "hyperframe==6.1.0", "httpx[http2]==0.28.1", "curl_cffi==0.17.0"];

/// A wheel that bundles OpenSSL, the version of OpenSSL, and the version of the wheel.
const OPENSSL_WHEEL: &str = "psycopg2-binary";
const OPENSSL_WHEELS: [(&str, &str); 2] = [("1.1", "2.9.10"), ("3.5", "2.9.11")];

pub(super) fn set_up() -> Result<()> {
    debian::install(&debian::CLIENTS)?;
    // One more client, and the oracle for frame counts.
    python::environment("Python with h2, hyperframe, httpx, curl_cffi", "venv", &PYTHON_PACKAGES)?;
    for (openssl, version) in OPENSSL_WHEELS {
        let (what, package) = (format!("OpenSSL {openssl}"), format!("{OPENSSL_WHEEL}=={version}"));
        python::unpack(&what, &format!("openssl-{openssl}"), &package)?;
    }
    go::VERSIONS.iter().try_for_each(|version| go::install(version))?;
    go::programs()?;
    rustls()
}

/// A stripped client with rustls: a workspace of its own, so that h2watch's lock file has no TLS library.
fn rustls() -> Result<()> {
    let folder = checkout::root().join("tui/tests/clients/rustls");
    let target = checkout::cache("rustls");
    // Cargo notices what has changed; only the first time takes long.
    let mut cargo = command::cargo();
    cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target).env_remove("CARGO_TARGET_DIR");
    let present = target.join("debug/h2watch-rustls-client").is_file();
    command::quietly(&mut cargo).context("building the client with rustls")?;
    step("client with rustls", present, || Ok(()))
}

/// The environment's interpreter.
pub(super) fn venv_python() -> std::path::PathBuf {
    checkout::cache("venv/bin/python")
}
