//! Protobuf files: parsed with their imports, printed as Confluent's registry keeps them, compared.
//!
//! `protox` parses, resolves names and checks as protoc does; `print` makes the text, `compatibility` has the rules, `known`
//! the files that may be imported without being given; `json` reads and writes messages as JSON, `decode` makes rows of them,
//! `encode` them of rows, and `connect` has the rows' schema. A file may also come as its descriptor in base64, which is what
//! Confluent's clients send where they have no text.

pub mod compatibility;
mod connect;
mod decode;
mod encode;
mod json;
mod known;
mod options;
mod print;
mod tags;

pub use decode::{Mapping, MessageReader};
pub use json::{MessageWriter, Messages};

use std::{collections::HashMap, sync::Arc};

use base::{ContractKind, Spot};
use base64::{Engine, engine::general_purpose::STANDARD};
use prost::encoding::{DecodeContext, decode_key, skip_field};
use prost_types::{DescriptorProto, FileDescriptorProto};
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

use crate::{Error, Referenced};

/// What the file itself is called among its imports, as Confluent calls it.
const MAIN: &str = "default";
/// Deeper nesting than any file of use; it bounds the parser's recursion.
const DEPTH_MAX: usize = 64;

/// The numbers of `name` and `source_code_info` in a file's descriptor.
const NAME_TAG: u32 = 1;
const SOURCE_INFO_TAG: u32 = 9;

/// A Protobuf file.
#[derive(Debug, Clone)]
pub struct Protobuf {
    /// Names and options as they were written.
    written: Arc<FileDescriptorProto>,
    /// Names resolved, with all that it imports; the file itself comes last.
    files: Arc<[FileDescriptorProto]>,
    /// Its descriptor, with options that only its imports explain.
    encoded: Arc<[u8]>,
}

impl Protobuf {
    /// Parses and checks; `path` is what an error calls the text, the references are its imports by their names.
    pub fn parse_with(path: &str, text: &str, references: &[Referenced]) -> Result<Self, Error> {
        let refuse = |error: &protox::Error| invalid(path, text, error);
        let main = read(MAIN, text).map_err(|error| refuse(&error))?;
        let written = Arc::new(main.file_descriptor_proto().clone());
        let given = references.iter().map(|other| (other.name.clone(), other.text.clone()));
        let mut resolver = ChainFileResolver::new();
        resolver.add(Given { main, others: given.collect() });
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        compiler.open_file(MAIN).map_err(|error| refuse(&error))?;
        let files = compiler.file_descriptor_set().file.into();
        let file = compiler.descriptor_pool().get_file_by_name(MAIN);
        let encoded = file.map(|file| without_source_info(&file.encode_to_vec())).unwrap_or_default().into();
        Ok(Self { written, files, encoded })
    }

    /// The text that the registry keeps.
    pub fn canonical(&self) -> String {
        print::print(&self.written, false)
    }

    /// The same with full names, and sorted where the order means nothing.
    pub fn normalized(&self) -> String {
        let mut file = (*self.written).clone();
        for (written, resolved) in file.message_type.iter_mut().zip(&self.main().message_type) {
            name_fully(written, resolved);
        }
        for (written, resolved) in file.service.iter_mut().zip(&self.main().service) {
            for (written, resolved) in written.method.iter_mut().zip(&resolved.method) {
                written.input_type.clone_from(&resolved.input_type);
                written.output_type.clone_from(&resolved.output_type);
            }
        }
        print::print(&file, true)
    }

    /// The descriptor in base64: Confluent's `format=serialized`.
    pub fn serialized(&self) -> String {
        STANDARD.encode(&self.encoded)
    }

    fn main(&self) -> &FileDescriptorProto {
        self.files.last().expect("the file itself is among them")
    }

    pub(crate) fn has_field(&self, name: &str) -> bool {
        let first = self.main().message_type.first();
        first.is_some_and(|message| message.field.iter().any(|field| field.name() == name))
    }

    /// The indexes that the wire format has in front of a message: `[1, 0]` is the first one within the second.
    pub fn message_index(&self, name: &str) -> Option<Vec<i32>> {
        let package = self.main().package();
        let name = name.strip_prefix(package).map_or(name, |rest| rest.strip_prefix('.').unwrap_or(name));
        let mut index = Vec::new();
        let mut within = &self.main().message_type;
        for step in name.split('.') {
            let at = within.iter().position(|message| message.name() == step)?;
            index.push(i32::try_from(at).ok()?);
            within = &within[at].nested_type;
        }
        Some(index)
    }
}

/// What is answered where messages would have to become rows.
pub(crate) fn no_rows() -> Error {
    Error::Unsupported {
        what: "turning Protobuf messages into rows".to_owned(),
        instead: "use JSON Schema or Avro; the registry itself takes Protobuf".to_owned(),
    }
}

