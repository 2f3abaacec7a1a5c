//! BPF_PROG_TEST_RUN over random and mutated packets.
