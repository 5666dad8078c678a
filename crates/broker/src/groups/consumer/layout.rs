//! What a group has to know of the topics.

use std::{fmt, sync::Arc};

use uuid::Uuid;

use crate::topics::Topics;

/// The topics there are. The real ones are `Topics`; tests of the state machine bring a table.
pub trait Layout: Send + Sync {
    /// Rises with every topic made, deleted or grown: who has looked since need not look again.
    fn version(&self) -> u64;
    /// Id and partitions.
    fn find(&self, name: &str) -> Option<(Uuid, i32)>;
    fn name_of(&self, id: Uuid) -> Option<Arc<str>>;
    fn names(&self) -> Vec<Arc<str>>;
    /// Whether a regular expression may match this topic.
    fn shows(&self, _: &str) -> bool {
        true
    }
}

/// Changes when one of these topics comes, goes or grows; 0 without any. FNV-1a.
pub fn hash(topics: impl IntoIterator<Item = (Uuid, i32)>) -> i64 {
    let mut topics = topics.into_iter().peekable();
    if topics.peek().is_none() {
        return 0;
    }
    let bytes = topics.flat_map(|(id, count)| id.into_bytes().into_iter().chain(count.to_be_bytes()));
    bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        as i64
}

type Sees = dyn Fn(&str) -> bool + Send + Sync;

/// What somebody may know of: which topics he may describe.
#[derive(Clone, Default)]
pub struct Sight(Option<Arc<Sees>>);

impl Sight {
    pub fn of(sees: impl Fn(&str) -> bool + Send + Sync + 'static) -> Sight {
        Sight(Some(Arc::new(sees)))
    }
}

impl fmt::Debug for Sight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "some topics" } else { "all topics" })
    }
}

/// The topics as one member knows of them. As in Kafka, it is who asks when an expression is looked up whose rights count.
pub struct Seen<'a> {
    pub all: &'a dyn Layout,
    pub sight: &'a Sight,
}

impl Layout for Seen<'_> {
    fn version(&self) -> u64 {
        self.all.version()
    }

    fn find(&self, name: &str) -> Option<(Uuid, i32)> {
        self.all.find(name)
    }

    fn name_of(&self, id: Uuid) -> Option<Arc<str>> {
        self.all.name_of(id)
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.all.names()
    }

    fn shows(&self, name: &str) -> bool {
        self.sight.0.as_ref().is_none_or(|sees| sees(name))
    }
}

impl Layout for Topics {
    fn version(&self) -> u64 {
        self.version()
    }

    fn find(&self, name: &str) -> Option<(Uuid, i32)> {
        self.get(name).map(|topic| (topic.id, topic.partitions.len() as i32))
    }

    fn name_of(&self, id: Uuid) -> Option<Arc<str>> {
        self.by_id(id).map(|topic| topic.name.clone())
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.all().iter().map(|topic| topic.name.clone()).collect()
    }
}
