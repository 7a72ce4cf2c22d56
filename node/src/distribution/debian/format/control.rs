use std::borrow::Cow;
use std::io::Read;

/// Reads the stanzas of a control file one after the other, with one stanza and one buffer in
/// memory at a time. They end where apt sees their end: at a line that is empty but for carriage
/// returns, or with the file. A line of blanks continues a field.
pub(crate) struct Stanzas<'a> {
    input: &'a mut dyn Read,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were given out.
    done: usize,
    /// Number of the line that begins at `done`, from 1.
    line: usize,
    is_at_end: bool,
    /// Beginning of an over-long stanza.
    head: Vec<u8>,
}

impl<'a> Stanzas<'a> {
    pub(crate) fn new(input: &'a mut dyn Read) -> Self {
        let buffer = Vec::with_capacity(2 * CHUNK_BYTES);
        Self { input, buffer, done: 0, line: 1, is_at_end: false, head: Vec::new() }
    }

    /// Number of the line that is read next.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The next stanza; `None` at the end.
    ///
    /// # Errors
    /// Those of the input.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Stanza<'_>>> {
        let (line, range) = loop {
            self.skip_blank();
            let rest = &self.buffer[self.done..];
            let (end, after) = match blank_line(rest) {
                Some(found) => found,
                None if self.is_at_end => (rest.len(), rest.len()),
                None if rest.len() > STANZA_BYTES_MAX => {
                    let line = self.line;
                    self.drop_stanza()?;
                    return Ok(Some(Stanza { bytes: &self.head, line, is_whole: false }));
                }
                None => {
                    self.fill()?;
                    continue;
                }
            };
            if after == 0 {
                return Ok(None);
            }
            let (start, line) = (self.done, self.line);
            self.take(after);
            break (line, start..start + end);
        };
        Ok(Some(Stanza { bytes: &self.buffer[range], line, is_whole: true }))
    }

    fn skip_blank(&mut self) {
        let blank = |byte: &&u8| matches!(byte, b'\n' | b'\r');
        self.take(self.buffer[self.done..].iter().take_while(blank).count());
    }

    fn take(&mut self, bytes: usize) {
        let taken = &self.buffer[self.done..][..bytes];
        self.line += memchr::memchr_iter(b'\n', taken).count();
        self.done += bytes;
    }

    fn fill(&mut self) -> std::io::Result<()> {
        self.buffer.drain(..self.done);
        self.done = 0;
        let chunk = Read::take(&mut *self.input, CHUNK_BYTES as u64);
        self.is_at_end = { chunk }.read_to_end(&mut self.buffer)? == 0;
        Ok(())
    }

    /// Drops the rest of an over-long stanza while it is read; keeps its beginning, for messages.
    fn drop_stanza(&mut self) -> std::io::Result<()> {
        self.head = self.buffer[self.done..][..HEAD_BYTES].to_vec();
        loop {
            let rest = &self.buffer[self.done..];
            if let Some((_, after)) = blank_line(rest) {
                self.take(after);
                return Ok(());
            }
            if self.is_at_end {
                self.take(rest.len());
                return Ok(());
            }
            // The line feed before the blank line may be the last byte so far.
            let breaks = rest.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            self.take(rest.len() - breaks.min(BREAK_BYTES_MAX));
            self.fill()?;
        }
    }
}

/// Where the first blank line of `bytes` begins, and where what follows it does.
fn blank_line(bytes: &[u8]) -> Option<(usize, usize)> {
    for at in memchr::memchr_iter(b'\n', bytes) {
        let next = &bytes[at + 1..];
        let returns = next.iter().take_while(|&&byte| byte == b'\r').count();
        if next.get(returns) == Some(&b'\n') {
            return Some((at + 1, at + 1 + returns + 1));
        }
    }
    None
}

/// One paragraph of a control file: bytes, of which only what is asked for is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Stanza<'a> {
    bytes: &'a [u8],
    line: usize,
    is_whole: bool,
}

/// What makes a stanza unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stanza at line {line}: {what}")]
pub(crate) struct Unreadable {
    /// Number of the stanza's first line.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) what: String,
}

