//! CPython, and the process around it: what everything else here stands on.

pub(crate) mod buffer;
pub(crate) mod calls;
pub(crate) mod errors;
pub(crate) mod gate;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod make;
pub(crate) mod pace;
pub(crate) mod process;
pub(crate) mod release;
pub(crate) mod reserve;
