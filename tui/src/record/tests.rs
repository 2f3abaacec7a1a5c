//! Whole recordings: written, read back, cut off, damaged.

use super::header::tests::header;
use super::*;
use crate::model::sample::{
    Frames, Goaway, Library, Losses, Owner, Process, Reading, Records, Sample, Settings, Streams, TcpFacts,
    TlsFacts, Traffic, Transport, View,
};
use crate::model::staged::Staged;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::io::Write as _;

fn record(samples: &[Sample]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    samples.iter().for_each(|sample| writer.sample(sample).unwrap());
    writer.finish().unwrap()
}

fn read(file: &[u8]) -> Result<Vec<Sample>, ReadError> {
    Reader::new(file)?.collect()
}

/// A dead connection in the making, four samples a second.
fn incident(n: u64) -> Vec<Sample> {
    let mut staged = Staged::h2c(7, 0);
    let mut sample = |i| {
        staged.wait(250).open(12);
        if i < n / 2 {
            staged.answer(12)
        } else {
            staged.abandon(12)
        };
        staged.sample()
    };
    (0..n).map(&mut sample).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// Lengths at which the file was flushed are not the only ones at which it may be cut.
#[test]
fn cut_off_anywhere_it_gives_what_is_whole_and_says_so() {
    let samples = incident(40);
    let file = record(&samples);
    let mut seen = 0;
    for length in 0..file.len() {
        let Ok(reader) = Reader::new(&file[..length]) else { continue };
        let mut entries: Vec<_> = reader.collect();
        let Some(Err(error)) = entries.pop() else { panic!("cut off at {length} without a word") };
        assert!(
            matches!(error, ReadError::Truncated { samples } if samples == entries.len() as u64),
            "{error}"
        );
        assert!(entries.iter().zip(&samples).all(|(read, written)| read.as_ref().unwrap() == written));
        seen = seen.max(entries.len());
    }
    assert!(seen >= samples.len() - 4, "only {seen} samples of {} survived any cut", samples.len());
}

/// A killed h2watch has lost at most the last second.
#[test]
fn without_an_end_all_but_the_last_second_is_there() {
    let mut file = Vec::new();
    let samples = incident(40);
    let mut writer = Writer::new(&mut file, &header()).unwrap();
    samples.iter().for_each(|sample| writer.sample(sample).unwrap());
    std::mem::forget(writer);
    let whole = Reader::new(&file[..]).unwrap().filter_map(Result::ok).count();
    assert!(whole >= samples.len() - 4, "{whole}");
}

#[test]
fn damage_is_told_and_never_believed() {
    let samples = incident(20);
    let file = record(&samples);
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        // Bytes of the gzip header mean nothing (time, system); everywhere else the error must show.
        match read(&damaged) {
            Ok(read) => assert!(read == samples, "byte {at}"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

#[test]
fn other_files_and_newer_versions_are_refused_with_what_to_do() {
    for other in [
        &b""[..],
        b"\x1f",
        b"\x1f\x8b",
        b"{}",
        b"PK\x03\x04",
        &gzip("hello\n"),
        &gzip(r#"{"format":"x","version":1}"#),
    ] {
        let error = Reader::new(other).err().unwrap();
        assert!(matches!(error, ReadError::NotARecording | ReadError::Truncated { samples: 0 }), "{error}");
    }
    let newer =
        gzip("{\"format\":\"h2watch recording\",\"version\":2,\"h2watch\":\"9.9\",\"colour\":\"red\"}\n");
    let error = Reader::new(&newer[..]).err().unwrap().to_string();
    assert!(
        error.contains("version 2, written by h2watch 9.9") && error.contains("update h2watch"),
        "{error}"
    );
}

/// A small file that unpacks to a line without an end.
#[test]
fn a_line_that_never_ends_is_refused() {
    let bomb = gzip(&format!("{{\"format\":\"h2watch recording{}", " ".repeat(1 << 20)));
    assert!(matches!(Reader::new(&bomb[..]), Err(ReadError::NotARecording)));
}

/// Compactness: what a bug report has to carry.
#[test]
fn a_minute_of_a_busy_connection_is_small() {
    let samples = incident(240);
    let file = record(&samples);
    assert!(file.len() < 240 * 100, "{} bytes for 240 readings", file.len());
}

prop_compose! {
    fn frames()(n in vec(any::<u32>().prop_map(u64::from), 11)) -> Frames {
        Frames { data: n[0], headers: n[1], priority: n[2], rst_stream: n[3], settings: n[4], push_promise: n[5],
            ping: n[6], goaway: n[7], window_update: n[8], continuation: n[9], unknown: n[10] }
    }
}

prop_compose! {
    fn records()(n in vec(any::<u64>(), 4)) -> Records {
        Records { handshake: n[0], alert: n[1], application: n[2], application_bytes: n[3] }
    }
}

prop_compose! {
    fn traffic()(
        n in vec(prop_oneof![Just(0), any::<u64>()], 12),
        at in vec(option::of(any::<u64>()), 10),
        frames in option::of(frames()),
        records in option::of(records()),
        goaway in option::of((any::<u64>(), any::<u32>(), any::<u32>())),
        settings in option::of((any::<u32>(), any::<u32>(), option::of(any::<u32>()))),
        resyncing in any::<bool>(),
        code in any::<u32>(),
    ) -> Traffic {
        Traffic {
            bytes: n[0], segments: n[1], retransmits: n[2], frames, records, data_bytes: n[3], window_granted: n[4],
            last_data_ns: at[0], last_retransmit_ns: at[1], last_ack_ns: at[2], zero_window_ns: at[3], fin_ns: at[4],
            rst_ns: at[5], last_frame_ns: at[6], last_ping_ns: at[7], last_ping_ack_ns: at[8],
            last_window_update_ns: at[9], pings: n[5], ping_acks: n[6],
            goaway: goaway.map(|(at_ns, last_stream, code)| Goaway { at_ns, last_stream, code }),
            resets: n[7], last_reset_code: code,
            settings: settings.map(|(initial_window_size, max_frame_size, max_concurrent_streams)| {
                Settings { initial_window_size, max_frame_size, max_concurrent_streams }
            }),
            resyncing, desyncs: n[8], resyncs: n[9], holes: n[10], holes_missed: n[11],
        }
    }
}

prop_compose! {
    fn tcp()(n in vec(any::<u32>(), 14), b in vec(any::<u8>(), 4)) -> TcpFacts {
        TcpFacts { state: b[0], rtt_us: n[0], rttvar_us: n[1], rto_us: n[2], unacked: n[3], retransmits: n[4],
            total_retrans: n[5], backoff: b[1], probes: b[2], notsent_bytes: n[6], snd_wnd: n[7],
            last_data_sent_ms: n[8], last_data_received_ms: n[9], last_ack_received_ms: n[10], receive_queue: n[11],
            send_queue: n[12], timer: b[3], timer_expires_ms: n[13],
            tcp_retries2: (b[0] > 9).then_some(n[0]) }
    }
}

prop_compose! {
    fn tls()(server_name in option::of(".{0,9}"), alpn_offered in vec(".{0,4}", 0..3), alpn_chosen in option::of(".{0,4}"),
        http2_evidence in ".{0,9}") -> TlsFacts {
        TlsFacts { server_name, alpn_offered, alpn_chosen, http2_evidence }
    }
}

prop_compose! {
    fn owner()(pid in any::<u32>(), names in vec(".{0,9}", 2), ids in vec(option::of("[a-f0-9]{0,9}"), 3)) -> Owner {
        Owner { pid, comm: names[0].clone(), cgroup: names[1].clone(), container: ids[0].clone(),
            pod_uid: ids[1].clone(), unit: ids[2].clone() }
    }
}

fn library() -> impl Strategy<Value = Option<Library>> {
    option::of(prop::sample::select(vec![Library::OpenSsl, Library::Go, Library::GnuTls, Library::BoringSsl]))
}

fn view() -> impl Strategy<Value = View> {
    prop::sample::select(vec![View::Frames, View::Streams, View::Records])
}

prop_compose! {
    fn streams()(n in vec(any::<u64>(), 8), highest in any::<u32>(), approximate in any::<bool>()) -> Streams {
        Streams { opened: n[0], in_flight: n[1], without_answer: n[2], unanswered: n[3], unanswered_by_streams: n[4],
            abandoned: n[5], opened_after_goaway: n[6], sending: n[7], highest, approximate }
    }
}

prop_compose! {
    // Few identifiers: the same connection must come again with other values.
    fn reading()(
        id in prop_oneof![0..4u64, any::<u64>()],
        owner in owner(),
        addresses in (any::<([u8; 4], u16)>(), any::<([u16; 8], u16)>()),
        times in (any::<u64>(), vec(option::of(any::<u64>()), 6)),
        transport in prop::sample::select(vec![Transport::Unknown, Transport::H2c, Transport::Tls]),
        library in library(),
        view in view(),
        tls in option::of(tls()),
        traffic in (traffic(), traffic()),
        streams in streams(),
        tcp in option::of(tcp()),
        rest in (any::<bool>(), any::<u64>()),
    ) -> Reading {
        let at = times.1;
        Reading {
            id, owner, local: addresses.0.into(), remote: addresses.1.into(), opened_ns: times.0, seeded: rest.0,
            closed_ns: at[0], transport, library, view, tls, sent: traffic.0, received: traffic.1, streams,
            first_unanswered_ns: at[1], first_without_answer_ns: at[2], last_opened_ns: at[3], last_heard_ns: at[4],
            last_answer_ns: at[5], unanswered_records: rest.1, tcp,
        }
    }
}

prop_compose! {
    fn process()(pid in any::<u32>(), comm in ".{0,9}", library in library(), view in view(), reason in ".{0,9}")
        -> Process {
        Process { pid, comm, library, view, reason }
    }
}

prop_compose! {
    fn sample()(
        now_ns in any::<u64>(),
        unix_ns in any::<i64>(),
        readings in vec(reading(), 0..4),
        n in vec(any::<u32>().prop_map(u64::from), 8),
        processes in vec(process(), 0..3),
    ) -> Sample {
        let losses = Losses { connections_full: n[0], ring_full: n[1], frame_budget: n[2], unreadable_segments: n[3],
            unassociated: n[4], tls_objects_full: n[5], unreadable_memory: n[6],
            contended_segments: n[7] };
        Sample { now_ns, unix_ns: unix_ns.into(), readings, losses, processes }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_samples_read_back(samples in vec(sample(), 0..6)) {
        prop_assert_eq!(read(&record(&samples)).unwrap(), samples);
    }

    #[test]
    fn any_bytes_are_an_error_and_no_more(bytes in vec(any::<u8>(), 0..200), lines in ".{0,200}") {
        prop_assert!(read(&bytes).is_err());
        let text = format!("{{\"format\":\"h2watch recording\",\"version\":1,\"h2watch\":\"\",\"kernel\":\"\",\
            \"min_streams\":2,\"anonymised\":false}}\n{lines}\n");
        prop_assert!(read(&gzip(&text)).is_err());
    }
}

/// Everything that the model says of samples, as text.
fn told(samples: impl IntoIterator<Item = Sample>) -> Vec<String> {
    let mut model = crate::model::Model::new(header().policy);
    samples.into_iter().map(|sample| format!("{:?}", model.observe(&sample))).collect()
}

#[test]
fn a_replay_says_what_the_live_run_said() {
    let samples = incident(60);
    let live = told(samples.clone());
    assert!(live.iter().any(|said| said.contains("Stalled(")), "the incident is none");
    assert_eq!(told(read(&record(&samples)).unwrap()), live);
}

#[test]
fn pseudonyms_do_not_change_a_verdict() {
    let mut samples = incident(60);
    samples.iter_mut().for_each(|sample| sample.readings[0].remote = ([10, 1, 2, 3], 443).into());
    let mut anonymiser = Anonymiser::default();
    let hidden: Vec<Sample> = samples.iter().map(|sample| anonymiser.sample(sample)).collect();
    let said = |samples: Vec<Sample>| -> Vec<String> {
        told(samples)
            .into_iter()
            .map(|said| said.replace("192.0.2.1", "10.1.2.3").replace("process-1", "client"))
            .collect()
    };
    assert_eq!(said(hidden), said(samples));
}
