//! Running other programs, so that a failure always says which program, what it was asked, and what it answered.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::checkout;

/// The cargo that runs xtask, in the checkout.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout::root());
    cargo
}

/// Runs it with the terminal attached; an exit status other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs it silently; its output is shown only inside the error when it fails.
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs it and returns what it printed on stdout, without the white space around it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let result =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !result.status.success() {
        let said = String::from_utf8_lossy(&result.stderr);
        bail!("{} failed ({})\n{}", shown(command), result.status, last_lines(&said, 40));
    }
    Ok(String::from_utf8_lossy(&result.stdout).trim().to_owned())
}

/// The command as one would type it (no quoting: it is for people).
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|word| word.to_string_lossy()));
    words.join(" ")
}

fn last_lines(text: &str, n_lines: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(n_lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_quotes_its_complaint() {
        let error =
            output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("broken") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error = format!("{:#}", run(&mut Command::new("h2watch-no-such-program")).unwrap_err());
        assert!(error.contains("cannot start h2watch-no-such-program"), "{error}");
    }

    #[test]
    fn only_the_end_of_a_long_complaint_is_kept() {
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
    }
}
