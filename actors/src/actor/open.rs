use std::sync::Arc;

/// Opens something again after its owner failed.
pub type Open<T, E> = Arc<dyn Fn() -> Result<Box<T>, E> + Send + Sync>;
