//! Subjects and contexts: `:.context:subject`, or a bare subject in the default context `.`.
//!
//! Each context has ids of its own. Source: Confluent Schema Registry, `QualifiedSubject`.

use crate::Error;

/// The context of subjects that name none.
pub(crate) const DEFAULT_CONTEXT: &str = ".";
/// A prefix that means every context.
pub(crate) const EVERY_CONTEXT: &str = ":*:";
/// The settings of this one hold where neither a subject nor its context has some.
pub(crate) const GLOBAL: &str = ":.__GLOBAL:";
const RESERVED: [&str; 2] = ["__GLOBAL", "__EMPTY"];

/// The context and the rest of a subject.
pub(crate) fn split(subject: &str) -> (&str, &str) {
    let qualified = subject.strip_prefix(':').and_then(|rest| rest.split_once(':'));
    match qualified.filter(|(context, _)| context.starts_with('.')) {
        Some((context, name)) => (context, name),
        None => (DEFAULT_CONTEXT, subject),
    }
}

pub(crate) fn context_of(subject: &str) -> &str {
    split(subject).0
}

/// A subject's one name: the default context is not written.
pub(crate) fn qualified(context: &str, name: &str) -> String {
    match context {
        DEFAULT_CONTEXT => name.to_owned(),
        context => format!(":{context}:{name}"),
    }
}

/// The same subject by its one name.
pub(crate) fn normalized(subject: &str) -> String {
    let (context, name) = split(subject);
    qualified(context, name)
}

/// A subject as another one's schema names it: in the other's context unless it names one itself.
pub(crate) fn seen_from(parent: &str, subject: &str) -> String {
    match subject.starts_with(":.") {
        true => normalized(subject),
        false => qualified(context_of(parent), subject),
    }
}

/// A context from a path: `.name`, `:.name:` and `name` are the same.
pub(crate) fn context_from(text: &str) -> String {
    let bare = text.trim_matches(':');
    if bare.starts_with('.') { bare.to_owned() } else { format!(".{bare}") }
}

/// Refuses what no subject may be called.
pub(crate) fn check_subject(subject: &str) -> Result<(), Error> {
    let (_, name) = split(subject);
    match name.is_empty() || RESERVED.contains(&name) || subject.chars().any(char::is_control) {
        true => Err(Error::InvalidSubject { subject: subject.to_owned() }),
        false => Ok(()),
    }
}

/// Whether a subject begins with `prefix`, which may leave its context open (`:*:`).
pub(crate) fn begins_with(subject: &str, prefix: &str) -> bool {
    match prefix.strip_prefix(EVERY_CONTEXT) {
        Some(prefix) => split(subject).1.starts_with(prefix),
        None => subject.starts_with(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_one_name() {
        for (given, context, name, one) in [
            ("s", ".", "s", "s"),
            (":.:s", ".", "s", "s"),
            (":.c:s", ".c", "s", ":.c:s"),
            (":.c:", ".c", "", ":.c:"),
            (":no:s", ".", ":no:s", ":no:s"),
            (":.c:a:b", ".c", "a:b", ":.c:a:b"),
        ] {
            assert_eq!((split(given), normalized(given).as_str()), ((context, name), one));
        }
        assert_eq!(seen_from(":.c:s", "t"), ":.c:t");
        assert_eq!(seen_from(":.c:s", ":.:t"), "t");
        assert_eq!([".c", ":.c:", "c"].map(context_from), [".c"; 3]);
        assert!(begins_with(":.c:ab", ":*:a") && begins_with("ab", ":*:") && !begins_with(":.c:ab", "a"));
        assert!(["", ":.c:", "__GLOBAL", "a\n"].iter().all(|subject| check_subject(subject).is_err()));
    }
}
