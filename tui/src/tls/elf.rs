//! An ELF file as far as probes need it: symbols, code, file offsets, build id, relocated words.
//!
//! Knows nothing of TLS.

use std::collections::HashMap;
use std::fs::File;

use anyhow::{Context, Result, bail};
use object::elf::Dyn64;
use object::read::elf::{Dyn as _, ProgramHeader as _, SectionHeader as _};
use object::{Architecture, Object, ObjectSection, ObjectSegment, ObjectSymbol, SegmentFlags, SymbolKind};

/// Longest function that is decoded, bytes. `tls.(*Conn).Read` and `SSL_write` are below 2 KiB.
pub const MAX_FUNCTION_BYTES: u64 = 64 * 1024;
/// Largest section that is read whole. `.gopclntab` of the largest Go programs is about 60 MB.
const MAX_SECTION_BYTES: u64 = 256 << 20;

/// Largest file that is looked at. The largest known, a debug build of Chromium, is about this large.
const MAX_FILE_BYTES: u64 = 2 << 30;

/// An executable file, read: a mapping would be faster and would kill h2watch when somebody truncates the file.
#[derive(Debug)]
pub struct Image {
    bytes: Vec<u8>,
}

impl Image {
    /// Reads an open file: whoever opened it keeps its identity.
    ///
    /// # Errors
    /// The file is too large, or cannot be read.
    pub fn from_file(file: &File) -> Result<Self> {
        use std::os::unix::fs::FileExt;
        let size = file.metadata().context("cannot stat")?.len();
        if size > MAX_FILE_BYTES {
            bail!("{size} bytes are too many to look through");
        }
        let mut bytes = vec![0; usize::try_from(size)?];
        file.read_exact_at(&mut bytes, 0).context("cannot be read")?;
        Ok(Self { bytes })
    }

    /// Bytes instead of a file.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// True when the text is anywhere in the file: far cheaper than parsing it.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        memchr::memmem::find(&self.bytes, text.as_bytes()).is_some()
    }

    /// Parses the headers.
    ///
    /// # Errors
    /// Not an ELF file, or damaged.
    pub fn elf(&self) -> Result<Elf<'_>> {
        let file = object::File::parse(&*self.bytes).context("not a readable ELF file")?;
        if !file.is_64() || !file.is_little_endian() {
            bail!("only 64-bit little-endian programs can be probed");
        }
        Ok(Elf { file, bytes: &self.bytes })
    }
}

/// A function as the symbol table has it. `size` is 0 where the table does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub address: u64,
    pub size: u64,
}

/// Parsed headers of an `Image`.
#[derive(Debug)]
pub struct Elf<'d> {
    file: object::File<'d>,
    bytes: &'d [u8],
}

impl<'d> Elf<'d> {
    #[must_use]
    pub fn architecture(&self) -> Architecture {
        self.file.architecture()
    }

    /// Addresses of the named functions, from `.symtab` and `.dynsym`. Names that are not defined here are missing. A name
    /// with two different addresses is an error: nobody can say which one runs.
    ///
    /// # Errors
    /// Two definitions disagree, or the tables are not those that the dynamic linker uses.
    pub fn functions(&self, wanted: &[&str]) -> Result<HashMap<String, Symbol>> {
        self.agree_with_the_linker()?;
        let mut found: HashMap<String, Symbol> = HashMap::new();
        for symbol in self.file.symbols().chain(self.file.dynamic_symbols()) {
            let Ok(name) = symbol.name() else { continue };
            let name = name.split('@').next().unwrap_or(name);
            if !wanted.contains(&name) || !symbol.is_definition() || symbol.kind() != SymbolKind::Text {
                continue;
            }
            let new = Symbol { address: symbol.address(), size: symbol.size() };
            match found.get(name) {
                Some(old) if old.address != new.address => {
                    bail!("{name} is defined twice, at {:#x} and {:#x}", old.address, new.address)
                }
                _ => found.insert(name.to_owned(), new),
            };
        }
        Ok(found)
    }

