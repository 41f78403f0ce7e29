//! Searches that run no Python code.

/// Whether a key of a table is the one that a search is for.
pub(crate) enum Match {
    Yes,
    No,
    /// Only Python code can tell.
    Unsure,
}

impl Match {
    #[inline(always)]
    pub(crate) fn of(is_equal: bool) -> Self {
        if is_equal { Match::Yes } else { Match::No }
    }
}

/// What a search comes to that runs no Python code.
pub(crate) enum Lookup<T> {
    Found(T),
    Absent,
    /// Only Python code can tell.
    Unsure,
}

/// A search for a key that runs no Python code. It ends at the first key that only Python code can compare.
#[derive(Default, Clone, Copy)]
pub(crate) struct Search {
    is_unsure: bool,
}

impl Search {
    /// Whether the search ends at an entry whose key is so much of a match.
    #[inline(always)]
    pub(crate) fn ends_at(&mut self, key: Match) -> bool {
        match key {
            Match::Yes => true,
            Match::No => false,
            Match::Unsure => {
                self.is_unsure = true;
                true
            }
        }
    }

    /// What the search comes to, from where it ended; of a reference to that, where it is large.
    #[inline(always)]
    pub(crate) fn result<T>(self, end: Option<T>) -> Lookup<T> {
        match end {
            None => Lookup::Absent,
            Some(_) if self.is_unsure => Lookup::Unsure,
            Some(found) => Lookup::Found(found),
        }
    }
}
