//! Texts to framed bytes.
