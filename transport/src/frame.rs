use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rebuilder_actors::port::StreamError;

/// `frame` behind its length (u32, big endian): a small one in one buffer, a large one without
/// a copy in the second.
pub(crate) fn encode(frame: Bytes) -> Result<[Bytes; 2], StreamError> {
    let Ok(length) = u32::try_from(frame.len()) else {
        return Err(StreamError::FrameTooLong { length: frame.len(), limit: u32::MAX as usize });
    };
    if frame.len() > COPIED_LEN_MAX {
        return Ok([Bytes::copy_from_slice(&length.to_be_bytes()), frame]);
    }
    let mut whole = BytesMut::with_capacity(HEADER_LEN + frame.len());
    whole.put_u32(length);
    whole.put_slice(&frame);
    Ok([whole.freeze(), Bytes::new()])
}

/// Cuts a stream of chunks into frames. A frame inside one chunk is not copied.
pub(crate) struct FrameDecoder {
    limit: usize,
    chunks: VecDeque<Bytes>,
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// The length of the frame whose body is being read; `None` in a header.
    body_len: Option<usize>,
    body: BytesMut,
}

impl FrameDecoder {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            chunks: VecDeque::new(),
            header: [0; HEADER_LEN],
            header_len: 0,
            body_len: None,
            body: BytesMut::new(),
        }
    }

    /// Bounds frames whose length was not seen yet.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// What came next on the stream.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// The next whole frame; `None` when more must be pushed first.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, StreamError> {
        loop {
            let frame = match self.body_len {
                None => {
                    if !self.read_header()? {
                        return Ok(None);
                    }
                    continue;
                }
                Some(0) => Bytes::new(),
                Some(length) => match self.read_body(length) {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            self.body_len = None;
            return Ok(Some(frame));
        }
    }

    /// True when the stream may end here.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.chunks.is_empty() && self.header_len == 0 && self.body_len.is_none()
    }

    fn read_header(&mut self) -> Result<bool, StreamError> {
        while self.header_len < HEADER_LEN {
            let Some(chunk) = self.chunks.front_mut() else { return Ok(false) };
            let take = chunk.len().min(HEADER_LEN - self.header_len);
            chunk.copy_to_slice(&mut self.header[self.header_len..self.header_len + take]);
            self.header_len += take;
            self.drop_empty_front();
        }
        let length = u32::from_be_bytes(self.header) as usize;
        if length > self.limit {
            return Err(StreamError::FrameTooLong { length, limit: self.limit });
        }
        self.header_len = 0;
        self.body_len = Some(length);
        Ok(true)
    }

    fn read_body(&mut self, length: usize) -> Option<Bytes> {
        loop {
            let chunk = self.chunks.front_mut()?;
            if self.body.is_empty() && chunk.len() >= length {
                let frame = chunk.split_to(length);
                self.drop_empty_front();
                return Some(frame);
            }
            let take = chunk.len().min(length - self.body.len());
            if self.body.is_empty() {
                // Grows with what comes, so that a length alone costs the peer's word nothing.
                self.body.reserve(length.min(RESERVED_LEN_MAX));
            }
            self.body.extend_from_slice(&chunk[..take]);
            chunk.advance(take);
            self.drop_empty_front();
            if self.body.len() == length {
                return Some(core::mem::take(&mut self.body).freeze());
            }
        }
    }

    fn drop_empty_front(&mut self) {
        if self.chunks.front().is_some_and(Bytes::is_empty) {
            self.chunks.pop_front();
        }
    }
}

const HEADER_LEN: usize = 4;

/// A frame up to here is copied behind its header: cheaper than a second segment on the stream.
const COPIED_LEN_MAX: usize = 8 * 1024;

