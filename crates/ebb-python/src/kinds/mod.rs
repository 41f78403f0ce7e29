//! Objects as the bytes of a table, and back.

pub(crate) mod codec;
pub(crate) mod convert;
pub(crate) mod entry;
pub(crate) mod given;
pub(crate) mod hash;
pub(crate) mod kind;
pub(crate) mod layout;
pub(crate) mod lookup;
pub(crate) mod new;
pub(crate) mod plain;
pub(crate) mod read;
pub(crate) mod typed;
pub(crate) mod words;
