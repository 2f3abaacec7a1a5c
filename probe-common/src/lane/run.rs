//! The short way over ordinary frames: DATA and HEADERS whose headers are whole at hand, one after the other. All else (fields
//! to be read, a header cut in two, anything unexpected) is left to `step`, which would do the same with these, only slower.

use super::{FRAMES, Lane, Sink, Source, Step};
use crate::http2::{FrameHeader, HEADER_LEN, Kind};

/// Frames of one run: the verifier walks each round.
const FRAMES_OF_A_RUN: u32 = 16;

impl Lane {
    /// Walks a run of ordinary frames from `at` on, which it moves forward. `More`: the next unit is for `step`.
    #[inline(always)]
    pub fn run<S: Source, K: Sink>(&mut self, source: &S, at: &mut u32, sink: &mut K) -> Step {
        if self.state != FRAMES || self.have != 0 {
            return Step::More;
        }
        let longest = sink.bounds().longest;
        let mut n = 0;
        while n < FRAMES_OF_A_RUN {
            if self.pass_over(source.len(), at) == Step::Done {
                return Step::Done;
            }
            if source.len() - *at < HEADER_LEN {
                return Step::More;
            }
            let Some(header) = source.header(*at) else { return Step::More };
            if header.stream == 0 || header.length > longest {
                return Step::More;
            }
            match header.kind {
                // By name, so that each is compiled for its type alone.
                Kind::DATA => sink.frame(&FrameHeader { kind: Kind::DATA, ..header }, 0),
                Kind::HEADERS => sink.frame(&FrameHeader { kind: Kind::HEADERS, ..header }, 0),
                _ => return Step::More,
            }
            *at += HEADER_LEN;
            self.left = header.length;
            n += 1;
        }
        self.pass_over(source.len(), at)
    }
}
