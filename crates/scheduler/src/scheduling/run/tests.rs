//! What is decided of a run, without a database and without a process.

use super::*;
use crate::{
    dag::OperatorKind,
    scheduling::tests::{after, dag, task},
    state::RunKind,
};

fn run(edges: &[(&str, &[&str])]) -> Run {
    let tasks =
        edges.iter().map(|(id, upstream)| after(task(id, OperatorKind::Bash, &[]), upstream)).collect();
    let now = Time::default();
    let known = Arc::new(Known::new(dag("d", tasks), now));
    let row = DagRun {
        id: 1,
        dag_id: "d".to_owned(),
        run_id: "r".to_owned(),
        logical_date: None,
        interval: None,
        run_after: now,
        kind: RunKind::Manual,
        state: RunState::Running,
        triggered_by: "rest_api".to_owned(),
        conf: "{}".to_owned(),
        note: None,
        queued_at: None,
        started_at: None,
        ended_at: None,
        decided_at: None,
        updated_at: now,
        backfill: None,
        clear_number: 0,
        version: 1,
    };
    let instance = |(id, task_id): (usize, &String)| TaskInstance {
        id: i64::try_from(id).expect("small"),
        run: 1,
        task_id: task_id.clone(),
        map_index: -1,
        state: None,
        try_number: 0,
        max_tries: 0,
        started_at: None,
        ended_at: None,
        queued_at: None,
        scheduled_at: None,
        due_at: None,
        first_poke_at: None,
        pid: None,
        pool: String::new(),
        pool_slots: 1,
        queue: String::new(),
        priority_weight: 1,
        operator: String::new(),
        note: None,
        rendered: None,
        rendered_map_index: None,
        updated_at: now,
    };
    let instances = known.dag.tasks.keys().enumerate().map(instance).collect();
    Run { row, known, instances, skips: HashMap::new() }
}

fn states(run: &Run) -> String {
    let shown =
        run.instances.iter().map(|it| format!("{} {}", it.task_id, it.state.map_or("none", TaskState::word)));
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_branch_skips_what_it_leaves_out_and_not_where_paths_join() {
    let mut run = run(&[("b", &[]), ("left", &["b"]), ("right", &["b"]), ("join", &["b", "left", "right"])]);
    run.instances[0].state = Some(TaskState::Success);
    // The join is below the one that is followed.
    let followed = vec!["left".to_owned(), "join".to_owned()];
    assert_eq!(run.left_out("b", &followed), ["right"]);
    run.skip(&["right".to_owned()], -1, Time::default());
    run.skips.insert(("b".to_owned(), -1), Skips::Followed(followed));
    run.known = {
        let mut known = (*run.known).clone();
        let mut dag = (*known.dag).clone();
        dag.tasks["join"].trigger_rule = crate::dag::TriggerRule::NoneFailed;
        known.dag = Arc::new(dag);
        Arc::new(known)
    };
    let decided = run.decide(Time::default(), None);
    assert_eq!(states(&run), "b success, left none, right skipped, join none");
    assert_eq!(decided.ready, [1]);
}

#[test]
fn a_run_in_which_nothing_can_start_any_more_fails() {
    let mut run = run(&[("a", &[]), ("b", &["a"])]);
    run.instances[0].state = Some(TaskState::Removed);
    let decided = run.decide(Time::default(), None);
    assert_eq!((decided.ready.as_slice(), decided.run_state), ([1].as_slice(), None));
    run.instances[1].state = Some(TaskState::Failed);
    assert_eq!(run.decide(Time::default(), None).run_state, Some(RunState::Failed));
}

#[test]
fn depends_on_past_waits_for_the_run_before() {
    let mut run = run(&[("a", &[])]);
    let mut known = (*run.known).clone();
    let mut dag = (*known.dag).clone();
    dag.tasks["a"].depends_on_past = true;
    known.dag = Arc::new(dag);
    run.known = Arc::new(known);
    let past = |state| Past::from([("a".to_owned(), vec![state])]);
    assert!(run.decide(Time::default(), Some(&past(Some(TaskState::Failed)))).ready.is_empty());
    assert!(run.decide(Time::default(), Some(&past(None))).run_state.is_none());
    assert_eq!(run.decide(Time::default(), Some(&past(Some(TaskState::Skipped)))).ready, [0]);
    assert_eq!(run.decide(Time::default(), None).ready, [0]);
}
