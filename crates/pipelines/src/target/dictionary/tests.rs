//! What a sample says of a column.

use arrow_array::{BooleanArray, Int64Array, StringArray, new_null_array};
use arrow_schema::DataType;
use testkit::Seeded;

use super::outgrows;

const BYTES_MAX: usize = 64 << 10;

/// So many numbers out of so many, in no order.
fn numbers(count: usize, kinds: u64) -> Int64Array {
    let mut random = Seeded::new(kinds);
    (0..count).map(|_| i64::try_from(random.within(0..kinds)).ok()).collect()
}

#[test]
fn a_column_of_few_values_gets_its_dictionary_and_one_of_many_does_not() {
    for kinds in [1, 10, 100, 1_000, 4_000] {
        assert!(!outgrows(&numbers(1_000, kinds), BYTES_MAX), "{kinds} numbers of 8 bytes have room");
    }
    for kinds in [20_000, 1_000_000, u64::MAX >> 12] {
        assert!(outgrows(&numbers(1_000, kinds), BYTES_MAX), "{kinds} numbers of 8 bytes have none");
    }
    let texts = |count: usize, length: usize| {
        (0..count).map(|n| Some(format!("{n:0length$}"))).collect::<StringArray>()
    };
    assert!(outgrows(&texts(300, 20), BYTES_MAX), "all differ");
    assert!(!outgrows(&texts(30, 20), BYTES_MAX), "too few to tell");
}

#[test]
fn what_has_no_values_keeps_its_dictionary() {
    assert!(!outgrows(&new_null_array(&DataType::Int64, 1_000), BYTES_MAX));
    assert!(!outgrows(&BooleanArray::from(vec![true; 1_000]), BYTES_MAX));
    assert!(!outgrows(&numbers(0, 1), BYTES_MAX));
}
