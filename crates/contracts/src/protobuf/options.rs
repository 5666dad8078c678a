//! Options as a list of names and values in the text's form: those that a parser left as they were written, and those
//! that a descriptor has by their fields.

use std::{fmt::Write, iter::Peekable, str::Chars};

use prost_types::{
    DescriptorProto, EnumOptions, EnumValueOptions, FieldOptions, FileOptions, MessageOptions, MethodOptions,
    OneofOptions, ServiceOptions, UninterpretedOption,
    field_options::{CType, JsType},
    file_options::OptimizeMode,
    method_options::IdempotencyLevel,
    uninterpreted_option::NamePart,
};

/// An option: what it is sorted by, and `name = value` as it is printed.
pub(super) struct Printed {
    pub(super) name: String,
    pub(super) text: String,
}

impl Printed {
    pub(super) fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), text: format!("{name} = {value}") }
    }
}

/// Turns the option into the flag of a map's message, which may then be read as the map that it is.
pub(super) fn mark_maps(message: &mut DescriptorProto) {
    message.nested_type.iter_mut().for_each(mark_maps);
    let Some(options) = &mut message.options else { return };
    let before = options.uninterpreted_option.len();
    let is_mark = |option: &UninterpretedOption| {
        let [part] = &option.name[..] else { return false };
        part.name_part == "map_entry" && option.identifier_value.as_deref() == Some("true")
    };
    options.uninterpreted_option.retain(|option| !is_mark(option));
    if options.uninterpreted_option.len() < before {
        options.map_entry = Some(true);
    }
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            '\\' | '\'' | '"' => out.extend(['\\', letter]),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// The text within a string of the text format; of what is escaped, quotes and backslashes.
fn unquoted(text: &str) -> String {
    let within = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let (mut out, mut letters) = (String::with_capacity(within.len()), within.chars().peekable());
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some('"' | '\'' | '\\')) => out.extend(letters.next()),
            _ => out.push(letter),
        }
    }
    out
}

fn written(options: &[UninterpretedOption], sorted: bool) -> Vec<Printed> {
    options.iter().map(|option| one_written(option, sorted)).collect()
}

fn one_written(option: &UninterpretedOption, sorted: bool) -> Printed {
    let part = |part: &NamePart| match part.is_extension {
        true => format!("({})", part.name_part),
        false => part.name_part.clone(),
    };
    let name = option.name.iter().map(part).collect::<Vec<_>>().join(".");
    let value = if let Some(word) = &option.identifier_value {
        word.clone()
    } else if let Some(number) = option.positive_int_value {
        number.to_string()
    } else if let Some(number) = option.negative_int_value {
        number.to_string()
    } else if let Some(number) = option.double_value {
        format!("{number:?}")
    } else if let Some(text) = &option.string_value {
        quoted(&String::from_utf8_lossy(text))
    } else {
        let mut members = Aggregate::read(option.aggregate_value.as_deref().unwrap_or_default());
        if sorted {
            members.sort();
        }
        members.print()
    };
    let first = option.name.first().map(|part| part.name_part.clone()).unwrap_or_default();
    Printed { name: first, text: format!("{name} = {value}") }
}

/// A value in Protobuf's text format.
pub(super) enum Aggregate {
    Plain(String),
    Map(Vec<(String, Aggregate)>),
    List(Vec<Aggregate>),
}

impl Aggregate {
    /// The inside of an aggregate, which the parser has checked already.
    pub(super) fn read(text: &str) -> Self {
        Members { letters: text.chars().peekable() }.map()
    }

    /// The strings of a member, which may be one or several.
    pub(super) fn texts(&self, member: &str) -> Vec<String> {
        let Aggregate::Map(members) = self else { return Vec::new() };
        let values = members.iter().filter(|(name, _)| name == member).flat_map(|(_, value)| match value {
            Aggregate::List(items) => items.iter().collect(),
            value => vec![value],
        });
        let texts = values.filter_map(|value| match value {
            Aggregate::Plain(text) => Some(unquoted(text)),
            _ => None,
        });
        texts.collect()
    }

    /// Lets a member be this list; without any it goes.
    pub(super) fn set(&mut self, member: &str, texts: Vec<String>) {
        let Aggregate::Map(members) = self else { return };
        let at = members.iter().position(|(name, _)| name == member);
        let list = Aggregate::List(texts.into_iter().map(Aggregate::Plain).collect());
        let is_empty = matches!(&list, Aggregate::List(items) if items.is_empty());
        match at {
            Some(at) if is_empty => drop(members.remove(at)),
            Some(at) => members[at].1 = list,
            None if is_empty => {}
            None => members.push((member.to_owned(), list)),
        }
    }

