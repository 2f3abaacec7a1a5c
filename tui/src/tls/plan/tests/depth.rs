//! What `--tls` makes of probes and their cost.

use anyhow::{Result, bail};

use crate::model::sample::View;
use crate::tls::placement::Cost;
use crate::tls::plan::{Depth, Point, Points, decide, program};

/// Probes of these costs; none where a direction cannot be probed.
fn points(write: Option<Cost>, read: Option<Cost>) -> Points {
    let direction = |cost: Option<Cost>| -> Result<Vec<Point>> {
        let Some(cost) = cost else { bail!("inlined") };
        let cheap = Point {
            program: program::WRITE,
            file_offset: 0,
            on_return: false,
            cost: Cost::Emulated,
            place: String::new(),
        };
        Ok(vec![cheap.clone(), Point { cost, ..cheap }])
    };
    Points { write: direction(write), read: direction(read), free: Ok(Vec::new()), copy: None }
}

#[test]
fn auto_goes_as_deep_as_the_budget_allows_and_says_why() {
    use Cost::{Emulated, SingleStepped, Unmeasured};
    let cases = [
        (Some(Emulated), Some(Emulated), View::Frames, "writes and reads cost about 2 us a call"),
        (
            Some(Emulated),
            Some(SingleStepped),
            View::Streams,
            "reads would cost a single step a call, about 10 us, more than",
        ),
        (Some(Emulated), None, View::Streams, "reads cannot be probed: inlined"),
        (
            Some(SingleStepped),
            Some(Emulated),
            View::Records,
            "writes would cost a single step a call, about 10 us, more than",
        ),
        (None, Some(Emulated), View::Records, "writes cannot be probed: inlined"),
        (Some(Unmeasured), Some(Emulated), View::Frames, "not measured on aarch64, reads about 2 us"),
    ];
    for (write, read, view, words) in cases {
        let (chosen, why) = decide(&points(write, read), Depth::Auto);
        assert!(chosen == view && why.contains(words), "{write:?}, {read:?}: {chosen:?}, {why}");
    }
}

#[test]
fn what_is_asked_for_is_done_whatever_it_costs_and_its_cost_is_told() {
    let dear = points(Some(Cost::SingleStepped), Some(Cost::SingleStepped));
    for (depth, view) in [(Depth::Streams, View::Streams), (Depth::Frames, View::Frames)] {
        let (chosen, why) = decide(&dear, depth);
        assert!(
            chosen == view && why.contains("cost a single step a call, about 10 us"),
            "{chosen:?}, {why}"
        );
    }
    let (chosen, why) = decide(&dear, Depth::Records);
    assert_eq!((chosen, why.as_str()), (View::Records, "records were asked for"));
}
