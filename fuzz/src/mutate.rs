//! Inputs from inputs: a few random changes to one of the corpus, some of them with a piece of another.

use std::{collections::BTreeMap, fs, io, path::Path};

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }
}

/// What mutations start from.
pub struct Corpus(Vec<Vec<u8>>);

impl Corpus {
    /// Every file of the folder, in the order of their names; an empty input where there is none.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        let mut inputs = paths.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
        if inputs.is_empty() {
            inputs.push(Vec::new());
        }
        Ok(Self(inputs))
    }

    /// Those that begin with the same byte together: for requests, one corpus for each key.
    pub fn by_first_byte(self) -> BTreeMap<u8, Self> {
        let mut apart: BTreeMap<u8, Self> = BTreeMap::new();
        for input in self.0 {
            if let Some(first) = input.first() {
                apart.entry(*first).or_insert_with(|| Self(Vec::new())).0.push(input);
            }
        }
        apart
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Numbers at the edges of what programs think of.
const EDGES: &[i64] = &[
    0,
    1,
    -1,
    127,
    128,
    255,
    256,
    32_767,
    -32_768,
    65_535,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
    i64::MIN,
];

pub struct Mutator<'a> {
    corpus: &'a Corpus,
    words: &'a [&'a str],
    bytes_max: usize,
    random: Random,
}

impl<'a> Mutator<'a> {
    pub fn new(corpus: &'a Corpus, words: &'a [&'a str], bytes_max: usize, seed: u64) -> Self {
        Self { corpus, words, bytes_max, random: Random(seed) }
    }

    /// The next input, in `input`'s memory.
    pub fn next_into(&mut self, input: &mut Vec<u8>) {
        input.clear();
        let chosen = self.random.below(self.corpus.len());
        input.extend_from_slice(&self.corpus.0[chosen]);
        // Mostly few, so that what is changed is still reached; at times many.
        let changes = 1 + self.random.below(3) * self.random.below(8);
        for _ in 0..changes {
            self.change(input);
        }
        input.truncate(self.bytes_max);
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        match self.random.below(12) {
            0 | 1 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            2 if at < input.len() => input[at] = self.random.roll() as u8,
            3 if at < input.len() => {
                input[at] = input[at].wrapping_add(self.random.below(9) as u8).wrapping_sub(4)
            }
            4 | 5 => self.put_number(input, at),
            6 => {
                let end = (at + 1 + self.random.below(16)).min(input.len());
                input.drain(at..end.max(at));
            }
            7 => {
                let bytes: Vec<u8> =
                    (0..1 + self.random.below(8)).map(|_| self.random.roll() as u8).collect();
                input.splice(at..at, bytes);
            }
            8 => self.repeat(input, at),
            9 => self.splice_other(input, at),
            10 => input.truncate(at),
            _ => match self.words.is_empty() {
                true => self.put_number(input, at),
                false => {
                    let word = self.words[self.random.below(self.words.len())];
                    input.splice(at..at, word.bytes());
                }
            },
        }
    }

    /// Over what is there, big-endian, in 1, 2, 4 or 8 bytes; or as a varint.
    fn put_number(&mut self, input: &mut Vec<u8>, at: usize) {
        let number = EDGES[self.random.below(EDGES.len())].wrapping_add(self.random.below(3) as i64 - 1);
        let size = [1, 2, 4, 8, 0][self.random.below(5)];
        let bytes = match size {
            0 => varint(number as u64),
            size => number.to_be_bytes()[8 - size..].to_vec(),
        };
        let end = (at + bytes.len()).min(input.len());
        input.splice(at..end, bytes);
    }

    fn repeat(&mut self, input: &mut Vec<u8>, at: usize) {
        let end = (at + 1 + self.random.below(64)).min(input.len());
        let piece = input[at.min(end)..end].to_vec();
        let times = 1 + self.random.below(6) * self.random.below(20);
        if piece.len() * times <= self.bytes_max {
            input.splice(at..at, piece.repeat(times));
        }
    }

    fn splice_other(&mut self, input: &mut Vec<u8>, at: usize) {
        let other = &self.corpus.0[self.random.below(self.corpus.len())];
        let from = self.random.below(other.len() + 1);
        let end = (from + 1 + self.random.below(64)).min(other.len());
        input.splice(at..at, other[from.min(end)..end].iter().copied());
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
