//! Damaged copies of real programs and libraries, through the way that every file goes: the right places or none, and never a
//! panic. Damages of what a process needs to run at all (program headers, what its dynamic linker reads) only must not panic: a file that is
//! wrong there runs as it says.

use std::collections::BTreeSet;
use std::ops::Range;

use object::elf::FileHeader64;
use object::read::elf::{ElfFile, FileHeader as _, SectionHeader as _};
use object::{LittleEndian, Object as _, ObjectSection as _};
use proptest::prelude::*;

use super::{GO_VERSIONS, go_program, host_library, tls};
use crate::tls::elf::Image;
use crate::tls::plan::FilePlan;

/// Where in the file a section is.
pub(super) fn section(bytes: &[u8], name: &str) -> Range<usize> {
    let file = object::File::parse(bytes).unwrap();
    let (at, size) = file.section_by_name(name).unwrap().file_range().unwrap();
    usize::try_from(at).unwrap()..usize::try_from(at + size).unwrap()
}

/// The section headers, and the fields of the ELF header that say where they are.
fn section_headers(bytes: &[u8]) -> Vec<usize> {
    let file: ElfFile<'_, FileHeader64<LittleEndian>> = ElfFile::parse(bytes).unwrap();
    let header = file.elf_header();
    let at = usize::try_from(header.e_shoff(LittleEndian)).unwrap();
    let size = usize::from(header.e_shentsize(LittleEndian)) * usize::from(header.e_shnum(LittleEndian));
    // Only sections that are looked at: most of the others would change nothing.
    let looked_at =
        [".gopclntab", ".data.rel.ro.gopclntab", ".go.module", ".dynsym", ".dynstr", ".symtab", ".strtab"];
    let table = file.elf_section_table();
    let of_interest = table.enumerate().filter(|(_, section)| {
        let name = table.section_name(LittleEndian, section).unwrap_or_default();
        looked_at.iter().any(|wanted| wanted.as_bytes() == name) || section.sh_size(LittleEndian) == 0
    });
    let own: Vec<usize> =
        of_interest.flat_map(|(index, _)| at + index.0 * 64..at + index.0 * 64 + 64).collect();
    assert!(own.len() > 64 && own.iter().all(|&byte| byte < at + size));
    // e_shoff, and e_shentsize, e_shnum, e_shstrndx.
    [(0x28..0x30).collect(), (0x3a..0x40).collect(), own].concat()
}

/// Program, place and half of every point.
fn places(plan: &FilePlan) -> BTreeSet<(&'static str, u64, bool)> {
    let points = [&plan.points.write, &plan.points.read, &plan.points.free];
    let points = points.into_iter().flatten().flatten();
    points.map(|point| (point.program, point.file_offset, point.on_return)).collect()
}

/// Places that a function has which is decoded less far than the whole one: its entry.
fn entries(bytes: &[u8], right: &FilePlan) -> BTreeSet<(&'static str, u64, bool)> {
    let image = Image::from_bytes(bytes.to_vec());
    let elf = image.elf().unwrap();
    let names = ["SSL_write", "SSL_write_ex", "SSL_read", "SSL_read_ex", "SSL_free"];
    let others = ["gnutls_record_send", "gnutls_record_recv", "gnutls_deinit"];
    let mut all = places(right);
    for (name, symbol) in elf.functions(&[&names[..], &others].concat()).unwrap() {
        let (half, done) = match () {
            () if name.contains("free") || name.contains("deinit") => ("tls_free", None),
            () if name.ends_with("_ex") && name.contains("write") => ("tls_write_ex", Some("tls_write_done")),
            () if name.ends_with("_ex") => ("tls_read_ex", Some("tls_read_done")),
            () if name.contains("write") || name.contains("send") => ("tls_write", Some("tls_write_done")),
            () => ("tls_read", Some("tls_read_done")),
        };
        let offset = elf.file_offset(symbol.address).unwrap();
        all.insert((half, offset, false));
        all.extend(done.map(|done| (done, offset, true)));
    }
    all
}

