//! What follows from topologies and topics, case by case.

use super::{CopartitionGroup, Subtopology, TopicInfo, Topology};
use crate::groups::consumer::Table;

fn topics(names: &str) -> Vec<TopicInfo> {
    let one = |word: &str| {
        let (name, count) = word.split_once(':').unwrap_or((word, "0"));
        TopicInfo { name: name.to_owned(), partitions: count.parse().unwrap(), ..TopicInfo::default() }
    };
    names.split_whitespace().map(one).collect()
}

/// What it reads, what of that is internal, what it writes for others, what it keeps.
fn subtopology(sources: &str, repartitions: &str, sinks: &str, changelogs: &str) -> Subtopology {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    Subtopology {
        source_topics: words(sources),
        repartition_source_topics: topics(repartitions),
        repartition_sink_topics: words(sinks),
        state_changelog_topics: topics(changelogs),
        ..Subtopology::default()
    }
}

fn topology(parts: &[Subtopology]) -> Topology {
    let named = parts.iter().enumerate().map(|(place, part)| (place.to_string(), part.clone()));
    Topology { epoch: 0, subtopologies: named.collect() }
}

/// Tasks and missing topics, or what is wrong.
fn configured(topology: &Topology, topics: &str) -> String {
    match topology.configure(&Table::of(topics)) {
        Err(refused) => format!("{}: {}", refused.error.code(), refused.reason),
        Ok(configured) => {
            let tasks: Vec<String> =
                configured.tasks.iter().map(|(id, count)| format!("{id}:{count}")).collect();
            let missing: Vec<String> = configured
                .missing
                .iter()
                .map(|topic| format!("{}:{}", topic.name, topic.partitions))
                .collect();
            let trouble = configured.trouble.map(|status| format!(" ({}: {})", status.code, status.detail));
            format!("{} / {}{}", tasks.join(" "), missing.join(" "), trouble.unwrap_or_default())
        }
    }
}

#[test]
fn internal_topics_get_the_partitions_of_what_is_read() {
    let count = topology(&[subtopology("words", "", "rep", ""), subtopology("", "rep", "", "log")]);
    assert_eq!(
        configured(&count, "words:3"),
        "0:3 1:3 / rep:3 log:3 (3: Internal topics are missing: rep, log)"
    );
    assert_eq!(configured(&count, "words:3 rep:3 log:3"), "0:3 1:3 / ");
    assert_eq!(
        configured(&count, "words:3 rep:3 log:2"),
        " /  (2: Existing topic log has different number of partitions: expected 3, found 2)"
    );
    assert_eq!(configured(&count, "other:3"), " /  (1: Source topics words are missing.)");
    let wide = topology(&[subtopology("a b c d e", "", "", "")]);
    assert_eq!(configured(&wide, ""), " /  (1: Source topics a, b, c and 2 additional topics are missing.)");
    assert_eq!(configured(&wide, "a:1 b:2 c:5 d:1 e:1"), "0:5 / ");
    let set = topology(&[subtopology("words", "", "rep", ""), subtopology("", "rep:7", "", "log")]);
    assert_eq!(
        configured(&set, "words:3"),
        "0:3 1:7 / rep:7 log:7 (3: Internal topics are missing: rep, log)"
    );
}

#[test]
fn topics_that_are_joined_have_as_many_partitions() {
    let join = |sources: &str, repartitions: &str| {
        let places = |text: &str| (0..text.split_whitespace().count() as i16).collect();
        let group = CopartitionGroup {
            source_topics: places(sources),
            repartition_source_topics: places(repartitions),
            ..CopartitionGroup::default()
        };
        let joined = subtopology(sources, repartitions, "", "");
        let writer = subtopology("words", "", "rep sep", "");
        topology(&[writer, Subtopology { copartition_groups: vec![group], ..joined }])
    };
    assert_eq!(
        configured(&join("a", "rep"), "words:3 a:5"),
        "0:3 1:5 / rep:5 (3: Internal topics are missing: rep)"
    );
    assert_eq!(
        configured(&join("a b", ""), "words:3 a:5 b:4"),
        " /  (2: Following topics do not have the same number of partitions: [{a=5, b=4}])"
    );
    assert_eq!(
        configured(&join("a", "rep:4"), "words:3 a:5"),
        " /  (2: Number of partitions [4] of repartition topic [rep] doesn't match number of partitions [5] of \
         the source topic.)"
    );
    assert_eq!(
        configured(&join("", "rep:4 sep"), "words:3"),
        "0:3 1:4 / rep:4 sep:4 (3: Internal topics are missing: rep, sep)"
    );
    assert_eq!(
        configured(&join("", "rep:4 sep:5"), "words:3"),
        " /  (2: Following topics do not have the same number of partitions: [{rep=4, sep=5}])"
    );
}

