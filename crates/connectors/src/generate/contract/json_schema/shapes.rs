//! The sum of what subschemas ask, as the shape of a node.

use serde_json::{Value as Json, json};

use super::{
    Compiler, Piece,
    fits::Fit,
    sources::SourceId,
    wish::{ObjectPart, Wish, kinds},
};
use crate::generate::{
    contract::{
        names,
        pattern::{Pattern, TEXT_BYTES_MAX},
        recipe::{Field, List, NodeId, Object, Shape},
        text::{Make, Text},
    },
    dice::Dice,
};

/// More items or members than anybody wants in a record.
const ITEMS_COUNT_MAX: usize = 100_000;
const EXTRAS_COUNT_MAX: usize = 1_000;
/// Names that are at hand for the entries of a map.
const EXTRAS_WANTED: usize = 8;
const SALT: u64 = 77;

/// Nothing, a boolean, … among several kinds: null is rarer.
const NULL_WEIGHT: u32 = 1;
const WEIGHT: u32 = 8;
/// Only where there is no other way.
const LAST_WEIGHT: u32 = 0;

impl Compiler {
    pub(super) fn shape(&mut self, pieces: Vec<Piece>, name: &str) -> Shape {
        let nothing = Json::Bool(false);
        if pieces.iter().any(|piece| *self.sources.get(piece.source).json == nothing) {
            return Shape::Impossible("nothing may stand here".to_owned());
        }
        if let Some(shape) = self.choice(&pieces, name) {
            return shape;
        }
        let wish = match Wish::of(&pieces, &mut self.sources) {
            Ok(wish) => wish,
            Err(reason) => return Shape::Unsupported(reason),
        };
        self.is_checked |= wish.is_checked;
        if let Some(known) = &wish.known {
            return self.known(&wish, known);
        }
        let asked = match (wish.has_type, wish.hinted) {
            (true, _) => wish.kinds,
            // A schema without a type is made as what it speaks of, and with a word where it speaks of nothing.
            (false, 0) => kinds::STRING,
            (false, hinted) => hinted,
        };
        let shape = self.of_kinds(&wish, asked, name);
        if wish.has_type || wish.hinted == 0 {
            return shape;
        }
        // Where nothing of the kind keeps it, something of another kind does.
        let of = [(WEIGHT, self.add(shape, "".into())), (LAST_WEIGHT, self.add(Shape::Boolean, "".into()))];
        Shape::Choice(of.into())
    }

    fn known(&mut self, wish: &Wish, known: &[Json]) -> Shape {
        let (mut values, mut is_unsure): (Vec<Box<[u8]>>, bool) = (Vec::new(), false);
        for value in known {
            match wish.fits(value) {
                Fit::No => continue,
                Fit::Yes => {}
                Fit::Unsure => is_unsure = true,
            }
            values.push(value.to_string().into_bytes().into());
        }
        self.is_checked |= is_unsure;
        if values.is_empty() {
            return Shape::Impossible("none of its values keeps the rest of it".to_owned());
        }
        Shape::Known(values)
    }

    fn of_kinds(&mut self, wish: &Wish, asked: u8, name: &str) -> Shape {
        let numbers = asked & (kinds::INTEGER | kinds::FRACTION);
        let single = [kinds::NULL, kinds::BOOLEAN, numbers, kinds::STRING, kinds::ARRAY, kinds::OBJECT];
        let single: Vec<u8> = single.into_iter().filter(|kind| *kind != 0 && asked & kind == *kind).collect();
        match single.as_slice() {
            [] => Shape::Impossible("no type keeps all of it".to_owned()),
            [one] => self.of_kind(wish, *one, name),
            several => {
                let of = several.iter().map(|kind| {
                    let shape = self.of_kind(wish, *kind, name);
                    let weight = if *kind == kinds::NULL { NULL_WEIGHT } else { WEIGHT };
                    (weight, self.add(shape, "".into()))
                });
                Shape::Choice(of.collect())
            }
        }
    }

    fn of_kind(&mut self, wish: &Wish, kind: u8, name: &str) -> Shape {
        match kind {
            kinds::NULL => Shape::Known(vec![b"null".to_vec().into()]),
            kinds::BOOLEAN => Shape::Boolean,
            kinds::STRING => match self.text(wish, name) {
                Ok(text) => Shape::Text(Box::new(text)),
                Err(reason) => Shape::Unsupported(reason),
            },
            kinds::ARRAY => self.list(wish, name),
            kinds::OBJECT => self.object(wish),
            _ => match wish.number.number(names::expected(name, wish.number.is_whole)) {
                Ok(number) => Shape::Number(number),
                Err(reason) => Shape::Impossible(reason),
            },
        }
    }

