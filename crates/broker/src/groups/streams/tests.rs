//! The members of a streams group: joining, what they are given and give up, silence, and what they are told; what is stored comes back,
//! and is what Apache Kafka writes.

use std::{collections::BTreeMap, time::Duration};

use kafka_protocol::ResponseError as E;
use tokio::time::Instant;

use super::{
    Answer, Assignment, Endpoint, Heartbeat, Limits, Profile, State, Streams, Tasks,
    reconcile::Standing,
    records::{Heading, Part, StoredStreams, encode, tombstones},
    topology::{CopartitionGroup, Subtopology, TopicInfo, Topology},
};
use crate::groups::{
    Commit,
    consumer::{LEFT, Refused, Table, member_id, reconcile::Phase},
};

const LIMITS: Limits = Limits {
    session_timeout: Duration::from_secs(45),
    assignment_interval: Duration::ZERO,
    initial_delay: Duration::ZERO,
    standbys_count: 0,
    members_count_max: 3,
};

/// It counts words: they go by `rep` to who counts them, and the counts are kept in `log`.
fn counting() -> Topology {
    let topic = |name: &str| TopicInfo { name: name.to_owned(), ..TopicInfo::default() };
    let splits = Subtopology {
        source_topics: vec!["words".to_owned()],
        repartition_sink_topics: vec!["rep".to_owned()],
        ..Subtopology::default()
    };
    let counts = Subtopology {
        repartition_source_topics: vec![topic("rep")],
        state_changelog_topics: vec![topic("log")],
        ..Subtopology::default()
    };
    Topology { epoch: 0, subtopologies: [("0".to_owned(), splits), ("1".to_owned(), counts)].into() }
}

/// `00 01 10`: subtopology and partition.
fn tasks(text: &str) -> Tasks {
    let mut tasks = Tasks::new();
    for word in text.split_whitespace() {
        tasks.entry(word[..1].to_owned()).or_default().insert(word[1..].parse().unwrap());
    }
    tasks
}

fn shown(tasks: &Tasks) -> String {
    let all =
        tasks.iter().flat_map(|(id, numbers)| numbers.iter().map(move |number| format!("{id}{number}")));
    all.collect::<Vec<_>>().join(" ")
}

struct Play {
    group: Streams,
    layout: Table,
    now: Instant,
}

impl Play {
    fn of(topics: &str, limits: Limits) -> Play {
        Play { group: Streams::new(limits), layout: Table::of(topics), now: Instant::now() }
    }

    /// All its topics are there.
    fn ready() -> Play {
        Play::of("words:2 rep:2 log:2", LIMITS)
    }

    fn say(&mut self, beat: Heartbeat) -> Result<Answer, Refused> {
        beat.check()?;
        self.group.heartbeat(&beat, &self.layout, self.now)
    }

    /// A member on a process of its own, or on that of its first letter.
    fn joining(id: &str) -> Heartbeat {
        Heartbeat {
            member_id: id.to_owned(),
            endpoints_epoch: -1,
            rebalance_timeout_ms: Some(60_000),
            topology: Some(counting()),
            active: Some(Tasks::new()),
            standby: Some(Tasks::new()),
            warmup: Some(Tasks::new()),
            process_id: Some(id[..1].to_owned()),
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            ..Heartbeat::default()
        }
    }

    fn staying(id: &str, epoch: i32) -> Heartbeat {
        Heartbeat {
            member_id: id.to_owned(),
            member_epoch: epoch,
            endpoints_epoch: -1,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            ..Heartbeat::default()
        }
    }

    /// The epoch, and the active tasks where they are told.
    #[track_caller]
    fn told(&mut self, beat: Heartbeat) -> String {
        let answer = self.say(beat).unwrap();
        match answer.assignment {
            Some(tasks) => format!("{}: {}", answer.member_epoch, shown(&tasks.active)),
            None => answer.member_epoch.to_string(),
        }
    }

    #[track_caller]
    fn join(&mut self, id: &str) -> String {
        self.told(Play::joining(id))
    }

    /// A heartbeat that says nothing new, or what the member has.
    #[track_caller]
    fn beat(&mut self, id: &str, epoch: i32, owned: Option<&str>) -> String {
        let beat = Play::staying(id, epoch);
        self.told(match owned {
            None => beat,
            Some(owned) => Heartbeat {
                active: Some(tasks(owned)),
                standby: Some(Tasks::new()),
                warmup: Some(Tasks::new()),
                ..beat
            },
        })
    }

