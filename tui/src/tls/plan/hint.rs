//! What a program without TLS symbols has inside, as far as its own text tells: words for the reader, nothing is probed by it.

use crate::tls::elf::Elf;

/// Why a file without TLS symbols is worth a word.
pub(super) fn hint(elf: Option<&Elf<'_>>, name: &str) -> Option<&'static str> {
    if name == "libjvm.so" {
        return Some("Java encrypts inside the JVM (JSSE): nothing to probe");
    }
    let elf = elf.filter(|_| !name.contains(".so"))?;
    if elf.texts_with(RUSTLS).any(|text| is_rustls_source(&text)) {
        return Some("rustls is linked in, without functions that can be found");
    }
    let boringssl = elf.texts_with(BORINGSSL).any(|text| is_boringssl_source(&text));
    boringssl.then_some("BoringSSL is linked in, without symbols")
}

/// How a source path of the library begins, as panics and errors carry them. The beginning alone is in h2watch too, right here.
pub(super) const RUSTLS: &str = "/rustls-";
pub(super) const BORINGSSL: &str = "ssl/ssl_";

/// `/rustls-0.23.46/src/conn.rs`, as in cargo's registry.
pub(super) fn is_rustls_source(text: &str) -> bool {
    let path = text.strip_prefix(RUSTLS).and_then(|rest| rest.split_once('/'));
    path.is_some_and(|(version, file)| {
        version.starts_with(|c: char| c.is_ascii_digit()) && file.starts_with("src")
    })
}

/// `ssl/ssl_lib.cc`: the same file of OpenSSL is C.
pub(super) fn is_boringssl_source(text: &str) -> bool {
    text.strip_prefix(BORINGSSL).and_then(|rest| rest.split_once('.')).is_some_and(|(stem, kind)| {
        stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && kind.starts_with("cc")
    })
}
