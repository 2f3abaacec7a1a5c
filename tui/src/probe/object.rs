//! Which object is loaded, and whether it fits this binary.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use object::{Object as _, ObjectSection as _};
use probe_common::ABI_VERSION;

/// Alignment that aya asks of an object in memory.
#[repr(C, align(32))]
struct Aligned<T: ?Sized>(T);

#[cfg(target_arch = "x86_64")]
static PREBUILT: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../../probe-ebpf/prebuilt/h2watch-probe.x86_64.o"));
#[cfg(target_arch = "aarch64")]
static PREBUILT: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../../probe-ebpf/prebuilt/h2watch-probe.aarch64.o"));

/// The section of the object that holds its ABI version, little-endian.
const ABI_SECTION: &str = "h2watch.abi";

/// An object that was checked.
#[derive(Debug)]
pub struct Object {
    pub bytes: Cow<'static, [u8]>,
    /// Where it came from, in words.
    pub source: String,
}

impl Object {
    /// The committed object, or the file that `H2WATCH_PROBE` names (for testing a rebuilt one).
    ///
    /// # Errors
    /// The file cannot be read, is no BPF object, or was built for another version of the contract.
    pub fn find() -> Result<Self> {
        let object = match std::env::var_os("H2WATCH_PROBE") {
            None => Self { bytes: Cow::Borrowed(&PREBUILT.0), source: "built in".to_owned() },
            Some(path) => {
                let path = PathBuf::from(path);
                let bytes = std::fs::read(&path).with_context(|| {
                    format!("H2WATCH_PROBE names {}, which cannot be read", path.display())
                })?;
                Self { bytes: Cow::Owned(bytes), source: path.display().to_string() }
            }
        };
        object.check()?;
        Ok(object)
    }

    fn check(&self) -> Result<()> {
        let file = object::File::parse(&*self.bytes)
            .with_context(|| format!("the probe object ({}) is not an ELF file", self.source))?;
        let section = file.section_by_name(ABI_SECTION).with_context(|| {
            format!("the probe object ({}) has no section {ABI_SECTION}: it is not h2watch's", self.source)
        })?;
        let version = section.data().ok().and_then(|data| data.try_into().ok()).map(u32::from_le_bytes);
        if version != Some(ABI_VERSION) {
            bail!(
                "the probe object ({}) has ABI version {}, this h2watch needs {ABI_VERSION}: rebuild it with `cargo \
                 xtask probe`, or unset H2WATCH_PROBE",
                self.source,
                version.map_or_else(|| "none".to_owned(), |v| v.to_string()),
            );
        }
        Ok(())
    }
}

/// How the committed object was built, as recorded beside it.
#[must_use]
pub fn provenance() -> &'static str {
    include_str!("../../../probe-ebpf/prebuilt/PROVENANCE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_object_fits_this_binary() {
        Object { bytes: Cow::Borrowed(&PREBUILT.0), source: "built in".into() }.check().unwrap();
    }

    #[test]
    fn garbage_is_refused_with_its_source() {
        let object = Object { bytes: Cow::Owned(vec![0; 64]), source: "some/file.o".into() };
        let error = format!("{:#}", object.check().unwrap_err());
        assert!(error.contains("some/file.o"), "{error}");
    }
}