    #[track_caller]
    fn refused(&mut self, beat: Heartbeat) -> (E, String) {
        let refused = self.say(beat).unwrap_err();
        (refused.error, refused.reason)
    }
}

#[test]
fn nobody_has_a_task_before_every_topic_is_there() {
    let mut play = Play::of("words:2", LIMITS);
    let answer = play.say(Play::joining("a")).unwrap();
    let missing: Vec<_> = answer.missing.iter().map(|topic| (&*topic.name, topic.partitions)).collect();
    assert_eq!(missing, [("rep", 2), ("log", 2)]);
    assert_eq!(answer.status[0].detail, "Internal topics are missing: rep, log");
    assert_eq!((answer.assignment, answer.within.is_some()), (Some(Assignment::default()), true));
    assert_eq!(play.group.state(), State::NotReady);
    play.layout.set("words:2 rep:2 log:2");
    assert_eq!(play.beat("a", answer.member_epoch, None), "3: 00 01 10 11");
    assert_eq!(play.group.state(), State::Stable);
    // One of them grows, and no longer fits.
    play.layout.set("words:2 rep:2 log:3");
    let answer = play.say(Play::staying("a", 3)).unwrap();
    assert_eq!((answer.status[0].code, play.group.state()), (2, State::NotReady));
    assert_eq!(play.beat("a", 3, Some("")), "4");
}

#[test]
fn a_task_is_given_up_before_another_has_it() {
    let mut play = Play::ready();
    assert_eq!(play.join("a"), "2: 00 01 10 11");
    assert_eq!(play.beat("a", 2, None), "2");
    assert_eq!(play.join("b"), "3: ");
    assert_eq!(play.group.state(), State::Reconciling);
    assert_eq!(play.beat("a", 2, Some("00 01 10 11")), "2: 00 10");
    assert_eq!(play.beat("b", 3, Some("")), "3", "the other still has what is meant for it");
    assert_eq!(play.beat("a", 2, Some("00 10")), "3");
    assert_eq!(play.beat("b", 3, Some("")), "3: 01 11");
    assert_eq!(play.group.state(), State::Stable);
    // It leaves, and what it had comes back.
    assert_eq!(play.told(Heartbeat { member_epoch: LEFT, ..Play::staying("b", 0) }), "-1");
    assert_eq!(play.beat("a", 3, None), "4: 00 01 10 11");
}

#[test]
fn who_gives_nothing_up_or_is_silent_is_removed() {
    let mut play = Play::ready();
    play.join("a");
    play.join("b");
    assert_eq!(play.beat("a", 2, Some("00 01 10 11")), "2: 00 10");
    play.now += Duration::from_secs(44);
    play.group.tick(play.now);
    assert_eq!(play.beat("a", 2, Some("00 01 10 11")), "2", "it is not done yet");
    play.beat("b", 3, None);
    play.now += Duration::from_secs(17);
    play.group.tick(play.now);
    assert_eq!(play.refused(Play::staying("a", 2)).0, E::UnknownMemberId);
    assert_eq!(play.beat("b", 3, None), "4: 00 01 10 11");
    play.now += Duration::from_secs(46);
    play.group.tick(play.now);
    assert_eq!((play.group.state(), play.group.members.len()), (State::Empty, 0));
}

#[test]
fn members_of_another_epoch_are_fenced_unless_an_answer_was_lost() {
    let mut play = Play::ready();
    play.join("a");
    assert_eq!(play.refused(Play::staying("a", 7)).0, E::FencedMemberEpoch);
    assert_eq!(play.refused(Play::staying("a", 1)).0, E::FencedMemberEpoch);
    play.join("b");
    play.beat("a", 2, Some("00 01 10 11"));
    assert_eq!(play.beat("a", 2, Some("00 10")), "3");
    assert_eq!(play.beat("a", 2, Some("00 10")), "3: 00 10", "what it did not hear is told again");
    assert_eq!(play.beat("a", 2, Some("00")), "3: 00 10");
    assert_eq!(play.beat("a", 3, Some("00 10")), "3");
    assert_eq!(play.refused(Play::staying("a", 2)).0, E::FencedMemberEpoch, "it says nothing of what it has");
    assert_eq!(play.refused(Play::staying("c", 2)).0, E::UnknownMemberId);
    play.join("c");
    let (error, reason) = play.refused(Play::joining("d"));
    assert_eq!(error, E::GroupMaxSizeReached);
    assert_eq!(reason, "The streams group has reached its maximum capacity of 3 members.");
}

