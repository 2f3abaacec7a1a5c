//! Where the functions of a Go program are, also when it was stripped: the runtime's own table (`.gopclntab`) survives
//! `-s -w`, PIE and external linking.
//!
//! Layouts: magic 0xfffffffa is Go 1.16 and 1.17, 0xfffffff0 is 1.18 and 1.19, 0xfffffff1 is 1.20 and newer
//! (`src/internal/abi/symtab.go`, `src/debug/gosym/pclntab.go`). Everything is checked against the file's bounds; what does
//! not fit is an error, never a guess.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

use super::elf::Elf;

const GO_1_16: u32 = 0xffff_fffa;
const GO_1_18: u32 = 0xffff_fff0;
const GO_1_20: u32 = 0xffff_fff1;
/// Word of `runtime.moduledata` that holds `text`: five words of header pointers and six slices of three words come before
/// it (`pcHeader`, `funcnametab` .. `ftab`, `findfunctab`, `minpc`, `maxpc`).
const MODULEDATA_TEXT_WORD: u64 = 22;
/// Programs of 3 million functions do not exist (Kubernetes has about 150,000).
const MAX_FUNCTIONS: u64 = 3_000_000;

/// Where a function begins, and where the next one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    pub address: u64,
    pub end: u64,
}

/// The table of one program.
#[derive(Debug)]
pub struct GoTable<'d> {
    table: &'d [u8],
    address: u64,
    magic: u32,
    functions: u64,
    /// Address of the first function; table entries of Go 1.18 and newer are relative to it.
    text: u64,
    /// Where `text` was read, for people.
    pub text_source: &'static str,
    relocated: HashMap<u64, u64>,
}

fn u32_at(table: &[u8], at: u64) -> Result<u32> {
    let at = usize::try_from(at)?;
    let bytes = at.checked_add(4).and_then(|end| table.get(at..end));
    Ok(u32::from_le_bytes(bytes.context(".gopclntab is truncated")?.try_into()?))
}

fn u64_at(table: &[u8], at: u64) -> Result<u64> {
    Ok(u64::from(u32_at(table, at)?) | u64::from(u32_at(table, beyond(at, 4)?)?) << 32)
}

/// `by` bytes behind `address`, which any file may claim to be anywhere.
fn beyond(address: u64, by: u64) -> Result<u64> {
    address.checked_add(by).with_context(|| format!("nothing is {by} bytes behind {address:#x}"))
}

/// Finds the table: by section name, else by its magic at the start of a page-aligned word in a data segment.
fn find<'d>(elf: &Elf<'d>) -> Result<Option<(u64, &'d [u8])>> {
    for name in [".gopclntab", ".data.rel.ro.gopclntab"] {
        if let Some(found) = elf.section(name)? {
            return Ok(Some(found));
        }
    }
    for (address, data) in elf.data_segments() {
        for (at, window) in data.chunks_exact(8).enumerate() {
            let known = [GO_1_16, GO_1_18, GO_1_20].iter().any(|magic| window[..4] == magic.to_le_bytes());
            if known && window[4..6] == [0, 0] && matches!(window[6], 1 | 4) && window[7] == 8 {
                let at = at * 8;
                return Ok(Some((beyond(address, at as u64)?, &data[at..])));
            }
        }
    }
    Ok(None)
}

impl<'d> GoTable<'d> {
    /// Reads the table's header; `None` when the program has no such table, so is not Go.
    ///
    /// # Errors
    /// There is a table, but it is damaged or of an unknown version.
    pub fn open(elf: &Elf<'d>) -> Result<Option<Self>> {
        let Some((address, table)) = find(elf)? else { return Ok(None) };
        let magic = u32_at(table, 0)?;
        ensure!(
            [GO_1_16, GO_1_18, GO_1_20].contains(&magic),
            ".gopclntab has magic {magic:#x}: a Go version that h2watch does not know"
        );
        ensure!(table.get(7) == Some(&8), ".gopclntab is of a 32-bit program");
        let functions = u64_at(table, 8)?;
        ensure!(functions > 0 && functions <= MAX_FUNCTIONS, ".gopclntab claims {functions} functions");
        let mut this = Self {
            table,
            address,
            magic,
            functions,
            text: 0,
            text_source: "absolute",
            relocated: HashMap::new(),
        };
        if magic == GO_1_16 {
            let functab = this.header_word(6)?;
            let end = beyond(beyond(address, functab)?, functions * 16 + 16)?;
            this.relocated = elf.relative_words(address..=end);
        } else {
            (this.text, this.text_source) = this.find_text(elf)?;
        }
        Ok(Some(this))
    }

    /// The table is of Go 1.16 or 1.17.
    #[must_use]
    pub fn is_before_1_18(&self) -> bool {
        self.magic == GO_1_16
    }