    fn text(&mut self, wish: &Wish, name: &str) -> Result<Text, String> {
        if wish.chars_min > TEXT_BYTES_MAX {
            return Err(format!("a text of {} characters is longer than {TEXT_BYTES_MAX}", wish.chars_min));
        }
        let made_by_pattern = wish.format.is_none() && !wish.is_base64 && !wish.is_json;
        let (make, others) = match (wish.patterns.split_first(), wish.format) {
            (Some((first, others)), _) if made_by_pattern => {
                let mut patterns = vec![Pattern::parse(first)?];
                self.is_checked |= !patterns[0].is_exact;
                patterns.extend(others.iter().filter_map(|pattern| Pattern::parse(pattern).ok()));
                (Make::Patterns(patterns), others)
            }
            (Some(_), Some(format)) => {
                self.is_checked = true;
                let patterns = wish.patterns.iter().filter_map(|pattern| Pattern::parse(pattern).ok());
                (Make::FormatOrPatterns(format, patterns.collect()), &wish.patterns[..])
            }
            (None, Some(format)) => (Make::Format(format), &wish.patterns[..]),
            _ if wish.is_json => (Make::Json { is_base64: wish.is_base64 }, &wish.patterns[..]),
            _ if wish.is_base64 => (Make::Base64, &wish.patterns[..]),
            _ => (names::word(name).map_or(Make::Letters, Make::Word), &wish.patterns[..]),
        };
        let matchers = others.iter().filter_map(|pattern| Pattern::matcher(pattern));
        let text =
            Text { make, chars_min: wish.chars_min, chars_max: wish.chars_max, matchers: matchers.collect() };
        self.is_checked |= text.matchers.len() < others.len();
        Ok(text)
    }

    fn list(&mut self, wish: &Wish, name: &str) -> Shape {
        if wish.items_min > ITEMS_COUNT_MAX {
            return Shape::Unsupported(format!(
                "a list of {} items is longer than {ITEMS_COUNT_MAX}",
                wish.items_min
            ));
        }
        // `tags` holds things of which each is a `tag`.
        let name = name.strip_suffix('s').unwrap_or(name);
        let prefix_count = wish.lists.iter().map(|part| part.prefix.len()).max().unwrap_or(0);
        let at = |place: usize| -> Vec<Piece> {
            let of = |part: &super::wish::ListPart| part.prefix.get(place).copied().or(part.rest);
            wish.lists.iter().filter_map(of).map(Piece::whole).collect()
        };
        let prefix = (0..prefix_count).map(|place| self.node(at(place), name)).collect();
        let mut others = at(usize::MAX);
        if others.is_empty() && prefix_count == 0 {
            others.push(Piece::whole(wish.more_items.unwrap_or(self.sources.anything())));
        } else if others.is_empty() {
            others.extend(wish.more_items.map(Piece::whole));
        }
        let is_open =
            prefix_count == 0 || !others.is_empty() || wish.items_min > prefix_count || wish.contains_min > 0;
        let contains = (wish.contains_min > 0).then(|| {
            let pieces = wish.contains.iter().copied().map(Piece::whole).chain(others.clone()).collect();
            (self.node(pieces, name), wish.contains_min)
        });
        Shape::List(List {
            prefix,
            rest: is_open.then(|| self.node(others, name)),
            count_min: wish.items_min,
            count_max: wish.items_max,
            contains,
            is_set: wish.is_set,
        })
    }

    fn object(&mut self, wish: &Wish) -> Shape {
        let mut names: Vec<&str> = Vec::new();
        let declared = wish.objects.iter().flat_map(|part| part.properties.iter().map(|(name, _)| name));
        for name in declared.chain(&wish.required).chain(wish.needs.iter().flat_map(|(_, needed)| needed)) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let names_wish = match self.wish_of_names(wish) {
            Ok(names_wish) => names_wish,
            Err(reason) => return Shape::Unsupported(reason),
        };
        let fields = names.iter().map(|name| {
            let node = self.member(wish, names_wish.as_ref(), name);
            Field::new(name, node, wish.required.iter().any(|required| required == name))
        });
        let fields: Vec<Field> = fields.collect();
        let is_said = |part: &ObjectPart| part.additional.is_some() || !part.patterns.is_empty();
        let is_map = !wish.objects.iter().any(|part| !part.properties.is_empty())
            && (wish.objects.iter().any(is_said) || !wish.names.is_empty());
        let extras_count = wish.members_min.max(if is_map { EXTRAS_WANTED } else { 0 });
        if extras_count > EXTRAS_COUNT_MAX {
            return Shape::Unsupported(format!(
                "an object of {extras_count} members has more than {EXTRAS_COUNT_MAX}"
            ));
        }
        let extras = match self.extra_names(wish, names_wish.as_ref(), extras_count, &names) {
            Ok(extras) => extras,
            Err(reason) => return Shape::Unsupported(reason),
        };
        let extras = extras.into_iter().map(|name| {
            let node = self.member(wish, names_wish.as_ref(), &name);
            Field::new(&name, node, false)
        });
        let extras = extras.collect();
        let place = |name: &String| names.iter().position(|known| known == name);
        let needs = wish
            .needs
            .iter()
            .filter_map(|(name, needed)| Some((place(name)?, needed.iter().filter_map(place).collect())));
        let needs = needs.collect();
        Shape::Object(Object {
            fields,
            extras,
            is_map,
            count_min: wish.members_min,
            count_max: wish.members_max,
            needs,
        })
    }