#[test]
fn what_can_never_be_worked_on_is_refused() {
    let unwritten = topology(&[subtopology("words", "", "", ""), subtopology("", "rep", "", "")]);
    assert_eq!(
        configured(&unwritten, "words:1"),
        "130: Failed to compute number of partitions for all repartition topics, because a repartition source topic \
         is never used as a sink topic."
    );
    let circle = topology(&[subtopology("", "one", "two", ""), subtopology("", "two", "one", "")]);
    assert_eq!(
        configured(&circle, ""),
        "130: Failed to compute number of partitions for all repartition topics. There may be loops in the topology \
         that cannot be resolved."
    );
    let deaf = topology(&[subtopology("", "", "", "log")]);
    assert_eq!(configured(&deaf, ""), "130: No source topics found for subtopology 0");
}

#[test]
fn what_is_too_large_to_look_through_is_refused() {
    let reason = |topology: &Topology| topology.check_size().map_err(|refused| refused.reason);
    let many = |count: usize| topology(&vec![subtopology("words", "", "", ""); count]);
    assert_eq!(reason(&many(1_000)), Ok(()));
    assert_eq!(reason(&many(1_001)), Err("1001 subtopologies are more than 1000.".to_owned()));
    let wide = |count: usize| topology(&[subtopology(&"a ".repeat(count), "", "", "")]);
    assert_eq!(reason(&wide(10_000)), Ok(()));
    let refused = Err("10001 topics and settings in the topology are more than 10000.".to_owned());
    assert_eq!(reason(&wide(10_001)), refused);
    let group = CopartitionGroup { source_topics: vec![0; 9_999], ..CopartitionGroup::default() };
    let joined = Subtopology { copartition_groups: vec![group], ..subtopology("a", "", "", "") };
    assert_eq!(reason(&topology(&[joined])), refused);
    let settings = (0..9_999).map(|place| (place.to_string(), String::new())).collect();
    let log = TopicInfo { name: "log".to_owned(), configs: settings, ..TopicInfo::default() };
    let kept = Subtopology { state_changelog_topics: vec![log], ..subtopology("a", "", "", "") };
    assert_eq!(reason(&topology(&[kept])), refused);
    assert_eq!(configured(&many(20), "words:5000").len(), configured(&many(20), "words:1000").len());
    assert_eq!(configured(&many(21), "words:5000"), "130: 105000 tasks are more than 100000.");
}

/// Each gets its partitions by the one that comes behind it in the order of their names.
#[test]
fn a_long_chain_is_followed_at_once() {
    let part = |place: usize| match place {
        999 => subtopology("words", "", "rep999", ""),
        _ => subtopology("", &format!("rep{}", place + 1), &format!("rep{place}"), ""),
    };
    let named = (0..1_000).map(|place| (format!("{place:03}"), part(place)));
    let mut chain = Topology { epoch: 0, subtopologies: named.collect() };
    chain.subtopologies.get_mut("000").unwrap().repartition_sink_topics.clear();
    let configured = chain.configure(&Table::of("words:7")).unwrap();
    assert!(configured.tasks.values().all(|count| *count == 7));
    assert_eq!((configured.partitions.len(), configured.partitions.values().sum::<i32>()), (999, 6_993));
}

#[test]
fn topics_are_known_by_who_reads_them() {
    let count = topology(&[subtopology("words", "", "rep", ""), subtopology("", "rep", "", "log")]);
    assert_eq!(count.required_topics().into_iter().collect::<Vec<_>>(), ["log", "rep", "words"]);
    assert_eq!(
        [count.reader_of("words"), count.reader_of("rep"), count.reader_of("log")],
        [Some("0"), Some("1"), None]
    );
}
