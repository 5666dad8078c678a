//! Committed offsets and transactions on a disk that has no room: what is answered, by clients' libraries as by bytes, that nothing is
//! half there, and that all goes on without a restart.

use testkit::run_python;

use crate::shared::world;

const SCRIPT: &str = concat!(
    include_str!("../consumer_groups/common.py"),
    "\n",
    include_str!("../consumer_groups/bytes.py"),
    "\n",
    include_str!("coordinators.py")
);

#[test]
fn a_full_disk_holds_up_commits_and_transactions_until_it_has_room() {
    let Some(python) = testkit::python() else { return };
    let mut world = world();
    world.wrap(&["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    let parts = world.up_with(&["--only", "broker"]);
    let said = run_python(&python, SCRIPT, &[&parts.kafka(), "kept", "fill", &parts.pid.to_string()]);
    insta::assert_snapshot!(said);
    assert!(world.said().contains("TM0224"), "{}", world.said());
    world.kill();
    let parts = world.up_with(&["--only", "broker"]);
    let said = run_python(&python, SCRIPT, &[&parts.kafka(), "kept", "look"]);
    insta::assert_snapshot!(said);
}
