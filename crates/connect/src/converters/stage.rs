//! The stage: checks keys, converts values, and cuts the batch where the schema changes.

use std::sync::Arc;

use arrow_array::{Array, BinaryViewArray, builder::make_view};
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use base::{Batch, Body, Contract, ContractKind, Fault, Reject, Rejects, Value};
use engine::Stage;
use parking_lot::Mutex;

use super::{
    Converted, Plan, Refusal, Side,
    envelope::Schemas,
    filter::filter,
    json::{self, Nulls},
    primitive, registered,
};

/// Key and value converter of one task.
pub(crate) struct Conversion {
    key: Plan,
    value: Plan,
    /// The format keeps a schema in each file, so values must be rows even where raw bytes would do.
    needs_schema: bool,
    fixed: Option<Arc<Contract>>,
    schemas: Mutex<[Schemas; 2]>,
}

impl Conversion {
    pub fn new(key: Plan, value: Plan, needs_schema: bool) -> Self {
        let fixed = value.fixed_schema().map(|schema| {
            Arc::new(Contract {
                kind: ContractKind::Avro,
                subject: value.name().into(),
                id: None,
                text: "".into(),
                schema: Arc::new(schema),
            })
        });
        Self { key, value, needs_schema, fixed, schemas: Mutex::default() }
    }

    /// Whether values leave the stage as they came.
    fn stays_raw(&self) -> bool {
        match self.value {
            Plan::String | Plan::ByteArray => !self.needs_schema,
            Plan::PlainJson
            | Plan::Envelope { .. }
            | Plan::Primitive(_)
            | Plan::JsonSchema(_)
            | Plan::Avro(_)
            | Plan::Protobuf(_) => false,
        }
    }

    /// The documents one after the other in one buffer, without their white space; what is no JSON is refused here, so
    /// that it counts in no file.
    fn compact(&self, batch: &Batch, values: &BinaryViewArray, refused: &mut Refused) -> Result<Body, Fault> {
        let bytes = values.views().iter().map(|view| *view as u32 as usize).sum();
        let (mut out, mut views) = (Vec::with_capacity(bytes), Vec::with_capacity(values.len()));
        for row in 0..values.len() {
            let start = out.len();
            if values.is_valid(row)
                && refused.keep[row]
                && let Err(reason) = formats::compact_json(values.value(row), &mut out)
            {
                out.truncate(start);
                refused.add(batch, row, Side::Value, &self.value, Refusal::bytes(reason));
            }
            let offset = u32::try_from(start).map_err(|error| Fault::Fatal(error.into()))?;
            views.push(make_view(&out[start..], 0, offset));
        }
        let (views, buffers) = (ScalarBuffer::from(views), vec![Buffer::from_vec(out)]);
        let compact = BinaryViewArray::try_new(views, buffers, values.nulls().cloned());
        compact.map(Body::Raw).map_err(|error| Fault::Fatal(error.into()))
    }

    fn convert(&self, side: Side, bytes: &[u8]) -> Result<Converted, Fault> {
        let plan = match side {
            Side::Key => &self.key,
            Side::Value => &self.value,
        };
        Ok(match plan {
            Plan::String => match std::str::from_utf8(bytes) {
                Ok(text) => Ok((self.fixed.clone(), Value::string(text))),
                // Java's decoder puts U+FFFD where bytes are no UTF-8.
                Err(_) => Ok((self.fixed.clone(), Value::string(String::from_utf8_lossy(bytes).as_ref()))),
            },
            Plan::ByteArray => Ok((self.fixed.clone(), Value::Bytes(bytes::Bytes::copy_from_slice(bytes)))),
            Plan::PlainJson => json::read_plain(bytes).map(|value| (None, value)).map_err(Refusal::bytes),
            Plan::Envelope { nulls_to_defaults } => {
                let nulls = if *nulls_to_defaults { Nulls::Defaults } else { Nulls::Stay };
                self.schemas.lock()[side as usize].convert(bytes, nulls)
            }
            Plan::Primitive(kind) => primitive::convert(bytes, kind).map(|value| (self.fixed.clone(), value)),
            Plan::JsonSchema(registry) => registered::convert(bytes, ContractKind::JsonSchema, registry)?,
            Plan::Avro(registry) => registered::convert(bytes, ContractKind::Avro, registry)?,
            Plan::Protobuf(registry) => registered::convert(bytes, ContractKind::Protobuf, registry)?,
        })
    }

    /// Rows whose keys the converter refuses. Keys are not stored: they are only held against their converter.
    fn check_keys(&self, batch: &Batch, refused: &mut Refused) -> Result<(), Fault> {
        if matches!(self.key, Plan::String | Plan::ByteArray) {
            return Ok(());
        }
        let Some(keys) = &batch.envelope.keys else { return Ok(()) };
        for row in (0..keys.len()).filter(|row| keys.is_valid(*row)) {
            let refusal = match &self.key {
                Plan::PlainJson => json::is_json(keys.value(row)).map_err(Refusal::bytes).err(),
                _ => self.convert(Side::Key, keys.value(row))?.err(),
            };
            if let Some(refusal) = refusal {
                refused.add(batch, row, Side::Key, &self.key, refusal);
            }
        }
        Ok(())
    }