    /// The n-th word of the header after magic, padding, quantum and pointer size.
    fn header_word(&self, n: u64) -> Result<u64> {
        u64_at(self.table, 8 + 8 * n)
    }

    /// Where `runtime.text` is: `pcHeader.textStart`; where that is 0 (Go 1.26 and newer), `moduledata.text`, through its
    /// relocation when the program is position independent. Never `.text`: external linking puts C code before Go's.
    fn find_text(&self, elf: &Elf<'d>) -> Result<(u64, &'static str)> {
        let start = self.header_word(2)?;
        if let Some(word) = elf.relative_word(beyond(self.address, 8 + 16)?) {
            return Ok((word, "pcHeader.textStart, relocated"));
        }
        if start != 0 {
            return Ok((start, "pcHeader.textStart"));
        }
        let (address, data) = elf.section(".go.module")?.context(
            ".gopclntab does not say where code begins (Go 1.26 and newer), and there is no .go.module section",
        )?;
        if let Some(word) = elf.relative_word(beyond(address, 8 * MODULEDATA_TEXT_WORD)?) {
            return Ok((word, "moduledata.text, relocated"));
        }
        let word = u64_at(data, 8 * MODULEDATA_TEXT_WORD).context(".go.module is too short")?;
        ensure!(word != 0, "moduledata.text is 0 and has no relocation");
        Ok((word, "moduledata.text"))
    }

    fn slice(&self, at: u64) -> Result<&'d [u8]> {
        usize::try_from(at).ok().and_then(|at| self.table.get(at..)).context(".gopclntab is truncated")
    }

    /// Addresses of the wanted functions, by name; names that are not there are missing.
    ///
    /// # Errors
    /// The table is damaged or truncated.
    pub fn functions(&self, wanted: &[&str]) -> Result<HashMap<String, Function>> {
        let (names, functab) = if self.magic == GO_1_16 {
            (self.slice(self.header_word(2)?)?, self.slice(self.header_word(6)?)?)
        } else {
            (self.slice(self.header_word(3)?)?, self.slice(self.header_word(7)?)?)
        };
        let mut found = HashMap::new();
        for n in 0..self.functions {
            let name_at = self.name_offset(functab, n)?;
            let name = names.get(usize::try_from(name_at)?..).context(".gopclntab: a name lies outside")?;
            let hit = wanted.iter().find(|w| name.starts_with(w.as_bytes()) && name.get(w.len()) == Some(&0));
            if let Some(&hit) = hit {
                let function =
                    Function { address: self.entry(functab, n)?, end: self.entry(functab, n + 1)? };
                let size = function.end.checked_sub(function.address).filter(|&size| size > 0);
                ensure!(size.is_some(), ".gopclntab: {hit} ends before it begins");
                if found.insert(hit.to_owned(), function).is_some() {
                    bail!(".gopclntab has two functions {hit}");
                }
            }
        }
        Ok(found)
    }

    /// Address at which the n-th function begins.
    fn entry(&self, functab: &[u8], n: u64) -> Result<u64> {
        if self.magic != GO_1_16 {
            return beyond(self.text, u64::from(u32_at(functab, n * 8)?));
        }
        let at = beyond(beyond(self.address, self.header_word(6)?)?, n * 16)?;
        Ok(match self.relocated.get(&at) {
            Some(&word) => word,
            None => u64_at(functab, n * 16)?,
        })
    }

    /// Offset of the n-th function's name: `_func.nameOff`, behind the entry address (8 bytes before 1.18, 4 since).
    fn name_offset(&self, functab: &[u8], n: u64) -> Result<u32> {
        let name = if self.magic == GO_1_16 {
            u32_at(functab, beyond(u64_at(functab, n * 16 + 8)?, 8)?)
        } else {
            u32_at(functab, u64::from(u32_at(functab, n * 8 + 4)?) + 4)
        };
        name.with_context(|| format!(".gopclntab: function {n} of {} lies outside", self.functions))
    }
}

/// Go version of a program ("go1.21.13"), from its build info (`src/debug/buildinfo`); `None` where it does not tell
/// (Go 1.17 keeps a pointer there, which needs the program's memory).
#[must_use]
pub fn version(elf: &Elf<'_>) -> Option<String> {
    const MAGIC: &[u8] = b"\xff Go buildinf:";
    let (_, data) = elf.section(".go.buildinfo").ok()??;
    let inline_strings = data.starts_with(MAGIC) && data.get(15)? & 2 != 0;
    let length = usize::from(*data.get(32)?);
    if !inline_strings || length >= 0x80 {
        return None;
    }
    let text = std::str::from_utf8(data.get(33..33 + length)?).ok()?;
    Some(text.chars().take(48).filter(|c| !c.is_control()).collect())
}
