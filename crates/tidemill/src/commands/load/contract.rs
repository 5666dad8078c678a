//! The contract of a topic's values: parsed with what it imports, registered under its subject, and the serializer that keeps it.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use base::{Contract, ContractKind, Kind, Schema};
use cloud::registry::Registry;
use connectors::serialize::Serializer;
use contracts::{Document, Referenced, protobuf::MessageWriter};

use super::{
    Args, Serial, contract_text,
    failure::LoadError,
    hindrance::Hindrance,
    kafka::{Strategy, beside},
    registry,
};
use crate::context::{Context, Failure};

/// How values are written, and by what.
pub(super) struct Promised {
    pub(super) serializer: Serializer,
    pub(super) contract: Option<Arc<Contract>>,
    pub(super) message: Option<Arc<MessageWriter>>,
}

/// Deeper chains of imports are a mistake.
const IMPORTS_MAX: usize = 256;

pub(super) async fn for_topic(args: &Args, context: &Context, topic: &str) -> Result<Promised, Failure> {
    let given = contract_text(args, context)?;
    let kind = given.as_ref().map(|(_, kind, _)| *kind);
    let serializer = serializer(args.serializer, kind)?;
    let Some((path, kind, text)) = given else {
        return match &args.topics.message {
            Some(_) => Err(Box::new(Hindrance::NoContractFor { flag: "--message" })),
            None => Ok(Promised { serializer, contract: None, message: None }),
        };
    };
    let name = path.to_string_lossy();
    let imports = if kind == ContractKind::Protobuf { imports(beside(&path), &text)? } else { Vec::new() };
    let known: Vec<Referenced> = imports.iter().map(|one| one.referenced.clone()).collect();
    let parsed = Document::parse_with(kind, &name, &text, &known);
    let document = parsed.map_err(|error| Box::new(error) as Failure)?;
    let message = message(&document, args.topics.message.as_deref(), &path)?;
    let schema = match &document {
        // Messages are written by their own descriptor, and become no rows.
        Document::Protobuf(_) => Schema::of(Kind::Struct(Arc::from([]))),
        document => document.schema(&name).map_err(|error| Box::new(error) as Failure)?,
    };
    let mut contract = Contract {
        kind,
        subject: name.as_ref().into(),
        id: None,
        text: text.as_str().into(),
        schema: Arc::new(schema),
    };
    let frames = matches!(serializer, Serializer::JsonSchema | Serializer::Avro | Serializer::Protobuf);
    // A preview registers nothing.
    if frames && args.reading.preview.is_none() {
        let asked = context.registry(args.registry.as_deref(), &args.registry_property)?;
        let record =
            message.as_ref().map(|one| one.full_name().to_owned()).or_else(|| document.record_name());
        let subject = subject(args.topics.subject_strategy, topic, record, &path)?;
        let references = register_imports(&asked, &imports, &text, !args.no_register).await?;
        let schema = registry::Schema { kind, text: &text, references };
        contract.id = Some(registry::id_of(&asked, &subject, &schema, !args.no_register).await?);
    }
    Ok(Promised { serializer, contract: Some(Arc::new(contract)), message: message.map(Arc::new) })
}

fn serializer(given: Option<Serial>, kind: Option<ContractKind>) -> Result<Serializer, Failure> {
    let serializer = match (given, kind) {
        (Some(Serial::JsonSchema), _) => Serializer::JsonSchema,
        (Some(Serial::Avro), _) => Serializer::Avro,
        (Some(Serial::Protobuf), _) => Serializer::Protobuf,
        (Some(Serial::Json), _) | (None, None) => Serializer::Json,
        (Some(Serial::String), _) => Serializer::String,
        (None, Some(ContractKind::Avro)) => Serializer::Avro,
        (None, Some(ContractKind::Protobuf)) => Serializer::Protobuf,
        (None, Some(ContractKind::JsonSchema)) => Serializer::JsonSchema,
    };
    let wanted = match serializer {
        Serializer::JsonSchema => Some(ContractKind::JsonSchema),
        Serializer::Avro => Some(ContractKind::Avro),
        Serializer::Protobuf => Some(ContractKind::Protobuf),
        Serializer::Json | Serializer::String => None,
    };
    match (wanted, kind) {
        (Some(wanted), Some(kind)) if wanted != kind => {
            let (serializer, contract) = (contracts::kind_name(wanted), contracts::kind_name(kind));
            Err(Box::new(Hindrance::OtherContract { serializer, contract }))
        }
        (None, Some(ContractKind::Protobuf)) if serializer == Serializer::Json => {
            let (serializer, contract) = ("plain JSON", contracts::kind_name(ContractKind::Protobuf));
            Err(Box::new(Hindrance::OtherContract { serializer, contract }))
        }
        _ => Ok(serializer),
    }
}

