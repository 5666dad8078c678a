//! Frames whole, torn and lying; request heads of both header versions.

use kafka_protocol::protocol::Encodable;
use proptest::prelude::*;

use super::*;

#[test]
fn a_frame_is_taken_once_it_is_whole() {
    let mut buffer = BytesMut::new();
    put_frame(&mut buffer, |body| {
        body.put_slice(b"hello");
        Ok::<_, ()>(())
    })
    .unwrap()
    .unwrap();
    let mut arriving = BytesMut::new();
    for &byte in &buffer[..buffer.len() - 1] {
        arriving.put_u8(byte);
        assert_eq!(take_frame(&mut arriving, 100), Ok(None));
    }
    arriving.put_slice(b"o\0\0");
    assert_eq!(take_frame(&mut arriving, 100), Ok(Some(Bytes::from_static(b"hello"))));
    assert_eq!(&arriving[..], b"\0\0");
}

#[test]
fn a_length_that_lies_is_refused_before_its_bytes_come() {
    let check = |prefix: &[u8], length| {
        let found = take_frame(&mut BytesMut::from(prefix), 100);
        assert_eq!(found, Err(FrameError::Length { length, bytes_max: 100 }));
    };
    check(&101_i32.to_be_bytes(), 101);
    check(&(-1_i32).to_be_bytes(), -1);
    check(b"GET / HTTP/1.1", 0x4745_5420);
}

#[test]
fn the_head_of_a_request_is_read_in_both_versions() {
    // The codec does not know the last one.
    for (api_key, api_version, header_version) in [(3, 1, 1), (3, 12, 2), (18, 3, 2), (88, 0, 2)] {
        let header = RequestHeader::default()
            .with_request_api_key(api_key)
            .with_request_api_version(api_version)
            .with_correlation_id(77)
            .with_client_id(Some(StrBytes::from_static_str("me")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, header_version).unwrap();
        frame.put_slice(b"body");
        let mut frame = frame.freeze();
        let head = take_request_head(&mut frame).unwrap();
        let client_id = Some(StrBytes::from_static_str("me"));
        assert_eq!(head, RequestHead { api_key, api_version, correlation_id: 77, client_id });
        assert_eq!(&frame[..], b"body");
    }
}

#[test]
fn a_strange_head_is_an_error() {
    assert_eq!(take_request_head(&mut Bytes::from_static(b"short")), Err(FrameError::Short { bytes: 5 }));
    let mut cut = Bytes::from_static(b"\0\x03\0\x01\0\0\0\0\0\x05me");
    assert!(matches!(
        take_request_head(&mut cut),
        Err(FrameError::Header { api_key: 3, api_version: 1, .. })
    ));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = take_frame(&mut BytesMut::from(&bytes[..]), 1_000);
        let _ = take_request_head(&mut Bytes::from(bytes));
    }
}
