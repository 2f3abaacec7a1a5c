//! Which kernel runs.

/// Major and minor number of the running kernel.
#[must_use]
pub fn version() -> Option<(u32, u32)> {
    version_of(&rustix::system::uname().release().to_string_lossy())
}

/// The same of a release such as `6.12.7-amd64`.
#[must_use]
pub fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_are_read() {
        for (release, expected) in [
            ("6.18.44-fc-v595", (6, 18)),
            ("6.12.9+deb13-amd64", (6, 12)),
            ("5.10.0-46-cloud-amd64", (5, 10)),
            ("5.10.0-32-amd64", (5, 10)),
            ("5.10.0-rc1", (5, 10)),
            ("6.18.44-fc", (6, 18)),
            ("6.6-rc1", (6, 6)),
            ("7.3", (7, 3)),
            ("7", (7, 0)),
        ] {
            assert_eq!(version_of(release), Some(expected), "{release}");
        }
        for release in ["rolling", "next", "?"] {
            assert_eq!(version_of(release), None, "{release}");
        }
        assert!(version() >= Some((5, 10)));
    }
}