fn message(document: &Document, name: Option<&str>, path: &Path) -> Result<Option<MessageWriter>, Failure> {
    let lacks = |what: String| Box::new(Hindrance::ContractLacks { path: path.to_owned(), what }) as Failure;
    match (document, name) {
        (Document::Protobuf(protobuf), name) => {
            let writer = protobuf.writer(name).map_err(|error| Box::new(error) as Failure)?;
            writer.map(Some).ok_or_else(|| lacks(format!("message {}", name.unwrap_or_default())))
        }
        (Document::Avro(_) | Document::JsonSchema(_), Some(_)) => {
            Err(Box::new(Hindrance::NoContractFor { flag: "--message" }))
        }
        (Document::Avro(_) | Document::JsonSchema(_), None) => Ok(None),
    }
}

/// Confluent's three strategies.
fn subject(strategy: Strategy, topic: &str, record: Option<String>, path: &Path) -> Result<String, Failure> {
    let record = || {
        let what =
            "name of its record, which the subject is made of (a JSON Schema has it as its title)".to_owned();
        record.ok_or_else(|| Box::new(Hindrance::ContractLacks { path: path.to_owned(), what }) as Failure)
    };
    Ok(match strategy {
        Strategy::Topic => format!("{topic}-value"),
        Strategy::Record => record()?,
        Strategy::TopicRecord => format!("{topic}-{}", record()?),
    })
}

/// A Protobuf file that another one imports, with the names that it imports itself.
struct Import {
    referenced: Referenced,
    names: Vec<String>,
}

/// All that a Protobuf file imports, each after what it imports itself. What is not there is left to the parser, which
/// knows Google's own files.
fn imports(folder: &Path, text: &str) -> Result<Vec<Import>, Failure> {
    fn visit(
        folder: &Path,
        name: &str,
        found: &mut Vec<Import>,
        open: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let is_known =
            found.iter().any(|one| one.referenced.name == name) || open.iter().any(|one| one == name);
        let path = folder.join(name);
        if is_known || open.len() + found.len() > IMPORTS_MAX || !path.is_file() {
            return Ok(());
        }
        let text = fs::read_to_string(&path)
            .map_err(|source| Box::new(LoadError::Contract { path: path.clone(), source }) as Failure)?;
        let names = imported(&text);
        open.push(name.to_owned());
        for inner in &names {
            visit(folder, inner, found, open)?;
        }
        open.pop();
        found.push(Import { referenced: Referenced { name: name.to_owned(), text }, names });
        Ok(())
    }
    let (mut found, mut open) = (Vec::new(), Vec::new());
    for name in imported(text) {
        visit(folder, &name, &mut found, &mut open)?;
    }
    Ok(found)
}

/// The names in a file's import statements.
fn imported(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.trim().strip_prefix("import ")?.trim_start();
        let rest = rest.strip_prefix("public ").or_else(|| rest.strip_prefix("weak ")).unwrap_or(rest).trim();
        let rest = rest.strip_prefix(['"', '\''])?;
        rest.split_once(['"', '\'']).map(|(name, _)| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

/// Each import under its own name, as Confluent's serializers have them; gives those of the file itself.
async fn register_imports(
    asked: &Registry,
    imports: &[Import],
    text: &str,
    may_register: bool,
) -> Result<Vec<registry::Reference>, Failure> {
    let mut versions: HashMap<&str, i64> = HashMap::new();
    let references = |names: &[String], versions: &HashMap<&str, i64>| -> Vec<registry::Reference> {
        let reference = |name: &String| {
            versions
                .get(name.as_str())
                .map(|version| registry::Reference { name: name.clone(), version: *version })
        };
        names.iter().filter_map(reference).collect()
    };
    for import in imports {
        let schema = registry::Schema {
            kind: ContractKind::Protobuf,
            text: &import.referenced.text,
            references: references(&import.names, &versions),
        };
        let version = registry::version_of(asked, &import.referenced.name, &schema, may_register).await?;
        versions.insert(&import.referenced.name, version);
    }
    Ok(references(&imported(text), &versions))
}
