//! Pipelines: a transfer from a store to the tables of a lake, incrementally, in dlt's words and with dlt's result.
