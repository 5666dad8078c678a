//! The list of targets.

mod batches;
mod live;
mod readers;
mod requests;
mod schemas;

/// What is fed, and what it may take.
pub struct Target {
    pub name: &'static str,
    /// The folder of `corpus/` that it begins with.
    pub corpus: &'static str,
    pub run: fn(&[u8]),
    /// What the first byte of an input chooses, where it chooses a decoder.
    pub kind_of: Option<fn(u8) -> &'static str>,
    /// Inputs are cut to this.
    pub input_bytes_max: usize,
    /// The most it may have allocated at once: so much, and so many bytes for each byte of input.
    pub memory_bytes: usize,
    pub memory_per_byte: usize,
    /// Inserted by mutations, where random bytes make little of it.
    pub words: &'static [&'static str],
}

pub const TARGETS: &[Target] = &[
    Target {
        name: "requests",
        corpus: "requests",
        run: requests::decode,
        kind_of: Some(requests::name_of),
        input_bytes_max: 4 << 10,
        memory_bytes: 64 << 10,
        memory_per_byte: 512,
        words: &[],
    },
    Target {
        name: "frames",
        corpus: "frames",
        run: requests::take_frames,
        kind_of: None,
        input_bytes_max: 4 << 10,
        memory_bytes: 64 << 10,
        memory_per_byte: 64,
        words: &[],
    },
    Target {
        name: "batches",
        corpus: "batches",
        run: batches::read,
        kind_of: None,
        input_bytes_max: 4 << 10,
        memory_bytes: (4 * batches::RECORDS_BYTES_MAX) + (1 << 20),
        memory_per_byte: 256,
        words: &[],
    },
    Target {
        name: "avro",
        corpus: "avro",
        run: schemas::avro,
        kind_of: None,
        input_bytes_max: 8 << 10,
        memory_bytes: 4 << 20,
        memory_per_byte: 4 << 10,
        words: schemas::AVRO_WORDS,
    },
    Target {
        name: "json-schema",
        corpus: "json-schema",
        run: schemas::json_schema,
        kind_of: None,
        input_bytes_max: 8 << 10,
        memory_bytes: 4 << 20,
        memory_per_byte: 4 << 10,
        words: schemas::JSON_SCHEMA_WORDS,
    },
    Target {
        name: "protobuf",
        corpus: "protobuf",
        run: schemas::protobuf,
        kind_of: None,
        input_bytes_max: 8 << 10,
        memory_bytes: 4 << 20,
        memory_per_byte: 4 << 10,
        words: schemas::PROTOBUF_WORDS,
    },
    Target {
        name: "framing",
        corpus: "framing",
        run: schemas::framing,
        kind_of: None,
        input_bytes_max: 256,
        memory_bytes: 64 << 10,
        memory_per_byte: 64,
        words: &[],
    },
    Target {
        name: "broker",
        corpus: "requests",
        run: live::ask,
        kind_of: Some(requests::name_of),
        input_bytes_max: 4 << 10,
        memory_bytes: 512 << 20,
        memory_per_byte: 0,
        words: &[],
    },
    Target {
        name: "csv",
        corpus: "csv",
        run: readers::csv,
        kind_of: None,
        input_bytes_max: 16 << 10,
        memory_bytes: readers::MEMORY_BYTES,
        memory_per_byte: 4 << 10,
        words: readers::CSV_WORDS,
    },
    Target {
        name: "json-lines",
        corpus: "json-lines",
        run: readers::json_lines,
        kind_of: None,
        input_bytes_max: 16 << 10,
        memory_bytes: readers::MEMORY_BYTES,
        memory_per_byte: 4 << 10,
        words: readers::JSON_WORDS,
    },
    Target {
        name: "json-document",
        corpus: "json-document",
        run: readers::json_document,
        kind_of: None,
        input_bytes_max: 16 << 10,
        memory_bytes: readers::MEMORY_BYTES,
        memory_per_byte: 4 << 10,
        words: readers::JSON_WORDS,
    },
    Target {
        name: "avro-file",
        corpus: "avro-file",
        run: readers::avro,
        kind_of: None,
        input_bytes_max: 16 << 10,
        memory_bytes: readers::MEMORY_BYTES,
        memory_per_byte: 4 << 10,
        words: &[],
    },
    Target {
        name: "parquet",
        corpus: "parquet",
        run: readers::parquet,
        kind_of: None,
        input_bytes_max: 16 << 10,
        memory_bytes: readers::MEMORY_BYTES,
        memory_per_byte: 4 << 10,
        words: &[],
    },
    Target {
        name: "excel",
        corpus: "excel",
        run: readers::excel,
        kind_of: None,
        input_bytes_max: 16 << 10,
        memory_bytes: readers::MEMORY_BYTES,
        memory_per_byte: 4 << 10,
        words: &[],
    },
];
