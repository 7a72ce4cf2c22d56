//! What is known of each distribution: its formats, and later its readers and backends.

pub mod debian;
