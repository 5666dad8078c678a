//! One record: a walk over the recipe with the record's own dice, written as JSON while it goes.

use super::recipe::{ENDLESS, Field, List, Node, NodeId, Object, Shape};
use crate::generate::dice::Dice;

/// Deeper, or larger than this, a record takes the shortest way to its end: what refers to itself does so only so often.
const DEPTH_WANTED_MAX: u32 = 10;
const BYTES_WANTED_MAX: usize = 16 << 10;
/// Items of a list that has no bound of its own.
const ITEMS_MORE_MAX: usize = 4;
/// Of a thousand optional members, so many are there.
const PRESENT_PER_MILLE: u64 = 850;
/// Items that are made until one is none of those before.
const DIFFERENT_TRIES_MAX: usize = 30;

/// What is at work on one record.
pub(super) struct Maker<'a> {
    pub(super) nodes: &'a [Node],
    pub(super) heights: &'a [u32],
    pub(super) dice: Dice,
    pub(super) number: u64,
    /// Where the record begins in what is written.
    pub(super) begun: usize,
    pub(super) text: String,
}

/// The node of which no value could be made this time.
type Unmade = NodeId;

impl Maker<'_> {
    pub(super) fn write(&mut self, id: NodeId, depth: u32, out: &mut Vec<u8>) -> Result<(), Unmade> {
        let is_short = depth > DEPTH_WANTED_MAX || out.len() - self.begun > BYTES_WANTED_MAX;
        match &self.nodes[id].shape {
            Shape::Known(values) => {
                let value: &[u8] = self.dice.pick::<Box<[u8]>>(values);
                out.extend_from_slice(value);
            }
            Shape::Boolean => {
                let is = self.dice.per_mille(500);
                out.extend_from_slice(if is { b"true" } else { b"false" });
            }
            Shape::Number(number) => number.write(self.number, &mut self.dice, out),
            Shape::Text(text) => {
                if !text.write(self.number, &mut self.dice, &mut self.text) {
                    return Err(id);
                }
                serde_json::to_writer(&mut *out, &self.text).map_err(|_| id)?;
            }
            Shape::Choice(of) => {
                let chosen = self.choose(of, is_short).ok_or(id)?;
                return self.write(chosen, depth + 1, out);
            }
            Shape::List(list) => return self.list(id, list, is_short, depth, out),
            Shape::Object(object) => return self.object(id, object, is_short, depth, out),
            Shape::Open | Shape::Impossible(_) | Shape::Unsupported(_) => return Err(id),
        }
        Ok(())
    }

    fn choose(&mut self, of: &[(u32, NodeId)], is_short: bool) -> Option<NodeId> {
        if is_short {
            return of.iter().map(|(_, id)| *id).min_by_key(|id| self.heights[*id]);
        }
        let possible = || of.iter().filter(|(_, id)| self.heights[*id] != ENDLESS);
        let weight: u64 = possible().map(|(weight, _)| u64::from(*weight)).sum();
        if weight == 0 {
            return possible().map(|(_, id)| *id).next();
        }
        let mut at = self.dice.below(weight);
        for (weight, id) in possible() {
            match at.checked_sub(u64::from(*weight)) {
                Some(rest) => at = rest,
                None => return Some(*id),
            }
        }
        None
    }

    fn list(
        &mut self,
        id: NodeId,
        list: &List,
        is_short: bool,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Unmade> {
        let rest = list.rest.filter(|rest| self.heights[*rest] != ENDLESS);
        let made = list.prefix.iter().take_while(|item| self.heights[**item] != ENDLESS).count();
        let room = if rest.is_some() && made == list.prefix.len() {
            list.count_max
        } else {
            list.count_max.min(made)
        };
        let contained = list.contains.map_or(0, |(_, count)| count);
        let least = list.count_min.max(if contained > 0 { list.prefix.len() + contained } else { 0 });
        let wanted = least.max(made).max(least.saturating_add(ITEMS_MORE_MAX)).min(room);
        if least > room {
            return Err(id);
        }
        let count = if is_short { least } else { self.dice.between(least as u64, wanted as u64) as usize };
        out.push(b'[');
        let mut items: Vec<(usize, usize)> = Vec::new();
        for place in 0..count {
            let node = match (list.prefix.get(place), list.contains) {
                (Some(node), _) => *node,
                (None, Some((node, some))) if place < list.prefix.len() + some => node,
                (None, _) => rest.ok_or(id)?,
            };
            let before = out.len();
            if place > 0 {
                out.push(b',');
            }
            let begun = out.len();
            self.write(node, depth + 1, out)?;
            if list.is_set && !self.made_different(node, begun, &items, depth, out)? {
                out.truncate(before);
                if place < least {
                    return Err(id);
                }
                break;
            }
            items.push((begun, out.len()));
        }
        out.push(b']');
        Ok(())
    }

    /// Makes the item that begins at `begun` again until it is none of the others.
    fn made_different(
        &mut self,
        node: NodeId,
        begun: usize,
        items: &[(usize, usize)],
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<bool, Unmade> {
        for _ in 0..DIFFERENT_TRIES_MAX {
            if !items.iter().any(|(start, end)| out[*start..*end] == out[begun..]) {
                return Ok(true);
            }
            out.truncate(begun);
            self.write(node, depth + 1, out)?;
        }
        Ok(!items.iter().any(|(start, end)| out[*start..*end] == out[begun..]))
    }

    fn object(
        &mut self,
        id: NodeId,
        object: &Object,
        is_short: bool,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Unmade> {
        let chosen = match object.is_always_whole() {
            true => Vec::new(),
            false => self.members(object, is_short).ok_or(id)?,
        };
        out.push(b'{');
        let mut is_first = true;
        for (place, field) in object.fields.iter().chain(&object.extras).enumerate() {
            // Nothing is said of members that are all there.
            if chosen.get(place) == Some(&false) {
                continue;
            }
            if !std::mem::replace(&mut is_first, false) {
                out.push(b',');
            }
            out.extend_from_slice(&field.head);
            self.write(field.node, depth + 1, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Which members there are.
    fn members(&mut self, object: &Object, is_short: bool) -> Option<Vec<bool>> {
        let possible = |field: &Field| self.heights[field.node] != ENDLESS;
        let fields = object.fields.iter().chain(&object.extras);
        let can: Vec<bool> = fields.map(possible).collect();
        let mut chosen: Vec<bool> = object.fields.iter().map(|field| field.is_required).collect();
        if !is_short {
            for (place, is_there) in chosen.iter_mut().enumerate() {
                *is_there |= can[place] && self.dice.per_mille(PRESENT_PER_MILLE);
            }
        }
        chosen.resize(can.len(), false);
        if object.is_map && !is_short && !object.extras.is_empty() {
            let most = object.extras.len().min(ITEMS_MORE_MAX) as u64;
            for _ in 0..self.dice.between(1, most) {
                let place = object.fields.len() + self.dice.below(object.extras.len() as u64) as usize;
                chosen[place] = can[place];
            }
        }
        self.bounded(object, &can, &mut chosen);
        if !needs_met(object, &can, &mut chosen) {
            return None;
        }
        let count = chosen.iter().filter(|is_there| **is_there).count();
        (object.count_min..=object.count_max).contains(&count).then_some(chosen)
    }

    /// As many as there may be.
    fn bounded(&mut self, object: &Object, can: &[bool], chosen: &mut [bool]) {
        let mut count = chosen.iter().filter(|is_there| **is_there).count();
        let required = |place: usize| object.fields.get(place).is_some_and(|field| field.is_required);
        while count > object.count_max {
            let optional: Vec<usize> = (0..chosen.len()).filter(|at| chosen[*at] && !required(*at)).collect();
            if optional.is_empty() {
                return;
            }
            chosen[*self.dice.pick(&optional)] = false;
            count -= 1;
        }
        // The ways that are short come first: depth ends with them.
        while count < object.count_min {
            let heights = self.heights;
            let node =
                |at: usize| object.fields.iter().chain(&object.extras).nth(at).map_or(0, |field| field.node);
            let absent = (0..chosen.len()).filter(|at| can[*at] && !chosen[*at]);
            let Some(place) = absent.min_by_key(|at| heights[node(*at)]) else { return };
            chosen[place] = true;
            count += 1;
        }
    }
}

/// Adds what members that are there ask for; those that ask for what cannot be leave again.
fn needs_met(object: &Object, can: &[bool], chosen: &mut [bool]) -> bool {
    for _ in 0..=object.needs.len() {
        let mut is_changed = false;
        for (place, needed) in &object.needs {
            if !chosen[*place] || needed.iter().all(|other| chosen[*other]) {
                continue;
            }
            is_changed = true;
            if needed.iter().all(|other| can[*other]) {
                needed.iter().for_each(|other| chosen[*other] = true);
            } else if object.fields[*place].is_required {
                return false;
            } else {
                chosen[*place] = false;
            }
        }
        if !is_changed {
            return true;
        }
    }
    false
}
