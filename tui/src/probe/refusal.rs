//! Why the kernel refused a program, in one line.

use aya::programs::ProgramError;

/// The error that says which program the kernel refused.
pub(super) fn refused(name: &'static str, error: &ProgramError) -> anyhow::Error {
    anyhow::anyhow!("the kernel refuses the program {name}: {}", brief(name, error))
}

/// The telling part of a verifier log: it ends with a line of statistics.
pub(super) fn brief(_name: &str, error: &ProgramError) -> String {
    if std::env::var_os("H2WATCH_VERIFIER_LOG").is_some() {
        return chain(error);
    }
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let telling = log
                .lines()
                .map(str::trim)
                .rfind(|line| {
                    !line.is_empty()
                        && !line.starts_with("processed ")
                        && !line.starts_with("verification time")
                        && !line.starts_with("stack depth")
                })
                .unwrap_or_default();
            format!("{io_error}; {telling}")
        }
        other => chain(other),
    }
}

/// An error and its sources in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
