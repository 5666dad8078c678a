//! The rules of a source: every record once, in order, from any mark, in bounded calls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::Array;
use base::{Ask, Body, Discovery, Fault, Lease, Position, Read, Source, Split};

/// A store under test that holds `expected` records in each of its splits, in this order.
pub struct SourceFixture {
    pub open: Box<dyn Fn() -> Arc<dyn Source> + Send + Sync>,
    pub expected: Vec<(Arc<str>, Vec<Vec<u8>>)>,
}

const CALL_MS: u64 = 500;
const RULE_MS: u64 = 30_000;

/// Runs every rule; a line each: `kept` or `broken: why`.
pub async fn source(fixture: &SourceFixture) -> String {
    let mut text = String::new();
    let rules: [(&str, Result<(), String>); 5] = [
        ("tells its splits", tells(fixture).await),
        ("all records in order", whole(fixture, 1 << 20).await),
        ("small asks", whole(fixture, 1).await),
        ("goes on from any mark", resumes(fixture).await),
        ("refuses a strange position", strange(fixture).await),
    ];
    for (rule, verdict) in rules {
        let verdict = verdict.map_or_else(|why| format!("broken: {why}"), |()| "kept".to_owned());
        text += &format!("{rule}: {verdict}\n");
    }
    text
}

fn ask(bytes_max: u64) -> Ask {
    let deadline = Instant::now() + Duration::from_millis(CALL_MS);
    Ask { bytes_max, records_max: 1_000, deadline, lease: Lease::free() }
}

async fn splits(source: &dyn Source, count: usize) -> Result<Vec<Split>, String> {
    let (mut splits, until) = (Vec::new(), Instant::now() + Duration::from_millis(RULE_MS));
    while splits.len() < count && Instant::now() < until {
        match source.discover(&ask(0)).await.map_err(|fault| fault.to_string())? {
            Discovery::Changed { assigned, revoked } => {
                splits.retain(|split: &Split| !revoked.contains(split));
                splits.extend(assigned);
            }
            Discovery::Complete => break,
        }
    }
    Ok(splits)
}

async fn tells(fixture: &SourceFixture) -> Result<(), String> {
    let source = (fixture.open)();
    let mut found: Vec<Arc<str>> =
        splits(&*source, fixture.expected.len()).await?.into_iter().map(|split| split.id).collect();
    let mut wanted: Vec<Arc<str>> = fixture.expected.iter().map(|(id, _)| id.clone()).collect();
    found.sort();
    wanted.sort();
    if found == wanted { Ok(()) } else { Err(format!("{found:?}, not {wanted:?}")) }
}

/// The records and marks from a position to the end, or until `count` have come.
async fn read(
    source: &dyn Source,
    split: &Split,
    from: Position,
    count: usize,
    bytes_max: u64,
) -> Result<(Vec<Vec<u8>>, Vec<i64>), String> {
    let told = |fault: Fault| fault.to_string();
    let mut reader = source.open(split, &from).await.map_err(told)?;
    let (mut values, mut marks) = (Vec::new(), Vec::new());
    let until = Instant::now() + Duration::from_millis(RULE_MS);
    while values.len() < count && Instant::now() < until {
        let ask = ask(bytes_max);
        let read = reader.read(&ask).await.map_err(told)?;
        if Instant::now() > ask.deadline + Duration::from_millis(CALL_MS) {
            return Err("a call came back long after its deadline".to_owned());
        }
        match read {
            Read::Batch(batch) => {
                let Body::Raw(column) = &batch.body else { return Err("its records are not raw".to_owned()) };
                values.extend((0..column.len()).map(|row| column.value(row).to_vec()));
                marks.extend(batch.envelope.marks.iter().flat_map(|marks| marks.iter().copied()));
            }
            Read::Idle => {}
            Read::End => break,
        }
    }
    Ok((values, marks))
}

async fn whole(fixture: &SourceFixture, bytes_max: u64) -> Result<(), String> {
    let source = (fixture.open)();
    for split in splits(&*source, fixture.expected.len()).await? {
        let Some((_, expected)) = fixture.expected.iter().find(|(id, _)| *id == split.id) else { continue };
        let (values, marks) = read(&*source, &split, Position::Start, expected.len(), bytes_max).await?;
        if values != *expected {
            return Err(format!(
                "{}: {} records, not the {} expected",
                split.id,
                values.len(),
                expected.len()
            ));
        }
        if marks.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(format!("{}: its marks fall", split.id));
        }
    }
    Ok(())
}

async fn resumes(fixture: &SourceFixture) -> Result<(), String> {
    let source = (fixture.open)();
    for split in splits(&*source, fixture.expected.len()).await? {
        let Some((_, expected)) = fixture.expected.iter().find(|(id, _)| *id == split.id) else { continue };
        let (_, marks) = read(&*source, &split, Position::Start, expected.len(), 1 << 20).await?;
        let mut steps: Vec<usize> = vec![0, 1, expected.len() / 2, expected.len().saturating_sub(1)];
        steps.retain(|at| *at < marks.len() && (*at == 0 || marks[*at] != marks[*at - 1]));
        for at in steps {
            let (values, _) =
                read(&*source, &split, Position::Mark(marks[at]), expected.len() - at, 64).await?;
            if values != expected[at..] {
                return Err(format!("{}: from mark {} on it is another record", split.id, marks[at]));
            }
        }
    }
    Ok(())
}

async fn strange(fixture: &SourceFixture) -> Result<(), String> {
    let source = (fixture.open)();
    for split in splits(&*source, fixture.expected.len()).await?.iter().take(1) {
        let token = Position::Token(bytes::Bytes::from_static(b"?"));
        if source.open(split, &token).await.is_ok() {
            return Err(format!("{}: a token that is not its own was taken", split.id));
        }
    }
    Ok(())
}
