//! The target that `FUZZ_TARGET` names, for libFuzzer; `cargo xtask fuzz --coverage` builds and runs it.

#![no_main]

use std::sync::LazyLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    // Its own hook ends the process, whatever becomes of the panic.
    fuzz::leave_contained_panics_alone();
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    fuzz::TARGETS.iter().find(|target| target.name == name).expect("there is such a target")
});

fuzz_target!(|input: &[u8]| (TARGET.run)(&input[..input.len().min(TARGET.input_bytes_max)]));
