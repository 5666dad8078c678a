//! Where records begin and end in a stream of bytes: what every text format answers.

/// How far a record goes in what has been read; lines inside it are counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A record at `start..end`; the next one begins at `next`. `key`: the name that it stands under, with its quotes.
    Record { start: usize, end: usize, next: usize, key: Option<(usize, usize)> },
    /// Nothing but space up to `next`.
    Skip { next: usize },
    /// More bytes are needed to tell.
    More,
    /// No more records.
    End,
}

/// Finds records in a stream of bytes.
pub(super) trait Cutter: Send {
    /// Looks at `bytes`, which begin where the last cut ended; `is_end`: nothing follows them.
    fn cut(&mut self, bytes: &[u8], is_end: bool) -> Result<Cut, Flaw>;

    /// Whether every line is a record of its own, and which byte says that it may be none; `None`: it has to be looked at.
    fn lines(&self) -> Option<Option<u8>> {
        None
    }
}

/// What stops a cutter: the place is counted from the bytes it was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) reason: String,
    /// The document is sound, and has nothing where the records were said to be.
    pub(super) is_missing: bool,
}

impl Flaw {
    pub(super) fn of(at: usize, reason: impl Into<String>) -> Self {
        Self { at, reason: reason.into(), is_missing: false }
    }
}
