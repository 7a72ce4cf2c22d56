//! Durable files behind the port `Spool`.
