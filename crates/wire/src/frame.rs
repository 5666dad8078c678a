//! Size-prefixed frames and the head of a request.
//!
//! A frame is four bytes of length, big-endian, and that many bytes
//! (<https://kafka.apache.org/protocol#protocol_common>).

#[cfg(test)]
mod tests;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::{ApiKey, RequestHeader},
    protocol::{Decodable, StrBytes},
};

/// Kafka's `socket.request.max.bytes`.
pub const FRAME_BYTES_MAX: usize = 104_857_600;
/// Bytes of the length before a frame.
pub const LENGTH_BYTES: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame says it has {length} bytes; it may have 0 to {bytes_max}")]
    Length { length: i64, bytes_max: usize },
    #[error("a request of {bytes} bytes is too short to have a header")]
    Short { bytes: usize },
    #[error("the header of request {api_key} version {api_version} cannot be read: {reason}")]
    Header { api_key: i16, api_version: i16, reason: String },
}

/// The length of the frame that `buffer` begins with, once its four bytes are there. Checked before anybody allocates.
pub fn frame_length(buffer: &[u8], bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(prefix) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = i32::from_be_bytes(*prefix);
    match usize::try_from(length) {
        Ok(bytes) if bytes <= bytes_max => Ok(Some(bytes)),
        _ => Err(FrameError::Length { length: i64::from(length), bytes_max }),
    }
}

/// Takes a whole frame off the front of `buffer`, without its length and without copying; `None` while it is not whole.
pub fn take_frame(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = frame_length(buffer, bytes_max)? else { return Ok(None) };
    if buffer.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    buffer.advance(LENGTH_BYTES);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// Writes the length before what `write` puts behind it. An answer beyond `i32::MAX` bytes is an error.
pub fn put_frame<E>(
    buffer: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<Result<(), FrameError>, E> {
    let start = buffer.len();
    buffer.put_i32(0);
    write(buffer)?;
    let length = buffer.len() - start - LENGTH_BYTES;
    let Ok(prefix) = i32::try_from(length) else {
        buffer.truncate(start);
        return Ok(Err(FrameError::Length { length: length as i64, bytes_max: i32::MAX as usize }));
    };
    buffer[start..start + LENGTH_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(Ok(()))
}

/// What stands before a request's body. `api_version` is as the client sent it: the caller says whether it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

/// The key, version and correlation id that every request begins with, whatever its header's version.
pub fn peek_request(frame: &[u8]) -> Result<(i16, i16, i32), FrameError> {
    let Some(mut head) = frame.first_chunk::<8>().map(|head| &head[..]) else {
        return Err(FrameError::Short { bytes: frame.len() });
    };
    Ok((head.get_i16(), head.get_i16(), head.get_i32()))
}

/// That of every API that is newer than KIP-482: one whose key the codec does not know, too.
const FLEXIBLE_HEADER: i16 = 2;

/// Takes the header off the front of a frame; what stays is the request's body.
pub fn take_request_head(frame: &mut Bytes) -> Result<RequestHead, FrameError> {
    let (api_key, api_version, correlation_id) = peek_request(frame)?;
    let known = ApiKey::try_from(api_key).map(|known| known.request_header_version(api_version));
    let header = RequestHeader::decode(frame, known.unwrap_or(FLEXIBLE_HEADER))
        .map_err(|error| FrameError::Header { api_key, api_version, reason: error.to_string() })?;
    Ok(RequestHead { api_key, api_version, correlation_id, client_id: header.client_id })
}
