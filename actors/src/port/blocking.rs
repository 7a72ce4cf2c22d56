/// Runs work that blocks where it holds nothing else up.
pub trait Blocking: Send + Sync + 'static {
    /// Starts `work` and returns at once; it may run on another thread.
    fn run(&self, work: Box<dyn FnOnce() + Send>);
}
