//! Processes that were asked for and not answered for.

use std::collections::HashMap;

/// By process.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<u32, Asked>);

#[derive(Debug)]
struct Asked {
    /// Which files it had mapped when it was asked for.
    mapped: u64,
    /// Which others it was seen with since: the answer may be older than those.
    since: Option<u64>,
}

impl Pending {
    /// A process is to be looked at, with these files mapped. True: ask for it now; else it is asked for already.
    pub(super) fn ask(&mut self, pid: u32, mapped: u64) -> bool {
        let Some(asked) = self.0.get_mut(&pid) else {
            self.0.insert(pid, Asked { mapped, since: None });
            return true;
        };
        asked.since = (asked.mapped != mapped).then_some(mapped);
        false
    }

    /// The answer has come. With the files for which it is to be asked again, when the process has others by now.
    pub(super) fn answered(&mut self, pid: u32) -> Option<u64> {
        let mapped = self.0.remove(&pid)?.since?;
        self.0.insert(pid, Asked { mapped, since: None });
        Some(mapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_asked_for_once_until_it_is_answered() {
        let mut pending = Pending::default();
        assert!(pending.ask(7, 1) && !pending.ask(7, 1) && pending.ask(8, 1));
        assert_eq!(pending.answered(7), None);
        assert!(pending.ask(7, 1));
    }

    #[test]
    fn a_library_that_is_loaded_while_a_plan_is_made_is_asked_for_behind_it() {
        let mut pending = Pending::default();
        assert!(pending.ask(7, 1) && !pending.ask(7, 2));
        assert_eq!(pending.answered(7), Some(2));
        assert!(!pending.ask(7, 2), "asked for already");
        assert_eq!(pending.answered(7), None);
    }

    #[test]
    fn files_that_are_as_they_were_need_no_second_plan() {
        let mut pending = Pending::default();
        assert!(pending.ask(7, 1) && !pending.ask(7, 2) && !pending.ask(7, 1));
        assert_eq!(pending.answered(7), None);
    }
}
