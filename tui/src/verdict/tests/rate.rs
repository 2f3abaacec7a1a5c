//! How often `auto` calls a healthy server stalled: waits are drawn from distributions with light and heavy tails.

use crate::model::baseline::Baseline;
use crate::model::sample::Nanos;
use crate::model::silence::{Look, Silence};
use crate::verdict::patience::SILENCE;

const WAITS: u32 = 300_000;

/// Uniform in (0, 1), the same in every run.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Alarms in `WAITS` waits of two streams each, one after the other, with the given waits in seconds.
fn alarms(mut wait_s: impl FnMut(&mut Dice) -> f64) -> u32 {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut normal = Baseline::default();
    let mut now_ns: Nanos = 0;
    let mut alarms = 0;
    for _ in 0..WAITS {
        let mut silence = Silence::default();
        silence.look(&Look {
            now_ns,
            first_ns: Some(now_ns),
            count: 2,
            last_ns: Some(now_ns),
            ..Look::default()
        });
        let wait_ns = (wait_s(&mut dice) * 1e9) as Nanos;
        now_ns += wait_ns;
        // Suspicion only grows with time, so its end decides.
        alarms += u32::from(SILENCE.is_over(&silence, &normal, now_ns));
        normal.note(now_ns, wait_ns);
        now_ns += 250_000_000;
    }
    alarms
}

/// The table of `docs/verdicts-math.md` is what the formula does: nobody writes figures there by hand.
#[test]
fn false_alarms_are_as_rare_as_documented() {
    let exponential = alarms(|dice| -dice.uniform().ln());
    let lognormal = |sigma: f64| move |dice: &mut Dice| (sigma * dice.normal()).exp();
    let pareto = |index: f64| move |dice: &mut Dice| 0.5 * dice.uniform().powf(-1.0 / index);
    let rows = [
        ("exponential, mean 1 s", exponential),
        ("log-normal, median 1 s, sigma 1", alarms(lognormal(1.0))),
        ("log-normal, median 1 s, sigma 1.5 (one in 1,500 takes over two minutes)", alarms(lognormal(1.5))),
        ("Pareto of index 2, at least 0.5 s", alarms(pareto(2.0))),
        ("Pareto of index 1.5, at least 0.5 s", alarms(pareto(1.5))),
    ];
    let mut table = format!("| waits | alarms in {} |\n|---|---|\n", crate::human::count(WAITS.into()));
    rows.iter().for_each(|(name, alarms)| table += &format!("| {name} | {alarms} |\n"));
    println!("{table}");
    let document = include_str!("../../../../docs/verdicts-math.md");
    assert!(document.contains(&table), "docs/verdicts-math.md does not have this table:\n{table}");
}