/// Memory taken at once for a frame whose length only was seen.
const RESERVED_LEN_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn wire(frames: &[Vec<u8>]) -> Vec<u8> {
        let encode = |frame: &Vec<u8>| encode(Bytes::copy_from_slice(frame)).unwrap().concat();
        frames.iter().flat_map(encode).collect()
    }

    fn drain(decoder: &mut FrameDecoder) -> Result<Vec<Vec<u8>>, StreamError> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame.to_vec());
        }
        Ok(frames)
    }

    #[test]
    fn frames_have_golden_bytes() {
        assert_eq!(wire(&[b"abc".to_vec(), vec![]]), b"\0\0\0\x03abc\0\0\0\0");
        let large = vec![7; COPIED_LEN_MAX + 1];
        let parts = encode(Bytes::from(large.clone())).unwrap();
        assert_eq!(&parts[0][..], b"\0\0\x20\x01");
        assert_eq!(parts[1], large);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_body() {
        let mut decoder = FrameDecoder::new(10);
        decoder.push(Bytes::from_static(b"\0\0\0\x0a0123456789\xff\xff\xff"));
        assert_eq!(drain(&mut decoder), Ok(vec![b"0123456789".to_vec()]));
        assert!(!decoder.is_at_boundary());
        decoder.push(Bytes::from_static(b"\xff"));
        let error = StreamError::FrameTooLong { length: 0xffff_ffff, limit: 10 };
        assert_eq!(decoder.next_frame(), Err(error));
        assert_eq!(decoder.body.capacity(), 0);
    }

    #[test]
    fn an_announced_length_alone_takes_little_memory() {
        let mut decoder = FrameDecoder::new(1 << 30);
        decoder.push(Bytes::from_static(b"\x3f\xff\xff\xff?"));
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.body.capacity() <= RESERVED_LEN_MAX);
    }

    #[test]
    fn a_frame_inside_a_chunk_is_not_copied() {
        let chunk = Bytes::from(wire(&[b"abc".to_vec(), b"defg".to_vec()]));
        let mut decoder = FrameDecoder::new(10);
        decoder.push(chunk.clone());
        let frame = decoder.next_frame().unwrap().unwrap();
        assert_eq!(frame.as_ptr(), chunk[4..].as_ptr());
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            frames in vec(vec(any::<u8>(), 0..300), 0..20),
            cuts in vec(1_usize..50, 1..40),
        ) {
            let bytes = Bytes::from(wire(&frames));
            let mut decoder = FrameDecoder::new(300);
            let (mut at, mut read) = (0, Vec::new());
            for cut in cuts.iter().cycle() {
                if at == bytes.len() {
                    break;
                }
                let end = (at + cut).min(bytes.len());
                decoder.push(bytes.slice(at..end));
                at = end;
                read.extend(drain(&mut decoder).unwrap());
            }
            prop_assert_eq!(read, frames);
            prop_assert!(decoder.is_at_boundary());
        }

        #[test]
        fn a_cut_stream_is_no_boundary(
            frames in vec(vec(any::<u8>(), 0..50), 1..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = wire(&frames);
            let end = cut.index(bytes.len());
            let mut decoder = FrameDecoder::new(50);
            decoder.push(Bytes::copy_from_slice(&bytes[..end]));
            let whole = drain(&mut decoder).unwrap();
            prop_assert_eq!(decoder.is_at_boundary(), wire(&whole).len() == end);
            prop_assert_eq!(&frames[..whole.len()], &whole[..]);
        }

        #[test]
        fn noise_never_passes_the_limit(
            noise in vec(vec(any::<u8>(), 0..40), 0..20),
            limit in 0_usize..1000,
        ) {
            let mut decoder = FrameDecoder::new(limit);
            for chunk in noise {
                decoder.push(Bytes::from(chunk));
                match drain(&mut decoder) {
                    Ok(frames) => prop_assert!(frames.iter().all(|frame| frame.len() <= limit)),
                    Err(error) => {
                        let StreamError::FrameTooLong { length, .. } = error else {
                            panic!("{error}");
                        };
                        prop_assert!(length > limit);
                        break;
                    }
                }
            }
        }
    }
}
