//! Ids of child rows below a root row of ours.

use std::collections::HashSet;

use super::*;

#[test]
fn rows_below_a_root_row_of_ours_have_ids_of_their_own() {
    let long = "orders__".repeat(40);
    let mut seen = HashSet::new();
    let mut count = 0;
    for number in 0..2_000_u32 {
        let parent = placed(&[&number.to_be_bytes()]);
        for table in ["orders__lines", "orders__tags", "orders__line", &long] {
            for index in [0, 1, 2, 9, 10, 11, 100, usize::MAX] {
                let id = child(&parent, table, index);
                assert!(matches!(id, RowId::Placed(_)), "so are those below it");
                assert_eq!(id.text(), child(&parent, table, index).text(), "a second life gives the same");
                seen.insert(id.text().to_owned());
                count += 1;
            }
        }
    }
    assert_eq!(seen.len(), count);
}

#[test]
fn an_id_takes_all_of_its_parts_however_long_they_are() {
    let parent = placed(&[b"order"]);
    for length in PARTS_BYTES - 40..PARTS_BYTES + 40 {
        let (one, other) = ("a".repeat(length), "a".repeat(length - 1) + "b");
        assert_ne!(child(&parent, &one, 7).text(), child(&parent, &other, 7).text(), "{length}");
        assert_ne!(child(&parent, &one, 7).text(), child(&parent, &one, 8).text(), "{length}");
    }
}
