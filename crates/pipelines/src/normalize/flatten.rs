//! One object into the values and the lists of one row. Objects within it are taken last one first, as dlt does: the
//! order decides in which order new columns come, and which of two fields with one name wins.

use std::{borrow::Cow, sync::Arc};

use base::Value;
use connectors::TableForm;

use super::{
    Content, Normalizer, Run,
    view::{FieldPlan, Path},
};
use crate::{DataType, encode::json};

/// A value on its way to a column.
pub(super) struct Entry<'a> {
    pub(super) slot: usize,
    /// As it lies in the document, or as a table has it where only its store has such a type.
    pub(super) value: Cow<'a, Value>,
}

/// The value with all that lies in it in the form of tables; `None` where that is how it is.
fn formed(value: &Value, form: TableForm) -> Option<Value> {
    match value {
        Value::Tagged { tag, value } => form(tag, value).or_else(|| formed(value, form)),
        Value::List(items) => {
            let formed: Vec<Option<Value>> = items.iter().map(|item| formed(item, form)).collect();
            formed.iter().any(Option::is_some).then(|| {
                let item = |(item, formed): (&Value, Option<Value>)| formed.unwrap_or_else(|| item.clone());
                Value::List(items.iter().zip(formed).map(item).collect())
            })
        }
        Value::Struct(fields) => {
            let formed: Vec<Option<Value>> = fields.iter().map(|(_, value)| formed(value, form)).collect();
            formed.iter().any(Option::is_some).then(|| {
                let field = |((name, value), formed): (&(Arc<str>, Value), Option<Value>)| {
                    (name.clone(), formed.unwrap_or_else(|| value.clone()))
                };
                Value::Struct(fields.iter().zip(formed).map(field).collect())
            })
        }
        Value::Map(entries) => {
            let formed: Vec<Option<Value>> = entries.iter().map(|(_, value)| formed(value, form)).collect();
            formed.iter().any(Option::is_some).then(|| {
                let entry = |((key, value), formed): (&(Value, Value), Option<Value>)| {
                    (key.clone(), formed.unwrap_or_else(|| value.clone()))
                };
                Value::Map(entries.iter().zip(formed).map(entry).collect())
            })
        }
        Value::Null
        | Value::Boolean(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Decimal { .. }
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Date(_)
        | Value::TimeMs(_)
        | Value::TimestampMs(_)
        | Value::TimestampUs(_) => None,
    }
}

/// The fields of an object: of a struct, or of a map whose keys are all text.
#[derive(Clone, Copy)]
pub(super) enum Fields<'a> {
    Struct(&'a [(Arc<str>, Value)]),
    Map(&'a [(Value, Value)]),
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        match value.plain() {
            Value::Struct(fields) => Some(Fields::Struct(fields)),
            Value::Map(entries) if json::text_keys(entries).is_some() => Some(Fields::Map(entries)),
            _ => None,
        }
    }

    #[inline]
    fn get(&self, at: usize) -> Option<(&'a Arc<str>, &'a Value)> {
        match self {
            Fields::Struct(fields) => fields.get(at).map(|(name, value)| (name, value)),
            Fields::Map(entries) => match entries.get(at)? {
                (Value::String(name), value) => Some((name, value)),
                _ => None,
            },
        }
    }
}

impl Normalizer {
    /// The values and lists of a row, and the `_dlt_id` that the document brought along.
    pub(super) fn collect<'a>(
        &mut self,
        run: &mut Run<'a>,
        at: usize,
        content: Content<'a>,
        level: i64,
        entries: &mut Vec<Entry<'a>>,
        lists: &mut Vec<(usize, &'a [Value])>,
    ) -> Option<&'a str> {
        let fields = match content {
            Content::Object(fields) => fields,
            Content::Plain(value) => {
                let slot = self.views[at].system.value;
                entries.push(Entry { slot, value: self.in_table(value) });
                return None;
            }
            Content::List(value) => {
                let field = self.field(at, 0, 0, &Arc::from("list"));
                self.take(at, 0, field, value, level, entries, lists);
                return None;
            }
        };
        let mut given = None;
        run.stack.push((0, fields, level));
        while let Some((frame, fields, level)) = run.stack.pop() {
            let mut guess = 0;
            let mut place = 0;
            while let Some((name, value)) = fields.get(place) {
                place += 1;
                let field = self.field(at, frame, guess, name);
                guess = field + 1;
                let view = &self.views[at];
                let slot = view.frames[frame].fields[field].slot;
                if view.is_system(slot) {
                    if slot == view.system.id
                        && let Value::String(text) = value.plain()
                    {
                        given = Some(&**text).filter(|text| !text.is_empty());
                    }
                    continue;
                }
                if let Some((frame, fields)) = self.take(at, frame, field, value, level, entries, lists) {
                    run.stack.push((frame, fields, level - 1));
                }
            }
        }
        given
    }

    /// One field: an object to go into is answered, everything else becomes an entry. A later field of the same column
    /// takes the place of an earlier one.
    #[expect(
        clippy::too_many_arguments,
        reason = "the two vectors are the row's, the rest says which field it is"
    )]
    fn take<'a>(
        &mut self,
        at: usize,
        frame: usize,
        field: usize,
        value: &'a Value,
        level: i64,
        entries: &mut Vec<Entry<'a>>,
        lists: &mut Vec<(usize, &'a [Value])>,
    ) -> Option<(usize, Fields<'a>)> {
        let plan = &self.views[at].frames[frame].fields[field];
        if plan.is_excluded {
            return None;
        }
        let slot = plan.slot;
        if level > 0 && !self.has_form(value) {
            let (inner_frame, inner_list) = (plan.frame, plan.list);
            if let Some(fields) = Fields::of(value)
                && !self.stays_whole(at, slot)
            {
                let inner = inner_frame.unwrap_or_else(|| self.inner_frame(at, frame, field));
                return Some((inner, fields));
            }
            if let Value::List(items) = value.plain()
                && !self.stays_whole(at, slot)
            {
                let list = inner_list.unwrap_or_else(|| self.inner_list(at, frame, field));
                let view = &mut self.views[at];
                let stamp = view.stamp;
                let known = &mut view.lists[list];
                if known.stamp == stamp {
                    lists[known.entry].1 = items;
                } else {
                    (known.stamp, known.entry) = (stamp, lists.len());
                    lists.push((list, items));
                }
                return None;
            }
        }
        let value = self.in_table(value);
        let view = &mut self.views[at];
        let stamp = view.stamp;
        let known = &mut view.slots[slot];
        if known.stamp == stamp {
            entries[known.entry].value = value;
        } else {
            (known.stamp, known.entry) = (stamp, entries.len());
            entries.push(Entry { slot, value });
        }
        None
    }

    #[inline]
    pub(super) fn has_form(&self, value: &Value) -> bool {
        matches!(value, Value::Tagged { tag, value } if (self.form)(tag, value).is_some())
    }

    #[inline]
    fn in_table<'a>(&self, value: &'a Value) -> Cow<'a, Value> {
        match value {
            Value::Tagged { .. } | Value::List(_) | Value::Map(_) | Value::Struct(_) => {
                formed(value, self.form).map_or(Cow::Borrowed(value), Cow::Owned)
            }
            _ => Cow::Borrowed(value),
        }
    }

    /// A column of JSON takes objects and lists as they are.
    fn stays_whole(&self, at: usize, slot: usize) -> bool {
        let slot = &self.views[at].slots[slot];
        match (&slot.placed, slot.hint) {
            (Some(placed), _) => placed.column.data_type == DataType::Json,
            (None, Some(hint)) => self.shape.columns[hint].data_type == Some(DataType::Json),
            (None, None) => false,
        }
    }

    #[inline]
    fn field(&mut self, at: usize, frame: usize, guess: usize, name: &Arc<str>) -> usize {
        match self.views[at].known_field(frame, guess, name) {
            Some(field) => field,
            None => self.plan(at, frame, name),
        }
    }

    /// A field that was not seen before: its name is normalized here, once.
    fn plan(&mut self, at: usize, frame: usize, name: &Arc<str>) -> usize {
        let mut own = self.naming.name(name);
        let view = &mut self.views[at];
        let hint = self.hints.get(&view.path_in_document(frame, &own)).copied();
        let said = hint.map(|hint| &self.shape.columns[hint]);
        if let Some(rename) = said.and_then(|hint| hint.rename.as_ref()) {
            own = self.naming.name(rename);
        }
        let parts: Vec<&str> =
            view.frames[frame].path.iter().map(|part| &**part).chain(Some(own.as_str())).collect();
        let column = if parts.len() == 1 { own.clone() } else { self.naming.joined(&parts) };
        let slot = view.slot(&column);
        if view.slots[slot].placed.is_none() {
            view.slots[slot].placed = self.tables.placed(&view.name, &column);
        }
        if hint.is_some() {
            view.slots[slot].hint = hint;
        }
        let is_excluded = said.is_some_and(|hint| hint.is_excluded);
        let frame = &mut view.frames[frame];
        frame.by_name.insert(name.clone(), frame.fields.len());
        frame.fields.push(FieldPlan {
            name: name.clone(),
            own: own.into(),
            is_excluded,
            slot,
            list: None,
            frame: None,
        });
        frame.fields.len() - 1
    }

    fn inner_path(&self, at: usize, frame: usize, field: usize) -> Path {
        let frame = &self.views[at].frames[frame];
        frame.path.iter().cloned().chain(Some(frame.fields[field].own.clone())).collect()
    }

    fn inner_frame(&mut self, at: usize, frame: usize, field: usize) -> usize {
        let path = self.inner_path(at, frame, field);
        let view = &mut self.views[at];
        let inner = view.frame(path);
        view.frames[frame].fields[field].frame = Some(inner);
        inner
    }

    fn inner_list(&mut self, at: usize, frame: usize, field: usize) -> usize {
        let path = self.inner_path(at, frame, field);
        let view = &mut self.views[at];
        let list = view.list(path);
        view.frames[frame].fields[field].list = Some(list);
        list
    }
}