/// Changes a bit at each of these places in turn, `cases` of them at random, and sometimes cuts the file.
fn damage(good: &[u8], at: &[usize], cases: u32, allowed: Option<&BTreeSet<(&'static str, u64, bool)>>) {
    let mut config = ProptestConfig::with_cases(cases);
    config.failure_persistence = None;
    proptest!(config, |(n in 0..at.len(), bit in 0u8..8, cut in 0usize..100)| {
        let mut bytes = good.to_vec();
        bytes[at[n]] ^= 1 << bit;
        if cut < 10 {
            bytes.truncate(bytes.len() * cut / 10);
        }
        let plan = tls(bytes);
        if let (Ok(plan), Some(allowed)) = (plan, allowed) {
            let wrong: Vec<_> = places(&plan).difference(allowed).copied().collect();
            prop_assert!(wrong.is_empty(), "byte {:#x} bit {bit}, cut {cut}: {wrong:?}", at[n]);
        }
    });
}

/// The table's own header, and how tools find it.
#[test]
fn a_damaged_go_program_gives_the_right_places_or_a_reason() {
    for (version, build) in
        GO_VERSIONS.into_iter().flat_map(|version| [(version, "stripped"), (version, "pie")])
    {
        let good = go_program(build, version);
        let right = places(&tls(good.clone()).unwrap());
        let name =
            if build == "pie" && version == "1.21.13" { ".data.rel.ro.gopclntab" } else { ".gopclntab" };
        let table = section(&good, name).start;
        damage(&good, &(table..table + 72).collect::<Vec<_>>(), 30, Some(&right));
        damage(&good, &section_headers(&good), 40, Some(&right));
        damage(&good, &(0..64 + 12 * 56).collect::<Vec<_>>(), 15, None);
    }
}

#[test]
fn a_damaged_library_gives_the_right_places_or_a_reason() {
    for (name, cases) in [("libssl.so.3", 60), ("libgnutls.so.30", 10)] {
        let Some(good) = host_library(name) else { continue };
        let right = entries(&good, &tls(good.clone()).unwrap());
        damage(&good, &section_headers(&good), cases, Some(&right));
        damage(&good, &section(&good, ".dynsym").collect::<Vec<_>>(), cases, None);
        damage(&good, &section(&good, ".dynstr").collect::<Vec<_>>(), cases, None);
        damage(&good, &(0..64 + 12 * 56).collect::<Vec<_>>(), cases, None);
    }
}

/// A table of names that begins somewhere else gives the names that are looked for to other functions.
#[test]
fn names_that_are_some_bytes_off_are_not_believed() {
    let Some(good) = host_library("libssl.so.3") else { return };
    let right = entries(&good, &tls(good.clone()).unwrap());
    let offset = header_of(&good, ".dynstr") + 24;
    let was = usize::try_from(u64::from_le_bytes(good[offset..offset + 8].try_into().unwrap())).unwrap();
    let names = section(&good, ".dynstr");
    let of =
        |name: &[u8]| memchr::memmem::find(&good[names.clone()], &[b"\0", name, b"\0"].concat()).unwrap();
    // `SSL_write` is where the name of another function is looked for.
    let off = was.wrapping_add(of(b"SSL_write")).wrapping_sub(of(b"SSL_shutdown"));
    let mut bytes = good.clone();
    bytes[offset..offset + 8].copy_from_slice(&(off as u64).to_le_bytes());
    match tls(bytes) {
        Ok(plan) => assert!(places(&plan).is_subset(&right), "{:?}", places(&plan)),
        Err(error) => assert!(error.to_string().contains("disagree"), "{error:#}"),
    }
}

/// Where the header of a section is.
fn header_of(bytes: &[u8], name: &str) -> usize {
    let file: ElfFile<'_, FileHeader64<LittleEndian>> = ElfFile::parse(bytes).unwrap();
    let headers = usize::try_from(file.elf_header().e_shoff(LittleEndian)).unwrap();
    let table = file.elf_section_table();
    let (index, _) = table.section_by_name(LittleEndian, name.as_bytes()).unwrap();
    headers + index.0 * 64
}

/// A section, and what is looked for in it, that claim to be at the end of all addresses.
#[test]
fn addresses_beyond_the_last_one_are_no_panic() {
    let good = go_program("pie", "1.27.3");
    for name in [".gopclntab", ".go.module"] {
        let mut bytes = good.clone();
        let address = header_of(&good, name) + 16;
        bytes[address..address + 8].copy_from_slice(&(u64::MAX - 8).to_le_bytes());
        assert!(tls(bytes).is_err(), "{name}");
    }
}