#[test]
fn what_makes_no_sense_is_refused_as_kafka_does() {
    let mut play = Play::ready();
    let joining = || Play::joining("a");
    let regex = || {
        let mut topology = counting();
        topology.subtopologies.get_mut("0").unwrap().source_topic_regex = vec!["w.*".to_owned()];
        topology
    };
    for (beat, reason) in [
        (Heartbeat { member_id: " ".to_owned(), ..joining() }, "MemberId can't be empty."),
        (Heartbeat { rack_id: Some(String::new()), ..joining() }, "RackId can't be empty."),
        (
            Heartbeat { rebalance_timeout_ms: None, ..joining() },
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            Heartbeat { active: Some(tasks("00")), ..joining() },
            "ActiveTasks must be empty when (re-)joining.",
        ),
        (Heartbeat { topology: None, ..joining() }, "Topology must be non-null when (re-)joining."),
        (
            Heartbeat { topology: Some(regex()), ..joining() },
            "Regular expressions for source topics are not supported yet.",
        ),
        (
            Heartbeat { instance_id: Some("i".to_owned()), ..joining() },
            "Static membership is not yet supported.",
        ),
        (Heartbeat { tells_offsets: true, ..joining() }, "TaskOffsets are not supported yet."),
        (Heartbeat { warmup: Some(tasks("10")), ..joining() }, "WarmupTasks are not supported yet."),
        (Heartbeat { member_epoch: -2, ..Play::staying("a", 0) }, "InstanceId can't be null."),
        (
            Heartbeat { member_epoch: -3, ..Play::staying("a", 0) },
            "MemberEpoch is -3, but must be greater than or equal to -2.",
        ),
        (
            Heartbeat { active: Some(tasks("00")), ..Play::staying("a", 2) },
            "If one task-type is non-null, all must be non-null.",
        ),
        (
            Heartbeat { topology: Some(counting()), ..Play::staying("a", 2) },
            "Topology can only be provided when (re-)joining.",
        ),
    ] {
        assert_eq!(play.refused(beat), (E::InvalidRequest, reason.to_owned()));
    }
    play.join("a");
    let has = |text: &str| {
        let none = Some(Tasks::new());
        Heartbeat { active: Some(tasks(text)), standby: none.clone(), warmup: none, ..Play::staying("a", 2) }
    };
    assert_eq!(play.refused(has("70")).1, "Subtopology 7 does not exist in the topology.");
    assert_eq!(
        play.refused(has("02")).1,
        "Task 2 for subtopology 0 is invalid. Number of tasks for this subtopology: 2"
    );
    let mut sized = counting();
    sized.subtopologies.get_mut("1").unwrap().state_changelog_topics[0].partitions = 4;
    let (error, reason) = play.refused(Heartbeat { topology: Some(sized), ..Play::joining("b") });
    assert_eq!(error, E::StreamsInvalidTopology);
    assert_eq!(reason, "Changelog topic log must have an undefined partition count, but it is set to 4.");
}

#[test]
fn the_topology_of_a_group_stays_what_it_is() {
    let mut play = Play::ready();
    play.join("a");
    let mut other = counting();
    other.subtopologies.remove("1");
    let refused = play.refused(Heartbeat { topology: Some(other.clone()), ..Play::joining("b") });
    assert_eq!(refused, (E::InvalidRequest, "Topology updates are not supported yet.".to_owned()));
    assert_eq!(play.group.members.len(), 1);
    let older = Topology { epoch: -1, ..other };
    let answer = play.say(Heartbeat { topology: Some(older), ..Play::joining("b") }).unwrap();
    assert_eq!(answer.status[0].code, 0);
    assert_eq!(
        answer.status[0].detail,
        "The member's topology epoch -1 is behind the group's topology epoch 0."
    );
}

#[test]
fn one_member_can_end_the_application() {
    let mut play = Play::ready();
    play.join("a");
    play.join("b");
    let ends = Heartbeat { shuts_down: true, member_epoch: LEFT, ..Play::staying("b", 0) };
    let stranger = Heartbeat { member_id: "c".to_owned(), ..ends.clone() };
    assert_eq!(play.refused(stranger).0, E::UnknownMemberId);
    assert_eq!(play.say(Play::staying("a", 2)).unwrap().status, [], "who is no member ends nothing");
    play.say(ends).unwrap();
    let answer = play.say(Play::staying("a", 2)).unwrap();
    assert_eq!(answer.status[0].code, 4);
    assert!(answer.status[0].detail.starts_with("Streams group member b encountered a fatal error"));
    play.say(Heartbeat { member_epoch: LEFT, ..Play::staying("a", 0) }).unwrap();
    assert_eq!(
        play.say(Play::joining("a")).unwrap().status,
        [],
        "the next ones have nothing to do with that"
    );
}

