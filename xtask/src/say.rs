//! The one place of xtask that prints. One line per step: what was done, and how long it took where that is interesting.

use std::time::Duration;

#[expect(clippy::print_stdout, reason = "xtask talks to the developer on stdout")]
pub(crate) fn line(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the last line of a failed task")]
pub(crate) fn complaint(text: &str) {
    eprintln!("xtask: {text}");
}

/// "41.3 s" or "12 min 5 s".
pub(crate) fn took(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_have_a_tenth_and_long_ones_minutes() {
        assert_eq!(took(Duration::from_millis(41_340)), "41.3 s");
        assert_eq!(took(Duration::from_secs(725)), "12 min 5 s");
    }
}
