//! What a request's body is packed with, and how it is unpacked in bounds.

use std::io::{self, Read};

use axum::http::{HeaderMap, header};

/// A `Content-Encoding` that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Zstd,
    Gzip,
    Brotli,
    /// In zlib's frame, as RFC 9110 wants it.
    Deflate,
}

/// Why a body was not unpacked.
#[derive(Debug)]
pub(super) enum DecodeError {
    /// More bytes come out than may.
    TooLarge,
    /// It is not what it says that it is.
    Damaged(io::Error),
}

/// The largest window of zstd that is taken: 2^27 bytes, as its command-line tool takes without
/// being asked. A frame may ask for more memory than what comes out of it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Bytes that brotli takes in at a time.
const BROTLI_BUFFER: usize = 8 << 10;

impl Encoding {
    /// The one that a request names; `None`: it is not understood, or is one of several.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut named = headers.get_all(header::CONTENT_ENCODING).iter();
        let (Some(name), more) = (named.next(), named.next()) else { return Some(Self::Identity) };
        let name = name.to_str().ok().filter(|_| more.is_none())?.trim().to_ascii_lowercase();
        match name.as_str() {
            "identity" => Some(Self::Identity),
            "zstd" => Some(Self::Zstd),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "br" => Some(Self::Brotli),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }

    /// What is in `packed`, at most `bytes_max` of it. It takes as long as the bytes that come out.
    pub(super) fn decode(self, packed: &[u8], bytes_max: u64) -> Result<Vec<u8>, DecodeError> {
        match self {
            Self::Identity => drain(packed, bytes_max),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)
                    .map_err(DecodeError::Damaged)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(DecodeError::Damaged)?;
                drain(decoder, bytes_max)
            }
            Self::Gzip => drain(flate2::bufread::MultiGzDecoder::new(packed), bytes_max),
            Self::Brotli => {
                drain(brotli_decompressor::Decompressor::new(packed, BROTLI_BUFFER), bytes_max)
            }
            Self::Deflate => drain(flate2::bufread::ZlibDecoder::new(packed), bytes_max),
        }
    }
}

fn drain(from: impl Read, bytes_max: u64) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    // One more, to see that there is more; what is kept grows with what came out, not with what
    // a head promised.
    let read = from.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(DecodeError::Damaged)?;
    if bytes.len() as u64 > bytes_max { Err(DecodeError::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    /// `{"a":"b"}` as Python's brotli packs it: one block that is not compressed.
    const BROTLI: &[u8] = b"\x0b\x04\x80{\"a\":\"b\"}\x03";
    const TEXT: &[u8] = br#"{"a":"b"}"#;

    fn packed(encoding: Encoding, text: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Identity => text.to_vec(),
            Encoding::Zstd => zstd::encode_all(text, 11).unwrap(),
            Encoding::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
                gzip.write_all(text).unwrap();
                gzip.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
                zlib.write_all(text).unwrap();
                zlib.finish().unwrap()
            }
            Encoding::Brotli => BROTLI.to_vec(),
        }
    }

    const ALL: [Encoding; 5] =
        [Encoding::Identity, Encoding::Zstd, Encoding::Gzip, Encoding::Brotli, Encoding::Deflate];

    #[test]
    fn what_was_packed_comes_out_and_no_more_than_may() {
        for encoding in ALL {
            let body = packed(encoding, TEXT);
            assert_eq!(encoding.decode(&body, 9).unwrap(), TEXT, "{encoding:?}");
            let more = encoding.decode(&body, 8);
            assert!(matches!(more, Err(DecodeError::TooLarge)), "{encoding:?}: {more:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_bound_and_a_cut_body_is_damaged() {
        let zeros = vec![0; 8 << 20];
        for encoding in [Encoding::Zstd, Encoding::Gzip, Encoding::Deflate] {
            let bomb = packed(encoding, &zeros);
            assert!(bomb.len() < 64 << 10);
            let more = encoding.decode(&bomb, 1 << 20);
            assert!(matches!(more, Err(DecodeError::TooLarge)), "{encoding:?}");
        }
        for encoding in &ALL[1..] {
            for body in [b"{}".to_vec(), packed(*encoding, TEXT)[..7].to_vec(), vec![0xff; 40]] {
                let read = encoding.decode(&body, 1 << 20);
                assert!(matches!(read, Err(DecodeError::Damaged(_))), "{encoding:?} {body:?}");
            }
        }
        // A window of 2 GiB, which one byte of a head asks for.
        let window = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
        assert!(matches!(Encoding::Zstd.decode(window, 10), Err(DecodeError::Damaged(_))));
    }

    #[test]
    fn an_encoding_is_one_word_that_is_known() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_str(value).unwrap();
                headers.append(header::CONTENT_ENCODING, value);
            }
            Encoding::of(&headers)
        };
        assert_eq!(of(&[]), Some(Encoding::Identity));
        assert_eq!(of(&["ZSTD"]), Some(Encoding::Zstd));
        assert_eq!(of(&[" gzip "]), Some(Encoding::Gzip));
        assert_eq!(of(&["br"]), Some(Encoding::Brotli));
        assert_eq!(of(&["deflate"]), Some(Encoding::Deflate));
        for unknown in [&["compress"][..], &["gzip, zstd"], &["gzip", "gzip"], &[""]] {
            assert_eq!(of(unknown), None, "{unknown:?}");
        }
    }
}
