//! The layout of each request: where its lengths and counts stand, so that they are checked before the codec allocates.
//!
//! The codec reserves memory for as many items as a count claims; a walk over the bytes first makes every claim true.
//! The tables follow Kafka's message definitions (`clients/src/main/resources/common/message/*Request.json`, Apache Kafka);
//! a test encodes every request in every version and holds the walk against the codec.

use Kind::{Bytes, Fixed, Items, Optional, Plain, Structure, Tags, Text};

/// More items than any client sends in one request; each may cost the codec some hundred bytes.
pub const ITEMS_COUNT_MAX: usize = 200_000;

pub struct Shape {
    /// From this version on: compact lengths and tagged fields (KIP-482).
    pub flexible_since: i16,
    pub parts: &'static [Part],
}

pub struct Part {
    since: i16,
    until: i16,
    kind: Kind,
}

pub enum Kind {
    Fixed(usize),
    /// A string, nullable or not: two bytes of length, or a compact length.
    Text,
    /// Bytes, nullable or not: four bytes of length, or a compact length.
    Bytes,
    /// An array of structures, each closed by its tagged fields in flexible versions.
    Items(&'static [Part]),
    /// An array of plain values.
    Plain(&'static Kind),
    /// A structure or null: a byte says which.
    Optional(&'static [Part]),
    Structure(&'static [Part]),
    /// The tagged fields that the codec reads; it believes their kind and not the size before them. Stands last.
    Tags(&'static [(u32, Kind)]),
}

/// The bytes are not a request of that key and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the request ends inside a field")]
    Short,
    #[error("a length or count in the request is negative or larger than the request")]
    Length,
    #[error("the request holds more than {ITEMS_COUNT_MAX} items")]
    TooManyItems,
    #[error("no request with key {key} in version {version} is spoken here")]
    Unknown { key: i16, version: i16 },
    #[error("records that want no answer are refused")]
    Unanswerable,
    #[error("the request may not come before the client has proven who it is")]
    Unproven,
    #[error("the codec refuses the request")]
    Codec,
}

const fn always(kind: Kind) -> Part {
    Part { since: 0, until: i16::MAX, kind }
}
const fn since(since: i16, kind: Kind) -> Part {
    Part { since, until: i16::MAX, kind }
}
const fn until(until: i16, kind: Kind) -> Part {
    Part { since: 0, until, kind }
}
const fn between(since: i16, until: i16, kind: Kind) -> Part {
    Part { since, until, kind }
}

impl Shape {
    /// Whether `body` begins with one whole request of this shape in `version`. What follows it is ignored, as Kafka does:
    /// librdkafka 2 leaves three bytes behind a Metadata request for all topics.
    pub fn check(&self, body: &[u8], version: i16) -> Result<(), Malformed> {
        let mut walk = Walk { rest: body, version, flexible: version >= self.flexible_since, items_count: 0 };
        walk.structure(self.parts)
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    items_count: usize,
}

impl Walk<'_> {
    fn structure(&mut self, parts: &'static [Part]) -> Result<(), Malformed> {
        let mut known: &'static [(u32, Kind)] = &[];
        let version = self.version;
        for part in parts.iter().filter(|part| (part.since..=part.until).contains(&version)) {
            match &part.kind {
                Tags(tags) => known = tags,
                kind => self.value(kind)?,
            }
        }
        if self.flexible { self.tagged(known) } else { Ok(()) }
    }

    fn value(&mut self, kind: &'static Kind) -> Result<(), Malformed> {
        match kind {
            Fixed(size) => self.skip(*size),
            Text | Bytes => {
                let length = self.length(matches!(kind, Text))?;
                self.skip(length)
            }
            Items(parts) => {
                for _ in 0..self.count()? {
                    self.structure(parts)?;
                }
                Ok(())
            }
            Optional(parts) => {
                let [mark] = self.array()?;
                if (mark as i8) < 0 { Ok(()) } else { self.structure(parts) }
            }
            Plain(inner) => {
                for _ in 0..self.count()? {
                    self.value(inner)?;
                }
                Ok(())
            }
            Structure(parts) => self.structure(parts),
            Tags(_) => Ok(()), // `structure` has taken them
        }
    }

    fn skip(&mut self, size: usize) -> Result<(), Malformed> {
        self.rest = self.rest.get(size..).ok_or(Malformed::Short)?;
        Ok(())
    }

    /// The length of a string or of bytes; null counts as empty.
    fn length(&mut self, two_bytes: bool) -> Result<usize, Malformed> {
        if self.flexible {
            return Ok((self.varint()? as usize).saturating_sub(1));
        }
        let claimed = if two_bytes {
            i32::from(i16::from_be_bytes(self.array()?))
        } else {
            i32::from_be_bytes(self.array()?)
        };
        if claimed < -1 { Err(Malformed::Length) } else { Ok(claimed.max(0) as usize) }
    }

    /// The count of an array: never more than there are bytes left, since each item has at least one.
    fn count(&mut self) -> Result<usize, Malformed> {
        let count = if self.flexible {
            (self.varint()? as usize).saturating_sub(1)
        } else {
            let claimed = i32::from_be_bytes(self.array()?);
            if claimed < -1 {
                return Err(Malformed::Length);
            }
            claimed.max(0) as usize
        };
        self.items_count += count;
        if count > self.rest.len() {
            Err(Malformed::Length)
        } else if self.items_count > ITEMS_COUNT_MAX {
            Err(Malformed::TooManyItems)
        } else {
            Ok(count)
        }
    }

    fn tagged(&mut self, known: &'static [(u32, Kind)]) -> Result<(), Malformed> {
        let count = self.varint()? as usize;
        self.items_count += count;
        if self.items_count > ITEMS_COUNT_MAX {
            return Err(Malformed::TooManyItems);
        }
        for _ in 0..count {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            let before = self.rest.len();
            match known.iter().find(|(known, _)| *known == tag) {
                None => self.skip(size)?,
                Some((_, kind)) => self.value(kind)?,
            }
            if before - self.rest.len() != size {
                return Err(Malformed::Length);
            }
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for place in 0..5 {
            let [byte] = self.array()?;
            if place == 4 && byte > 0x0f {
                return Err(Malformed::Length);
            }
            value |= u32::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*head)
    }
}

pub const PRODUCE: Shape = Shape {
    flexible_since: 9,
    parts: &[
        always(Text),
        always(Fixed(2)),
        always(Fixed(4)),
        always(Items(&[
            until(12, Text),
            since(13, Fixed(16)),
            always(Items(&[always(Fixed(4)), always(Bytes)])),
        ])),
    ],
};

pub const FETCH: Shape = Shape {
    flexible_since: 12,
    parts: &[
        until(14, Fixed(4)),
        always(Fixed(4)),
        always(Fixed(4)),
        always(Fixed(4)),
        always(Fixed(1)),
        since(7, Fixed(4)),
        since(7, Fixed(4)),
        always(Items(&[
            until(12, Text),
            since(13, Fixed(16)),
            always(Items(&[
                always(Fixed(4)),
                since(9, Fixed(4)),
                always(Fixed(8)),
                since(12, Fixed(4)),
                since(5, Fixed(8)),
                always(Fixed(4)),
                always(Tags(&[(0, Fixed(16)), (1, Fixed(8))])),
            ])),
        ])),
        since(7, Items(&[between(7, 12, Text), since(13, Fixed(16)), since(7, Plain(&Fixed(4)))])),
        since(11, Text),
        always(Tags(&[(0, Text), (1, Structure(&[always(Fixed(4)), always(Fixed(8))]))])),
    ],
};

pub const LIST_OFFSETS: Shape = Shape {
    flexible_since: 6,
    parts: &[
        always(Fixed(4)),
        since(2, Fixed(1)),
        always(Items(&[
            always(Text),
            always(Items(&[always(Fixed(4)), since(4, Fixed(4)), always(Fixed(8)), until(0, Fixed(4))])),
        ])),
        since(10, Fixed(4)),
    ],
};

pub const METADATA: Shape = Shape {
    flexible_since: 9,
    parts: &[
        always(Items(&[since(10, Fixed(16)), always(Text)])),
        since(4, Fixed(1)),
        between(8, 10, Fixed(1)),
        since(8, Fixed(1)),
    ],
};

pub const OFFSET_COMMIT: Shape = Shape {
    flexible_since: 8,
    parts: &[
        always(Text),
        always(Fixed(4)),
        always(Text),
        since(7, Text),
        between(2, 4, Fixed(8)),
        always(Items(&[
            until(9, Text),
            since(10, Fixed(16)),
            always(Items(&[
                always(Fixed(4)),
                always(Fixed(8)),
                since(6, Fixed(4)),
                until(1, Fixed(8)),
                always(Text),
            ])),
        ])),
    ],
};

pub const OFFSET_FETCH: Shape = Shape {
    flexible_since: 6,
    parts: &[
        until(7, Text),
        until(7, Items(&[until(7, Text), until(7, Plain(&Fixed(4)))])),
        since(
            8,
            Items(&[
                since(8, Text),
                since(9, Text),
                since(9, Fixed(4)),
                since(8, Items(&[between(8, 9, Text), since(10, Fixed(16)), since(8, Plain(&Fixed(4)))])),
            ]),
        ),
        since(7, Fixed(1)),
    ],
};

pub const FIND_COORDINATOR: Shape =
    Shape { flexible_since: 3, parts: &[until(3, Text), since(1, Fixed(1)), since(4, Plain(&Text))] };

pub const JOIN_GROUP: Shape = Shape {
    flexible_since: 6,
    parts: &[
        always(Text),
        always(Fixed(4)),
        since(1, Fixed(4)),
        always(Text),
        since(5, Text),
        always(Text),
        always(Items(&[always(Text), always(Bytes)])),
        since(8, Text),
    ],
};

pub const HEARTBEAT: Shape =
    Shape { flexible_since: 4, parts: &[always(Text), always(Fixed(4)), always(Text), since(3, Text)] };

pub const LEAVE_GROUP: Shape = Shape {
    flexible_since: 4,
    parts: &[
        always(Text),
        until(2, Text),
        since(3, Items(&[since(3, Text), since(3, Text), since(5, Text)])),
    ],
};

pub const SYNC_GROUP: Shape = Shape {
    flexible_since: 4,
    parts: &[
        always(Text),
        always(Fixed(4)),
        always(Text),
        since(3, Text),
        since(5, Text),
        since(5, Text),
        always(Items(&[always(Text), always(Bytes)])),
    ],
};

pub const DESCRIBE_GROUPS: Shape =
    Shape { flexible_since: 5, parts: &[always(Plain(&Text)), since(3, Fixed(1))] };

pub const LIST_GROUPS: Shape =
    Shape { flexible_since: 3, parts: &[since(4, Plain(&Text)), since(5, Plain(&Text))] };

pub const API_VERSIONS: Shape = Shape { flexible_since: 3, parts: &[since(3, Text), since(3, Text)] };

pub const SASL_HANDSHAKE: Shape = Shape { flexible_since: i16::MAX, parts: &[always(Text)] };

pub const SASL_AUTHENTICATE: Shape = Shape { flexible_since: 2, parts: &[always(Bytes)] };

const ACL_FILTER: &[Part] = &[
    always(Fixed(1)),
    always(Text),
    since(1, Fixed(1)),
    always(Text),
    always(Text),
    always(Fixed(1)),
    always(Fixed(1)),
];

pub const DESCRIBE_ACLS: Shape = Shape { flexible_since: 2, parts: ACL_FILTER };

pub const CREATE_ACLS: Shape = Shape { flexible_since: 2, parts: &[always(Items(ACL_FILTER))] };

pub const DELETE_ACLS: Shape = Shape { flexible_since: 2, parts: &[always(Items(ACL_FILTER))] };

pub const CREATE_DELEGATION_TOKEN: Shape = Shape {
    flexible_since: 2,
    parts: &[since(3, Text), since(3, Text), always(Items(&[always(Text), always(Text)])), always(Fixed(8))],
};

pub const RENEW_DELEGATION_TOKEN: Shape =
    Shape { flexible_since: 2, parts: &[always(Bytes), always(Fixed(8))] };

pub const EXPIRE_DELEGATION_TOKEN: Shape =
    Shape { flexible_since: 2, parts: &[always(Bytes), always(Fixed(8))] };

pub const DESCRIBE_DELEGATION_TOKEN: Shape =
    Shape { flexible_since: 2, parts: &[always(Items(&[always(Text), always(Text)]))] };

pub const DESCRIBE_USER_SCRAM_CREDENTIALS: Shape =
    Shape { flexible_since: 0, parts: &[always(Items(&[always(Text)]))] };

pub const ALTER_USER_SCRAM_CREDENTIALS: Shape = Shape {
    flexible_since: 0,
    parts: &[
        always(Items(&[always(Text), always(Fixed(1))])),
        always(Items(&[always(Text), always(Fixed(1)), always(Fixed(4)), always(Bytes), always(Bytes)])),
    ],
};

pub const DESCRIBE_CLIENT_QUOTAS: Shape = Shape {
    flexible_since: 1,
    parts: &[always(Items(&[always(Text), always(Fixed(1)), always(Text)])), always(Fixed(1))],
};

pub const ALTER_CLIENT_QUOTAS: Shape = Shape {
    flexible_since: 1,
    parts: &[
        always(Items(&[
            always(Items(&[always(Text), always(Text)])),
            always(Items(&[always(Text), always(Fixed(8)), always(Fixed(1))])),
        ])),
        always(Fixed(1)),
    ],
};

pub const CREATE_TOPICS: Shape = Shape {
    flexible_since: 5,
    parts: &[
        always(Items(&[
            always(Text),
            always(Fixed(4)),
            always(Fixed(2)),
            always(Items(&[always(Fixed(4)), always(Plain(&Fixed(4)))])),
            always(Items(&[always(Text), always(Text)])),
        ])),
        always(Fixed(4)),
        always(Fixed(1)),
    ],
};

pub const DELETE_TOPICS: Shape = Shape {
    flexible_since: 4,
    parts: &[
        since(6, Items(&[since(6, Text), since(6, Fixed(16))])),
        until(5, Plain(&Text)),
        always(Fixed(4)),
    ],
};

pub const DELETE_RECORDS: Shape = Shape {
    flexible_since: 2,
    parts: &[
        always(Items(&[always(Text), always(Items(&[always(Fixed(4)), always(Fixed(8))]))])),
        always(Fixed(4)),
    ],
};

pub const INIT_PRODUCER_ID: Shape = Shape {
    flexible_since: 2,
    parts: &[always(Text), always(Fixed(4)), since(3, Fixed(8)), since(3, Fixed(2))],
};

pub const ADD_PARTITIONS_TO_TXN: Shape = Shape {
    flexible_since: 3,
    parts: &[
        since(
            4,
            Items(&[
                always(Text),
                always(Fixed(8)),
                always(Fixed(2)),
                always(Fixed(1)),
                always(Items(&[always(Text), always(Plain(&Fixed(4)))])),
            ]),
        ),
        until(3, Text),
        until(3, Fixed(8)),
        until(3, Fixed(2)),
        until(3, Items(&[always(Text), always(Plain(&Fixed(4)))])),
    ],
};

pub const ADD_OFFSETS_TO_TXN: Shape =
    Shape { flexible_since: 3, parts: &[always(Text), always(Fixed(8)), always(Fixed(2)), always(Text)] };

pub const END_TXN: Shape =
    Shape { flexible_since: 3, parts: &[always(Text), always(Fixed(8)), always(Fixed(2)), always(Fixed(1))] };

pub const TXN_OFFSET_COMMIT: Shape = Shape {
    flexible_since: 3,
    parts: &[
        always(Text),
        always(Text),
        always(Fixed(8)),
        always(Fixed(2)),
        since(3, Fixed(4)),
        since(3, Text),
        since(3, Text),
        always(Items(&[
            always(Text),
            always(Items(&[always(Fixed(4)), always(Fixed(8)), since(2, Fixed(4)), always(Text)])),
        ])),
    ],
};

pub const OFFSET_FOR_LEADER_EPOCH: Shape = Shape {
    flexible_since: 4,
    parts: &[
        since(3, Fixed(4)),
        always(Items(&[
            always(Text),
            always(Items(&[always(Fixed(4)), always(Fixed(4)), always(Fixed(4))])),
        ])),
    ],
};

pub const DESCRIBE_CONFIGS: Shape = Shape {
    flexible_since: 4,
    parts: &[
        always(Items(&[always(Fixed(1)), always(Text), always(Plain(&Text))])),
        always(Fixed(1)),
        since(3, Fixed(1)),
    ],
};

pub const ALTER_CONFIGS: Shape = Shape {
    flexible_since: 2,
    parts: &[
        always(Items(&[always(Fixed(1)), always(Text), always(Items(&[always(Text), always(Text)]))])),
        always(Fixed(1)),
    ],
};

pub const CREATE_PARTITIONS: Shape = Shape {
    flexible_since: 2,
    parts: &[
        always(Items(&[always(Text), always(Fixed(4)), always(Items(&[always(Plain(&Fixed(4)))]))])),
        always(Fixed(4)),
        always(Fixed(1)),
    ],
};

pub const DELETE_GROUPS: Shape = Shape { flexible_since: 2, parts: &[always(Plain(&Text))] };

pub const INCREMENTAL_ALTER_CONFIGS: Shape = Shape {
    flexible_since: 1,
    parts: &[
        always(Items(&[
            always(Fixed(1)),
            always(Text),
            always(Items(&[always(Text), always(Fixed(1)), always(Text)])),
        ])),
        always(Fixed(1)),
    ],
};

pub const OFFSET_DELETE: Shape = Shape {
    flexible_since: i16::MAX,
    parts: &[always(Text), always(Items(&[always(Text), always(Items(&[always(Fixed(4))]))]))],
};

pub const DESCRIBE_CLUSTER: Shape =
    Shape { flexible_since: 0, parts: &[always(Fixed(1)), since(1, Fixed(1)), since(2, Fixed(1))] };

pub const DESCRIBE_PRODUCERS: Shape =
    Shape { flexible_since: 0, parts: &[always(Items(&[always(Text), always(Plain(&Fixed(4)))]))] };

pub const DESCRIBE_TRANSACTIONS: Shape = Shape { flexible_since: 0, parts: &[always(Plain(&Text))] };

pub const LIST_TRANSACTIONS: Shape = Shape {
    flexible_since: 0,
    parts: &[always(Plain(&Text)), always(Plain(&Fixed(8))), since(1, Fixed(8)), since(2, Text)],
};

pub const WRITE_TXN_MARKERS: Shape = Shape {
    flexible_since: 1,
    parts: &[always(Items(&[
        always(Fixed(8)),
        always(Fixed(2)),
        always(Fixed(1)),
        always(Items(&[always(Text), always(Plain(&Fixed(4)))])),
        always(Fixed(4)),
    ]))],
};

pub const CONSUMER_GROUP_HEARTBEAT: Shape = Shape {
    flexible_since: 0,
    parts: &[
        always(Text),
        always(Text),
        always(Fixed(4)),
        always(Text),
        always(Text),
        always(Fixed(4)),
        always(Plain(&Text)),
        since(1, Text),
        always(Text),
        always(Items(&[always(Fixed(16)), always(Plain(&Fixed(4)))])),
    ],
};

pub const CONSUMER_GROUP_DESCRIBE: Shape =
    Shape { flexible_since: 0, parts: &[always(Plain(&Text)), always(Fixed(1))] };

pub const DESCRIBE_LOG_DIRS: Shape =
    Shape { flexible_since: 2, parts: &[always(Items(&[always(Text), always(Plain(&Fixed(4)))]))] };

pub const ALTER_REPLICA_LOG_DIRS: Shape = Shape {
    flexible_since: 2,
    parts: &[always(Items(&[always(Text), always(Items(&[always(Text), always(Plain(&Fixed(4)))]))]))],
};

pub const LIST_CONFIG_RESOURCES: Shape = Shape { flexible_since: 0, parts: &[since(1, Plain(&Fixed(1)))] };

pub const ELECT_LEADERS: Shape = Shape {
    flexible_since: 2,
    parts: &[since(1, Fixed(1)), always(Items(&[always(Text), always(Plain(&Fixed(4)))])), always(Fixed(4))],
};

pub const ALTER_PARTITION_REASSIGNMENTS: Shape = Shape {
    flexible_since: 0,
    parts: &[
        always(Fixed(4)),
        since(1, Fixed(1)),
        always(Items(&[always(Text), always(Items(&[always(Fixed(4)), always(Plain(&Fixed(4)))]))])),
    ],
};

pub const LIST_PARTITION_REASSIGNMENTS: Shape = Shape {
    flexible_since: 0,
    parts: &[always(Fixed(4)), always(Items(&[always(Text), always(Plain(&Fixed(4)))]))],
};

pub const DESCRIBE_TOPIC_PARTITIONS: Shape = Shape {
    flexible_since: 0,
    parts: &[
        always(Items(&[always(Text)])),
        always(Fixed(4)),
        always(Optional(&[always(Text), always(Fixed(4))])),
    ],
};

pub const SHARE_GROUP_HEARTBEAT: Shape = Shape {
    flexible_since: 0,
    parts: &[always(Text), always(Text), always(Fixed(4)), always(Text), always(Plain(&Text))],
};

pub const SHARE_GROUP_DESCRIBE: Shape =
    Shape { flexible_since: 0, parts: &[always(Plain(&Text)), always(Fixed(1))] };

const TASKS: Kind = Items(&[always(Text), always(Plain(&Fixed(4)))]);
const PAIRS: Kind = Items(&[always(Text), always(Text)]);
const TOPIC_INFOS: Kind = Items(&[always(Text), always(Fixed(4)), always(Fixed(2)), always(PAIRS)]);
const TASK_OFFSETS: Kind = Items(&[always(Text), always(Fixed(4)), always(Fixed(8))]);
const PLACES: Kind = Plain(&Fixed(2));

const SUBTOPOLOGIES: Kind = Items(&[
    always(Text),
    always(Plain(&Text)),
    always(Plain(&Text)),
    always(TOPIC_INFOS),
    always(Plain(&Text)),
    always(TOPIC_INFOS),
    always(Items(&[always(PLACES), always(PLACES), always(PLACES)])),
]);

pub const STREAMS_GROUP_HEARTBEAT: Shape = Shape {
    flexible_since: 0,
    parts: &[
        always(Text),
        always(Text),
        always(Fixed(4)),
        always(Fixed(4)),
        always(Text),
        always(Text),
        always(Fixed(4)),
        always(Optional(&[always(Fixed(4)), always(SUBTOPOLOGIES)])),
        always(TASKS),
        always(TASKS),
        always(TASKS),
        always(Text),
        always(Optional(&[always(Text), always(Fixed(2))])),
        always(PAIRS),
        always(TASK_OFFSETS),
        always(TASK_OFFSETS),
        always(Fixed(1)),
    ],
};

pub const STREAMS_GROUP_DESCRIBE: Shape =
    Shape { flexible_since: 0, parts: &[always(Plain(&Text)), always(Fixed(1))] };

const ACKNOWLEDGEMENT: Kind = Items(&[always(Fixed(8)), always(Fixed(8)), always(Plain(&Fixed(1)))]);

pub const SHARE_FETCH: Shape = Shape {
    flexible_since: 0,
    parts: &[
        always(Text),
        always(Text),
        always(Fixed(4)),
        always(Fixed(4)),
        always(Fixed(4)),
        always(Fixed(4)),
        always(Fixed(4)),
        always(Fixed(4)),
        since(2, Fixed(2)),
        always(Items(&[always(Fixed(16)), always(Items(&[always(Fixed(4)), always(ACKNOWLEDGEMENT)]))])),
        always(Items(&[always(Fixed(16)), always(Plain(&Fixed(4)))])),
    ],
};

pub const SHARE_ACKNOWLEDGE: Shape = Shape {
    flexible_since: 0,
    parts: &[
        always(Text),
        always(Text),
        always(Fixed(4)),
        since(2, Fixed(1)),
        always(Items(&[always(Fixed(16)), always(Items(&[always(Fixed(4)), always(ACKNOWLEDGEMENT)]))])),
    ],
};

pub const DESCRIBE_SHARE_GROUP_OFFSETS: Shape = Shape {
    flexible_since: 0,
    parts: &[always(Items(&[always(Text), always(Items(&[always(Text), always(Plain(&Fixed(4)))]))]))],
};

pub const ALTER_SHARE_GROUP_OFFSETS: Shape = Shape {
    flexible_since: 0,
    parts: &[
        always(Text),
        always(Items(&[always(Text), always(Items(&[always(Fixed(4)), always(Fixed(8))]))])),
    ],
};

pub const DELETE_SHARE_GROUP_OFFSETS: Shape =
    Shape { flexible_since: 0, parts: &[always(Text), always(Items(&[always(Text)]))] };
