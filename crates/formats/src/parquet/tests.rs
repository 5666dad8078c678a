//! What is peculiar to Parquet files: who made them, and how large a row group gets.

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use base::{Contract, ContractKind, Envelope, Field, Kind, Lease, Place, Position};
use bytes::Bytes;

use super::*;

#[test]
fn the_file_names_its_maker_only_and_row_groups_are_bounded() {
    let text = Field { name: "text".into(), schema: Arc::new(Schema::of(Kind::String)) };
    let schema = Arc::new(Schema::of(Kind::Struct(vec![text].into())));
    let contract = Contract {
        kind: ContractKind::Avro,
        subject: "made".into(),
        id: None,
        text: "".into(),
        schema: schema.clone(),
    };
    let contract = Arc::new(contract);
    let mut encoder = ParquetEncoder::new(schema, ParquetCodec::None).unwrap();
    let mut out = Vec::new();
    for number in 0..40 {
        let row = |row: usize| {
            Value::Struct(vec![(
                "text".into(),
                Value::string(format!("{number}-{row}-{}", "x".repeat(1_000))),
            )])
        };
        let rows: Vec<Value> = (0..1_000).map(row).collect();
        let batch = Batch {
            body: Body::Rows(rows.into()),
            envelope: Envelope::default(),
            contract: Some(contract.clone()),
            place: Arc::new(Place::Made { name: "made".into() }),
            end: Position::Start,
            lease: Lease::free(),
        };
        assert!(encoder.append(&batch, 0..1_000, &mut out).unwrap().is_empty());
        assert!(encoder.held_bytes() < 2 * ROW_GROUP_BYTES_MAX);
    }
    encoder.finish(&mut out).unwrap();
    let reader = SerializedFileReader::new(Bytes::from(out)).unwrap();
    let metadata = reader.metadata();
    assert_eq!(metadata.file_metadata().created_by(), Some("tidemill"));
    assert_eq!(metadata.file_metadata().num_rows(), 40_000);
    assert!(metadata.num_row_groups() >= 2);
}
