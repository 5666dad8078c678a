//! The sink against the embedded S3 endpoint.
