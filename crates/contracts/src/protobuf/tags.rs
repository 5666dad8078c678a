//! Tags of Protobuf's messages and fields: Confluent's options `(confluent.message_meta)` and `(confluent.field_meta)`.
//!
//! The text stays one that protoc takes: it imports the file that has the options, which Confluent's registry leaves out.

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, UninterpretedOption,
    uninterpreted_option::NamePart,
};

use super::{
    Protobuf,
    options::{Aggregate, quoted},
    print,
};
use crate::tags::{Change, Entity, Tagged, note};

const META_FILE: &str = "confluent/meta.proto";
const MESSAGE_META: &str = "confluent.message_meta";
const FIELD_META: &str = "confluent.field_meta";
const TAGS: &str = "tags";

impl Protobuf {
    pub(crate) fn inline_tags(&self) -> Vec<Tagged> {
        let mut found = Vec::new();
        for message in &self.written.message_type {
            collect(message, message.name(), &mut found);
        }
        found
    }

    pub(crate) fn with_tags(&self, changes: &[Change<'_>]) -> Result<String, String> {
        let mut file = (*self.written).clone();
        let package = file.package().to_owned();
        for change in changes {
            let missing = || change.path.to_owned();
            let path = match package.as_str() {
                "" => change.path,
                package => {
                    let within = change.path.strip_prefix(package).and_then(|rest| rest.strip_prefix('.'));
                    within.unwrap_or(change.path)
                }
            };
            let has_tags = match change.entity {
                Entity::Record => {
                    let message = message(&mut file, path).ok_or_else(missing)?;
                    change_tags(
                        MESSAGE_META,
                        change,
                        &mut message.options.get_or_insert_default().uninterpreted_option,
                    )
                }
                Entity::Field => {
                    let (path, name) = path.rsplit_once('.').ok_or_else(missing)?;
                    let message = message(&mut file, path).ok_or_else(missing)?;
                    let field =
                        message.field.iter_mut().find(|field| field.name() == name).ok_or_else(missing)?;
                    change_tags(
                        FIELD_META,
                        change,
                        &mut field.options.get_or_insert_default().uninterpreted_option,
                    )
                }
            };
            if has_tags && !file.dependency.iter().any(|import| import == META_FILE) {
                file.dependency.push(META_FILE.to_owned());
            }
        }
        Ok(print::print(&file, false))
    }
}

fn collect(message: &DescriptorProto, path: &str, found: &mut Vec<Tagged>) {
    let options = message.options.as_ref().map(|options| &options.uninterpreted_option[..]);
    note(found, Entity::Record, path, tags_of(MESSAGE_META, options.unwrap_or_default()));
    for field in &message.field {
        note(found, Entity::Field, &format!("{path}.{}", field.name()), field_tags(field));
    }
    for nested in &message.nested_type {
        collect(nested, &format!("{path}.{}", nested.name()), found);
    }
}

fn field_tags(field: &FieldDescriptorProto) -> Vec<String> {
    let options = field.options.as_ref().map(|options| &options.uninterpreted_option[..]);
    tags_of(FIELD_META, options.unwrap_or_default())
}

/// The message that dotted names lead to.
fn message<'a>(file: &'a mut FileDescriptorProto, path: &str) -> Option<&'a mut DescriptorProto> {
    let mut steps = path.split('.');
    let first = steps.next()?;
    let mut found = file.message_type.iter_mut().find(|message| message.name() == first)?;
    for step in steps {
        found = found.nested_type.iter_mut().find(|message| message.name() == step)?;
    }
    Some(found)
}

/// Whether an option is `meta` itself (no step further in) or one of its fields.
fn is_of(option: &UninterpretedOption, meta: &str, further: &[&str]) -> bool {
    let Some((first, rest)) = option.name.split_first() else { return false };
    let named = first.name_part.strip_prefix('.').unwrap_or(&first.name_part) == meta && first.is_extension;
    named && rest.iter().map(|part| part.name_part.as_str()).eq(further.iter().copied())
}

/// `tags` may stand within the option, or be set by an option of its own.
fn tags_of(meta: &str, options: &[UninterpretedOption]) -> Vec<String> {
    let mut tags = Vec::new();
    for option in options {
        if is_of(option, meta, &[TAGS]) {
            tags.extend(option.string_value.as_ref().map(|tag| String::from_utf8_lossy(tag).into_owned()));
        } else if is_of(option, meta, &[]) {
            let value = Aggregate::read(option.aggregate_value.as_deref().unwrap_or_default());
            tags.extend(value.texts(TAGS));
        }
    }
    tags
}

/// Changes the tags of an option; whether there are any then.
fn change_tags(meta: &str, change: &Change<'_>, options: &mut Vec<UninterpretedOption>) -> bool {
    let after = change.applied(tags_of(meta, options));
    options.retain(|option| !is_of(option, meta, &[TAGS]));
    let has_tags = !after.is_empty();
    let texts: Vec<String> = after.iter().map(|tag| quoted(tag)).collect();
    match options.iter_mut().find(|option| is_of(option, meta, &[])) {
        Some(option) => {
            let mut value = Aggregate::read(option.aggregate_value.as_deref().unwrap_or_default());
            value.set(TAGS, texts);
            option.aggregate_value = Some(value.inside());
        }
        None if has_tags => {
            let name = NamePart { name_part: meta.to_owned(), is_extension: true };
            let mut value = Aggregate::read("");
            value.set(TAGS, texts);
            let aggregate_value = Some(value.inside());
            options.push(UninterpretedOption { name: vec![name], aggregate_value, ..Default::default() });
        }
        None => {}
    }
    // An option that says nothing any more goes.
    options.retain(|option| {
        !is_of(option, meta, &[])
            || option.aggregate_value.as_deref().is_none_or(|text| !text.trim().is_empty())
    });
    has_tags
}
