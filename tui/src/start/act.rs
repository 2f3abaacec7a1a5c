//! What `--reset`, `--on-stall` and the like ask for.

use anyhow::{Context, Result};

use crate::cli::{Act, ThresholdArgs, Words};
use crate::hooks::{Command, Hooks, Options};
use crate::reset::audit::AuditLog;
use crate::reset::policy::{Mode, Policy};
use crate::reset::{Resetter, kill};
use crate::run::{Companions, Resets, SHORT_THRESHOLD, Watcher, be_timely};
use crate::verdict::StallAfter;

/// The companions that these options ask for. Rights that a reset will need are checked now, not at the first reset.
pub(super) fn companions(args: &Act, thresholds: ThresholdArgs, watcher: &mut Watcher) -> Result<Companions> {
    let resets = match args.reset {
        Mode::Off => None,
        mode => {
            if mode != Mode::DryRun {
                let pids = watcher.pids();
                kill::check(watcher.namespaces(), &pids).context("--reset cannot work here")?;
            }
            be_timely_for(mode, thresholds, watcher);
            Some(Resets { resetter: Resetter::new(reset_policy(args, thresholds)), audit: audit(args)? })
        }
    };
    let options = Options {
        on_stall: args.on_stall.as_ref().and_then(command),
        on_recover: args.on_recover.as_ref().and_then(command),
        at_once: usize::from(args.hook_limit),
        timeout: args.hook_timeout,
    };
    let wanted = options.on_stall.is_some() || options.on_recover.is_some();
    Ok(Companions { resets, hooks: wanted.then(|| Hooks::new(options)), ..Companions::default() })
}

/// Where a reset has milliseconds, they are not to be spent waiting for a CPU.
fn be_timely_for(mode: Mode, thresholds: ThresholdArgs, watcher: &mut Watcher) {
    let StallAfter::Fixed(after) = thresholds.stall_after else { return };
    if mode != Mode::Auto || after >= SHORT_THRESHOLD {
        return;
    }
    if let Err(error) = be_timely() {
        watcher.warn(format!(
            "no real-time priority ({error:#}; it takes CAP_SYS_NICE): on a busy machine resets come milliseconds late"
        ));
    }
}

fn command(words: &Words) -> Option<Command> {
    Command::of(&words.0)
}

fn audit(args: &Act) -> Result<Option<AuditLog>> {
    args.audit_log.as_deref().map(AuditLog::open).transpose()
}

fn reset_policy(args: &Act, thresholds: ThresholdArgs) -> Policy {
    let standard = Policy::default();
    Policy {
        mode: args.reset,
        causes: args.reset_causes.as_ref().map_or(standard.causes, |causes| causes.0.clone()),
        min_age: args.reset_after,
        budget: args.reset_budget,
        budget_total: args.reset_budget_total,
        cool_down: args.reset_cool_down,
        stall_after: match thresholds.stall_after {
            StallAfter::Auto => None,
            StallAfter::Fixed(after) => Some(after),
        },
    }
}
