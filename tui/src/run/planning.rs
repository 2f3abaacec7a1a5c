//! Analysing programs and libraries, and probing them, beside the loop: a large program takes a tenth of a second, as does
//! the first load of a kernel program, and taking probes away. No stall may wait for that.

mod pending;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use pending::Pending;

use crate::model::sample::View;
use crate::probe::{Attached, Links, Uprobes};
use crate::tls::{Coverage, Depth, Planner};

/// A coverage, and which files the process had mapped when it was asked for: `UNSETTLED` when it has to be asked for again.
pub(super) type Planned = (Coverage, u64);

/// No process has its files hash to this.
const UNSETTLED: u64 = 0;

/// Plans and probes; what it attached it holds.
#[derive(Debug)]
struct Worker {
    planner: Planner,
    depth: Depth,
    uprobes: Arc<Uprobes>,
    /// By process: when it started, and what is attached there.
    attached: HashMap<u32, (u64, Attached)>,
}

impl Worker {
    /// Whatever is wrong with the files of a process: the others are to be looked at all the same.
    fn plan(&mut self, pid: u32, mapped: u64) -> (Planned, Links) {
        guarded(pid, mapped, || {
            let coverage = self.planner.plan(pid, self.depth);
            // What was analysed must be what is probed: that took a while.
            if let Some(changed) = coverage.changed() {
                return ((coverage.refused(&changed), UNSETTLED), Links::default());
            }
            let (coverage, mut stale) = self.attach(coverage);
            let Some(changed) = coverage.changed() else { return ((coverage, mapped), stale) };
            stale.append(&mut self.forget(&[pid]));
            ((coverage.refused(&changed), UNSETTLED), stale)
        })
    }

    /// Takes the links to these processes away.
    fn forget(&mut self, pids: &[u32]) -> Links {
        let gone = pids.iter().filter_map(|pid| self.attached.remove(pid));
        gone.fold(Links::default(), |mut links, (_, attached)| {
            links.append(&mut attached.into_links());
            links
        })
    }

    /// Attaches, and gives back the links to an earlier process of the same number.
    fn attach(&mut self, mut coverage: Coverage) -> (Coverage, Links) {
        let start = coverage.start_time_ticks;
        let mut attached = self.attached.remove(&coverage.pid).unwrap_or((start, Attached::default()));
        let mut stale = Links::default();
        if attached.0 != start {
            stale = std::mem::replace(&mut attached, (start, Attached::default())).1.into_links();
        }
        if let Err(error) = attached.1.attach(&self.uprobes, &coverage) {
            coverage.view = View::Records;
            coverage.reason = format!("{}; {error:#}", coverage.reason);
        }
        if !attached.1.is_empty() {
            self.attached.insert(coverage.pid, attached);
        }
        (coverage, stale)
    }
}

/// The threads that plan and that take probes away, and what they were asked for.
#[derive(Debug)]
pub(super) struct Planning {
    worker: Arc<Mutex<Worker>>,
    beside: Option<Beside>,
    /// Without it links are dropped where they are.
    remover: Option<Sender<Links>>,
    pending: Pending,
}

#[derive(Debug)]
enum Request {
    /// A process, and which files it has mapped.
    Plan(u32, u64),
    Forget(Vec<u32>),
}

#[derive(Debug)]
struct Beside {
    requests: Sender<Request>,
    answers: UnboundedReceiver<Planned>,
}

fn lock(worker: &Mutex<Worker>) -> MutexGuard<'_, Worker> {
    worker.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A panic in `plan` is the coverage's reason: a thread that ended would leave every later process without one.
fn guarded(pid: u32, mapped: u64, plan: impl FnOnce() -> (Planned, Links)) -> (Planned, Links) {
    catch_unwind(AssertUnwindSafe(plan)).unwrap_or_else(|_| {
        let reason = "looking at its programs failed unexpectedly (please report it)".to_owned();
        ((Coverage::none(pid, reason), mapped), Links::default())
    })
}

/// Whoever comes first shall not wait for what everybody needs.
fn prepare(worker: &Mutex<Worker>) {
    let mut locked = lock(worker);
    if locked.depth == Depth::Records {
        return;
    }
    locked.planner.prepare();
    let uprobes = Arc::clone(&locked.uprobes);
    drop(locked);
    let _refused = uprobes.prepare();
}

impl Planning {
    pub(super) fn new(depth: Depth, uprobes: Arc<Uprobes>) -> Self {
        let worker = Worker { planner: Planner::default(), depth, uprobes, attached: HashMap::new() };
        let worker = Arc::new(Mutex::new(worker));
        Self { worker, beside: None, remover: None, pending: Pending::default() }
    }

