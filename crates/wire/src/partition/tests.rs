//! The known answers of Kafka's own tests and of CRC-32's check value.

use super::*;

#[test]
fn murmur2_gives_kafkas_known_answers() {
    // From Kafka's UtilsTest.testMurmur2.
    let known: [(&[u8], i32); 6] = [
        (b"21", -973_932_308),
        (b"foobar", -790_332_482),
        (b"a-little-bit-long-string", -985_981_536),
        (b"a-little-bit-longer-string", -1_486_304_829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        (b"abc", 479_470_107),
    ];
    for (key, hash) in known {
        assert_eq!(murmur2(key) as i32, hash, "{}", String::from_utf8_lossy(key));
    }
}

#[test]
fn a_key_goes_to_a_partition_that_is_there() {
    assert_eq!(of_key(b"foobar", 6), (-790_332_482_i32 as u32 & 0x7fff_ffff) % 6);
    for length in 0..40 {
        let key = vec![b'x'; length];
        assert!(of_key(&key, 7) < 7 && of_key_crc32(&key, 7) < 7);
        assert_eq!((of_key(&key, 1), of_key_crc32(&key, 1)), (0, 0));
    }
}

#[test]
fn crc32_gives_its_check_value() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(b""), 0);
}
