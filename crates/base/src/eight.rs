//! Eight bytes looked at as one number: what a pass over text takes where a look at each byte would be most of its time. What texts
//! are made of and what becomes of them is not here.

const ONES: u64 = u64::MAX / 255;
/// The high bit of each byte: of a byte of ASCII it is not set.
pub const HIGHS: u64 = ONES << 7;

/// The high bit of each byte that a text of JSON cannot have as it is: a control letter, a quote, a backslash. The first is right; of
/// those behind it some may be set that are none.
#[inline]
#[must_use]
pub fn json_specials(word: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(word);
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGHS;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | is(b'"') | is(b'\\')
}

#[cfg(test)]
mod tests {
    use super::json_specials;

    #[test]
    fn the_first_byte_that_is_special_is_found_at_each_place() {
        for special in 0..=u8::MAX {
            let is_special = matches!(special, 0..0x20 | b'"' | b'\\');
            for at in 0..8 {
                for beside in *b"a\x7f\x80\xff #]" {
                    let mut word = [beside; 8];
                    word[at] = special;
                    let found = json_specials(word);
                    let first = (found != 0).then(|| found.trailing_zeros() as usize / 8);
                    assert_eq!(first, is_special.then_some(at), "{word:02x?}");
                }
            }
        }
    }
}
