use std::borrow::Cow;

/// A clear-signed text that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clear-signed text has no {0}")]
pub(crate) struct CutOff(&'static str);

/// The text inside an OpenPGP clear-signature, which is not looked at; text without one as it is.
/// What stands before or after the signed part is left out.
pub(crate) fn text_of(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CutOff> {
    if !bytes.trim_ascii_start().starts_with(BEGIN) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut lines = bytes.trim_ascii_start().split_inclusive(|&byte| byte == b'\n');
    // Headers of the armour end with a blank line.
    lines.find(|line| line.trim_ascii().is_empty()).ok_or(CutOff("text"))?;
    let mut text = Vec::with_capacity(bytes.len());
    for line in lines {
        if line.starts_with(SIGNATURE) {
            return Ok(Cow::Owned(text));
        }
        // Lines that begin with a dash are escaped (RFC 9580, 7.2).
        text.extend(line.strip_prefix(b"- ").unwrap_or(line));
    }
    Err(CutOff("signature"))
}

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_between_the_armour_is_taken() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nA: 1\n- -B\n\n\
                    -----BEGIN PGP SIGNATURE-----\nC: 2\n";
        assert_eq!(&*text_of(text.as_bytes()).unwrap(), b"A: 1\n-B\n\n");
        let windows = text.replace('\n', "\r\n");
        assert_eq!(&*text_of(windows.as_bytes()).unwrap(), b"A: 1\r\n-B\r\n\r\n");
        let blank_before = format!("\n \n{text}");
        assert_eq!(&*text_of(blank_before.as_bytes()).unwrap(), b"A: 1\n-B\n\n");
        assert_eq!(&*text_of(b"A: 1\n").unwrap(), b"A: 1\n");
        assert_eq!(&*text_of(b"A: Ren\xe9\n").unwrap(), b"A: Ren\xe9\n");
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let text = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nA: 1\n";
        assert_eq!(text_of(text), Err(CutOff("signature")));
        assert_eq!(text_of(&text[..48]), Err(CutOff("text")));
    }
}
