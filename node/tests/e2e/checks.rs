//! Several checks of one scene, which is dear to make: one that fails does not hide the others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::tools::now;

/// Runs checks, and fails at the end when one of them did.
#[derive(Default)]
pub struct Checks {
    failed: Vec<&'static str>,
}

impl Checks {
    /// Runs one check; `None` when it failed.
    pub fn run<T>(&mut self, name: &'static str, check: impl FnOnce() -> T) -> Option<T> {
        let began = now();
        let result = catch_unwind(AssertUnwindSafe(check));
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("check {name} ... {word} ({:.1} s)", began.elapsed().as_secs_f32());
        if result.is_err() {
            self.failed.push(name);
        }
        result.ok()
    }

    /// Fails when a check did.
    pub fn finish(self) {
        assert!(self.failed.is_empty(), "failed: {}", self.failed.join(", "));
    }
}
