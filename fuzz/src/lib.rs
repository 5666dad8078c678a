//! What is fed with bytes that nobody chose: the decoders of requests and record batches, the parsers of schemas, and
//! the readers of files. A target
//! must end, without a panic and within its memory, whatever it gets.
//!
//! `cargo xtask fuzz` runs them by `main.rs` with the stable compiler: mutations of `corpus/` by a printed seed, without
//! knowing what they reach; `cargo xtask fuzz --coverage` by `libfuzzer/`, which does know.

mod mutate;
mod targets;

pub use mutate::{Corpus, Mutator};
pub use targets::{TARGETS, Target};

/// A panic that the reader of a library expects, and makes an error of, is no failure: whoever prints or counts panics calls it after
/// it has set its own hook.
pub fn leave_contained_panics_alone() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !base::panics::is_contained() {
            otherwise(panic);
        }
    }));
}

/// Bytes of a file under `corpus/`, by its target's name.
pub fn corpus_folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}
