//! Content-addressed files behind the port `Blobs`.
