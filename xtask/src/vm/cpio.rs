//! The archive format of an initramfs ("newc", Linux: Documentation/driver-api/early-userspace/buffer-format.rst): written
//! here so that building one needs neither root nor another program.

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    n_entries: u32,
}

impl Archive {
    pub(super) fn directory(&mut self, name: &str) {
        self.entry(name, DIRECTORY, (0, 0), &[]);
    }

    pub(super) fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, (0, 0), content);
    }

    pub(super) fn character_device(&mut self, name: &str, major: u32, minor: u32) {
        self.entry(name, CHARACTER_DEVICE, (major, minor), &[]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.n_entries += 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // inode, mode, uid, gid, nlink, mtime, size, device of the file, device it is, name with its NUL, no checksum.
        let fields = [self.n_entries, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_110_bytes_and_everything_is_aligned_to_4() {
        let mut archive = Archive::default();
        archive.directory("dev");
        archive.program("init", b"hello");
        let bytes = archive.finish();
        assert!(bytes.len().is_multiple_of(4));
        // "dev\0" ends at 114, padded to 116; "init\0" at 231, padded to 232.
        assert_eq!(&bytes[116..122], b"070701");
        assert_eq!(&bytes[232..237], b"hello");
        assert_eq!(&bytes[240..246], b"070701");
    }
}
