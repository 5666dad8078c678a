//! What a group has to know of the topics.

use std::sync::Arc;

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