    /// Its members as a parser leaves them: without the brackets around.
    pub(super) fn inside(&self) -> String {
        match self {
            Aggregate::Map(members) if members.is_empty() => String::new(),
            value => value.print().trim_start_matches('{').trim_end_matches('}').to_owned(),
        }
    }

    fn sort(&mut self) {
        match self {
            Aggregate::Plain(_) => {}
            Aggregate::Map(members) => {
                members.sort_by(|(left, _), (right, _)| left.cmp(right));
                members.iter_mut().for_each(|(_, value)| value.sort());
            }
            Aggregate::List(items) => items.iter_mut().for_each(Aggregate::sort),
        }
    }

    pub(super) fn print(&self) -> String {
        let lines = |open: char, lines: Vec<String>, close: char| {
            let lines = lines.join(",\n");
            let mut out = format!("{open}\n");
            for line in lines.lines() {
                writeln!(out, "  {line}").expect("a String takes everything");
            }
            out.push(close);
            out
        };
        match self {
            Aggregate::Plain(text) => text.clone(),
            Aggregate::Map(members) => {
                let members = members.iter().map(|(name, value)| format!("{name}: {}", value.print()));
                lines('{', members.collect(), '}')
            }
            Aggregate::List(items) => lines('[', items.iter().map(Aggregate::print).collect(), ']'),
        }
    }
}

/// Reads values in the text format.
struct Members<'a> {
    letters: Peekable<Chars<'a>>,
}

impl Members<'_> {
    fn skip(&mut self, letters: &str) {
        while self.letters.next_if(|letter| letter.is_whitespace() || letters.contains(*letter)).is_some() {}
    }

    /// Up to the closing bracket or the end.
    fn map(&mut self) -> Aggregate {
        let mut members: Vec<(String, Aggregate)> = Vec::new();
        loop {
            self.skip(",;");
            if self.letters.next_if(|letter| matches!(letter, '}' | '>')).is_some()
                || self.letters.peek().is_none()
            {
                break;
            }
            let name = self.name();
            self.skip(":");
            let value = self.value();
            if name.is_empty() {
                break;
            }
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, Aggregate::List(items))) => items.push(value),
                Some((_, first)) => {
                    let before = std::mem::replace(first, Aggregate::Plain(String::new()));
                    *first = Aggregate::List(vec![before, value]);
                }
                None => members.push((name, value)),
            }
        }
        Aggregate::Map(members)
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        if self.letters.peek() == Some(&'[') {
            for letter in self.letters.by_ref() {
                name.push(letter);
                if letter == ']' {
                    break;
                }
            }
            return name;
        }
        while let Some(letter) =
            self.letters.next_if(|letter| letter.is_alphanumeric() || "_./".contains(*letter))
        {
            name.push(letter);
        }
        name
    }

    fn value(&mut self) -> Aggregate {
        match self.letters.peek().copied() {
            Some('{' | '<') => {
                self.letters.next();
                self.map()
            }
            Some('[') => {
                self.letters.next();
                let mut items = Vec::new();
                loop {
                    self.skip(",");
                    if self.letters.next_if_eq(&']').is_some() || self.letters.peek().is_none() {
                        break;
                    }
                    items.push(self.value());
                }
                Aggregate::List(items)
            }
            Some(quote @ ('"' | '\'')) => Aggregate::Plain(self.string(quote)),
            _ => {
                let mut word = String::new();
                let ends = |letter: &char| letter.is_whitespace() || ",;}]>".contains(*letter);
                while let Some(letter) = self.letters.next_if(|letter| !ends(letter)) {
                    word.push(letter);
                }
                if word.is_empty() {
                    self.letters.next();
                }
                Aggregate::Plain(word)
            }
        }
    }

    /// A string, with those that follow it: they are one.
    fn string(&mut self, mut quote: char) -> String {
        let mut text = String::from('"');
        loop {
            self.letters.next();
            while let Some(letter) = self.letters.next_if(|letter| *letter != quote) {
                match letter {
                    '"' => text.push_str("\\\""),
                    letter => text.push(letter),
                }
                if letter == '\\' {
                    text.extend(self.letters.next());
                }
            }
            self.letters.next();
            self.skip("");
            match self.letters.peek() {
                Some(next @ ('"' | '\'')) => quote = *next,
                _ => break,
            }
        }
        text.push('"');
        text
    }
}

/// The options of each part of a file.
pub(super) trait Options {
    fn print(&self, sorted: bool) -> Vec<Printed>;
}

