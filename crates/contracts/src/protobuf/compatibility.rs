//! What changes from one Protobuf file to another, and which of it a reader of the new one cannot take: the rules and the
//! names of Confluent's registry. Fields are known by their numbers, messages by their names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use super::{Protobuf, print::map_entry};
use crate::compatibility::Incompatibility;

/// How far messages are followed from field to field; each is compared by itself as well.
const DEPTH_MAX: usize = 128;

/// What keeps `reader` from reading data of `writer`.
pub fn can_read(reader: &Protobuf, writer: &Protobuf) -> Vec<Incompatibility> {
    let mut diff = Diff {
        old: Side::of(&writer.files),
        new: Side::of(&reader.files),
        at: Vec::new(),
        open: BTreeSet::new(),
        compared: HashMap::new(),
        breaking: Vec::new(),
    };
    let (old, new) = (writer.main(), reader.main());
    if old.package() != new.package() {
        diff.add("PACKAGE_CHANGED");
    }
    diff.compare_types(&old.message_type, &new.message_type, (is_proto3(old), is_proto3(new)));
    diff.breaking
}

fn is_proto3(file: &FileDescriptorProto) -> bool {
    file.syntax() == "proto3"
}

/// A message that a field may name.
#[derive(Clone, Copy)]
struct Named<'a> {
    message: &'a DescriptorProto,
    package: &'a str,
    is_proto3: bool,
}

/// All messages of a file and its imports by their full names.
struct Side<'a>(HashMap<String, Named<'a>>);

impl<'a> Side<'a> {
    fn of(files: &'a [FileDescriptorProto]) -> Self {
        let mut all = HashMap::new();
        for file in files {
            let prefix =
                if file.package().is_empty() { String::new() } else { format!(".{}", file.package()) };
            let mut waiting: Vec<(String, &DescriptorProto)> =
                file.message_type.iter().map(|message| (prefix.clone(), message)).collect();
            while let Some((prefix, message)) = waiting.pop() {
                let name = format!("{prefix}.{}", message.name());
                waiting.extend(message.nested_type.iter().map(|nested| (name.clone(), nested)));
                all.insert(name, Named { message, package: file.package(), is_proto3: is_proto3(file) });
            }
        }
        Self(all)
    }
}

impl Named<'_> {
    /// A full name without its package.
    fn local<'n>(&self, name: &'n str) -> &'n str {
        let name = name.trim_start_matches('.');
        name.strip_prefix(self.package).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
    }
}

/// A field in its message, of a file of proto3 or not.
#[derive(Clone, Copy)]
struct Field<'a> {
    field: &'a FieldDescriptorProto,
    message: &'a DescriptorProto,
    is_proto3: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scalar {
    Number,
    Signed,
    StringOrBytes,
    Fixed32,
    Fixed64,
    Float,
    Double,
}

enum Kind<'a> {
    Scalar(Scalar),
    Message(&'a str),
    Map(&'a DescriptorProto),
}

impl<'a> Field<'a> {
    /// The oneof it is a member of; a proto3 `optional` is none.
    fn oneof(&self) -> Option<&'a str> {
        let index = self.field.oneof_index.filter(|_| !self.field.proto3_optional())?;
        self.message.oneof_decl.get(usize::try_from(index).ok()?).map(|oneof| oneof.name())
    }

    /// The label as it was written: none where proto3 leaves it out, or in a oneof.
    fn label(&self) -> Option<Label> {
        let label = self.field.label();
        let left_out = self.oneof().is_some()
            || (label == Label::Optional && self.is_proto3 && !self.field.proto3_optional());
        (!left_out).then_some(label)
    }

    fn kind(&self) -> Kind<'a> {
        if let Some(entry) = map_entry(self.field, self.message) {
            return Kind::Map(entry);
        }
        Kind::Scalar(match self.field.r#type() {
            Type::Int32 | Type::Int64 | Type::Uint32 | Type::Uint64 | Type::Bool | Type::Enum => {
                Scalar::Number
            }
            Type::Sint32 | Type::Sint64 => Scalar::Signed,
            Type::String | Type::Bytes => Scalar::StringOrBytes,
            Type::Fixed32 | Type::Sfixed32 => Scalar::Fixed32,
            Type::Fixed64 | Type::Sfixed64 => Scalar::Fixed64,
            Type::Float => Scalar::Float,
            Type::Double => Scalar::Double,
            Type::Message | Type::Group => return Kind::Message(self.field.type_name()),
        })
    }
}

