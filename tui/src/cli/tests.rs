use super::*;
use clap::CommandFactory as _;

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_command_keeps_its_own_flags() {
    let cli = Cli::try_parse_from(["h2watch", "--for", "10s", "--", "curl", "--http2", "-o", "x"]).unwrap();
    assert_eq!(cli.command, ["curl", "--http2", "-o", "x"]);
    assert_eq!(cli.watch.run_for, Some(Duration::from_secs(10)));
}

#[test]
fn silence_is_judged_by_what_is_normal_unless_a_time_is_given() {
    let stall_after = |words: &[&str]| Cli::try_parse_from(words).map(|cli| cli.watch.thresholds.stall_after);
    assert_eq!(stall_after(&["h2watch"]).unwrap(), StallAfter::Auto);
    assert_eq!(stall_after(&["h2watch", "--stall-after", "auto"]).unwrap(), StallAfter::Auto);
    let fixed = StallAfter::Fixed(Duration::from_millis(1500));
    assert_eq!(stall_after(&["h2watch", "--stall-after", "1s 500ms"]).unwrap(), fixed);
    assert!(stall_after(&["h2watch", "--stall-after", "soon"]).is_err());
}

#[test]
fn a_bad_regular_expression_is_an_error_of_its_option() {
    for option in ["--comm", "--exclude"] {
        let error = Cli::try_parse_from(["h2watch", "--all", option, "worker("]).unwrap_err().to_string();
        assert!(error.contains(&format!("{option} <REGEX>")) && error.contains("unclosed group"), "{error}");
    }
    let parsed = Cli::try_parse_from(["h2watch", "export", "--all", "--exclude", "postgres|redis.*"]);
    assert!(matches!(parsed.unwrap().mode, Some(Mode::Export(args)) if args.selector.exclude.is_some()));
}

#[test]
fn a_recording_is_of_whatever_can_be_watched() {
    let Some(Mode::Record(record)) =
        Cli::try_parse_from(["h2watch", "record", "a.h2w", "--for", "10s", "--", "curl", "-o", "x"])
            .unwrap()
            .mode
    else {
        panic!("not a recording")
    };
    assert_eq!((record.recording, record.command.len()), ("a.h2w".into(), 3));
    assert!(Cli::try_parse_from(["h2watch", "record", "a.h2w", "--incident-before", "5s"]).is_err());
    assert!(Cli::try_parse_from(["h2watch", "record"]).is_err());
}

#[test]
fn commands_on_incidents_have_the_words_of_a_shell_and_nothing_is_expanded() {
    let given = |text: &str| {
        let cli = Cli::try_parse_from(["h2watch", "--on-stall", text]).map_err(|e| e.to_string())?;
        cli.watch.act.on_stall.map(|words| words.0).ok_or_else(String::new)
    };
    assert_eq!(given("page --team core").unwrap(), ["page", "--team", "core"]);
    assert_eq!(given(r#"page 'a b' "c d" e\ f"#).unwrap(), ["page", "a b", "c d", "e f"]);
    assert_eq!(given("page $HOME `id` * ;").unwrap(), ["page", "$HOME", "`id`", "*", ";"]);
    assert!(given("page 'a b").unwrap_err().contains("missing closing quote"));
    assert!(given(" ").unwrap_err().contains("name a command"));
}

#[test]
fn selectors_exclude_each_other_and_zero_is_refused() {
    assert!(Cli::try_parse_from(["h2watch", "--all", "--pid", "1"]).is_err());
    assert!(Cli::try_parse_from(["h2watch", "--all", "--", "true"]).is_err());
    assert!(Cli::try_parse_from(["h2watch", "--stall-after", "0s"]).is_err());
    assert!(Cli::try_parse_from(["h2watch", "--min-streams", "0"]).is_err());
}
