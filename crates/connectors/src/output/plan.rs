//! The way from a source's records to a format: which stages, which columns, and whether there is a short way.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::SchemaRef;
use base::{Batch, Body, Contract, ContractKind, Fault, Kind, Rejects, Schema, Source, Value, code};
use contracts::validate::RowEncoder;
use engine::Stage;
use formats::{Parts, reject};
use serde_json::json;

use super::{
    Error, FileFormat, Seen, Word,
    direct::{CsvColumns, CsvFile, CsvLines, Direct, Documents},
    look,
    schema::fit,
};
use crate::{
    TableForm,
    mapping::Type,
    received::Received,
    record::Shape,
    rows::{self, Planned, Rows},
};

/// What is known of the records before they are read.
pub enum Form {
    /// Files with the kinds of their columns, and what becomes of records that are no CSV before they are rows.
    Files { planned: Vec<Planned>, stages: Vec<Arc<dyn Stage>> },
    /// Columns, which stay such.
    Columns(SchemaRef),
    /// Rows of a store, or what the stages make of its records.
    Rows { stages: Vec<Arc<dyn Stage>>, table_form: TableForm },
}

/// What is wanted of them.
pub struct Wanted {
    pub format: FileFormat,
    pub contract: Option<Arc<Contract>>,
    pub nulls: Vec<String>,
    /// A field that every row gets besides its own.
    pub stamp: Option<(Arc<str>, Value)>,
    /// So many records of each file or split decide the columns.
    pub records_max: u64,
    /// The columns, where they were found out before.
    pub columns: Option<Arc<Schema>>,
}

/// How records become parts.
pub struct Plan {
    pub(super) stages: Vec<Arc<dyn Stage>>,
    pub(super) direct: Option<Direct>,
    pub(super) parts: Arc<Parts>,
    /// Parts are row groups, which want to be large.
    pub(super) is_grouped: bool,
    /// Stages make values of many times the bytes that they are given.
    pub(super) is_staged: bool,
    /// The columns, where the format has such, and where they came from.
    pub schema: Option<Arc<Schema>>,
}

impl Plan {
    /// What makes of the source's records those that are written.
    pub fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    /// What is refused is told as it came, whatever had become of it.
    pub fn telling_as_received(self) -> Self {
        Self { stages: vec![Arc::new(Received::new(self.stages))], ..self }
    }
}

/// `open` opens the source anew for each look at it: nothing is taken from the one that will be read.
///
/// # Errors
/// Columns that cannot be told, and what the contract or the format has against them.
pub async fn plan(
    open: &(dyn Fn() -> Result<Arc<dyn Source>, base::BoxError> + Sync),
    form: Form,
    wanted: Wanted,
) -> Result<Plan, base::BoxError> {
    let Wanted { format, contract, nulls, stamp, records_max, columns } = wanted;
    let (files, mut stages) = match form {
        Form::Files { planned, mut stages } => {
            let plan = rows::Plan {
                contract: contract.clone(),
                keys: Vec::new(),
                nulls: nulls.clone(),
                stamp: stamp.clone(),
                keeps_json: false,
            };
            stages.push(Arc::new(Rows::new(plan, planned.clone())?));
            (planned, stages)
        }
        Form::Columns(arrow) => return Plan::of_columns(&format, arrow),
        Form::Rows { mut stages, table_form } => {
            stages.push(Arc::new(Plain { table_form, stamp: stamp.clone() }));
            (Vec::new(), stages)
        }
    };
    let are_all = |is: fn(&Shape) -> bool| !files.is_empty() && files.iter().all(|file| is(&file.shape));
    let is_csv = are_all(|shape| matches!(shape, Shape::Csv { .. }));
    let is_json = are_all(|shape| matches!(shape, Shape::Json | Shape::Document));
    let schema = match (&contract, format.word.needs_columns(), columns) {
        (_, false, _) => None,
        (Some(contract), true, _) => Some(contract.schema.clone()),
        (None, true, Some(schema)) => Some(schema),
        (None, true, None) => {
            let mut seen = Seen::default();
            if is_csv && files.iter().all(is_told) {
                columns_of(&files).iter().for_each(|(name, kind)| seen.add_column(name, kind));
                if let Some((name, _)) = &stamp {
                    seen.add_column(name, &Kind::TimestampMs);
                }
            } else {
                let source = || open().map_err(|source| Error::Look { source });
                let is_plain = is_json
                    && contract.is_none()
                    && stamp.is_none()
                    && look::values(&*source()?, None, &mut seen, records_max).await?;
                if !is_plain {
                    seen = Seen::default();
                    look::values(&*source()?, Some(&stages), &mut seen, records_max).await?;
                }
            }
            Some(seen.schema().map(Arc::new).ok_or_else(|| no_columns(format.word))?)
        }
    };
    if let (None, Some(schema)) = (&contract, &schema) {
        stages.push(Arc::new(Fit { schema: schema.clone() }));
    }
    let parts = Arc::new(parts(&format, schema.as_ref())?);
    let direct = match (format.word, &contract) {
        _ if stamp.is_some() => None,
        (Word::JsonLines | Word::Json, None) if is_json => Some(Direct::Json),
        (Word::JsonLines | Word::Json, contract) if is_csv => csv_lines(&files, contract.as_deref(), &nulls),
        (_, None) if is_csv => csv_columns(&files, schema.as_deref(), &nulls),
        (_, None) if is_json => {
            let arrow = schema.as_deref().and_then(arrow_of);
            arrow.map(|arrow| Direct::Documents(Documents::new(arrow)))
        }
        _ => None,
    };
    let is_staged = direct.is_none();
    Ok(Plan { stages, direct, parts, is_grouped: format.word == Word::Parquet, is_staged, schema })
}

