//! (being built)

pub mod objects;
