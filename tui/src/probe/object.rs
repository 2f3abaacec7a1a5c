//! Which object is loaded, and whether it fits this binary.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use object::{Object as _, ObjectSection as _};
use probe_common::ABI;

/// Alignment that aya asks of an object in memory.
#[repr(C, align(32))]
struct Aligned<T: ?Sized>(T);

#[cfg(target_arch = "x86_64")]
static PREBUILT: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../../probe-ebpf/prebuilt/h2watch-probe.x86_64.o"));
#[cfg(target_arch = "aarch64")]
static PREBUILT: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../../probe-ebpf/prebuilt/h2watch-probe.aarch64.o"));

/// The section of the object that holds `probe_common::ABI`, little-endian.
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
        let words: Vec<u32> = section
            .data()
            .unwrap_or_default()
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        if words != ABI {
            bail!(
                "the probe object ({}) was built for another contract ({}; this h2watch needs {}): rebuild it with `cargo \
                 xtask probe`, or unset H2WATCH_PROBE",
                self.source,
                in_words(&words),
                in_words(&ABI),
            );
        }
        Ok(())
    }
}

/// An ABI as it is said in an error.
fn in_words(abi: &[u32]) -> String {
    match abi.split_first() {
        Some((version, layout)) => format!("ABI version {version}, layout {layout:?}"),
        None => "no ABI version".to_owned(),
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
