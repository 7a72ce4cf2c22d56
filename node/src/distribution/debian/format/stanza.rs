use std::io::Read;

use rebuilder_actors::port::IndexError;

/// Gives every stanza of `input` to `each`, with the number of its first line; the last one too
/// when no blank line ends it. Holds one stanza and one buffer at a time.
pub(crate) fn for_each(
    input: &mut dyn Read,
    url: &str,
    each: &mut dyn FnMut(&Stanza<'_>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let mut buffer = Vec::with_capacity(2 * CHUNK_BYTES);
    let mut line = 1;
    loop {
        let n = Read::take(&mut *input, CHUNK_BYTES as u64).read_to_end(&mut buffer).map_err(
            |error| IndexError::Content {
                url: url.to_owned(),
                reason: format!("line {line}: {error}"),
            },
        )?;
        let mut rest = &*buffer;
        while let Some(end) = memchr::memmem::find(rest, b"\n\n") {
            each_one(&rest[..=end], url, &mut line, each)?;
            line += 1;
            rest = &rest[end + 2..];
        }
        if n == 0 {
            return each_one(rest, url, &mut line, each);
        }
        if rest.len() > STANZA_BYTES_MAX {
            let reason = format!("line {line}: a stanza of more than {STANZA_BYTES_MAX} bytes");
            return Err(IndexError::Content { url: url.to_owned(), reason });
        }
        let done = buffer.len() - rest.len();
        buffer.drain(..done);
    }
}

fn each_one(
    bytes: &[u8],
    url: &str,
    line: &mut usize,
    each: &mut dyn FnMut(&Stanza<'_>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let blank = bytes.iter().take_while(|&&byte| byte == b'\n').count();
    let bytes = &bytes[blank..];
    *line += blank;
    if !bytes.is_empty() {
        each(&Stanza { bytes, line: *line, url })?;
        *line += memchr::memchr_iter(b'\n', bytes).count();
    }
    Ok(())
}

/// One paragraph of a control file.
pub(crate) struct Stanza<'a> {
    bytes: &'a [u8],
    line: usize,
    url: &'a str,
}

impl<'a> Stanza<'a> {
    pub(crate) fn new(text: &'a str, url: &'a str) -> Self {
        Self { bytes: text.as_bytes(), line: 1, url }
    }

    /// The values of the fields `names`, in their order, without the blanks around them;
    /// continuation lines with their line breaks. A field may not come twice.
    pub(crate) fn fields<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Option<&'a str>; N], IndexError> {
        let mut values = [None; N];
        let mut at = 0;
        while at < self.bytes.len() {
            let end = line_end(self.bytes, at);
            let line = &self.bytes[at..end];
            let start = at;
            at = end + 1;
            let Some(n) = names.iter().position(|name| is_field(line, name)) else { continue };
            let mut value_end = end;
            while matches!(self.bytes.get(at), Some(b' ' | b'\t')) {
                value_end = line_end(self.bytes, at);
                at = value_end + 1;
            }
            let value = &self.bytes[start + names[n].len() + 1..value_end];
            let value = core::str::from_utf8(value)
                .map_err(|_| self.fault(&format!("{} is not UTF-8", names[n])))?;
            if values[n].replace(value.trim()).is_some() {
                return Err(self.fault(&format!("{} is given twice", names[n])));
            }
        }
        Ok(values)
    }

    /// An error about this stanza.
    pub(crate) fn fault(&self, what: &str) -> IndexError {
        let reason = format!("stanza at line {}: {what}", self.line);
        IndexError::Content { url: self.url.to_owned(), reason }
    }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n)
}

fn is_field(line: &[u8], name: &str) -> bool {
    line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
}

/// Bytes read at a time.
const CHUNK_BYTES: usize = 128 * 1024;
/// Longest stanza: the largest of Debian's `Sources` have some 300 KiB.
const STANZA_BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for_each(&mut text.as_bytes(), "x", &mut |stanza| {
            let [name] = stanza.fields(["Package"])?;
            found.push(format!("{} at {}", name.unwrap_or("-"), stanza.line));
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn stanzas_end_with_blank_lines_or_the_file() {
        assert_eq!(names(""), Vec::<String>::new());
        assert_eq!(names("Package: a\n\n\n\nPackage: b\n\n"), ["a at 1", "b at 5"]);
        assert_eq!(names("\nPackage: a\nX: y\n\nPackage: b"), ["a at 2", "b at 5"]);
    }

    #[test]
    fn fields_may_go_on_and_may_not_come_twice() {
        let stanza = Stanza::new("a: 1\n 2\n\t3\nB:x\nab: y", "u");
        assert_eq!(
            stanza.fields(["A", "AB", "B", "C"]).unwrap(),
            [Some("1\n 2\n\t3"), Some("y"), Some("x"), None]
        );
        let twice = Stanza::new("A: 1\nB: 2\na: 3\n", "u").fields(["A"]).unwrap_err();
        assert_eq!(twice.to_string(), "u: stanza at line 1: A is given twice");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_between_chunks(
            lengths in proptest::collection::vec(0_usize..90_000, 1..9),
        ) {
            let text: String = lengths.iter().enumerate()
                .map(|(n, len)| format!("Package: p{n}\nX: {}\n\n", "y".repeat(*len)))
                .collect();
            let expected: Vec<_> =
                (0..lengths.len()).map(|n| format!("p{n} at {}", 1 + 3 * n)).collect();
            prop_assert_eq!(names(&text), expected);
        }
    }
}