type Pair = (*const DescriptorProto, *const DescriptorProto);

struct Diff<'a> {
    old: Side<'a>,
    new: Side<'a>,
    at: Vec<String>,
    /// Messages being compared: met again, a message that holds itself fits if the rest does.
    open: BTreeSet<Pair>,
    /// Whether two messages fit that fields refer to: each pair is compared once.
    compared: HashMap<Pair, bool>,
    breaking: Vec<Incompatibility>,
}

impl<'a> Diff<'a> {
    fn add(&mut self, kind: &'static str) {
        let path = format!("#/{}", self.at.join("/"));
        let text = sentence(kind).replace("{path}", &path);
        self.breaking.push(Incompatibility { kind, path, text, detail: String::new() });
    }

    fn within(&mut self, step: &str, compare: impl FnOnce(&mut Self)) {
        self.at.push(step.to_owned());
        compare(self);
        self.at.pop();
    }

    /// A message that is gone breaks; whatever happens to an enum or a new message does not.
    fn compare_types(
        &mut self,
        old: &'a [DescriptorProto],
        new: &'a [DescriptorProto],
        proto3: (bool, bool),
    ) {
        let by_name = |messages: &'a [DescriptorProto]| {
            let real = messages
                .iter()
                .filter(|message| !message.options.as_ref().is_some_and(|options| options.map_entry()));
            real.map(|message| (message.name(), message)).collect::<BTreeMap<_, _>>()
        };
        let after = by_name(new);
        for (name, was) in by_name(old) {
            self.within(name, |diff| match after.get(name) {
                Some(is) => diff.compare_messages(was, is, proto3),
                None => diff.add("MESSAGE_REMOVED"),
            });
        }
    }

    fn compare_messages(&mut self, was: &'a DescriptorProto, is: &'a DescriptorProto, proto3: (bool, bool)) {
        let pair: Pair = (was, is);
        if self.open.len() > DEPTH_MAX || !self.open.insert(pair) {
            return;
        }
        let fields = |message: &'a DescriptorProto, is_proto3| {
            let all =
                message.field.iter().map(move |field| (field.number(), Field { field, message, is_proto3 }));
            all.collect::<BTreeMap<i32, Field<'a>>>()
        };
        let (before, after) = (fields(was, proto3.0), fields(is, proto3.1));
        self.compare_oneofs(&before, &after);
        let numbers: BTreeSet<i32> = before.keys().chain(after.keys()).copied().collect();
        for number in numbers {
            self.within(&number.to_string(), |diff| match (before.get(&number), after.get(&number)) {
                (Some(was), Some(is)) => diff.compare_fields(*was, *is),
                (Some(was), None) if was.oneof().is_some() => {}
                (Some(was), None) if was.field.label() == Label::Required => {
                    diff.add("REQUIRED_FIELD_REMOVED")
                }
                (None, Some(is)) if is.oneof().is_none() && is.field.label() == Label::Required => {
                    diff.add("REQUIRED_FIELD_ADDED");
                }
                _ => {}
            });
        }
        self.compare_types(&was.nested_type, &is.nested_type, proto3);
        self.open.remove(&pair);
    }

    /// Fields that come together in a oneof lose all but one; a field that goes from one that stays is lost.
    fn compare_oneofs(&mut self, before: &BTreeMap<i32, Field<'a>>, after: &BTreeMap<i32, Field<'a>>) {
        let mut oneofs: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (number, field) in after {
            if let Some(oneof) = field.oneof() {
                oneofs.entry(oneof).or_default().push(*number);
            }
        }
        for (oneof, members) in &oneofs {
            let known = || members.iter().filter_map(|number| before.get(number));
            let moved = known().filter(|field| field.oneof().is_none()).count();
            let stayed = known().filter(|field| field.oneof().is_some()).count();
            self.within(oneof, |diff| {
                if moved > 1 {
                    diff.add("MULTIPLE_FIELDS_MOVED_TO_ONEOF");
                } else if moved == 1 && stayed > 0 {
                    diff.add("FIELD_MOVED_TO_EXISTING_ONEOF");
                }
                for (number, field) in before {
                    if field.oneof() == Some(*oneof) && !after.contains_key(number) {
                        diff.within(&number.to_string(), |diff| diff.add("ONEOF_FIELD_REMOVED"));
                    }
                }
            });
        }
    }

    fn compare_fields(&mut self, was: Field<'a>, is: Field<'a>) {
        match (was.kind(), is.kind()) {
            (Kind::Scalar(before), Kind::Scalar(after)) if before != after => {
                self.add("FIELD_SCALAR_KIND_CHANGED");
            }
            (Kind::Scalar(kind), Kind::Scalar(_)) => {
                let labels = was.label().zip(is.label());
                if kind != Scalar::StringOrBytes && labels.is_some_and(|(before, after)| before != after) {
                    self.add("FIELD_NUMERIC_LABEL_CHANGED");
                }
            }
            (Kind::Message(before), Kind::Message(after)) => self.compare_named(before, after),
            (Kind::Map(before), Kind::Map(after)) => {
                let part = |message: &'a DescriptorProto, number| {
                    let field = message.field.iter().find(|field| field.number() == number)?;
                    // Neither key nor value has a label.
                    Some(Field { field, message, is_proto3: true })
                };
                for number in [1, 2] {
                    if let (Some(was), Some(is)) = (part(before, number), part(after, number)) {
                        self.compare_fields(was, is);
                    }
                }
            }
            _ => self.add("FIELD_KIND_CHANGED"),
        }
    }

    fn compare_named(&mut self, before: &'a str, after: &'a str) {
        let (Some(was), Some(is)) = (self.old.0.get(before).copied(), self.new.0.get(after).copied()) else {
            if before != after {
                self.add("FIELD_NAMED_TYPE_CHANGED");
            }
            return;
        };
        let name = was.local(before);
        if name != is.local(after) {
            return self.add("FIELD_NAMED_TYPE_CHANGED");
        }
        let pair: Pair = (was.message, is.message);
        let fits = match self.compared.get(&pair) {
            Some(fits) => *fits,
            // What is being compared, here or further up, says itself what is wrong with it.
            None if self.open.contains(&pair) => true,
            None => {
                let breaking = self.breaking.len();
                let at = std::mem::replace(&mut self.at, name.split('.').map(str::to_owned).collect());
                self.compare_messages(was.message, is.message, (was.is_proto3, is.is_proto3));
                self.at = at;
                let fits = self.breaking.len() == breaking;
                self.compared.insert(pair, fits);
                fits
            }
        };
        if !fits {
            self.add("FIELD_NAMED_TYPE_CHANGED");
        }
    }
}