#[test]
fn standbys_follow_the_setting() {
    let mut play = Play::ready();
    play.join("a");
    play.join("b");
    play.beat("a", 2, Some("00 01 10 11"));
    play.beat("a", 2, Some("00 10"));
    play.beat("b", 3, Some(""));
    play.group.set_limits(Limits { standbys_count: 1, ..LIMITS });
    let of = |answer: Answer| answer.assignment.map(|tasks| (shown(&tasks.active), shown(&tasks.standby)));
    let told = of(play.say(Play::staying("a", 3)).unwrap());
    assert_eq!(told, Some(("00 10".to_owned(), "11".to_owned())));
    let told = of(play.say(Play::staying("b", 3)).unwrap());
    assert_eq!(told, Some(("01 11".to_owned(), "10".to_owned())));
    // A second thread of `a` comes, and gets no copy of what its process has.
    let answer = play.say(Play::joining("a2")).unwrap();
    assert_eq!(shown(&answer.assignment.unwrap().standby), "");
}

#[test]
fn the_first_member_waits_for_others() {
    let delay = Duration::from_millis(100);
    let mut play = Play::of("words:2 rep:2 log:2", Limits { initial_delay: delay, ..LIMITS });
    let answer = play.say(Play::joining("a")).unwrap();
    assert_eq!((answer.member_epoch, answer.status[0].code, answer.within), (1, 5, Some(delay)));
    assert_eq!(play.join("b"), "1: ");
    play.now += delay;
    assert_eq!(play.beat("a", 1, None), "3: 00 10");
    assert_eq!(play.beat("b", 1, None), "3: 01 11");
    let interval = Duration::from_secs(5);
    play.group.set_limits(Limits { assignment_interval: interval, ..LIMITS });
    let answer = play.say(Play::joining("c")).unwrap();
    assert_eq!(answer.status[0].detail, "Assignment delayed due to the configured assignment interval.");
    play.now += interval;
    assert_eq!(play.beat("c", 3, None), "4", "what is meant for it another still has");
}

#[test]
fn who_wants_to_be_found_is() {
    let mut play = Play::ready();
    let endpoint = Endpoint { host: "here".to_owned(), port: 8_080 };
    let first = Heartbeat { endpoint: Some(endpoint.clone()), ..Play::joining("a") };
    let answer = play.say(first).unwrap();
    let all = answer.endpoints.unwrap();
    assert_eq!((answer.endpoints_epoch, all.len(), &all[0].endpoint), (0, 1, &endpoint));
    let reads = [("words".to_owned(), vec![0, 1]), ("rep".to_owned(), vec![0, 1])];
    assert_eq!((&all[0].active[..], &all[0].standby[..]), (&reads[..], &[][..]));
    let again = Heartbeat { endpoints_epoch: 0, ..Play::staying("a", 2) };
    assert_eq!(play.say(again).unwrap().endpoints, None);
}

#[test]
fn commits_of_an_epoch_that_is_over_are_good_for_what_was_its_own() {
    let mut play = Play::ready();
    play.join("a");
    play.join("b");
    play.beat("a", 2, Some("00 01 10 11"));
    play.beat("a", 2, Some("00 10"));
    play.beat("b", 3, Some(""));
    let commits = |topic: &str, partition: i32| {
        [Commit { topic: topic.into(), partition, offset: 1, leader_epoch: -1, metadata: "".into() }]
    };
    let check = |epoch, topic, partition| play.group.check_commit("a", epoch, &commits(topic, partition));
    assert_eq!(check(3, "words", 0), Ok(()));
    assert_eq!(check(2, "words", 0), Ok(()), "it has had that since its second epoch");
    assert_eq!(check(2, "words", 1), Err(E::StaleMemberEpoch));
    assert_eq!(check(2, "other", 0), Err(E::StaleMemberEpoch));
    assert_eq!(check(4, "words", 0), Err(E::StaleMemberEpoch));
    assert_eq!(play.group.check_commit("c", 3, &[]), Err(E::UnknownMemberId));
    assert!(play.group.subscribes_to("rep") && !play.group.subscribes_to("log"));
}

