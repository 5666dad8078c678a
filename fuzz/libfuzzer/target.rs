//! One of the targets, by the name of the program, for libFuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let target = fuzz::TARGETS.iter().find(|target| target.name == env!("CARGO_BIN_NAME"));
    let target = target.expect("a program is named as its target");
    (target.run)(&input[..input.len().min(target.input_bytes_max)]);
});