/// What a breaking change means, in a sentence about the reader's schema and the writer's.
fn sentence(kind: &str) -> &'static str {
    match kind {
        "PACKAGE_CHANGED" => {
            "The package at path '{path}' of the {reader} schema is another than that of the {writer} schema"
        }
        "MESSAGE_REMOVED" => "The {reader} schema lacks the message at path '{path}' of the {writer} schema",
        "FIELD_KIND_CHANGED" => {
            "The field at path '{path}' is a scalar, a message or a map in the {reader} schema, and something else of these in \
             the {writer} schema"
        }
        "FIELD_SCALAR_KIND_CHANGED" => {
            "The type of the field at path '{path}' has another encoding in the {reader} schema than in the {writer} schema"
        }
        "FIELD_NAMED_TYPE_CHANGED" => {
            "The message that is the type of the field at path '{path}' differs between the {reader} schema and the {writer} \
             schema"
        }
        "FIELD_NUMERIC_LABEL_CHANGED" => {
            "The numeric field at path '{path}' has another label in the {reader} schema than in the {writer} schema"
        }
        "REQUIRED_FIELD_ADDED" => {
            "The field at path '{path}' is required in the {reader} schema and not there in the {writer} schema"
        }
        "REQUIRED_FIELD_REMOVED" => {
            "The {reader} schema lacks the field at path '{path}', which the {writer} schema requires"
        }
        "ONEOF_FIELD_REMOVED" => {
            "The {reader} schema lacks the oneof's field at path '{path}' of the {writer} schema"
        }
        "MULTIPLE_FIELDS_MOVED_TO_ONEOF" => {
            "The oneof at path '{path}' of the {reader} schema takes in several fields that stand alone in the {writer} schema"
        }
        _ => {
            "The oneof at path '{path}' of the {reader} schema takes in a field that stands outside of it in the {writer} \
             schema"
        }
    }
}
