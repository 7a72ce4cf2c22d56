//! Standard output, written by a thread of its own: while a pager or a pipe is slow the connection
//! must go on living, so nothing that may block runs where the network runs.

use std::io::{self, Write};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::failure::Failure;

/// Bytes that are collected before they are handed to the thread.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for a slow reader, about 64 MiB of a log at most; then the sender waits.
const PIECES_MAX: usize = 256;

/// Where the data goes.
#[derive(Debug)]
pub struct Output {
    buffer: Vec<u8>,
    pieces: mpsc::Sender<Vec<u8>>,
    thread: JoinHandle<io::Result<()>>,
}

impl Output {
    /// Writes to `writer`, which is flushed whenever nothing waits to be written.
    pub fn to<W: Write + Send + 'static>(writer: W) -> Self {
        let (pieces, received) = mpsc::channel(PIECES_MAX);
        let thread = std::thread::spawn(move || write_all(writer, received));
        Self { buffer: Vec::new(), pieces, thread }
    }

    /// Takes `bytes`; they are written when enough came together, or at [`Output::flush`].
    ///
    /// # Errors
    /// The reader is gone ([`Output::finish`] says whether that is a failure).
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Hands on what was taken so far.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.buffer);
        self.pieces.send(piece).await.map_err(|_| Failure::OutputClosed)
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// [`Failure::OutputClosed`] when the reader had enough, [`Failure::Output`] when it could not
    /// be written, a full disk for example.
    pub async fn finish(mut self) -> Result<(), Failure> {
        // When the thread has ended it says why below.
        let flushed = self.flush().await;
        drop(self.pieces);
        // Waits where nothing else runs: an interrupt must still be noticed.
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match joined.unwrap_or_else(|error| Err(Box::new(error))) {
            Ok(Ok(())) => flushed,
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Failure::OutputClosed)
            }
            Ok(Err(error)) => Err(Failure::Output(error)),
            Err(_) => Err(Failure::Internal("the thread that writes the output panicked".into())),
        }
    }
}

fn write_all<W: Write>(mut writer: W, mut pieces: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(piece) = pieces.blocking_recv() {
        writer.write_all(&piece)?;
        if pieces.is_empty() {
            writer.flush()?;
        }
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>, Option<io::ErrorKind>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.1 {
                Some(kind) => Err(kind.into()),
                None => self.0.lock().unwrap().write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn everything_arrives_in_order() {
        let shared = Shared::default();
        let mut output = Output::to(shared.clone());
        for n in 0..50_000_u32 {
            output.write(&n.to_be_bytes()).await.unwrap();
        }
        output.finish().await.unwrap();
        let expected: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
        assert!(*shared.0.lock().unwrap() == expected);
    }

    #[tokio::test]
    async fn a_reader_that_has_enough_is_no_failure_and_a_full_disk_is() {
        let mut output = Output::to(Shared(Arc::default(), Some(io::ErrorKind::BrokenPipe)));
        output.write(b"x").await.unwrap();
        assert_eq!(output.finish().await.unwrap_err().exit_code(), 0);
        let mut output = Output::to(Shared(Arc::default(), Some(io::ErrorKind::StorageFull)));
        output.write(b"x").await.unwrap();
        assert_eq!(output.finish().await.unwrap_err().exit_code(), 1);
    }
}