/// Takes the resolved names over into the message as it was written.
fn name_fully(written: &mut DescriptorProto, resolved: &DescriptorProto) {
    for (written, resolved) in written.field.iter_mut().zip(&resolved.field) {
        written.type_name.clone_from(&resolved.type_name);
    }
    for (written, resolved) in written.nested_type.iter_mut().zip(&resolved.nested_type) {
        name_fully(written, resolved);
    }
}

struct Given {
    main: File,
    others: HashMap<String, String>,
}

impl FileResolver for Given {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == MAIN {
            return Ok(self.main.clone());
        }
        let text = self.others.get(name).map(String::as_str).or_else(|| known::text(name));
        read(name, text.ok_or_else(|| protox::Error::file_not_found(name))?)
    }
}

/// A file from its text, or from its descriptor in base64.
fn read(name: &str, text: &str) -> Result<File, protox::Error> {
    if is_too_deep(text) {
        return Err(protox::Error::new(format!("it is nested deeper than {DEPTH_MAX} levels")));
    }
    let parsed = File::from_source(name, text);
    let mut file = match parsed {
        Ok(file) => file,
        Err(error) => {
            let bytes = STANDARD.decode(text.trim()).ok().filter(|bytes| !bytes.is_empty());
            let named = bytes.map(|mut bytes| {
                // The last of a field counts: so the descriptor is called by what it is asked for.
                prost::encoding::string::encode(NAME_TAG, &name.to_owned(), &mut bytes);
                bytes
            });
            let decoded = named.and_then(|bytes| File::decode_file_descriptor_proto(&bytes[..]).ok());
            decoded.ok_or(error)?
        }
    };
    // Confluent keeps a map of a descriptor as the message that it is, which protoc takes from no text.
    if text.contains("map_entry") {
        let mut descriptor = file.file_descriptor_proto().clone();
        descriptor.message_type.iter_mut().for_each(options::mark_maps);
        file = File::from_file_descriptor_proto(descriptor);
    }
    Ok(file)
}

/// Whether brackets are open more than `DEPTH_MAX` times at once; those in strings and comments do not count.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut at, bytes) = (0usize, 0, text.as_bytes());
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let skipped = match byte {
            b'/' if rest.starts_with(b"//") => rest.iter().position(|byte| *byte == b'\n'),
            b'/' if rest.starts_with(b"/*") => {
                rest.windows(2).skip(2).position(|two| two == b"*/").map(|at| at + 3)
            }
            b'"' | b'\'' => {
                let mut end = 1;
                while rest.get(end).is_some_and(|other| other != byte && *other != b'\n') {
                    end += if rest[end] == b'\\' { 2 } else { 1 };
                }
                Some(end)
            }
            b'{' | b'[' | b'(' | b'<' => {
                depth += 1;
                Some(0)
            }
            b'}' | b']' | b')' | b'>' => {
                depth = depth.saturating_sub(1);
                Some(0)
            }
            _ => Some(0),
        };
        if depth > DEPTH_MAX {
            return true;
        }
        match skipped {
            Some(skipped) => at += skipped + 1,
            None => break,
        }
    }
    false
}

/// The bytes of a descriptor without where in the text everything stood, and without the comments.
fn without_source_info(descriptor: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(descriptor.len());
    let mut rest = descriptor;
    while !rest.is_empty() {
        let field = rest;
        let Ok((tag, wire_type)) = decode_key(&mut rest) else { break };
        if skip_field(wire_type, tag, &mut rest, DecodeContext::default()).is_err() {
            break;
        }
        if tag != SOURCE_INFO_TAG {
            kept.extend_from_slice(&field[..field.len() - rest.len()]);
        }
    }
    kept
}

fn invalid(path: &str, text: &str, error: &protox::Error) -> Error {
    use miette::Diagnostic;
    let label = error.labels().and_then(Iterator::last);
    // The place may be one in an import: then it says nothing here.
    let label = label.filter(|_| error.file().is_none_or(|file| file == MAIN));
    let (start, length) = label.map_or((0, 0), |label| (label.offset(), label.len()));
    let (start, length) = if start + length <= text.len() { (start, length) } else { (0, 0) };
    let start = (0..=start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let spot = Spot::Text {
        path: path.into(),
        text: text.into(),
        start,
        length: length.max(usize::from(!text.is_empty())),
        label: "here".to_owned(),
    };
    let found = text[start..].strip_prefix("edition").map(str::trim_start);
    let reason = match found.is_some_and(|rest| rest.starts_with('=')) {
        true => {
            "it is of an edition of Protobuf, and only syntax = \"proto2\" and \"proto3\" are read".to_owned()
        }
        false => error.to_string(),
    };
    Error::Invalid { kind: ContractKind::Protobuf, path: path.into(), spot: Box::new(spot), reason }
}

#[cfg(test)]
mod tests;
