use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use quinn::Runtime;

/// Runs `future` for at most `limit` on the clock of `runtime`; `None` when the time is over.
pub(crate) async fn within<F: Future>(
    runtime: &dyn Runtime,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let mut timer = runtime.new_timer(runtime.now() + limit);
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await
}
