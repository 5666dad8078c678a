//! What members of consumer groups tell each other through a broker that does not read it.

/// The partitions in a ConsumerProtocolAssignment, sorted: version, then topics with their partitions. `None`: something else.
pub fn assignment(bytes: &[u8]) -> Option<Vec<(String, i32)>> {
    let (topics, mut rest) = bytes.get(2..)?.split_first_chunk::<4>()?;
    let mut places = Vec::new();
    for _ in 0..i32::from_be_bytes(*topics) {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (name, after) = after.split_at_checked(usize::try_from(i16::from_be_bytes(*length)).ok()?)?;
        let name = std::str::from_utf8(name).ok()?;
        let (count, mut after) = after.split_first_chunk::<4>()?;
        for _ in 0..i32::from_be_bytes(*count) {
            let (partition, next) = after.split_first_chunk::<4>()?;
            places.push((name.to_owned(), i32::from_be_bytes(*partition)));
            after = next;
        }
        rest = after;
    }
    places.sort();
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_a_cut_one_is_not() {
        let bytes = b"\x00\x01\x00\x00\x00\x01\x00\x02ab\x00\x00\x00\x02\x00\x00\x00\x05\x00\x00\x00\x00\xff\xff\xff\xff";
        assert_eq!(assignment(bytes), Some(vec![("ab".to_owned(), 0), ("ab".to_owned(), 5)]));
        for end in 0..bytes.len() - 4 {
            assert_eq!(assignment(&bytes[..end]), None, "{end}");
        }
    }
}
