use core::pin::pin;
use core::task::Poll;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The work panicked; the panic itself was told by the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it failed inside (see above)")]
pub(super) struct Panicked;

/// Runs work of a task so that a panic has an end that somebody hears of. What the work shares with
/// others must hold after a panic: locks are taken over, messages are whole.
pub(super) async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    core::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_everything_else_passes() {
        assert_eq!(catch_panic(async { 7 }).await, Ok(7));
        let late = async {
            tokio::task::yield_now().await;
            panic!("planted");
        };
        assert_eq!(catch_panic::<()>(late).await, Err(Panicked));
    }
}
