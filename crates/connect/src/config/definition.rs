//! The words a configuration key is defined with: Kafka's `ConfigDef`, as a table instead of a builder.

/// One configuration key. Source of the words: `org.apache.kafka.common.config.ConfigDef`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Definition {
    pub name: &'static str,
    pub(crate) kind: Kind,
    /// `None`: required. `Some(None)`: optional, null by default.
    pub(crate) default: Option<Option<&'static str>>,
    pub(crate) importance: Importance,
    pub(crate) group: &'static str,
    pub(crate) display: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) valid: Valid,
    pub(crate) recommended: &'static [&'static str],
    pub(crate) honoured: Honoured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    String,
    Int,
    Long,
    List,
    Class,
    Password,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Importance {
    High,
    Medium,
    Low,
}

/// What a value must be besides its kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Valid {
    Any,
    AtLeast(i64),
    OneOf(&'static [&'static str]),
    /// As `OneOf`, whatever the case.
    OneOfAnyCase(&'static [&'static str]),
    /// A class that is in the list; its simple name is not enough, as in Connect.
    ClassIn(&'static [&'static str]),
    NotBlank,
    Timezone,
    Locale,
    Pattern,
}

/// Whether tidemill does what the key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Honoured {
    Yes,
    /// It is the real connector's, and only its default is what tidemill does.
    NotYet,
    /// It tunes something that tidemill does not have, and cannot change what is delivered.
    NoEffect,
}

impl Kind {
    /// The name in `config/validate` and in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Long => "LONG",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }
}

impl Importance {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Importance::High => "HIGH",
            Importance::Medium => "MEDIUM",
            Importance::Low => "LOW",
        }
    }
}

impl Definition {
    pub(crate) const fn new(group: &'static str, name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            default: Some(None),
            importance: Importance::Low,
            group,
            display: name,
            doc,
            valid: Valid::Any,
            recommended: &[],
            honoured: Honoured::Yes,
        }
    }

    pub(crate) const fn required(self) -> Self {
        Self { default: None, importance: Importance::High, ..self }
    }

    pub(crate) const fn or(self, default: &'static str) -> Self {
        Self { default: Some(Some(default)), ..self }
    }

    pub(crate) const fn importance(self, importance: Importance) -> Self {
        Self { importance, ..self }
    }

    pub(crate) const fn display(self, display: &'static str) -> Self {
        Self { display, ..self }
    }

    pub(crate) const fn valid(self, valid: Valid) -> Self {
        Self { valid, ..self }
    }

    pub(crate) const fn recommend(self, recommended: &'static [&'static str]) -> Self {
        Self { recommended, ..self }
    }

    pub(crate) const fn not_yet(self) -> Self {
        Self { honoured: Honoured::NotYet, ..self }
    }

    pub(crate) const fn no_effect(self) -> Self {
        Self { honoured: Honoured::NoEffect, ..self }
    }

    /// The default as text; `None` where the key is required or null by default.
    pub(crate) fn default_text(&self) -> Option<&'static str> {
        self.default.flatten()
    }
}