impl<'a> Stanza<'a> {
    /// Takes all of `bytes`, up to a blank line, for one stanza; blank lines before it and a byte
    /// order mark are left out.
    pub(crate) fn first(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let line = 1 + memchr::memchr_iter(b'\n', &bytes[..blank]).count();
        let bytes = &bytes[blank..];
        let end = blank_line(bytes).map_or(bytes.len(), |(end, _)| end);
        Self { bytes: &bytes[..end], line, is_whole: true }
    }

    /// Number of its first line.
    #[cfg(test)]
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// False: it is longer than any, and only its beginning is here.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// An error about this stanza.
    pub(crate) fn fault(&self, what: impl Into<String>) -> Unreadable {
        Unreadable { line: self.line, what: what.into() }
    }

    /// Its fields in order. A line without a colon, one that begins with a colon, and `#` lines are
    /// no fields; they, and what continues them, are left out as apt does.
    pub(crate) fn all(&self) -> Fields<'a> {
        let bytes = self.bytes.strip_prefix(BYTE_ORDER_MARK).filter(|_| self.line == 1);
        Fields { bytes: bytes.unwrap_or(self.bytes), at: 0 }
    }

    /// The values of the fields `names`, in their order; `None` for those that it has not. A field
    /// that comes twice must have the same value both times: apt and dpkg disagree on which counts.
    pub(crate) fn fields<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Option<Value<'a>>; N], Unreadable> {
        let mut values: [Option<Value<'a>>; N] = [None; N];
        for (field, value) in self.all() {
            let is_it = |name: &&str| field.eq_ignore_ascii_case(name.as_bytes());
            let Some(n) = names.iter().position(is_it) else { continue };
            if values[n].replace(value).is_some_and(|before| before.bytes() != value.bytes()) {
                return Err(self.fault(format!("{} is given twice", names[n])));
            }
        }
        Ok(values)
    }

    /// The value as text; needed where another program, a path or a person's choice depends on it.
    pub(crate) fn text(
        &self,
        name: &str,
        value: Option<Value<'a>>,
    ) -> Result<Option<&'a str>, Unreadable> {
        let text = |value: Value<'a>| {
            value.text().ok_or_else(|| self.fault(format!("{name} is not UTF-8")))
        };
        value.map(text).transpose()
    }
}

/// What a field holds, as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// Without the blanks around it; continuation lines with their line breaks.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0.trim_ascii()
    }

    /// `None`: not UTF-8.
    pub(crate) fn text(self) -> Option<&'a str> {
        core::str::from_utf8(self.bytes()).ok()
    }

    /// For people: bytes that are no UTF-8 become the replacement character, whatever the encoding
    /// was.
    pub(crate) fn shown(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// Its lines as they were before they were folded: without the blank that marks continuation,
    /// and without blanks at their ends.
    pub(crate) fn unfolded(self) -> Vec<u8> {
        let mut lines = self.0.split(|&byte| byte == b'\n');
        let mut value = lines.next().unwrap_or_default().trim_ascii().to_vec();
        for line in lines {
            value.push(b'\n');
            value.extend(line.get(1..).unwrap_or_default().trim_ascii_end());
        }
        let end = value.trim_ascii_end().len();
        value.truncate(end);
        value
    }
}

/// See [`Stanza::all`].
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, is_blank) =
            (self.bytes, |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t')));
        while self.at < bytes.len() {
            let start = self.at;
            let mut end = line_end(bytes, start);
            let line = &bytes[start..end];
            while is_blank(bytes.get(end + 1)) {
                end = line_end(bytes, end + 1);
            }
            self.at = end + 1;
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let name = line[..colon].trim_ascii_end();
            if name.is_empty() || is_blank(name.first()) || name[0] == b'#' {
                continue;
            }
            return Some((name, Value(&bytes[start + colon + 1..end])));
        }
        None
    }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Bytes read at a time.
const CHUNK_BYTES: usize = 128 * 1024;
/// Longest stanza: the largest of Debian's `Sources` have some 300 KiB.
const STANZA_BYTES_MAX: usize = 8 << 20;
/// Of an over-long stanza: enough to find its name.
const HEAD_BYTES: usize = 64 * 1024;
/// Carriage returns of one line break that are looked at across two chunks.
const BREAK_BYTES_MAX: usize = 16;

#[cfg(test)]
#[path = "control_test.rs"]
mod tests;
