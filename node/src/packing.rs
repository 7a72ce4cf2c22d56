//! Packed files, unpacked while they are read.

use std::io::{BufRead, Read};

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Zstd,
    Xz,
    Bzip2,
    Lzma,
    Gzip,
    Lz4,
    /// Not at all.
    None,
}

impl Packing {
    /// By the end of its name; `None` for an ending that is no packing's.
    pub(crate) fn of_suffix(suffix: &str) -> Option<Self> {
        SUFFIXES.iter().find(|(_, known)| *known == suffix).map(|(packing, _)| *packing)
    }

    /// The end of its name: `.xz`; empty where it is not packed.
    pub(crate) fn suffix(self) -> &'static str {
        SUFFIXES.iter().find(|(packing, _)| *packing == self).map_or("", |(_, suffix)| suffix)
    }

    /// The content of `input`. A decoder takes at most [`DECODER_BYTES_MAX`] of memory; how many
    /// bytes come out is for the caller to bound.
    ///
    /// # Errors
    /// A decoder that cannot be made.
    pub(crate) fn unpack<'a>(
        self,
        input: impl BufRead + 'a,
    ) -> std::io::Result<Box<dyn Read + 'a>> {
        let xz = |stream: Result<liblzma::stream::Stream, liblzma::stream::Error>, input| {
            std::io::Result::Ok(liblzma::bufread::XzDecoder::new_stream(input, stream?))
        };
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(DECODER_BYTES_MAX, flags);
                Box::new(xz(stream, input)?)
            }
            Self::Lzma => {
                Box::new(xz(liblzma::stream::Stream::new_lzma_decoder(DECODER_BYTES_MAX), input)?)
            }
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(DECODER_BYTES_MAX.ilog2())?;
                Box::new(decoder)
            }
        })
    }

    /// Packed, for tests.
    #[cfg(test)]
    pub(crate) fn pack(self, bytes: &[u8]) -> Vec<u8> {
        use std::io::Write as _;

        let written: std::io::Result<Vec<u8>> = (|| match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => {
                let mut to = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                to.write_all(bytes)?;
                to.finish()
            }
            Self::Bzip2 => {
                let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                to.write_all(bytes)?;
                to.finish()
            }
            Self::Xz => {
                let mut to = liblzma::write::XzEncoder::new(Vec::new(), 9);
                to.write_all(bytes)?;
                to.finish()
            }
            Self::Lzma => {
                let options = liblzma::stream::LzmaOptions::new_preset(6)?;
                let stream = liblzma::stream::Stream::new_lzma_encoder(&options)?;
                let mut to = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
                to.write_all(bytes)?;
                to.finish()
            }
            Self::Lz4 => {
                let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
                to.write_all(bytes)?;
                to.finish().map_err(std::io::Error::other)
            }
            Self::Zstd => zstd::stream::encode_all(bytes, 3),
        })();
        written.unwrap()
    }
}

/// Smallest first for an index: the network is what costs.
pub(crate) const PACKINGS: [Packing; 7] = [
    Packing::Zstd,
    Packing::Xz,
    Packing::Bzip2,
    Packing::Lzma,
    Packing::Gzip,
    Packing::Lz4,
    Packing::None,
];

const SUFFIXES: [(Packing, &str); 7] = [
    (Packing::Zstd, ".zst"),
    (Packing::Xz, ".xz"),
    (Packing::Bzip2, ".bz2"),
    (Packing::Lzma, ".lzma"),
    (Packing::Gzip, ".gz"),
    (Packing::Lz4, ".lz4"),
    (Packing::None, ""),
];

/// Memory that a decoder may take: what `xz -9` needs.
const DECODER_BYTES_MAX: u64 = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packing_gives_back_what_was_packed() {
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for packing in PACKINGS {
            let packed = packing.pack(&bytes);
            let mut found = Vec::new();
            packing.unpack(&*packed).unwrap().read_to_end(&mut found).unwrap();
            assert!(found == bytes, "{packing:?}");
            assert_eq!(Packing::of_suffix(packing.suffix()), Some(packing));
            if packing != Packing::None {
                let cut = &packed[..packed.len() / 2];
                let read = packing.unpack(cut).and_then(|mut from| from.read_to_end(&mut found));
                assert!(read.is_err(), "{packing:?} is cut off");
            }
        }
    }

    #[test]
    fn what_was_packed_in_pieces_is_read_to_its_end() {
        for packing in [Packing::Gzip, Packing::Bzip2, Packing::Xz, Packing::Zstd] {
            let packed = [packing.pack(b"one "), packing.pack(b"two")].concat();
            let mut found = String::new();
            packing.unpack(&*packed).unwrap().read_to_string(&mut found).unwrap();
            assert_eq!(found, "one two", "{packing:?}");
        }
    }
}