fn no_columns(word: Word) -> Error {
    Error::NoColumns { format: word.name(), reason: "there are no records with fields".to_owned() }
}

impl Plan {
    fn of_columns(format: &FileFormat, arrow: SchemaRef) -> Result<Self, base::BoxError> {
        let schema = Arc::new(formats::schema_of_columns(&arrow)?.named("row"));
        let (settings, contract) = (format.settings.clone(), row_contract(&schema));
        let parts = Parts::of_columns(settings, contract, format.word == Word::Json, arrow)?;
        Ok(Self {
            stages: Vec::new(),
            direct: None,
            parts: Arc::new(parts),
            is_grouped: format.word == Word::Parquet,
            is_staged: false,
            schema: Some(schema),
        })
    }
}

fn row_contract(schema: &Arc<Schema>) -> Arc<Contract> {
    let (kind, subject, text) = (ContractKind::Avro, "row".into(), "".into());
    Arc::new(Contract { kind, subject, id: None, text, schema: schema.clone() })
}

fn parts(format: &FileFormat, schema: Option<&Arc<Schema>>) -> Result<Parts, formats::Error> {
    Parts::new(format.settings.clone(), schema.map(row_contract), format.word == Word::Json)
}

/// `None`: a format that has no columns of its own takes what they cannot hold.
fn arrow_of(schema: &Schema) -> Option<SchemaRef> {
    formats::arrow_schema(schema).ok()
}

/// The columns of all CSV files: a name that several have comes once for each kind that it has.
fn columns_of(files: &[Planned]) -> Vec<(&str, &Kind)> {
    let mut columns = Vec::new();
    for file in files {
        let Shape::Csv { header, .. } = &file.shape else { continue };
        for column in header.iter().map(String::as_str).zip(&file.kinds) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
    }
    columns
}

/// Whether the kinds of its columns say all: decimals with the digits that they are written with have to be seen.
fn is_told(file: &Planned) -> bool {
    let Shape::Csv { header, cells } = &file.shape else { return false };
    (0..header.len()).all(|column| cells.declared(column) != Some(Type::Decimal(None)))
}

/// `None` where the contract writes something other than JSON, or a column has another type in another file.
fn csv_lines(files: &[Planned], contract: Option<&Contract>, nulls: &[String]) -> Option<Direct> {
    if contract.is_some_and(|contract| contract.kind != ContractKind::JsonSchema) {
        return None;
    }
    let nulls: Vec<&str> = nulls.iter().map(String::as_str).collect();
    let mut lines = HashMap::new();
    for Planned { path, shape, kinds } in files {
        let Shape::Csv { header, cells } = shape else { return None };
        let made;
        let cells = match contract {
            Some(contract) => cells.for_schema(&contract.schema),
            None => cells.for_kinds(kinds),
        };
        let contract = match contract {
            Some(contract) => contract,
            None => {
                made = contract_of(header, kinds)?;
                &made
            }
        };
        let names: Vec<&str> = header.iter().map(String::as_str).collect();
        let encoder = RowEncoder::compile(contract, &names, &nulls).ok()?;
        lines.insert(path.clone(), CsvLines { encoder, columns_count: names.len(), cells });
    }
    Some(Direct::CsvLines(lines))
}