fn stored() -> StoredStreams {
    let id = member_id("m");
    let topology = {
        let topic = |name: &str, replication_factor, configs: &[(&str, &str)]| TopicInfo {
            name: name.to_owned(),
            partitions: 0,
            replication_factor,
            configs: configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        let splits = Subtopology {
            source_topics: vec!["words".to_owned()],
            repartition_sink_topics: vec!["rep".to_owned()],
            ..Subtopology::default()
        };
        let counts = Subtopology {
            source_topics: vec!["other".to_owned()],
            state_changelog_topics: vec![topic("log", 1, &[("cleanup.policy", "compact")])],
            repartition_source_topics: vec![topic("rep", 0, &[])],
            copartition_groups: vec![CopartitionGroup {
                source_topics: vec![0],
                source_topic_regex: vec![],
                repartition_source_topics: vec![0],
            }],
            ..Subtopology::default()
        };
        Topology { epoch: 3, subtopologies: [("0".to_owned(), splits), ("1".to_owned(), counts)].into() }
    };
    let profile = Profile {
        rack_id: Some("r".to_owned()),
        client_id: "c".to_owned(),
        client_host: "/h".to_owned(),
        rebalance_timeout_ms: 300_000,
        topology_epoch: 3,
        process_id: "p".to_owned(),
        endpoint: Some(Endpoint { host: "here".to_owned(), port: 8_080 }),
        tags: BTreeMap::from([("zone".to_owned(), "z".to_owned())]),
    };
    let both = |active: &str, standby: &str| Assignment {
        active: tasks(active),
        standby: tasks(standby),
        warmup: Tasks::new(),
    };
    let since =
        [("0", 0, 7), ("0", 1, 4), ("1", 3, 5)].map(|(id, number, epoch)| ((id.to_owned(), number), epoch));
    let standing = Standing {
        epoch: 7,
        previous_epoch: 6,
        phase: Phase::Unreleased,
        assigned: both("00 01", "12"),
        revoking: both("13", ""),
        since: since.into(),
    };
    let heading = Heading { epoch: 8, metadata_hash: -5, validated_topology_epoch: 3, standbys: Some(1) };
    StoredStreams {
        topology: Some(topology),
        heading,
        assignment_epoch: 7,
        profiles: [(id.clone(), profile)].into(),
        targets: [(id.clone(), both("00 01", "12"))].into(),
        standings: [(id, standing)].into(),
    }
}

#[test]
fn what_is_stored_comes_back() {
    let group = Streams::restore(stored(), LIMITS, Instant::now());
    let mut again = StoredStreams::default();
    for (key, value) in encode("g", &group, &group.parts()) {
        let (name, part) = Part::decode(&key).unwrap();
        assert_eq!(name, "g");
        again.apply(part, value.as_deref());
    }
    assert_eq!(again, stored());
    for (key, value) in tombstones("g", &group.parts()) {
        again.apply(Part::decode(&key).unwrap().1, value.as_deref());
    }
    assert_eq!(again, StoredStreams::default());
}

/// Written by Apache Kafka 4.3.1's own classes from the same group.
#[test]
fn the_bytes_are_kafkas() {
    let mut group = Streams::restore(stored(), LIMITS, Instant::now());
    let hex = |group: &Streams, part: Part| {
        let bytes = group.value(&part).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let id = || member_id("m");
    assert_eq!(
        hex(&group, Part::Epoch),
        "000000000008fffffffffffffffb02000400000003011902156e756d2e7374616e6462792e7265706c69636173023100"
    );
    assert_eq!(hex(&group, Part::TargetEpoch), "00000000000700");
    assert_eq!(
        hex(&group, Part::Member(id())),
        "00000002720263032f68000493e00000000302700105686572651f900002057a6f6e65027a0000"
    );
    assert_eq!(hex(&group, Part::Target(id())), "0000020230030000000000000001000202310200000002000100");
    assert_eq!(
        hex(&group, Part::Current(id())),
        "0000000000070000000602020230030000000000000001010009030000000700000004020231020000000200010202310200\
         0000030100050200000005010100"
    );
    assert_eq!(
        hex(&group, Part::Topology),
        "0000000000030302300206776f72647301010204726570010100023102066f746865720102046c6f67000000000001020f63\
         6c65616e75702e706f6c69637908636f6d70616374000001020472657000000000000001000202000001020000000000"
    );
    group.heading = Heading { epoch: 8, metadata_hash: -5, ..Heading::default() };
    assert_eq!(hex(&group, Part::Epoch), "000000000008fffffffffffffffb00");
    assert_eq!(&Part::Current(id()).key("g")[..], b"\x00\x16\x00\x01g\x00\x01m");
    assert_eq!(&Part::Topology.key("g")[..], b"\x00\x17\x00\x01g");
}
