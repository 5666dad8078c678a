//! Every trigger rule over every mix of how the upstream tasks ended.

use std::fmt::Write;

use super::*;

/// `s`uccess, `f`ailed, `u`pstream_failed, s`k`ipped, `.` not yet.
fn upstream(letters: &str) -> Upstream {
    let mut upstream = Upstream::default();
    for letter in letters.chars() {
        upstream.add(match letter {
            's' => Some(TaskState::Success),
            'f' => Some(TaskState::Failed),
            'u' => Some(TaskState::UpstreamFailed),
            'k' => Some(TaskState::Skipped),
            'r' => Some(TaskState::Removed),
            _not_yet => None,
        });
    }
    upstream
}

#[test]
fn each_rule_decides_as_airflows() {
    let mixes = ["..", "s.", "f.", "k.", "ss", "sf", "sk", "ff", "fk", "kk", "uu", "su", "ku"];
    let mut table = format!("{:<30}{}\n", "", mixes.map(|mix| format!("{mix:<6}")).concat());
    for rule in TriggerRule::ALL {
        let shown = mixes.map(|mix| match judge(*rule, &upstream(mix), -1) {
            Verdict::Wait => "-     ",
            Verdict::Run => "run   ",
            Verdict::End(TaskState::Skipped) => "skip  ",
            Verdict::End(TaskState::UpstreamFailed) => "fail  ",
            Verdict::End(_other) => "other ",
        });
        writeln!(table, "{:<30}{}", rule.word(), shown.concat()).expect("it is a text");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn an_instance_whose_counterpart_was_removed_is_removed() {
    assert_eq!(judge(TriggerRule::AllSuccess, &upstream("sr"), 1), Verdict::End(TaskState::Removed));
    assert_eq!(judge(TriggerRule::AllSuccess, &upstream("sr"), 0), Verdict::Run);
}
