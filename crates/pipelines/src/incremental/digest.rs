//! What a row at the boundary is known by: a digest of its primary key, or of all of it, as dlt makes them.
//!
//! SHAKE-128 over JSON with sorted keys and times in microseconds; 9 bytes of it in base64.

use base::Value;
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::naming::shake128;

const DIGEST_BYTES: usize = 9;

/// `None` where a field of the primary key is not in the row.
pub(super) fn of_row(row: &Value, primary_key: &[String], scratch: &mut Vec<u8>) -> Option<String> {
    scratch.clear();
    match primary_key {
        [] => json(row, scratch),
        [field] => json(row.get(field)?, scratch),
        fields => {
            scratch.push(b'[');
            for (place, field) in fields.iter().enumerate() {
                if place > 0 {
                    scratch.push(b',');
                }
                json(row.get(field)?, scratch);
            }
            scratch.push(b']');
        }
    }
    let digest: [u8; DIGEST_BYTES] = shake128(&[scratch]);
    Some(STANDARD.encode(digest))
}

fn json(value: &Value, out: &mut Vec<u8>) {
    match value.plain() {
        Value::TimestampMs(ms) => out.extend_from_slice(ms.saturating_mul(1_000).to_string().as_bytes()),
        Value::TimestampUs(us) => out.extend_from_slice(us.to_string().as_bytes()),
        Value::List(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                json(item, out);
            }
            out.push(b']');
        }
        Value::Struct(fields) => {
            let mut fields: Vec<&(std::sync::Arc<str>, Value)> = fields.iter().collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            out.push(b'{');
            for (place, (name, value)) in fields.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(
                    formats::json_value(&Value::String(name.clone()), None, DECIMAL).as_bytes(),
                );
                out.push(b':');
                json(value, out);
            }
            out.push(b'}');
        }
        Value::Decimal { .. } => {
            // dlt writes decimals as texts.
            out.push(b'"');
            out.extend_from_slice(formats::json_value(value.plain(), None, DECIMAL).as_bytes());
            out.push(b'"');
        }
        plain => out.extend_from_slice(formats::json_value(plain, None, DECIMAL).as_bytes()),
    }
}

const DECIMAL: formats::DecimalAs = formats::DecimalAs::Number;