impl<T: Options> Options for Option<T> {
    fn print(&self, sorted: bool) -> Vec<Printed> {
        let mut all = self.as_ref().map(|options| options.print(sorted)).unwrap_or_default();
        if sorted {
            all.sort_by(|left, right| left.name.cmp(&right.name));
        }
        all
    }
}

fn flag(name: &str, value: Option<bool>) -> Option<Printed> {
    value.map(|value| Printed::new(name, if value { "true" } else { "false" }))
}

fn text(name: &str, value: Option<&String>) -> Option<Printed> {
    value.map(|value| Printed::new(name, &quoted(value)))
}

fn with(
    fields: impl IntoIterator<Item = Option<Printed>>,
    rest: &[UninterpretedOption],
    sorted: bool,
) -> Vec<Printed> {
    fields.into_iter().flatten().chain(written(rest, sorted)).collect()
}

impl Options for FileOptions {
    fn print(&self, sorted: bool) -> Vec<Printed> {
        let optimize = self.optimize_for.and_then(|mode| OptimizeMode::try_from(mode).ok());
        #[allow(deprecated, reason = "a descriptor may still have it")]
        let hash = self.java_generate_equals_and_hash;
        let fields = [
            text("java_package", self.java_package.as_ref()),
            text("java_outer_classname", self.java_outer_classname.as_ref()),
            flag("java_multiple_files", self.java_multiple_files),
            flag("java_generate_equals_and_hash", hash),
            flag("java_string_check_utf8", self.java_string_check_utf8),
            optimize.map(|mode| Printed::new("optimize_for", mode.as_str_name())),
            text("go_package", self.go_package.as_ref()),
            flag("cc_generic_services", self.cc_generic_services),
            flag("java_generic_services", self.java_generic_services),
            flag("py_generic_services", self.py_generic_services),
            flag("deprecated", self.deprecated),
            flag("cc_enable_arenas", self.cc_enable_arenas),
            text("objc_class_prefix", self.objc_class_prefix.as_ref()),
            text("csharp_namespace", self.csharp_namespace.as_ref()),
            text("swift_prefix", self.swift_prefix.as_ref()),
            text("php_class_prefix", self.php_class_prefix.as_ref()),
            text("php_namespace", self.php_namespace.as_ref()),
            text("php_metadata_namespace", self.php_metadata_namespace.as_ref()),
            text("ruby_package", self.ruby_package.as_ref()),
        ];
        with(fields, &self.uninterpreted_option, sorted)
    }
}

impl Options for MessageOptions {
    fn print(&self, sorted: bool) -> Vec<Printed> {
        let fields = [
            flag("no_standard_descriptor_accessor", self.no_standard_descriptor_accessor),
            flag("deprecated", self.deprecated),
        ];
        with(fields, &self.uninterpreted_option, sorted)
    }
}

impl Options for FieldOptions {
    fn print(&self, sorted: bool) -> Vec<Printed> {
        let c_type = self.ctype.and_then(|word| CType::try_from(word).ok());
        let js_type = self.jstype.and_then(|word| JsType::try_from(word).ok());
        let fields = [
            c_type.map(|word| Printed::new("ctype", word.as_str_name())),
            flag("packed", self.packed),
            js_type.map(|word| Printed::new("jstype", word.as_str_name())),
            flag("deprecated", self.deprecated),
        ];
        with(fields, &self.uninterpreted_option, sorted)
    }
}

impl Options for OneofOptions {
    fn print(&self, sorted: bool) -> Vec<Printed> {
        written(&self.uninterpreted_option, sorted)
    }
}

impl Options for EnumOptions {
    fn print(&self, sorted: bool) -> Vec<Printed> {
        let fields = [flag("allow_alias", self.allow_alias), flag("deprecated", self.deprecated)];
        with(fields, &self.uninterpreted_option, sorted)
    }
}

impl Options for EnumValueOptions {
    fn print(&self, sorted: bool) -> Vec<Printed> {
        with([flag("deprecated", self.deprecated)], &self.uninterpreted_option, sorted)
    }
}

impl Options for ServiceOptions {
    fn print(&self, sorted: bool) -> Vec<Printed> {
        with([flag("deprecated", self.deprecated)], &self.uninterpreted_option, sorted)
    }
}

impl Options for MethodOptions {
    fn print(&self, sorted: bool) -> Vec<Printed> {
        let level = self.idempotency_level.and_then(|level| IdempotencyLevel::try_from(level).ok());
        let fields = [
            flag("deprecated", self.deprecated),
            level.map(|level| Printed::new("idempotency_level", level.as_str_name())),
        ];
        with(fields, &self.uninterpreted_option, sorted)
    }
}
