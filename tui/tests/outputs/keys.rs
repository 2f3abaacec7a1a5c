//! What keys do: selection sticks to a connection, dangerous things ask, effects are asked for and not done.

use crate::fixture::{self, SECOND};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use h2watch::dashboard::{Banner, Effect, Input, Theme, UiState};
use h2watch::model::snapshot::Snapshot;
use h2watch::verdict::Cause;

pub(crate) fn ui(size: (u16, u16)) -> UiState {
    UiState::new(Theme::new(false), "pid 4213 (orders-api)", size)
}

/// Presses keys one after the other: `\n` is enter, `\u{1b}` escape.
pub(crate) fn press(ui: &mut UiState, keys: &str, snapshot: &Snapshot) -> Vec<Effect> {
    let code = |c| match c {
        '\n' => KeyCode::Enter,
        '\u{1b}' => KeyCode::Esc,
        c => KeyCode::Char(c),
    };
    keys.chars().flat_map(|c| ui.handle(Input::Key(KeyEvent::from(code(c))), snapshot)).collect()
}

fn of(ids: &[u64]) -> Snapshot {
    let connection = |id: &u64| fixture::healthy(*id, 9, "client", "10.0.0.1:80");
    fixture::snapshot(ids.iter().map(connection).collect())
}

#[test]
fn the_first_row_is_selected_until_the_user_chooses() {
    let mut ui = ui((80, 24));
    assert_eq!(ui.selected_id(&of(&[])), None);
    assert_eq!(ui.selected_id(&of(&[1, 2])), Some(1));
    assert_eq!(ui.selected_id(&of(&[7, 1])), Some(7), "the most severe one");
    press(&mut ui, "j", &of(&[1, 2, 3]));
    assert_eq!(ui.selected_id(&of(&[3, 1, 2])), Some(2), "sticks to the connection");
}

#[test]
fn when_the_selected_connection_goes_its_row_stays() {
    let mut ui = ui((80, 24));
    press(&mut ui, "jj", &of(&[1, 2, 3]));
    assert_eq!(ui.selected_id(&of(&[1, 2, 4, 5])), Some(4));
    assert_eq!(ui.selected_id(&of(&[1])), Some(1));
    assert_eq!(ui.selected_id(&of(&[])), None);
}

#[test]
fn rows_move_for_a_stall_and_not_for_a_request() {
    let at = |id, opened_s: u64, cause: Option<Cause>| {
        let mut connection = match cause {
            Some(cause) => fixture::stalled(id, cause, 9 * SECOND, 4),
            None => fixture::idle(id, 9, "client", "10.0.0.1:80"),
        };
        connection.reading.opened_ns = opened_s * SECOND;
        connection
    };
    let mut busy = at(3, 30, None);
    busy.verdict.state = h2watch::verdict::State::Waiting;
    let worst = at(4, 40, Some(Cause::BlackHole));
    let all = fixture::snapshot(vec![busy, at(1, 10, None), at(2, 20, Some(Cause::HungServer)), worst]);
    let mut ui = ui((80, 24));
    let mut order = vec![ui.selected_id(&all)];
    for _ in 1..4 {
        press(&mut ui, "j", &all);
        order.push(ui.selected_id(&all));
    }
    assert_eq!(order, [Some(4), Some(2), Some(1), Some(3)]);
}

#[test]
fn selection_stops_at_both_ends() {
    let (mut ui, all) = (ui((80, 24)), of(&[1, 2, 3]));
    press(&mut ui, "kkk", &all);
    assert_eq!(ui.selected_id(&all), Some(1));
    press(&mut ui, "jjjjjjj", &all);
    assert_eq!(ui.selected_id(&all), Some(3));
    press(&mut ui, "g", &all);
    assert_eq!(ui.selected_id(&all), Some(1));
    press(&mut ui, "G", &all);
    assert_eq!(ui.selected_id(&all), Some(3));
}

#[test]
fn quit_by_q_and_by_ctrl_c_even_while_typing() {
    let (mut ui, all) = (ui((80, 24)), of(&[1]));
    assert_eq!(press(&mut ui, "q", &all), [Effect::Quit]);
    assert_eq!(press(&mut ui, "/q", &all), [], "a letter of the filter");
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(ui.handle(Input::Key(ctrl_c), &all), [Effect::Quit]);
}

#[test]
fn a_reset_needs_permission_and_a_yes() {
    let (mut ui, all) = (ui((80, 24)), of(&[1, 2]));
    assert_eq!(press(&mut ui, "ry", &all), [], "off: no question is asked");
    ui.reset_allowed = true;
    assert_eq!(press(&mut ui, "r\n", &all), [], "enter is no yes");
    assert_eq!(press(&mut ui, "n", &all), []);
    assert_eq!(press(&mut ui, "y", &all), [], "no question is open");
    assert_eq!(press(&mut ui, "jry", &all), [Effect::Reset(2)]);
}

