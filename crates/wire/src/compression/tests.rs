//! Round trips of every codec, bounds, and bytes that mean nothing.

use proptest::prelude::*;

use super::*;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

#[test]
fn a_bomb_is_stopped_at_the_bound() {
    let zeros = vec![0_u8; 1 << 20];
    for codec in CODECS {
        let small = codec.compress(&zeros).unwrap();
        assert_eq!(codec.decompress(&small, 1 << 20).unwrap(), zeros, "{codec:?}");
        let refused = codec.decompress(&small, (1 << 20) - 1);
        assert_eq!(refused, Err(CompressionError::TooLarge { codec, bytes_max: (1 << 20) - 1 }));
    }
}

#[test]
fn raw_snappy_is_read_too() {
    let raw = snap::raw::Encoder::new().compress_vec(b"written by librdkafka").unwrap();
    assert_eq!(Compression::Snappy.decompress(&raw, 100).unwrap(), b"written by librdkafka");
}

#[test]
fn a_bit_of_the_attributes_names_each_codec() {
    for codec in CODECS {
        assert_eq!(Compression::from_attributes(codec.attribute_bits() | 0x18), Some(codec));
    }
    assert_eq!(Compression::from_attributes(5), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_goes_in_comes_out(data in proptest::collection::vec(any::<u8>(), 0..100_000)) {
        for codec in CODECS {
            prop_assert_eq!(&codec.decompress(&codec.compress(&data).unwrap(), 100_000).unwrap(), &data);
        }
    }

    #[test]
    fn random_bytes_are_an_error_or_small(data in proptest::collection::vec(any::<u8>(), 0..2_000), cut in 0_usize..60) {
        for codec in CODECS {
            if let Ok(out) = codec.decompress(&data, 50_000) {
                prop_assert!(out.len() <= 50_000);
            }
            let whole = codec.compress(&data).unwrap();
            let _ = codec.decompress(&whole[..whole.len().saturating_sub(cut)], 50_000);
        }
    }
}
