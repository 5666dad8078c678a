//! A Protobuf file as text, in the order and with the spaces that Confluent's registry prints: that text is its identity.
//!
//! Sections follow each other by what they are, not by where they stood: messages come before enums, fields before oneofs.
//! Comments are not kept. Normalized, names are full and what has no order is sorted.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, ServiceDescriptorProto,
    descriptor_proto::ReservedRange,
    field_descriptor_proto::{Label, Type},
};

use super::options::{Options, Printed, quoted};

/// One past the largest number of a field: `max` in a range.
const NUMBERS_END: i32 = 536_870_912;
/// The numbers of `syntax` in a file's descriptor, of nested messages, reserved ranges and reserved names in a message's.
const SYNTAX: i32 = 12;
const MESSAGES: i32 = 4;
const NESTED: i32 = 3;
const RESERVED_RANGES: i32 = 9;
const RESERVED_NAMES: i32 = 10;

/// First line and column, last line and column.
type Span = (i32, i32, i32, i32);

pub(super) fn print(file: &FileDescriptorProto, normalized: bool) -> String {
    Printer { file, normalized, is_proto3: file.syntax() == "proto3" }.file()
}

struct Printer<'a> {
    file: &'a FileDescriptorProto,
    normalized: bool,
    is_proto3: bool,
}

/// Appends the lines of `text`, two spaces further in.
fn indent(out: &mut String, text: &str) {
    for line in text.lines() {
        out.push_str("  ");
        out.push_str(line);
        out.push('\n');
    }
}

/// `head { sections }`, with an empty line of its own before each section.
fn block(head: &str, sections: &[Vec<String>]) -> String {
    let mut out = format!("{head} {{");
    for section in sections.iter().filter(|section| !section.is_empty()) {
        out.push('\n');
        section.iter().for_each(|part| indent(&mut out, part));
    }
    out.push_str("}\n");
    out
}

fn as_statements(options: Vec<Printed>) -> Vec<String> {
    options.into_iter().map(|option| format!("option {};\n", option.text)).collect()
}

/// `[a = 1]`, or each on a line of its own.
fn as_list(options: &[Printed]) -> String {
    match options {
        [] => String::new(),
        [one] => format!(" [{}]", one.text),
        many => {
            let mut out = " [\n".to_owned();
            let texts: Vec<&str> = many.iter().map(|option| option.text.as_str()).collect();
            indent(&mut out, &texts.join(",\n"));
            out.push(']');
            out
        }
    }
}

fn range(start: i32, last: i32) -> String {
    match start == last {
        true => start.to_string(),
        false if last == NUMBERS_END - 1 => format!("{start} to max"),
        false => format!("{start} to {last}"),
    }
}

