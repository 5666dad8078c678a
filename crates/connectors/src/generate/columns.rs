//! Payments as columns: what goes into Parquet needs no text between.

use std::{ops::Range, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{Int64Builder, StringBuilder},
};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use base::{BoxError, Field, Kind, Schema};

use super::{Config, Table, finance};

/// Rough, and enough to bound a batch: twelve columns.
pub(super) const ROW_BYTES: usize = 160;

const COLUMNS: [(&str, Type, bool); 12] = [
    ("id", Type::Int, false),
    ("date", Type::Text, false),
    ("client_id", Type::Int, false),
    ("card_id", Type::Int, false),
    ("amount", Type::Text, false),
    ("use_chip", Type::Text, false),
    ("merchant_id", Type::Int, false),
    ("merchant_city", Type::Text, false),
    ("merchant_state", Type::Text, true),
    ("zip", Type::Int, true),
    ("mcc", Type::Int, false),
    ("errors", Type::Text, true),
];

#[derive(Clone, Copy)]
enum Type {
    Int,
    Text,
}

/// What the records of a table are as columns; `None`: they are made as text alone.
pub(super) fn schema(table: Table) -> Option<Schema> {
    if table != Table::FinanceTransactions {
        return None;
    }
    let fields = COLUMNS.iter().map(|(name, kind, is_optional)| {
        let kind = match kind {
            Type::Int => Kind::Int64,
            Type::Text => Kind::String,
        };
        let schema = if *is_optional { Schema::optional(kind) } else { Schema::of(kind) };
        Field { name: (*name).into(), schema: Arc::new(schema) }
    });
    Some(Schema::of(Kind::Struct(fields.collect())))
}

/// The payments of these numbers.
pub(super) fn payments(config: &Config, numbers: Range<u64>) -> Result<RecordBatch, BoxError> {
    let count = (numbers.end - numbers.start) as usize;
    let ints = || Int64Builder::with_capacity(count);
    let texts = |bytes: usize| StringBuilder::with_capacity(count, count * bytes);
    let [mut id, mut client, mut card, mut merchant, mut zip, mut mcc] = std::array::from_fn(|_| ints());
    let [mut date, mut amount, mut way, mut city, mut state, mut error] = [19, 8, 18, 12, 2, 1].map(texts);
    for number in numbers {
        let paid = finance::transaction(config, number);
        id.append_value(paid.id as i64);
        date.append_value(paid.date.text());
        client.append_value(paid.client_id as i64);
        card.append_value(paid.card_id as i64);
        amount.append_value(paid.amount.text());
        way.append_value(paid.use_chip);
        merchant.append_value(paid.merchant_id as i64);
        city.append_value(paid.merchant_city);
        state.append_option(paid.merchant_state);
        zip.append_option(paid.zip.map(i64::from));
        mcc.append_value(paid.mcc.into());
        error.append_option(paid.errors);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(id.finish()),
        Arc::new(date.finish()),
        Arc::new(client.finish()),
        Arc::new(card.finish()),
        Arc::new(amount.finish()),
        Arc::new(way.finish()),
        Arc::new(merchant.finish()),
        Arc::new(city.finish()),
        Arc::new(state.finish()),
        Arc::new(zip.finish()),
        Arc::new(mcc.finish()),
        Arc::new(error.finish()),
    ];
    let fields = COLUMNS.iter().map(|(name, kind, is_optional)| {
        let kind = match kind {
            Type::Int => DataType::Int64,
            Type::Text => DataType::Utf8,
        };
        ArrowField::new(*name, kind, *is_optional)
    });
    Ok(RecordBatch::try_new(Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>())), columns)?)
}
