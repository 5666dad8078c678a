//! What is allowed and what is not, as Kafka's own tests of its authorizer have it.

use std::fs;

use super::*;

/// `allow alice read topic fl*`: the last word with a star behind it is a prefix, a star alone every name.
fn acl(text: &str) -> Acl {
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap();
    let named = |word: &str| format!("\"{}\"", word.to_uppercase());
    let permission = serde_json::from_str(&named(word())).unwrap();
    let principal = format!("User:{}", word());
    let operation = serde_json::from_str(&named(word())).unwrap();
    let resource = serde_json::from_str(&named(word())).unwrap();
    let name = word();
    let (name, pattern) = match name.strip_suffix('*') {
        Some(prefix) if !prefix.is_empty() => (prefix, Pattern::Prefixed),
        _ => (name, Pattern::Literal),
    };
    let host = words.next().unwrap_or(WILDCARD).to_owned();
    Acl { resource, name: name.to_owned(), pattern, principal, host, operation, permission }
}

fn authorizer(folder: &Path, acls: &[&str], open: bool) -> Authorizer {
    let options =
        AuthorizerOptions { super_users: vec!["User:root".to_owned()], allow_everyone_if_no_acl_found: open };
    let authorizer = Authorizer::open(folder, &options).unwrap();
    authorizer.add(acls.iter().map(|text| acl(text)).collect()).unwrap();
    authorizer
}

fn act(principal: &str, operation: Operation) -> Act<'_> {
    Act { principal, host: "127.0.0.1", operation }
}

#[track_caller]
fn check(acls: &[&str], open: bool, operation: Operation, topic: &str, expected: bool) {
    let folder = tempfile::tempdir().unwrap();
    let found = authorizer(folder.path(), acls, open).allows(
        act("User:alice", operation),
        ResourceType::Topic,
        topic,
    );
    assert_eq!(found, expected, "{acls:?} {operation:?} {topic}");
}

#[test]
fn what_an_acl_allows_is_allowed_and_nothing_else() {
    use Operation::{Alter, AlterConfigs, Describe, DescribeConfigs, Read, Write};
    check(&[], false, Read, "flights", false);
    check(&[], true, Read, "flights", true);
    check(&["allow alice read topic flights"], false, Read, "flights", true);
    check(&["allow alice read topic flights"], false, Describe, "flights", true);
    check(&["allow alice read topic flights"], false, Write, "flights", false);
    check(&["allow alice read topic flights"], false, Read, "flights2", false);
    check(&["allow alice read topic fl*"], false, Read, "flights", true);
    check(&["allow alice read topic fl*"], false, Read, "f", false);
    check(&["allow alice all topic *"], false, Alter, "flights", true);
    check(&["allow * read topic flights"], false, Read, "flights", true);
    check(&["allow bob read topic flights"], false, Read, "flights", false);
    check(&["allow alice alter_configs topic flights"], false, DescribeConfigs, "flights", true);
    check(&["allow alice describe_configs topic flights"], false, AlterConfigs, "flights", false);
    check(&["allow alice read group flights"], false, Read, "flights", false);
    check(&["allow alice read topic flights 127.0.0.1"], false, Read, "flights", true);
    check(&["allow alice read topic flights 10.0.0.1"], false, Read, "flights", false);
}

#[test]
fn what_denies_wins_and_implies_nothing() {
    use Operation::{Describe, Read, Write};
    let allowed = "allow alice all topic *";
    check(&[allowed, "deny alice read topic flights"], false, Read, "flights", false);
    check(&[allowed, "deny alice read topic flights"], false, Describe, "flights", true);
    check(&[allowed, "deny * all topic fl*"], false, Write, "flights", false);
    check(&[allowed, "deny * all topic fl*"], false, Write, "other", true);
    check(&["allow alice read topic flights", "deny alice all topic *"], false, Read, "flights", false);
    // An ACL about the resource, whoever it names, ends what everybody may.
    check(&["allow bob read topic flights"], true, Read, "flights", false);
    check(&["allow bob read topic other"], true, Read, "flights", true);
}

#[test]
fn super_users_may_do_everything() {
    let folder = tempfile::tempdir().unwrap();
    let authorizer = authorizer(folder.path(), &["deny * all topic *"], false);
    assert!(authorizer.allows(act("User:root", Operation::Write), ResourceType::Topic, "flights"));
    assert!(authorizer.allows_any(act("User:root", Operation::Write), ResourceType::Topic));
    let options = AuthorizerOptions { super_users: vec!["root".to_owned()], ..AuthorizerOptions::default() };
    assert!(matches!(Authorizer::open(folder.path(), &options), Err(Error::SuperUser { .. })));
}

#[test]
fn some_name_is_allowed() {
    let check = |acls: &[&str], expected: bool| {
        let folder = tempfile::tempdir().unwrap();
        let authorizer = authorizer(folder.path(), acls, false);
        let found = authorizer.allows_any(act("User:alice", Operation::Write), ResourceType::Topic);
        assert_eq!(found, expected, "{acls:?}");
    };
    check(&[], false);
    check(&["allow alice read topic a"], false);
    check(&["allow alice write topic a"], true);
    check(&["allow alice write topic a", "deny alice write topic a"], false);
    check(&["allow alice write topic a", "deny alice write topic b"], true);
    check(&["allow alice write topic ab*", "deny alice all topic a*"], false);
    check(&["allow alice write topic a*", "deny alice all topic ab*"], true);
    check(&["allow alice write topic *", "deny alice write topic a"], true);
    check(&["allow alice write topic a", "deny * all topic *"], false);
}

#[test]
fn acls_are_read_back_and_removed_by_filters() {
    let folder = tempfile::tempdir().unwrap();
    let all = ["allow alice read topic a", "allow alice read topic b*", "deny bob all group c"];
    authorizer(folder.path(), &all, false);
    let again = authorizer(folder.path(), &[], false);
    let any = |name| Filter {
        resource: 2,
        name,
        pattern: 1,
        principal: None,
        host: None,
        operation: 1,
        permission: 1,
    };
    assert_eq!(again.list(&any(None)), [acl(all[0]), acl(all[1])]);
    assert_eq!(again.remove(&[any(Some("b")), any(Some("z"))]).unwrap(), [vec![acl(all[1])], vec![]]);
    let again = authorizer(folder.path(), &[], false);
    assert_eq!(again.list(&Filter { resource: 1, ..any(None) }), [acl(all[0]), acl(all[2])]);
}

/// The first form that was ever written: every later broker must read it.
#[test]
fn version_1_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"version":1,"acls":[{"resource":"TOPIC","name":"a","pattern":"PREFIXED","principal":"User:alice","host":"*","operation":"DESCRIBE_CONFIGS","permission":"DENY"}]}"#;
    fs::write(folder.path().join(FILE_NAME), text).unwrap();
    let authorizer = authorizer(folder.path(), &[], false);
    let filter = Filter {
        resource: 1,
        name: None,
        pattern: 1,
        principal: None,
        host: None,
        operation: 1,
        permission: 1,
    };
    assert_eq!(authorizer.list(&filter), [acl("deny alice describe_configs topic a*")]);
}
