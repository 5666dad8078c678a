//! Tags of Avro's records and fields: the attribute `confluent:tags`.

use super::{Avro, Node, Shape};
use crate::tags::{Change, Entity, Tagged, note, tags_of};

impl Avro {
    pub(crate) fn inline_tags(&self) -> Vec<Tagged> {
        let mut found = Vec::new();
        for Node { shape, attributes } in &self.nodes[self.own_from..] {
            let Shape::Record { name, fields, .. } = shape else { continue };
            let record = name.full();
            note(&mut found, Entity::Record, &record, tags_of(attributes));
            for field in fields {
                let path = format!("{record}.{}", field.name);
                note(&mut found, Entity::Field, &path, tags_of(&field.attributes));
            }
        }
        found
    }

    pub(crate) fn with_tags(&self, changes: &[Change<'_>]) -> Result<String, String> {
        let mut tagged = self.clone();
        for change in changes {
            let missing = || change.path.to_owned();
            let (record, field) = match change.entity {
                Entity::Record => (change.path, None),
                Entity::Field => {
                    let (record, field) = change.path.rsplit_once('.').ok_or_else(missing)?;
                    (record, Some(field))
                }
            };
            let mut own = tagged.nodes[self.own_from..].iter_mut();
            let is_it =
                |node: &&mut Node| matches!(&node.shape, Shape::Record { name, .. } if name.full() == record);
            let node = own.find(is_it).ok_or_else(missing)?;
            match (field, &mut node.shape) {
                (None, _) => change.apply(&mut node.attributes),
                (Some(name), Shape::Record { fields, .. }) => {
                    let field = fields.iter_mut().find(|field| field.name == name).ok_or_else(missing)?;
                    change.apply(&mut field.attributes);
                }
                (Some(_), _) => return Err(missing()),
            }
        }
        Ok(tagged.canonical())
    }
}
