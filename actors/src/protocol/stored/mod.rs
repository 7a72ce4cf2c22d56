//! Records as they are stored.