    /// Symbols and their names are found by section headers, which nothing needs to run. With a name table that begins some
    /// bytes off, other functions have the names that are looked for; so it must be the table that the dynamic linker uses.
    fn agree_with_the_linker(&self) -> Result<()> {
        let object::File::Elf64(elf) = &self.file else { return Ok(()) };
        let symbols = elf.elf_dynamic_symbol_table();
        if symbols.is_empty() {
            return Ok(());
        }
        let endian = elf.endian();
        let mut entries: Vec<&Dyn64<_>> = Vec::new();
        for header in elf.elf_program_headers() {
            let dynamic = header.dynamic(endian, self.bytes).context("the dynamic segment cannot be read")?;
            entries.extend(dynamic.unwrap_or_default());
        }
        let tables =
            [(object::elf::DT_SYMTAB, symbols.section()), (object::elf::DT_STRTAB, symbols.string_section())];
        for (tag, section) in tables {
            let section =
                elf.elf_section_table().section(section).context("a table of symbols is missing")?;
            let offset = section.sh_offset(endian);
            let of_linker = entries.iter().find(|entry| entry.d_tag(endian) == u64::from(tag));
            let of_linker = of_linker.and_then(|entry| self.offset_in(0, entry.d_val(endian)));
            if of_linker != Some(offset) {
                bail!("section headers and dynamic linker disagree where symbols are");
            }
        }
        Ok(())
    }

