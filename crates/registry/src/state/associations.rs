//! Which subjects belong to a topic. A strong association has its subject to itself and may take it along when it goes; of
//! weak ones a subject may have several. A frozen one changes no more.
//!
//! Source: Confluent Schema Registry, `AssociationsResource` and the requests that it takes.

use md5::{Digest, Md5};

use super::{Asked, Registered, State, Wanted, as_uuid};
use crate::{
    Error,
    entities::{Association, Lifecycle},
    errors::Unassociated,
    names::check_subject,
    records::{AssociationKey, Entry},
};

/// A namespace that stands for each one.
const ANY_NAMESPACE: &str = "-";

/// What a request has to say of a resource and its subjects; names are not empty, and each type comes once.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) resource_name: String,
    pub(crate) resource_namespace: String,
    pub(crate) resource_id: String,
    pub(crate) resource_type: String,
    pub(crate) operations: Vec<Operation>,
}

#[derive(Debug)]
pub(crate) enum Operation {
    /// What is there already may only be the same.
    Create(Wish),
    /// What is there already becomes so.
    Upsert(Wish),
    Delete {
        association_type: String,
        cascade: bool,
    },
}

impl Operation {
    pub(crate) fn association_type(&self) -> &str {
        match self {
            Operation::Create(wish) | Operation::Upsert(wish) => &wish.association_type,
            Operation::Delete { association_type, .. } => association_type,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) subject: String,
    pub(crate) association_type: String,
    pub(crate) lifecycle: Option<Lifecycle>,
    pub(crate) frozen: Option<bool>,
    /// Registered with it.
    pub(crate) schema: Option<Asked>,
    pub(crate) normalize: bool,
}

/// An association as it is now, and the version that came with it.
pub(crate) struct Associated {
    pub(crate) association: Association,
    pub(crate) registered: Option<Registered>,
}

/// Which associations are asked for; none is each one.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) resource_type: String,
    pub(crate) association_types: Vec<String>,
    pub(crate) lifecycle: Option<Lifecycle>,
}

impl Filter {
    fn takes(&self, association: &Association) -> bool {
        let types = &self.association_types;
        association.resource_type == self.resource_type
            && (types.is_empty() || types.contains(&association.association_type))
            && self.lifecycle.is_none_or(|lifecycle| lifecycle == association.lifecycle)
    }
}

impl Request {
    /// The resource's associations of a type.
    fn only(&self, association_type: &str) -> Filter {
        Filter {
            resource_type: self.resource_type.clone(),
            association_types: vec![association_type.to_owned()],
            lifecycle: None,
        }
    }

    fn association(&self, wish: &Wish, lifecycle: Lifecycle, frozen: bool) -> Association {
        let mut digest = Md5::new();
        for part in [&self.resource_id, &self.resource_type, &wish.association_type, &wish.subject] {
            digest.update(part);
            digest.update([0]);
        }
        Association {
            subject: wish.subject.clone(),
            guid: as_uuid(digest),
            resource_name: self.resource_name.clone(),
            resource_namespace: self.resource_namespace.clone(),
            resource_id: self.resource_id.clone(),
            resource_type: self.resource_type.clone(),
            association_type: wish.association_type.clone(),
            lifecycle,
            frozen,
        }
    }
}

impl Wish {
    /// Whether there is nothing to change.
    fn is_met_by(&self, association: &Association) -> bool {
        self.subject == association.subject
            && self.lifecycle.is_none_or(|lifecycle| lifecycle == association.lifecycle)
            && self.frozen.is_none_or(|frozen| frozen == association.frozen)
    }
}

impl State {
    /// A key of before subjects were part of it takes away whatever it is the beginning of.
    pub(super) fn drop_association(&mut self, key: &AssociationKey) {
        self.associations.retain(|other, _| {
            let whole = AssociationKey {
                subject: key.subject.clone().or_else(|| other.subject.clone()),
                ..key.clone()
            };
            *other != whole
        });
    }

    pub(crate) fn associations_of_subject(&self, subject: &str, filter: &Filter) -> Vec<Association> {
        self.associations_where(filter, |association| association.subject == subject)
    }

