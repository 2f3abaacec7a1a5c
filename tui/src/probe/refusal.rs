//! Why the kernel refused a program, in one line.

use aya::programs::ProgramError;

/// Set by whoever wants to see the whole log of the verifier.
const WHOLE_LOG: &str = "H2WATCH_VERIFIER_LOG";

/// The error that says which program the kernel refused.
pub(super) fn refused(name: &'static str, error: &ProgramError) -> anyhow::Error {
    anyhow::anyhow!("the kernel refuses the program {name}: {}", brief(error))
}

/// The telling part of a verifier log: it ends with a line of statistics.
pub(super) fn brief(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            format!("{io_error}; {}", telling(&verifier_log.to_string()))
        }
        other => chain(other),
    }
}

/// The last line of a verifier's log that tells something, or all of it where that is asked for.
pub(super) fn telling(log: &str) -> String {
    if std::env::var_os(WHOLE_LOG).is_some() {
        return log.to_owned();
    }
    let figures = ["processed ", "verification time", "stack depth"];
    let tells = |line: &&str| !line.is_empty() && !figures.iter().any(|start| line.starts_with(start));
    log.lines().map(str::trim).rfind(tells).unwrap_or_default().to_owned()
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
