//! Against the embedded broker.