    pub(crate) fn associations_of_id(&self, resource_id: &str, filter: &Filter) -> Vec<Association> {
        self.associations_where(filter, |association| association.resource_id == resource_id)
    }

    pub(crate) fn associations_of_name(
        &self,
        namespace: &str,
        name: &str,
        filter: &Filter,
    ) -> Vec<Association> {
        self.associations_where(filter, |association| {
            let is_there = namespace == ANY_NAMESPACE || association.resource_namespace == namespace;
            is_there && association.resource_name == name
        })
    }

    fn associations_where(&self, filter: &Filter, is_it: impl Fn(&Association) -> bool) -> Vec<Association> {
        let all =
            self.associations.values().filter(|association| filter.takes(association) && is_it(association));
        all.cloned().collect()
    }

    /// Associates subjects with a resource, or ends that: all of it or nothing. What was not ended is given back.
    pub(crate) fn associate(&self, request: &Request) -> Result<(Vec<Associated>, Vec<Entry>), Error> {
        let (mut associated, mut entries) = (Vec::new(), Vec::new());
        // What the state will be: of two schemas in one request the second one gets the next id.
        let mut ahead: Option<State> = None;
        for (place, operation) in request.operations.iter().enumerate() {
            let state = ahead.as_ref().unwrap_or(self);
            let (one, made) = match operation {
                Operation::Create(wish) | Operation::Upsert(wish) => {
                    let update = matches!(operation, Operation::Upsert(_));
                    let (one, made) = state.associate_one(request, wish, update)?;
                    (Some(one), made)
                }
                Operation::Delete { association_type, cascade } => {
                    let filter = request.only(association_type);
                    (None, state.dissociate(&request.resource_id, &filter, *cascade)?)
                }
            };
            associated.extend(one);
            if !made.is_empty() && place + 1 < request.operations.len() {
                let next = ahead.get_or_insert_with(|| self.clone());
                made.iter().cloned().for_each(|entry| next.apply(entry));
            }
            entries.extend(made);
        }
        self.check_all_frozen(request, &associated)?;
        Ok((associated, entries))
    }

    /// Of a resource's associations all are frozen or none is.
    fn check_all_frozen(&self, request: &Request, associated: &[Associated]) -> Result<(), Error> {
        let filter = Filter { resource_type: request.resource_type.clone(), ..Filter::default() };
        let mut frozen = self.associations_of_id(&request.resource_id, &filter);
        frozen.retain(|one| {
            request.operations.iter().all(|other| other.association_type() != one.association_type)
        });
        frozen.extend(associated.iter().map(|one| one.association.clone()));
        match frozen.windows(2).all(|pair| pair[0].frozen == pair[1].frozen) {
            true => Ok(()),
            false => Err(not_to_freeze("of a resource's associations all are frozen or none is")),
        }
    }

    fn associate_one(
        &self,
        request: &Request,
        wish: &Wish,
        update: bool,
    ) -> Result<(Associated, Vec<Entry>), Error> {
        check_subject(&wish.subject)?;
        self.check_writable(&wish.subject)?;
        let filter = request.only(&wish.association_type);
        let before = self.associations_of_id(&request.resource_id, &filter).into_iter().next();
        let association = match before {
            Some(before) if wish.is_met_by(&before) => before,
            Some(before) if update => self.changed_association(before, wish)?,
            Some(_) => {
                let resource = request.resource_id.clone();
                return Err(Error::Association(Unassociated::ResourceTaken {
                    kind: wish.association_type.clone(),
                    resource,
                }));
            }
            None => self.new_association(request, wish)?,
        };
        let (registered, mut entries) = match &wish.schema {
            Some(schema) => {
                let (registered, made) = self.register(&wish.subject, schema.clone(), wish.normalize)?;
                (Some(registered), made)
            }
            None => (None, Vec::new()),
        };
        if self.associations.get(&AssociationKey::of(&association)) != Some(&association) {
            entries.push(Entry::Association(Box::new(association.clone())));
        }
        Ok((Associated { association, registered }, entries))
    }

