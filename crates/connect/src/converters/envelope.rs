//! JsonConverter with `schemas.enable=true`: `{"schema": …, "payload": …}`, the schema in Connect's own JSON form.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use base::{Contract, ContractKind, Field, Kind, Schema, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Converted, Refusal,
    json::{self, Nulls},
};

/// Schemas remembered by their text; JsonConverter's `schemas.cache.size`.
const SCHEMAS_COUNT_MAX: usize = 1_000;

const NOT_AN_ENVELOPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not \
    contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your \
    converter configuration.";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    // Not `Option`: a null is kept as the text `null`, and a missing field is an error.
    #[serde(borrow)]
    schema: &'a RawValue,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The schemas met so far.
#[derive(Default)]
pub(super) struct Schemas(HashMap<Box<str>, Arc<Contract>>);

impl Schemas {
    pub fn convert(&mut self, bytes: &[u8], nulls: Nulls) -> Converted {
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| {
            let reason =
                if error.is_data() { NOT_AN_ENVELOPE.to_owned() } else { format!("not JSON: {error}") };
            Refusal::bytes(reason)
        })?;
        let payload = envelope.payload.get().as_bytes();
        if envelope.schema.get() == "null" {
            return json::read_plain(payload).map(|value| (None, value)).map_err(Refusal::bytes);
        }
        let contract = self.contract(envelope.schema.get())?;
        let value = json::read(payload, &contract.schema, nulls).map_err(Refusal::bytes)?;
        Ok((Some(contract), value))
    }

    fn contract(&mut self, text: &str) -> Result<Arc<Contract>, Refusal> {
        if let Some(contract) = self.0.get(text) {
            return Ok(contract.clone());
        }
        let form: Form = serde_json::from_str(text)
            .map_err(|error| Refusal::schema(format!("the \"schema\" is not one of Connect's: {error}")))?;
        let schema = schema(&form).map_err(Refusal::schema)?;
        let contract = Arc::new(Contract {
            kind: ContractKind::JsonSchema,
            subject: "envelope".into(),
            id: None,
            text: text.into(),
            schema: Arc::new(schema),
        });
        if self.0.len() >= SCHEMAS_COUNT_MAX {
            self.0.clear();
        }
        self.0.insert(text.into(), contract.clone());
        Ok(contract)
    }
}

/// A schema in Connect's JSON form.
#[derive(Deserialize)]
struct Form {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    optional: bool,
    name: Option<Arc<str>>,
    version: Option<i32>,
    doc: Option<Arc<str>>,
    default: Option<Box<RawValue>>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    fields: Option<Vec<FieldForm>>,
    items: Option<Box<Form>>,
    keys: Option<Box<Form>>,
    values: Option<Box<Form>>,
}

#[derive(Deserialize)]
struct FieldForm {
    field: Arc<str>,
    #[serde(flatten)]
    form: serde_json::Map<String, serde_json::Value>,
}

fn schema(form: &Form) -> Result<Schema, String> {
    let mut schema = Schema {
        kind: kind(form)?,
        optional: form.optional,
        name: form.name.clone(),
        version: form.version,
        doc: form.doc.clone(),
        default: None,
        parameters: form.parameters.clone(),
    };
    if let Some(default) = form.default.as_ref().filter(|default| default.get() != "null") {
        let read: Value = json::read(default.get().as_bytes(), &schema, Nulls::Stay)
            .map_err(|reason| format!("the default of the \"schema\" does not fit it: {reason}"))?;
        schema.default = Some(read);
    }
    Ok(schema)
}

fn kind(form: &Form) -> Result<Kind, String> {
    let part = |part: &Option<Box<Form>>, name: &str| match part {
        Some(part) => schema(part).map(Arc::new),
        None => Err(format!("a {} in the \"schema\" has no {name}", form.kind)),
    };
    Ok(match (form.kind.as_str(), form.name.as_deref()) {
        ("bytes", Some("org.apache.kafka.connect.data.Decimal")) => {
            let scale = form.parameters.get("scale").and_then(|scale| scale.parse().ok());
            Kind::Decimal { scale: scale.ok_or("a Decimal in the \"schema\" has no parameter scale")? }
        }
        ("int32", Some("org.apache.kafka.connect.data.Date")) => Kind::Date,
        ("int32", Some("org.apache.kafka.connect.data.Time")) => Kind::TimeMs,
        ("int64", Some("org.apache.kafka.connect.data.Timestamp")) => Kind::TimestampMs,
        ("boolean", _) => Kind::Boolean,
        ("int8", _) => Kind::Int8,
        ("int16", _) => Kind::Int16,
        ("int32", _) => Kind::Int32,
        ("int64", _) => Kind::Int64,
        ("float", _) => Kind::Float32,
        ("double", _) => Kind::Float64,
        ("bytes", _) => Kind::Bytes,
        ("string", _) => Kind::String,
        ("array", _) => Kind::Array(part(&form.items, "items")?),
        ("map", _) => Kind::Map { key: part(&form.keys, "keys")?, value: part(&form.values, "values")? },
        ("struct", _) => {
            let fields = form.fields.as_ref().ok_or("a struct in the \"schema\" has no fields")?;
            let field = |field: &FieldForm| {
                // `flatten` cannot carry a raw default, so a field is read in two steps.
                let text = serde_json::Value::Object(field.form.clone()).to_string();
                let form: Form = serde_json::from_str(&text)
                    .map_err(|error| format!("field {} of the \"schema\": {error}", field.field))?;
                Ok(Field { name: field.field.clone(), schema: Arc::new(schema(&form)?) })
            };
            Kind::Struct(fields.iter().map(field).collect::<Result<Vec<_>, String>>()?.into())
        }
        (other, _) => {
            return Err(format!("the \"schema\" has the type {other}, which Connect does not know"));
        }
    })
}