impl Printer<'_> {
    fn file(&self) -> String {
        let file = self.file;
        let mut out = String::new();
        // A file that says nothing is of proto2 and stays silent.
        let says_syntax = file.syntax.is_some() || self.spans(&[SYNTAX]).next().is_some();
        if says_syntax {
            out += &format!("syntax = \"{}\";\n", if self.is_proto3 { "proto3" } else { "proto2" });
        }
        if let Some(package) = file.package.as_deref().filter(|package| !package.is_empty()) {
            out += &format!("package {package};\n");
        }
        let mut sections = vec![self.imports(), as_statements(file.options.print(self.normalized))];
        let messages = file.message_type.iter().enumerate();
        let mut types: Vec<String> =
            messages.map(|(at, message)| self.message(message, &[MESSAGES, at as i32])).collect();
        types.extend(file.enum_type.iter().map(|one| self.enumeration(one)));
        sections.push(types);
        sections.push(self.extensions(&file.extension));
        sections.push(file.service.iter().map(|service| self.service(service)).collect());
        for section in sections.iter().filter(|section| !section.is_empty()) {
            out.push('\n');
            section.iter().for_each(|part| out.push_str(part));
        }
        out
    }

    /// The spans of what stands at a path of the descriptor.
    fn spans(&self, path: &[i32]) -> impl Iterator<Item = Span> {
        let locations = self.file.source_code_info.iter().flat_map(|source| &source.location);
        let path = path.to_vec();
        locations.filter(move |location| location.path == path).filter_map(|location| match location.span[..]
        {
            [line, from, to] => Some((line, from, line, to)),
            [line, from, last, to] => Some((line, from, last, to)),
            _ => None,
        })
    }

    fn imports(&self) -> Vec<String> {
        let file = self.file;
        let is_public = |at: usize| file.public_dependency.contains(&(at as i32));
        let named = |public: bool| {
            let those = file.dependency.iter().enumerate().filter(move |(at, _)| is_public(*at) == public);
            let mut names: Vec<&String> = those.map(|(_, name)| name).collect();
            if self.normalized {
                names.sort();
                names.dedup();
            }
            let word = if public { "import public" } else { "import" };
            names.into_iter().map(|name| format!("{word} \"{name}\";\n")).collect::<Vec<_>>()
        };
        [named(false), named(true)].concat()
    }

    fn message(&self, message: &DescriptorProto, path: &[i32]) -> String {
        block(&format!("message {}", message.name()), &self.body(message, path))
    }

    fn body(&self, message: &DescriptorProto, path: &[i32]) -> Vec<Vec<String>> {
        // A proto3 `optional` is a oneof of its own in the descriptor and none in the text.
        let loose = |field: &&FieldDescriptorProto| field.oneof_index.is_none() || field.proto3_optional();
        let (groups, fields): (Vec<_>, Vec<_>) =
            message.field.iter().filter(loose).partition(|field| field.r#type() == Type::Group);
        let mut fields = fields;
        if self.normalized {
            fields.sort_by_key(|field| field.number());
        }
        let extensions = message.extension_range.iter();
        let extensions =
            extensions.map(|one| format!("extensions {};\n", range(one.start(), one.end() - 1))).collect();
        let is_hidden = |nested: &DescriptorProto| {
            let is_map = nested.options.as_ref().is_some_and(|options| options.map_entry());
            is_map
                || message.field.iter().chain(&message.extension).any(|field| {
                    field.r#type() == Type::Group
                        && field.type_name().rsplit('.').next() == Some(nested.name())
                })
        };
        let nested = message.nested_type.iter().enumerate().filter(|(_, nested)| !is_hidden(nested));
        let mut types: Vec<String> =
            nested.map(|(at, nested)| self.message(nested, &[path, &[NESTED, at as i32]].concat())).collect();
        types.extend(message.enum_type.iter().map(|one| self.enumeration(one)));
        vec![
            self.reserved(message, path),
            as_statements(message.options.print(self.normalized)),
            fields.iter().map(|field| self.field(field, message, true)).collect(),
            self.oneofs(message, path),
            groups.iter().map(|field| self.group(field, message, path, true)).collect(),
            extensions,
            types,
            self.extensions(&message.extension),
        ]
    }

    /// One statement for each that was written; for each number and name where the order means nothing.
    fn reserved(&self, message: &DescriptorProto, path: &[i32]) -> Vec<String> {
        let ranges = message.reserved_range.iter().map(|one| (one.start(), show_range(one)));
        let names = message.reserved_name.iter().map(|name| (i32::MAX, format!("\"{name}\"")));
        if self.normalized {
            let mut all: Vec<(i32, String)> = ranges.chain(names).collect();
            all.sort();
            return all.into_iter().map(|(_, text)| format!("reserved {text};\n")).collect();
        }
        let ranges = ranges.map(|(_, text)| (RESERVED_RANGES, text)).enumerate();
        let names = names.map(|(_, text)| (RESERVED_NAMES, text)).enumerate();
        let mut statements: Vec<(Span, Vec<String>)> = Vec::new();
        for (at, (tag, text)) in ranges.chain(names) {
            let own = self.spans(&[path, &[tag, at as i32]].concat()).next();
            let around = own.and_then(|own| {
                let holds =
                    |span: &Span| (span.0, span.1) <= (own.0, own.1) && (own.2, own.3) <= (span.2, span.3);
                self.spans(&[path, &[tag]].concat()).find(holds)
            });
            match around {
                Some(span) => match statements.iter_mut().find(|(known, _)| *known == span) {
                    Some((_, texts)) => texts.push(text),
                    None => statements.push((span, vec![text])),
                },
                // A descriptor says nothing of statements.
                None => statements.push(((i32::MAX, tag, at as i32, 0), vec![text])),
            }
        }
        statements.sort_by_key(|(span, _)| *span);
        statements.into_iter().map(|(_, texts)| format!("reserved {};\n", texts.join(", "))).collect()
    }

    fn oneofs(&self, message: &DescriptorProto, path: &[i32]) -> Vec<String> {
        let mut printed = Vec::new();
        for (at, oneof) in message.oneof_decl.iter().enumerate() {
            let within = |field: &&FieldDescriptorProto| {
                field.oneof_index == Some(at as i32) && !field.proto3_optional()
            };
            let mut fields: Vec<&FieldDescriptorProto> = message.field.iter().filter(within).collect();
            if self.normalized {
                fields.sort_by_key(|field| field.number());
            }
            let Some(first) = fields.first().map(|field| field.number()) else { continue };
            let (groups, fields): (Vec<_>, Vec<_>) =
                fields.into_iter().partition(|field| field.r#type() == Type::Group);
            let sections = [
                as_statements(oneof.options.print(self.normalized)),
                fields.iter().map(|field| self.field(field, message, false)).collect(),
                groups.iter().map(|field| self.group(field, message, path, false)).collect(),
            ];
            printed.push((first, block(&format!("oneof {}", oneof.name()), &sections)));
        }
        if self.normalized {
            printed.sort_by_key(|(first, _)| *first);
        }
        printed.into_iter().map(|(_, text)| text).collect()
    }

    fn field(&self, field: &FieldDescriptorProto, message: &DescriptorProto, may_have_label: bool) -> String {
        let map = map_entry(field, message);
        let kind = match map {
            Some(entry) => match &entry.field[..] {
                [key, value] => format!("map<{}, {}>", self.type_of(key), self.type_of(value)),
                _ => self.type_of(field),
            },
            None => self.type_of(field),
        };
        let label = match map.is_none() && may_have_label {
            true => self.label(field),
            false => "",
        };
        let options = as_list(&self.field_options(field));
        format!("{label}{kind} {} = {}{options};\n", field.name(), field.number())
    }

    /// A proto2 group is its field and its message at once.
    fn group(
        &self,
        field: &FieldDescriptorProto,
        message: &DescriptorProto,
        path: &[i32],
        labelled: bool,
    ) -> String {
        let name = field.type_name().rsplit('.').next().unwrap_or_default();
        let found = message.nested_type.iter().position(|nested| nested.name() == name);
        let sections =
            found.map(|at| self.body(&message.nested_type[at], &[path, &[NESTED, at as i32]].concat()));
        let label = if labelled { self.label(field) } else { "" };
        block(&format!("{label}group {name} = {}", field.number()), &sections.unwrap_or_default())
    }

    fn label(&self, field: &FieldDescriptorProto) -> &'static str {
        match field.label() {
            Label::Required => "required ",
            Label::Repeated => "repeated ",
            Label::Optional if self.is_proto3 && !field.proto3_optional() => "",
            Label::Optional => "optional ",
        }
    }

    fn type_of(&self, field: &FieldDescriptorProto) -> String {
        field.type_name.clone().unwrap_or_else(|| scalar(field.r#type()).to_owned())
    }

    fn field_options(&self, field: &FieldDescriptorProto) -> Vec<Printed> {
        let mut options = field.options.print(self.normalized);
        if let Some(default) = &field.default_value {
            let default = match field.type_name.is_none() {
                true if field.r#type() == Type::String => quoted(default),
                // Escaped already.
                true if field.r#type() == Type::Bytes => format!("\"{default}\""),
                _ => default.clone(),
            };
            options.push(Printed::new("default", &default));
        }
        let own = field.json_name.as_ref().filter(|name| **name != json_name(field.name()));
        options.extend(own.map(|name| Printed::new("json_name", &quoted(name))));
        if self.normalized {
            options.sort_by(|left, right| left.name.cmp(&right.name));
        }
        options
    }

    fn enumeration(&self, one: &EnumDescriptorProto) -> String {
        let mut out = format!("enum {} {{", one.name());
        let ranges = one.reserved_range.iter().map(|one| range(one.start(), one.end()));
        let names = one.reserved_name.iter().map(|name| format!("\"{name}\""));
        let mut parts: Vec<String> = ranges.chain(names).map(|text| format!("reserved {text};\n")).collect();
        parts.extend(as_statements(one.options.print(self.normalized)));
        let mut values: Vec<_> = one.value.iter().collect();
        if self.normalized {
            values.sort_by(|left, right| (left.number(), left.name()).cmp(&(right.number(), right.name())));
        }
        parts.extend(values.iter().map(|value| {
            let options = as_list(&value.options.print(self.normalized));
            format!("{} = {}{options};\n", value.name(), value.number())
        }));
        if !parts.is_empty() {
            out.push('\n');
        }
        parts.iter().for_each(|part| indent(&mut out, part));
        out.push_str("}\n");
        out
    }

    /// `extend` blocks: neighbours that extend the same message stand in one.
    fn extensions(&self, fields: &[FieldDescriptorProto]) -> Vec<String> {
        let groups = fields.chunk_by(|left, right| left.extendee == right.extendee);
        let nothing = DescriptorProto::default();
        let printed = groups.map(|group| {
            let fields = group.iter().map(|field| self.field(field, &nothing, true)).collect();
            block(&format!("extend {}", group[0].extendee()), &[fields])
        });
        printed.collect()
    }

    fn service(&self, service: &ServiceDescriptorProto) -> String {
        let methods = service.method.iter().map(|method| {
            let stream = |is: bool| if is { "stream " } else { "" };
            let mut out = format!(
                "rpc {} ({}{}) returns ({}{})",
                method.name(),
                stream(method.client_streaming()),
                method.input_type(),
                stream(method.server_streaming()),
                method.output_type(),
            );
            let options = as_statements(method.options.print(self.normalized));
            if !options.is_empty() {
                out.push_str(" {\n");
                options.iter().for_each(|option| indent(&mut out, option));
                out.push('}');
            }
            out.push_str(";\n");
            out
        });
        let sections = [as_statements(service.options.print(self.normalized)), methods.collect()];
        block(&format!("service {}", service.name()), &sections)
    }
}

/// A message's range ends before its `end`, an enum's with it.
fn show_range(one: &ReservedRange) -> String {
    range(one.start(), one.end() - 1)
}

/// The message that stands for a map field.
pub(super) fn map_entry<'a>(
    field: &FieldDescriptorProto,
    message: &'a DescriptorProto,
) -> Option<&'a DescriptorProto> {
    let name = field.type_name.as_deref()?.rsplit('.').next()?;
    let is_map = |nested: &&DescriptorProto| {
        nested.name() == name && nested.options.as_ref().is_some_and(|options| options.map_entry())
    };
    (field.label() == Label::Repeated).then(|| message.nested_type.iter().find(is_map)).flatten()
}

pub(super) fn scalar(kind: Type) -> &'static str {
    match kind {
        Type::Double => "double",
        Type::Float => "float",
        Type::Int64 => "int64",
        Type::Uint64 => "uint64",
        Type::Int32 => "int32",
        Type::Fixed64 => "fixed64",
        Type::Fixed32 => "fixed32",
        Type::Bool => "bool",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Uint32 => "uint32",
        Type::Sfixed32 => "sfixed32",
        Type::Sfixed64 => "sfixed64",
        Type::Sint32 => "sint32",
        Type::Sint64 => "sint64",
        Type::Group => "group",
        Type::Message | Type::Enum => "",
    }
}

/// The name in JSON that protoc gives a field: what follows an underscore is a capital.
fn json_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        match letter {
            '_' => raise = true,
            letter if raise => {
                out.push(letter.to_ascii_uppercase());
                raise = false;
            }
            letter => out.push(letter),
        }
    }
    out
}