    fn new_association(&self, request: &Request, wish: &Wish) -> Result<Association, Error> {
        let frozen = wish.frozen.unwrap_or(false);
        let lifecycle = wish.lifecycle.unwrap_or(if frozen { Lifecycle::Strong } else { Lifecycle::Weak });
        let association = request.association(wish, lifecycle, frozen);
        check_frozen(&association)?;
        if wish.schema.is_none() && self.version(&wish.subject, Wanted::Latest, false).is_err() {
            return Err(Error::Association(Unassociated::NoLivingVersion { subject: wish.subject.clone() }));
        }
        self.check_alone(&association)?;
        Ok(association)
    }

    fn changed_association(&self, before: Association, wish: &Wish) -> Result<Association, Error> {
        let kind = || before.association_type.clone();
        if wish.subject != before.subject {
            let reason = format!("the association of type '{}' has the subject '{}'", kind(), before.subject);
            return Err(Error::Association(Unassociated::Invalid { property: "subject".to_owned(), reason }));
        }
        let after = Association {
            lifecycle: wish.lifecycle.unwrap_or(before.lifecycle),
            frozen: wish.frozen.unwrap_or(before.frozen),
            ..before.clone()
        };
        if before.frozen {
            return Err(Error::Association(Unassociated::Frozen {
                kind: kind(),
                subject: before.subject.clone(),
            }));
        }
        check_frozen(&after)?;
        self.check_alone(&after)?;
        Ok(after)
    }

    /// A strong association has its subject to itself.
    fn check_alone(&self, association: &Association) -> Result<(), Error> {
        let (subject, key) = (&association.subject, AssociationKey::of(association));
        let others =
            self.associations.iter().filter(|(other, _)| **other != key && other.subject == key.subject);
        let mut others = others.map(|(_, other)| other);
        match association.lifecycle {
            Lifecycle::Strong if others.next().is_some() => {
                Err(Error::Association(Unassociated::SubjectTaken { subject: subject.clone() }))
            }
            Lifecycle::Weak if others.any(|other| other.lifecycle == Lifecycle::Strong) => {
                Err(Error::Association(Unassociated::StronglyTaken { subject: subject.clone() }))
            }
            Lifecycle::Strong | Lifecycle::Weak => Ok(()),
        }
    }

    /// The ends of a resource's associations; with `cascade` those of the subjects that strong ones have.
    pub(crate) fn dissociate(
        &self,
        resource_id: &str,
        filter: &Filter,
        cascade: bool,
    ) -> Result<Vec<Entry>, Error> {
        let gone = self.associations_of_id(resource_id, filter);
        if gone.is_empty() {
            return Err(Error::Association(Unassociated::NotFound { resource: resource_id.to_owned() }));
        }
        let mut entries = Vec::new();
        for association in gone {
            let Association { subject, association_type: kind, lifecycle, frozen, .. } = &association;
            self.check_writable(subject)?;
            if *frozen && !cascade {
                return Err(Error::Association(Unassociated::Frozen {
                    kind: kind.clone(),
                    subject: subject.clone(),
                }));
            }
            if cascade && *lifecycle == Lifecycle::Strong {
                entries.extend(self.forget_subject(subject)?);
            }
            entries.push(Entry::AssociationGone(Box::new(AssociationKey::of(&association))));
        }
        Ok(entries)
    }

    /// What deletes a subject softly and for good at once, where it is there.
    fn forget_subject(&self, subject: &str) -> Result<Vec<Entry>, Error> {
        let Ok(versions) = self.versions(subject, true, false) else { return Ok(Vec::new()) };
        let mut entries = match self.versions(subject, false, false) {
            Ok(_) => self.delete_subject(subject, false)?.1,
            Err(_) => Vec::new(),
        };
        let end = |version| Entry::SchemaGone { subject: subject.to_owned(), version };
        entries.extend(versions.into_iter().map(end));
        Ok(entries)
    }
}

fn check_frozen(association: &Association) -> Result<(), Error> {
    match association.frozen && association.lifecycle == Lifecycle::Weak {
        true => Err(not_to_freeze("an association with the lifecycle WEAK cannot be frozen")),
        false => Ok(()),
    }
}

fn not_to_freeze(reason: &str) -> Error {
    let (property, reason) = ("frozen".to_owned(), reason.to_owned());
    Error::Association(Unassociated::Invalid { property, reason })
}
