//! Whether a converter can read what a topic's serializer writes. A table, and what to write instead.

use base::ContractKind;

/// The last part of a converter's class name says which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Converter {
    JsonSchema,
    Avro,
    Protobuf,
    Json,
    /// Takes any bytes: String, ByteArray and the primitive ones.
    Any,
}

impl Converter {
    /// `None` for a class that we do not know; the configuration's own check refuses it.
    pub(super) fn of_class(class: &str) -> Option<Converter> {
        Some(match class.rsplit('.').next()? {
            "JsonSchemaConverter" => Converter::JsonSchema,
            "AvroConverter" => Converter::Avro,
            "ProtobufConverter" => Converter::Protobuf,
            "JsonConverter" => Converter::Json,
            "StringConverter" | "ByteArrayConverter" => Converter::Any,
            _ => return None,
        })
    }

    /// Whether it reads records in the registry's wire format, with a schema of this kind.
    pub(super) fn reads(self, kind: ContractKind) -> bool {
        match self {
            Converter::JsonSchema => kind == ContractKind::JsonSchema,
            Converter::Avro => kind == ContractKind::Avro,
            Converter::Protobuf => kind == ContractKind::Protobuf,
            // Five bytes of the wire format come before the JSON.
            Converter::Json => false,
            Converter::Any => true,
        }
    }

    pub(super) fn needs_registry(self) -> bool {
        matches!(self, Converter::JsonSchema | Converter::Avro | Converter::Protobuf)
    }
}

/// The converter class for a schema of this kind.
pub(super) fn class_for(kind: ContractKind) -> &'static str {
    match kind {
        ContractKind::JsonSchema => "io.confluent.connect.json.JsonSchemaConverter",
        ContractKind::Avro => "io.confluent.connect.avro.AvroConverter",
        ContractKind::Protobuf => "io.confluent.connect.protobuf.ProtobufConverter",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_converter_reads_what_its_serializer_writes() {
        use ContractKind::{Avro, JsonSchema, Protobuf};
        let reads = |class: &str, kind| Converter::of_class(class).expect("known").reads(kind);
        assert!(reads(class_for(Avro), Avro) && reads(class_for(JsonSchema), JsonSchema));
        assert!(!reads(class_for(Avro), JsonSchema) && !reads(class_for(JsonSchema), Avro));
        assert!(reads(class_for(Protobuf), Protobuf) && !reads(class_for(Protobuf), Avro));
        assert!(!reads("org.apache.kafka.connect.json.JsonConverter", JsonSchema));
        assert!(reads("org.apache.kafka.connect.converters.ByteArrayConverter", Avro));
        assert_eq!(Converter::of_class("org.example.Mine"), None);
    }
}
