//! The corpus itself, each input once, and that mutations can be repeated.

use std::fs;

use fuzz::{Corpus, Mutator, TARGETS, corpus_folder};

#[test]
fn every_target_takes_its_corpus() {
    for target in TARGETS {
        let folder = corpus_folder().join(target.corpus);
        let entries: Vec<_> = fs::read_dir(&folder).expect("each target has a corpus").collect();
        assert!(!entries.is_empty(), "{}", target.name);
        for entry in entries {
            let input = fs::read(entry.expect("a file").path()).expect("it can be read");
            assert!(input.len() <= target.input_bytes_max);
            (target.run)(&input);
        }
    }
}

#[test]
fn a_seed_gives_the_same_inputs_again() {
    let corpus = Corpus::read(&corpus_folder().join("avro")).expect("it can be read");
    let inputs = |seed| {
        let mut mutator = Mutator::new(&corpus, &["word"], 500, seed);
        let (mut all, mut input) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            mutator.next_into(&mut input);
            all.push(input.clone());
        }
        all
    };
    assert_eq!(inputs(3), inputs(3));
    assert_ne!(inputs(3), inputs(4));
    assert!(inputs(5).iter().all(|input| input.len() <= 500));
}