#[test]
fn a_reset_is_of_the_connection_that_was_asked_about() {
    let mut ui = ui((80, 24));
    ui.reset_allowed = true;
    press(&mut ui, "r", &of(&[1, 2]));
    // A worse one appears on top while the question is open; then the asked one closes.
    assert_eq!(ui.selected_id(&of(&[9, 1, 2])), Some(1));
    assert_eq!(press(&mut ui, "y", &of(&[9, 2])), [], "closed meanwhile");
    assert_eq!(press(&mut ui, "y", &of(&[9, 1, 2])), [Effect::Reset(1)]);
}

#[test]
fn the_detail_stays_with_its_connection() {
    let mut ui = ui((80, 24));
    press(&mut ui, "j\n", &of(&[1, 2]));
    assert_eq!(ui.selected_id(&of(&[1])), Some(2), "also when it is closed: its last facts are wanted");
    press(&mut ui, "\u{1b}", &of(&[1]));
    assert_eq!(ui.selected_id(&of(&[1])), Some(1));
}

#[test]
fn filter_words_must_all_match_and_escape_clears_them() {
    let mut ui = ui((80, 24));
    let mut connections = vec![fixture::stalled(5, Cause::SilentPeer, 9 * SECOND, 4)];
    connections.push(fixture::records(6, 77, "java", "10.0.0.2:443"));
    let all = fixture::snapshot(connections);
    for (words, id) in [("PAYMENTS", 6), ("java records", 6), ("silent_peer", 5), ("4213 stalled", 5)] {
        press(&mut ui, &format!("/{words}\n"), &all);
        assert_eq!(ui.selected_id(&all), Some(id), "{words}");
        press(&mut ui, "\u{1b}", &all);
    }
    press(&mut ui, "/java frames\n", &all);
    assert_eq!(ui.selected_id(&all), None);
    assert_eq!(press(&mut ui, "r\n", &all), [], "nothing is selected");
    press(&mut ui, "/\u{1b}", &all);
    assert_eq!(ui.selected_id(&all), Some(5));
}

#[test]
fn pause_toggles_and_only_the_demo_can_be_unplugged() {
    let (mut ui, all) = (ui((80, 24)), of(&[1]));
    press(&mut ui, "p", &all);
    assert!(ui.paused());
    press(&mut ui, "p", &all);
    assert!(!ui.paused());
    assert_eq!(press(&mut ui, "u", &all), []);
    ui.banner = Banner::Demo { unplugged: false };
    assert_eq!(press(&mut ui, "u", &all), [Effect::Unplug]);
}

#[test]
fn nothing_is_reset_in_a_recording() {
    let (mut ui, all) = (ui((80, 24)), of(&[1]));
    ui.banner = Banner::Recording("x".into());
    ui.reset_allowed = true;
    assert_eq!(press(&mut ui, "ry", &all), []);
    press(&mut ui, "r", &all);
    assert!(ui.message.as_ref().is_some_and(|message| message.text.contains("recording")));
}

#[test]
fn a_key_clears_the_message() {
    let (mut ui, all) = (ui((80, 24)), of(&[1]));
    press(&mut ui, "r", &all);
    assert!(ui.message.as_ref().is_some_and(|message| message.bad));
    press(&mut ui, "j", &all);
    assert_eq!(ui.message, None);
}

#[test]
fn at_its_end_the_output_is_followed_and_above_it_stands_still() {
    let (mut ui, all) = (ui((80, 24)), of(&[1]));
    let line = |n: usize| format!("line {n}");
    ui.output = Some((0..100).map(line).collect());
    let last_shown = |ui: &UiState| {
        let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| h2watch::dashboard::draw(frame, &all, ui)).unwrap();
        let cells = terminal.backend().buffer().content();
        cells[22 * 80..22 * 80 + 8].iter().map(ratatui::buffer::Cell::symbol).collect::<String>()
    };
    press(&mut ui, "o", &all);
    assert_eq!(last_shown(&ui), "line 99 ");
    press(&mut ui, "kj", &all);
    ui.output.as_mut().unwrap().push(line(100));
    assert_eq!(last_shown(&ui), "line 100", "followed");
    press(&mut ui, "k", &all);
    ui.output.as_mut().unwrap().push(line(101));
    assert_eq!(last_shown(&ui), "line 99 ", "read by somebody");
}
