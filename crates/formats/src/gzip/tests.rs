//! Members of every length, read back by another library.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::{GZIP_MEMBER_BYTES, gzip_members};

fn members(plain: &[u8], level: i32) -> Vec<u8> {
    let mut packed = b"before".to_vec();
    gzip_members(plain, level, &mut packed).expect("it packs");
    packed.split_off(6)
}

#[test]
fn what_is_packed_is_read_as_it_was() {
    let plain: Vec<u8> = (0..3 * GZIP_MEMBER_BYTES).map(|at| (at % 251) as u8 ^ (at >> 9) as u8).collect();
    for level in [-1, 0, 1, 6, 9] {
        for length in [0, 1, GZIP_MEMBER_BYTES - 1, GZIP_MEMBER_BYTES, GZIP_MEMBER_BYTES + 1, plain.len()] {
            let packed = members(&plain[..length], level);
            let mut back = Vec::new();
            MultiGzDecoder::new(&packed[..]).read_to_end(&mut back).expect("gzip");
            assert!(back == plain[..length], "level {level}, {length} bytes");
            assert_eq!(packed, members(&plain[..length], level), "level {level}, {length} bytes");
        }
    }
}

#[test]
fn pieces_of_whole_members_are_the_members_of_the_whole() {
    let plain = b"the same lines again\n".repeat(20_000);
    let (first, rest) = plain.split_at(2 * GZIP_MEMBER_BYTES);
    assert_eq!([members(first, 1), members(rest, 1)].concat(), members(&plain, 1));
    let (none, system) = (&members(b"", 1)[4..8], members(b"", 1)[9]);
    assert_eq!((none, system), (&[0; 4][..], 255), "no time, and an unknown system");
}
