#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sink::fuzzing::sql(bytes));