    fn convert_values(
        &self,
        batch: &Batch,
        values: &BinaryViewArray,
        refused: &mut Refused,
    ) -> Result<Rows, Fault> {
        let mut rows = Rows::default();
        for row in 0..values.len() {
            let converted = match values.is_valid(row) && !batch.envelope.is_tombstone(row) {
                true if !refused.keep[row] => Ok((rows.last(), Value::Null)),
                true => self.convert(Side::Value, values.value(row))?,
                false => Ok((rows.last(), Value::Null)),
            };
            let (contract, value) = match converted {
                Ok(converted) => converted,
                Err(refusal) => {
                    refused.add(batch, row, Side::Value, &self.value, refusal);
                    (rows.last(), Value::Null)
                }
            };
            rows.push(contract, value);
        }
        Ok(rows)
    }
}

/// A field of a dozen bytes of text becomes a name and a value of some 60 bytes.
const ROWS_GROWTH: u64 = 10;

impl Stage for Conversion {
    fn growth(&self) -> u64 {
        match self.value {
            Plan::PlainJson => 1,
            _ if self.stays_raw() => 0,
            _ => ROWS_GROWTH,
        }
    }

    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let Body::Raw(values) = &batch.body else {
            return Err(Fault::Fatal("a converter takes records as they were received".into()));
        };
        let mut refused = Refused { keep: vec![true; batch.len()], rejects: Rejects::default() };
        self.check_keys(&batch, &mut refused)?;
        let is_plain_json = matches!(self.value, Plan::PlainJson);
        if is_plain_json || self.stays_raw() {
            let batch = match is_plain_json {
                true => batch.with_body(self.compact(&batch, values, &mut refused)?),
                false => batch,
            };
            let kept = if refused.rejects.is_empty() { batch } else { filter(&batch, &refused.keep) };
            let kept = if kept.is_empty() { Vec::new() } else { vec![kept] };
            return Ok((kept, refused.rejects));
        }
        let rows = self.convert_values(&batch, values, &mut refused)?;
        let Rows { values, contracts } = rows;
        let tombstones = BooleanBuffer::from_iter(values.iter().map(Value::is_null));
        let mut converted = batch.with_body(Body::Rows(values.into()));
        converted.envelope.tombstones = Some(tombstones);
        let kept = filter(&converted, &refused.keep);
        let contracts = contracts.into_iter().zip(&refused.keep).filter(|(_, keep)| **keep);
        let contracts: Vec<_> = contracts.map(|(contract, _)| contract).collect();
        Ok((by_contract(&kept, &contracts), refused.rejects))
    }
}

/// Values and the contract of each.
#[derive(Default)]
struct Rows {
    values: Vec<Value>,
    contracts: Vec<Option<Arc<Contract>>>,
}

impl Rows {
    /// The contract of the row before: a tombstone does not end a file.
    fn last(&self) -> Option<Arc<Contract>> {
        self.contracts.last().cloned().flatten()
    }

    fn push(&mut self, contract: Option<Arc<Contract>>, value: Value) {
        self.values.push(value);
        self.contracts.push(contract);
    }
}

struct Refused {
    keep: Vec<bool>,
    rejects: Rejects,
}

impl Refused {
    fn add(&mut self, batch: &Batch, row: usize, side: Side, plan: &Plan, refusal: Refusal) {
        self.keep[row] = false;
        let what = if side == Side::Key { "key" } else { "value" };
        let reason = format!("{} cannot read the {what}: {}", plan.name(), refusal.reason);
        let reject: Reject = formats::reject(batch, row, refusal.code, side.stage(), reason);
        self.rejects.0.push(reject);
    }
}

/// Cuts a batch where the contract changes. A leading tombstone goes with the contract that comes after it.
fn by_contract(batch: &Batch, contracts: &[Option<Arc<Contract>>]) -> Vec<Batch> {
    let is_same = |a: &Option<Arc<Contract>>, b: &Option<Arc<Contract>>| match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    };
    let mut batches = Vec::new();
    let mut start = 0;
    for row in 1..=contracts.len() {
        if row < contracts.len() && is_same(&contracts[row - 1], &contracts[row]) {
            continue;
        }
        let leads = row < contracts.len() && (start..row).all(|row| batch.envelope.is_tombstone(row));
        if leads {
            continue;
        }
        let mut piece =
            if start == 0 && row == contracts.len() { batch.clone() } else { batch.slice(start..row) };
        piece.contract = contracts[row - 1].clone();
        batches.push(piece);
        start = row;
    }
    batches
}