    /// The node of a member, by all that speaks of its name.
    fn member(&mut self, wish: &Wish, names: Option<&Wish>, name: &str) -> NodeId {
        let mut pieces: Vec<SourceId> = wish.objects.iter().flat_map(|part| part.of(name)).collect();
        if pieces.is_empty() {
            pieces.extend(wish.more_members);
        }
        match names.map_or(Fit::Yes, |names| names.fits(&json!(name))) {
            Fit::Yes => {}
            Fit::No => pieces.push(self.sources.nothing()),
            Fit::Unsure => self.is_checked = true,
        }
        self.node(pieces.into_iter().map(Piece::whole).collect(), name)
    }

    /// What names of members have to keep.
    fn wish_of_names(&mut self, wish: &Wish) -> Result<Option<Wish>, String> {
        if wish.names.is_empty() {
            return Ok(None);
        }
        let pieces = wish.names.iter().copied().map(Piece::whole).collect();
        let pieces = self.closed(pieces).map_err(|(_, reason)| reason)?;
        let mut names = Wish::of(&pieces, &mut self.sources)?;
        for piece in &pieces {
            let json = &self.sources.get(piece.source).json;
            if **json == Json::Bool(false) {
                names.kinds = 0;
            }
            // Choices among names are looked at afterwards.
            self.is_checked |= ["oneOf", "anyOf", "if", "not"].iter().any(|word| json.get(word).is_some());
        }
        Ok(Some(names))
    }

    /// Names for members that the contract leaves open.
    fn extra_names(
        &mut self,
        wish: &Wish,
        names: Option<&Wish>,
        count: usize,
        taken: &[&str],
    ) -> Result<Vec<String>, String> {
        let patterns = wish.objects.iter().flat_map(|part| &part.patterns);
        let patterns: Vec<Pattern> =
            patterns.filter_map(|(pattern, ..)| Pattern::parse(pattern).ok()).collect();
        let listed = names.and_then(|names| names.known.clone()).unwrap_or_default();
        let text = match names {
            Some(names) if names.kinds & kinds::STRING != 0 => Some(self.text(names, "")?),
            Some(_) => return Ok(Vec::new()),
            None => None,
        };
        let (mut found, mut dice, mut made): (Vec<String>, _, _) =
            (Vec::new(), Dice::new(0, SALT, count as u64), String::new());
        for number in 0..count * 4 {
            made.clear();
            match (&text, patterns.as_slice()) {
                _ if !listed.is_empty() => {
                    let Some(name) = listed.get(number).and_then(Json::as_str) else { break };
                    made.push_str(name);
                }
                (Some(text), _) => {
                    text.write(number as u64, &mut dice, &mut made);
                }
                (None, []) => made.push_str(&thing(number)),
                (None, patterns) => patterns[number % patterns.len()].write(&mut dice, 6, &mut made),
            }
            if !taken.contains(&made.as_str()) && !found.contains(&made) {
                found.push(made.clone());
            }
            if found.len() == count {
                break;
            }
        }
        Ok(found)
    }
}

impl ObjectPart {
    /// What it says of this member.
    fn of(&self, name: &str) -> Vec<SourceId> {
        let named = self.properties.iter().find(|(known, _)| known == name).map(|(_, id)| *id);
        let matches =
            |matcher: &Option<regex::Regex>| matcher.as_ref().is_some_and(|matcher| matcher.is_match(name));
        let matched = self.patterns.iter().filter(|(_, matcher, _)| matches(matcher)).map(|(.., id)| *id);
        let mut found: Vec<SourceId> = named.into_iter().chain(matched).collect();
        if found.is_empty() {
            found.extend(self.additional);
        }
        found
    }
}

/// A word for an entry of a map: no two numbers have the same one.
fn thing(number: usize) -> String {
    let things = names::THINGS;
    match number / things.len() {
        0 => things[number].to_owned(),
        round => format!("{}_{round}", things[number % things.len()]),
    }
}