/// A contract that says no more than the columns' kinds.
fn contract_of(header: &[String], kinds: &[Kind]) -> Option<Contract> {
    let property = |(name, kind): (&String, &Kind)| {
        let schema = match kind {
            Kind::String => json!({ "type": ["null", "string"] }),
            Kind::Int64 => json!({ "type": ["null", "integer"] }),
            Kind::Float64 => json!({ "type": ["null", "number"] }),
            Kind::Boolean => json!({ "type": ["null", "boolean"] }),
            Kind::Date => json!({ "type": ["null", "string"], "format": "date" }),
            Kind::TimestampMs => json!({ "type": ["null", "string"], "format": "date-time" }),
            // Decimals have their scale, which no schema of JSON says.
            _ => return None,
        };
        Some((name.clone(), schema))
    };
    let properties: serde_json::Map<_, _> = header.iter().zip(kinds).map(property).collect::<Option<_>>()?;
    let text = json!({ "title": "row", "type": "object", "properties": properties }).to_string();
    contracts::contract(ContractKind::JsonSchema, "row", None, &text).ok()
}

fn csv_columns(files: &[Planned], schema: Option<&Schema>, nulls: &[String]) -> Option<Direct> {
    let (fields, arrow) = (schema?.fields(), arrow_of(schema?)?);
    let mut of_files = HashMap::new();
    for Planned { path, shape, kinds } in files {
        let Shape::Csv { header, cells } = shape else { return None };
        let place = |name: &String| fields.iter().position(|field| *field.name == **name);
        let places = header.iter().map(place).collect::<Option<Vec<usize>>>()?;
        of_files.insert(path.clone(), CsvFile { places, cells: cells.for_kinds(kinds) });
    }
    let kinds = fields.iter().map(|field| field.schema.kind.clone()).collect();
    Some(Direct::CsvColumns(CsvColumns { kinds, arrow, files: of_files, nulls: nulls.to_vec() }))
}

/// Rows without what only their store has, and with the stamp.
struct Plain {
    table_form: TableForm,
    stamp: Option<(Arc<str>, Value)>,
}

impl Plain {
    fn plain(&self, value: &mut Value) {
        while let Value::Tagged { tag, value: inner } = value {
            *value = match (self.table_form)(tag, inner) {
                Some(form) => form,
                None => std::mem::take(&mut **inner),
            };
        }
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.plain(item)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.plain(value)),
            Value::Struct(fields) => fields.iter_mut().for_each(|(_, value)| self.plain(value)),
            _ => {}
        }
    }
}

impl Stage for Plain {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let mut rows = match &batch.body {
            Body::Rows(rows) => rows.to_vec(),
            Body::Columns(columns) => formats::values(columns).map_err(|error| Fault::Fatal(error.into()))?,
            Body::Raw(_) => return Ok((vec![batch], Rejects::default())),
        };
        // A record without a value is no record of a file.
        let is_there = |row: &usize| !batch.envelope.is_tombstone(*row) && !rows[*row].is_null();
        let kept: Vec<usize> = (0..rows.len()).filter(is_there).collect();
        let mut rows: Vec<Value> = kept.iter().map(|row| std::mem::take(&mut rows[*row])).collect();
        for row in &mut rows {
            self.plain(row);
            if let (Some((name, stamp)), Value::Struct(fields)) = (&self.stamp, row) {
                fields.retain(|(field, _)| field != name);
                fields.push((name.clone(), stamp.clone()));
            }
        }
        let marks = batch.envelope.marks.as_ref().map(|marks| kept.iter().map(|row| marks[*row]).collect());
        let envelope = base::Envelope { marks, ..base::Envelope::default() };
        Ok((vec![Batch { body: Body::Rows(rows.into()), envelope, ..batch }], Rejects::default()))
    }
}

/// Rows as their columns take them.
struct Fit {
    schema: Arc<Schema>,
}

impl Stage for Fit {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let given = match &batch.body {
            Body::Rows(rows) => rows.to_vec(),
            Body::Columns(columns) => formats::values(columns).map_err(|error| Fault::Fatal(error.into()))?,
            Body::Raw(_) => return Err(Fault::Fatal("records without a form have no columns".into())),
        };
        let (mut rows, mut rejects) = (Vec::with_capacity(given.len()), Rejects::default());
        for (row, mut value) in given.into_iter().enumerate() {
            let fitted = match &value {
                Value::Struct(_) => fit(&mut value, &self.schema),
                other => Err(format!("a row is a record with fields, not {}", other.kind_name())),
            };
            match fitted {
                Ok(()) => rows.push(value),
                Err(reason) => {
                    rejects.0.push(reject(&batch, row, code::TM1451, "VALUE_CONVERTER", reason));
                }
            }
        }
        // Nothing behind this stage asks for keys or marks.
        let envelope = base::Envelope::default();
        Ok((vec![Batch { body: Body::Rows(rows.into()), envelope, ..batch }], rejects))
    }
}
