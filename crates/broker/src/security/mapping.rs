//! Kafka's `ssl.principal.mapping.rules` (KIP-371): which name the subject of a client's certificate becomes.
//!
//! Rules are tried in their order, and the first whose pattern is all of the subject says the name:
//! `RULE:pattern/replacement/`, with `L` or `U` behind it for lower or upper case, or `DEFAULT` for the subject itself. They are
//! separated by commas; a slash within pattern or replacement stands behind a backslash.

use regex::{Captures, Regex, RegexBuilder};

use crate::errors::Error;

/// What a pattern may take once it is compiled.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The rules, in their order.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
enum Rule {
    Default,
    Replace { whole: Regex, pattern: Regex, replacement: String, case: Case },
}

#[derive(Debug, Clone, Copy)]
enum Case {
    AsIs,
    Lower,
    Upper,
}

/// One rule as it is written, and what is wrong with it.
type Wrong = (String, String);

impl Rules {
    pub fn read(text: &str) -> Result<Rules, Error> {
        let refused = |(rule, reason)| Error::PrincipalRule { rule, reason };
        let mut rules = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (rule, behind) = first(rest).map_err(refused)?;
            rules.extend(rule);
            rest = behind;
        }
        Ok(Rules(rules))
    }

    /// The name of a subject; `None`: no rule is about it.
    pub fn name(&self, subject: &str) -> Option<String> {
        self.0.iter().find_map(|rule| rule.name(subject))
    }
}

impl Rule {
    fn name(&self, subject: &str) -> Option<String> {
        let Rule::Replace { whole, pattern, replacement, case } = self else {
            return Some(subject.to_owned());
        };
        if !whole.is_match(subject) {
            return None;
        }
        let name = replace_all(pattern, subject, replacement);
        Some(match case {
            Case::AsIs => name,
            Case::Lower => name.to_lowercase(),
            Case::Upper => name.to_uppercase(),
        })
    }
}

/// The first rule of the text (none where there is nothing before a comma), and what comes behind it and its comma.
fn first(text: &str) -> Result<(Option<Rule>, &str), Wrong> {
    if let Some(behind) = text.strip_prefix("DEFAULT").and_then(ended) {
        return Ok((Some(Rule::Default), behind));
    }
    let parts = text.strip_prefix("RULE:").and_then(|body| {
        let (pattern, rest) = up_to_slash(body)?;
        let (replacement, rest) = up_to_slash(rest)?;
        Some((pattern, replacement, rest))
    });
    let Some((pattern, replacement, rest)) = parts else {
        let (rule, behind) = text.split_once(',').unwrap_or((text, ""));
        return match rule.trim() {
            "" => Ok((None, behind.trim_start())),
            rule => Err((
                rule.to_owned(),
                "it is neither DEFAULT nor RULE:pattern/replacement/ with L, U or nothing behind it"
                    .to_owned(),
            )),
        };
    };
    let (case, rest) = match rest.as_bytes().first() {
        Some(b'L') => (Case::Lower, &rest[1..]),
        Some(b'U') => (Case::Upper, &rest[1..]),
        _ => (Case::AsIs, rest),
    };
    let rule = &text[..text.len() - rest.len()];
    let Some(behind) = ended(rest) else {
        let surplus = rest.split(',').next().unwrap_or_default().trim_end();
        return Err((format!("{rule}{surplus}"), format!("{surplus:?} has no meaning behind it")));
    };
    let compiled = |pattern: &str| RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    // On its own first: `a)(b` must not become right by what is put around it.
    let both = compiled(pattern).and_then(|own| Ok((own, compiled(&format!(r"\A(?:{pattern})\z"))?)));
    let (pattern, whole) = both.map_err(|error| {
        let text = error.to_string(); // several lines, the last of which says what it is
        let what = text.lines().last().unwrap_or_default();
        (rule.to_owned(), what.trim_start_matches("error: ").to_owned())
    })?;
    Ok((Some(Rule::Replace { whole, pattern, replacement: replacement.to_owned(), case }), behind))
}

/// What comes behind the end of a rule: nothing, or the next ones.
fn ended(rest: &str) -> Option<&str> {
    let rest = rest.trim_start();
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(',').map(str::trim_start) }
}

/// The text before the next slash that no backslash stands before, and that behind it.
fn up_to_slash(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    for (place, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '/' => return Some((&text[..place], &text[place + 1..])),
            _ => {}
        }
    }
    None
}

/// As Java's `replaceAll`: an empty match right behind another one counts, so that `.*` is there twice.
fn replace_all(pattern: &Regex, text: &str, replacement: &str) -> String {
    let mut out = String::new();
    let (mut copied, mut from) = (0, 0);
    while let Some(found) = pattern.captures_at(text, from) {
        let (start, end) = found.get(0).map_or((from, from), |all| (all.start(), all.end()));
        out += &text[copied..start];
        expand(&found, replacement, &mut out);
        copied = end;
        from = match text[end..].chars().next() {
            Some(next) if start == end => end + next.len_utf8(),
            None if start == end => break,
            _ => end,
        };
    }
    out + &text[copied..]
}

