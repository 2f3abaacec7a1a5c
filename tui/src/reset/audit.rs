//! The audit file: every decision about a reset, also the refusals, one JSON line each, kept when h2watch ends.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// An open audit file. Lines are appended, each with one write, so that several h2watch may share a file.
#[derive(Debug)]
pub struct AuditLog {
    file: File,
    path: PathBuf,
}

impl AuditLog {
    /// Opens the file for appending; it is made when it does not exist, readable by its owner and group.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)
            .with_context(|| format!("cannot open the audit log {} (--audit-log)", path.display()))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends a line that has no line feed yet.
    pub fn write(&mut self, line: &str) -> Result<()> {
        let whole = format!("{line}\n");
        self.file
            .write_all(whole.as_bytes())
            .with_context(|| format!("cannot write to the audit log {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_to_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        AuditLog::open(&path).unwrap().write("{\"a\":1}").unwrap();
        AuditLog::open(&path).unwrap().write("{\"b\":2}").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\":2}\n");
    }

    #[test]
    fn errors_name_the_file() {
        let error = AuditLog::open(Path::new("/nonexistent/audit")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/audit") && error.contains("--audit-log"), "{error}");
        let error = AuditLog::open(Path::new("/dev/full")).unwrap().write("x").unwrap_err().to_string();
        assert!(error.contains("/dev/full"), "{error}");
    }
}
