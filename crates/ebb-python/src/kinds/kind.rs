//! The kinds of key and value, and how many bytes they take.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Object,
    Int,
    Str,
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Object,
    Int,
    Float,
    Str,
    Bytes,
    /// A NumPy dtype of so many bytes.
    Record(usize),
}

impl KeyKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            KeyKind::Object => "object",
            KeyKind::Int => "int",
            KeyKind::Str => "str",
            KeyKind::Bytes => "bytes",
        }
    }

    /// Bytes at the start of an entry.
    pub(crate) fn fixed_bytes(self) -> usize {
        match self {
            KeyKind::Object => 16, // hash, pointer
            KeyKind::Int => 8,
            KeyKind::Str | KeyKind::Bytes => 0,
        }
    }

    pub(crate) fn is_variable(self) -> bool {
        matches!(self, KeyKind::Str | KeyKind::Bytes)
    }
}

impl ValueKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            ValueKind::Object => "object",
            ValueKind::Int => "int",
            ValueKind::Float => "float",
            ValueKind::Str => "str",
            ValueKind::Bytes => "bytes",
            ValueKind::Record(_) => "dtype",
        }
    }

    pub(crate) fn fixed_bytes(self) -> usize {
        match self {
            ValueKind::Object | ValueKind::Int | ValueKind::Float => 8,
            ValueKind::Str | ValueKind::Bytes => 0,
            ValueKind::Record(bytes) => bytes,
        }
    }

    pub(crate) fn is_variable(self) -> bool {
        matches!(self, ValueKind::Str | ValueKind::Bytes)
    }
}