    /// From now on it happens beside the caller. The threads have the rights of the thread that starts them, which may have given
    /// up some by now, and end with this.
    pub(super) fn go_beside(&mut self) {
        if self.beside.is_some() {
            return;
        }
        self.remover = remover();
        let (requests, wanted) = channel();
        let (sender, answers) = unbounded_channel();
        let (worker, remover) = (Arc::clone(&self.worker), self.remover.clone());
        let work = move || {
            // What cannot be prepared says so where it is needed.
            let _ = catch_unwind(AssertUnwindSafe(|| prepare(&worker)));
            while let Ok(request) = wanted.recv() {
                let (planned, links) = match request {
                    Request::Plan(pid, mapped) => {
                        let (planned, stale) = lock(&worker).plan(pid, mapped);
                        (Some(planned), stale)
                    }
                    Request::Forget(pids) => (None, lock(&worker).forget(&pids)),
                };
                remove(remover.as_ref(), links);
                if planned.is_some_and(|planned| sender.send(planned).is_err()) {
                    return;
                }
            }
        };
        // Without a thread the caller plans by itself.
        if std::thread::Builder::new().name("h2watch-plan".to_owned()).spawn(work).is_ok() {
            self.beside = Some(Beside { requests, answers });
        }
    }

    /// Asks for a process, once until it is answered; the answer, when nothing happens beside.
    pub(super) fn ask(&mut self, pid: u32, mapped: u64) -> Option<Planned> {
        let Some(beside) = &self.beside else {
            let (planned, stale) = lock(&self.worker).plan(pid, mapped);
            remove(self.remover.as_ref(), stale);
            return Some(planned);
        };
        if self.pending.ask(pid, mapped) {
            // The thread lives as long as this.
            let _ = beside.requests.send(Request::Plan(pid, mapped));
        }
        None
    }

    /// The next answer; never without a thread.
    pub(super) async fn next(&mut self) -> Planned {
        if let Some(beside) = &mut self.beside
            && let Some(planned) = beside.answers.recv().await
        {
            let pid = planned.0.pid;
            if let Some(mapped) = self.pending.answered(pid) {
                let _ = beside.requests.send(Request::Plan(pid, mapped));
            }
            return planned;
        }
        std::future::pending().await
    }

    /// Before the process is what it will be: `program` is what it will run.
    pub(super) fn anticipate(&self, pid: u32, program: &Path) -> Coverage {
        let mut worker = lock(&self.worker);
        let depth = worker.depth;
        let coverage = worker.planner.anticipate(pid, depth, program);
        worker.attach(coverage).0
    }

    /// Lets go of processes. Never waits for a plan that is being made.
    pub(super) fn forget(&self, pids: Vec<u32>) {
        if pids.is_empty() {
            return;
        }
        match &self.beside {
            // The thread lives as long as this.
            Some(beside) => drop(beside.requests.send(Request::Forget(pids))),
            None => drop(lock(&self.worker).forget(&pids)),
        }
    }
}

/// All probes go at once: one after the other, as at the end of a process, they take a tenth of a second each.
impl Drop for Planning {
    fn drop(&mut self) {
        self.remover = None;
        let mut worker = lock(&self.worker);
        let all: Vec<u32> = worker.attached.keys().copied().collect();
        drop(worker.forget(&all));
    }
}

fn remove(remover: Option<&Sender<Links>>, links: Links) {
    if let Some(remover) = remover {
        // It lives as long as there is a sender.
        let _ = remover.send(links);
    }
}

/// A thread that takes away what it is sent, all that has come meanwhile at once.
fn remover() -> Option<Sender<Links>> {
    let (sender, links) = channel::<Links>();
    let work = move || {
        while let Ok(mut all) = links.recv() {
            while let Ok(mut more) = links.try_recv() {
                all.append(&mut more);
            }
            drop(all);
        }
    };
    std::thread::Builder::new().name("h2watch-unprobe".to_owned()).spawn(work).ok()?;
    Some(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_reason_and_the_next_process_is_looked_at() {
        let ((coverage, mapped), _) = guarded(7, 3, || panic!("a file that nobody thought of"));
        assert_eq!((coverage.pid, coverage.view, mapped), (7, View::Records, 3));
        assert!(coverage.reason.contains("failed unexpectedly"), "{}", coverage.reason);
        let next = || ((Coverage::none(8, "fine".to_owned()), 4), Links::default());
        assert_eq!(guarded(8, 4, next).0.0.reason, "fine");
    }
}