    /// Where in the file the instruction at `address` is; `None` when no executable segment holds it.
    #[must_use]
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        self.offset_in(object::elf::PF_X, address)
    }

    /// Where in the file `address` is, in a segment with these flags.
    fn offset_in(&self, flags: u32, address: u64) -> Option<u64> {
        self.file.segments().find_map(|segment| {
            let SegmentFlags::Elf { p_flags, .. } = segment.flags() else { return None };
            let (offset, size) = segment.file_range();
            let inside = address.checked_sub(segment.address())?;
            (p_flags & flags == flags && inside < size).then_some(offset.checked_add(inside)?)
        })
    }

    /// At most `len` bytes of code at `address`, fewer at the end of its segment. No address in it is beyond the last one.
    ///
    /// # Errors
    /// `address` is not in an executable segment, or the file is shorter than its headers say.
    pub fn code(&self, address: u64, len: u64) -> Result<&'d [u8]> {
        let offset =
            self.file_offset(address).with_context(|| format!("{address:#x} is not in executable code"))?;
        let rest = self.file.segments().find_map(|segment| {
            let inside = address.checked_sub(segment.address())?;
            segment.file_range().1.checked_sub(inside).filter(|&rest| rest > 0)
        });
        let len = len.min(rest.unwrap_or(0)).min(MAX_FUNCTION_BYTES);
        address.checked_add(len).with_context(|| format!("the code at {address:#x} has no end"))?;
        let range = usize::try_from(offset)?..usize::try_from(offset.saturating_add(len))?;
        self.bytes.get(range).with_context(|| format!("the file ends before the code at {address:#x}"))
    }

    /// Address and contents of a section.
    ///
    /// # Errors
    /// The section is damaged, or too large to be real.
    pub fn section(&self, name: &str) -> Result<Option<(u64, &'d [u8])>> {
        let Some(section) = self.file.section_by_name(name) else { return Ok(None) };
        if section.size() > MAX_SECTION_BYTES {
            bail!("section {name} claims {} bytes", section.size());
        }
        let data = section.data().with_context(|| format!("section {name} cannot be read"))?;
        Ok(Some((section.address(), data)))
    }

    /// Contents of the loaded segments that are not code, for files without a section table.
    #[must_use]
    pub fn data_segments(&self) -> Vec<(u64, &'d [u8])> {
        let small = self.file.segments().filter(|segment| segment.file_range().1 <= MAX_SECTION_BYTES);
        small.filter_map(|segment| Some((segment.address(), segment.data().ok()?))).collect()
    }

    /// What the dynamic linker stores at addresses inside `range` (R_*_RELATIVE), by address.
    #[must_use]
    pub fn relative_words(&self, range: std::ops::RangeInclusive<u64>) -> HashMap<u64, u64> {
        let Some(relocations) = self.file.dynamic_relocations() else { return HashMap::new() };
        let relative = match self.architecture() {
            Architecture::X86_64 => object::elf::R_X86_64_RELATIVE,
            Architecture::Aarch64 => object::elf::R_AARCH64_RELATIVE,
            _ => return HashMap::new(),
        };
        let is_relative =
            |flags| matches!(flags, object::RelocationFlags::Elf { r_type } if r_type == relative);
        relocations
            .filter(|(at, relocation)| range.contains(at) && is_relative(relocation.flags()))
            .map(|(at, relocation)| (at, relocation.addend().cast_unsigned()))
            .collect()
    }

    /// What the dynamic linker stores at `address`, if it does.
    #[must_use]
    pub fn relative_word(&self, address: u64) -> Option<u64> {
        self.relative_words(address..=address).get(&address).copied()
    }

    /// GNU build id in hexadecimal.
    #[must_use]
    pub fn build_id(&self) -> Option<String> {
        use std::fmt::Write;
        let id = self.file.build_id().ok()??;
        Some(id.iter().take(64).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }

    /// The texts in `.rodata` that begin with `needle`, each up to the next byte that does not print.
    pub fn texts_with(&self, needle: &str) -> impl Iterator<Item = String> {
        let data = self.section(".rodata").ok().flatten().map_or(&[][..], |(_, data)| data);
        let places: Vec<usize> = memchr::memmem::find_iter(data, needle.as_bytes()).take(64).collect();
        places.into_iter().map(|at| {
            let text = data[at..].iter().take(96).take_while(|b| b.is_ascii_graphic() || **b == b' ');
            text.map(|&b| char::from(b)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn own() -> Vec<u8> {
        std::fs::read("/proc/self/exe").unwrap()
    }

    #[test]
    fn a_function_of_this_very_program_is_found_where_it_is() {
        let image = Image::from_file(&File::open("/proc/self/exe").unwrap()).unwrap();
        let elf = image.elf().unwrap();
        let main = elf.functions(&["main", "no_such_function"]).unwrap();
        assert_eq!(main.len(), 1);
        let code = elf.code(main["main"].address, 16).unwrap();
        let offset = usize::try_from(elf.file_offset(main["main"].address).unwrap()).unwrap();
        assert_eq!(code, &own()[offset..offset + 16]);
        assert!(elf.file_offset(0).is_none_or(|offset| offset != 0), "headers are not code");
    }

    #[test]
    fn not_an_elf_file_is_an_error() {
        for bytes in [Vec::new(), vec![0; 4096], b"#!/bin/sh\nexit 0\n".to_vec(), own()[..100].to_vec()] {
            assert!(Image::from_bytes(bytes).elf().is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damaged_headers_never_panic(at in 0usize..4096, value: u8, cut in 64usize..200_000) {
            static SMALL: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| std::fs::read("/bin/true").unwrap());
            let mut bytes = SMALL.clone();
            bytes.truncate(cut);
            let at = at % bytes.len();
            bytes[at] = value;
            let image = Image::from_bytes(bytes);
            if let Ok(elf) = image.elf() {
                let _ = elf.functions(&["main"]);
                let _ = elf.code(0x2000, 64);
                let _ = elf.section(".rodata");
                let _ = elf.relative_words(0..=u64::MAX);
                let _ = (elf.build_id(), elf.texts_with("GNU").count(), elf.data_segments().len());
            }
        }
    }
}