/// `$1` and `${name}` are groups, of as many digits as there are groups; without such a group it stands for itself, and so does
/// what a backslash is before.
fn expand(found: &Captures<'_>, replacement: &str, out: &mut String) {
    let mut rest = replacement;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\\' => {
                if let Some(literal) = rest.chars().next() {
                    out.push(literal);
                    rest = &rest[literal.len_utf8()..];
                }
            }
            '$' => match group(found, rest) {
                Some((value, length)) => {
                    out.push_str(value);
                    rest = &rest[length..];
                }
                None => out.push('$'),
            },
            other => out.push(other),
        }
    }
}

/// What the group holds that is named right behind a `$`, and how long its name is.
fn group<'a>(found: &Captures<'a>, rest: &str) -> Option<(&'a str, usize)> {
    let text = |group: Option<regex::Match<'a>>| group.map_or("", |group| group.as_str());
    if let Some(name) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(name, _)| name) {
        return found.name(name).map(|group| (group.as_str(), name.len() + 2));
    }
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    (1..=digits).rev().find_map(|length| {
        // Only the first digit may be a zero, and then it is alone.
        let number: usize = rest[..length].parse().ok()?;
        let is_name = length == 1 || !rest.starts_with('0');
        (is_name && number < found.len()).then(|| (text(found.get(number)), length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rules: &str, cases: &[(&str, Option<&str>)]) {
        let read = Rules::read(rules).unwrap();
        for (subject, expected) in cases {
            assert_eq!(read.name(subject).as_deref(), *expected, "{rules} of {subject}");
        }
    }

    /// The rules of Kafka's documentation (Authorization, "Customizing SSL User Name") and of KIP-371, with what they say
    /// there of their subjects.
    #[test]
    fn the_examples_of_kafkas_documentation() {
        check(
            "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/, \
             RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L, \
             RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L, \
             DEFAULT",
            &[
                (
                    "CN=serviceuser,OU=ServiceUsers,O=Unknown,L=Unknown,ST=Unknown,C=Unknown",
                    Some("serviceuser"),
                ),
                ("CN=adminUser,OU=Admin,O=Unknown,L=Unknown,ST=Unknown,C=Unknown", Some("adminuser@admin")),
                ("O=Example,cn=Kafka.Client,OU=x", Some("kafka.client")),
                ("OU=JavaUsers,O=Unknown", Some("OU=JavaUsers,O=Unknown")),
            ],
        );
        check(
            r"RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L,RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/U",
            &[
                ("CN=Duke,OU=ServiceUsers,O=Org,C=US", Some("duke")),
                ("CN=Duke,OU=JavaSoft,O=Sun,L=Here,ST=There,C=US", Some("DUKE@JAVASOFT")),
                ("CN=Duke,O=Sun", None),
            ],
        );
        check("DEFAULT", &[("CN=alice,O=Example", Some("CN=alice,O=Example"))]);
        check("", &[("CN=alice", None)]);
    }

    #[test]
    fn the_first_rule_that_is_about_all_of_a_subject_counts() {
        check(
            "RULE:CN=/x/, RULE:CN=(a.*)/$1/, DEFAULT",
            &[("CN=alice", Some("alice")), ("CN=bob", Some("CN=bob"))],
        );
        check(r"RULE:CN=(.*?),O=a\/b/\$1\/$1/", &[("CN=c,O=a/b", Some("$1/c"))]);
        check(r"RULE:^CN=(.*?), *OU=A\, B$/$1/ , , DEFAULT", &[("CN=c, OU=A, B", Some("c"))]);
        check(r"RULE:(?i)cn=(\w+)/$1/U", &[("CN=müller", Some("MÜLLER"))]);
    }

    #[test]
    fn groups_are_replaced_as_java_does() {
        let ten = "RULE:(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)";
        check(&format!("{ten}/$10-$1-$11-$0/"), &[("abcdefghij", Some("j-a-a1-abcdefghij"))]);
        check("RULE:(.)(.)/$2$3$03$/", &[("ab", Some("b$3ab3$"))]);
        check("RULE:(?<user>.)(x)?./${user}${none}$2/", &[("ab", Some("a${none}"))]);
        // `.*` is found twice: all of it, and the nothing behind it.
        check("RULE:.*/user/", &[("CN=alice", Some("useruser"))]);
        check("RULE:CN=(.*?)/<$1>/", &[("CN=alice", Some("<>alice"))]);
    }

    /// Kafka refuses the same ones.
    #[test]
    fn rules_that_cannot_be_read_are_refused() {
        let refused = [
            "default",
            "DEFAULT/L",
            "DEFAULT/U",
            "RULE:CN=(.*?),OU=ServiceUsers.*/$1",
            "rule:^CN=(.*?),OU=ServiceUsers.*$/$1/",
            "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L/U",
            "RULE:^CN=(.*?),OU=ServiceUsers.*$/L",
            "RULE:^CN=(.*?),OU=ServiceUsers.*$/U",
            "RULE:^CN=(.*?),OU=ServiceUsers.*$/LU",
            "RULE:^CN=(.*?/$1/",
            "RULE:a)(b/$1/",
            "DEFAULT DEFAULT",
        ];
        let wrong = |rules: &&str| match Rules::read(rules).unwrap_err() {
            Error::PrincipalRule { rule, .. } => rule,
            other => panic!("{other}"),
        };
        let said: Vec<String> = refused.iter().map(wrong).collect();
        assert_eq!(said[0], "default");
        assert_eq!(said[5], "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L/U");
        assert!(Rules::read("DEFAULT, RULE:x/L").is_err());
    }
}
