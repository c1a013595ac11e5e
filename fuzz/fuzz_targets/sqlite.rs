//! Any bytes as a .db file are read or explained.
#![no_main]

#[path = "../common.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::open(bytes, "db"));
