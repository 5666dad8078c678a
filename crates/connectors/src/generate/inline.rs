//! A short text of digits and signs that lies where it is: one of millions of records needs no memory of its own.

use serde::{Serialize, Serializer};

/// A date with its time, and an amount of 2^64 cents, have room.
const BYTES_MAX: usize = 32;

#[derive(Clone, Copy, Default)]
pub(super) struct Inline {
    bytes: [u8; BYTES_MAX],
    length: usize,
}

impl Inline {
    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes[self.length..self.length + text.len()].copy_from_slice(text);
        self.length += text.len();
    }

    /// With so many digits at least.
    pub(super) fn number(&mut self, mut number: u64, digits_min: usize) {
        let (mut digits, mut at) = ([b'0'; 20], 20);
        while number > 0 || 20 - at < digits_min {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.push(&digits[at..]);
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }
}

impl Serialize for Inline {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.text())
    }
}
