//! A hash table that is compact by construction: its memory follows its contents, up and down.
