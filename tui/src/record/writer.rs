//! Writes a recording.

use super::header::{Header, HeaderWire};
use super::mirror::Mirror;
use super::patch::{difference, without_nulls};
use super::wire::{Line, Rest};
use crate::model::sample::{Cookie, Nanos, Sample};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io::{self, Write};

/// At most this much is lost when h2watch is killed.
const FLUSH_EVERY_NS: Nanos = 1_000_000_000;

/// Writes samples to a file. Memory: the last state of every connection of the last sample.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: GzEncoder<W>,
    /// Each connection as it was written last.
    states: HashMap<Cookie, Value>,
    rest: Value,
    samples: u64,
    flushed_ns: Nanos,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self {
            out: GzEncoder::new(out, Compression::default()),
            states: HashMap::new(),
            rest: Value::Object(Map::new()),
            samples: 0,
            flushed_ns: 0,
        };
        writer.line(&HeaderWire::from(header))?;
        writer.out.flush()?;
        Ok(writer)
    }

    /// Appends a sample.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn sample(&mut self, sample: &Sample) -> io::Result<()> {
        // Connections that are not in this sample are forgotten: a closed one does not come back.
        let mut states = HashMap::with_capacity(sample.readings.len());
        let mut readings = Vec::with_capacity(sample.readings.len());
        for reading in &sample.readings {
            let state = value(&reading.wire())?;
            let before = states.remove(&reading.id).or_else(|| self.states.remove(&reading.id));
            let patch = difference(&before.unwrap_or(Value::Object(Map::new())), &state);
            readings.push((reading.id, patch.unwrap_or(Value::Object(Map::new()))));
            states.insert(reading.id, state);
        }
        self.states = states;
        let rest = value(&Rest { losses: sample.losses, processes: sample.processes.clone() }.wire())?;
        let change = difference(&self.rest, &rest).unwrap_or(Value::Object(Map::new()));
        self.rest = rest;
        self.line(&Line::Sample {
            now_ns: sample.now_ns,
            unix_ns: sample.unix_ns.wire(),
            readings,
            rest: change,
        })?;
        self.samples += 1;
        if sample.now_ns.saturating_sub(self.flushed_ns) >= FLUSH_EVERY_NS {
            self.flushed_ns = sample.now_ns;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Writes the last line, without which a reader takes the recording for cut off.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.line(&Line::End { samples: self.samples })?;
        let mut out = self.out.finish()?;
        out.flush()?;
        Ok(out)
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}

fn value(wire: &impl Serialize) -> io::Result<Value> {
    let mut value = serde_json::to_value(wire)?;
    without_nulls(&mut value);
    Ok(value)
}
