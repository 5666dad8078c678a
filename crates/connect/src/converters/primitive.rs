//! `org.apache.kafka.connect.converters`: numbers in big-endian bytes of their own width.

use base::{Kind, Value};

use super::Refusal;

pub(super) fn convert(bytes: &[u8], kind: &Kind) -> Result<Value, Refusal> {
    fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Refusal> {
        bytes.try_into().map_err(|_| Refusal::bytes(format!("expected {N} bytes, found {}", bytes.len())))
    }
    Ok(match kind {
        Kind::Boolean => match array::<1>(bytes)? {
            [0] => Value::Boolean(false),
            [1] => Value::Boolean(true),
            [other] => return Err(Refusal::bytes(format!("a boolean is the byte 0 or 1, not {other}"))),
        },
        Kind::Int16 => Value::Int(i16::from_be_bytes(array(bytes)?).into()),
        Kind::Int32 => Value::Int(i32::from_be_bytes(array(bytes)?).into()),
        Kind::Int64 => Value::Int(i64::from_be_bytes(array(bytes)?)),
        Kind::Float32 => Value::Float(f32::from_be_bytes(array(bytes)?).into()),
        _ => Value::Float(f64::from_be_bytes(array(bytes)?)),
    })
}
