/// Where an entry of apt's says that its archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The URL of the archive.
    Archive(String),
    /// The URL of a list of its mirrors.
    Mirrors(String),
}

impl Place {
    /// What a URI of apt means. The word before the colon is the name of a program of apt, its
    /// method, and words before a `+` are programs that it goes through.
    pub(super) fn of(uri: &str) -> Result<Self, String> {
        let Some((method, rest)) = uri.split_once(':') else {
            return Err(format!("`{uri}` is not a URI"));
        };
        let method = method.to_ascii_lowercase();
        let url = |scheme: &str| format!("{scheme}:{rest}");
        match method.as_str() {
            "http" | "https" | "file" => Ok(Self::Archive(url(&method))),
            // The same but for what apt does with the files.
            "copy" => Ok(Self::Archive(url("file"))),
            "mirror" => Ok(Self::Mirrors(url("http"))),
            "mirror+http" | "mirror+https" | "mirror+file" => {
                Ok(Self::Mirrors(url(&method["mirror+".len()..])))
            }
            "mirror+copy" => Ok(Self::Mirrors(url("file"))),
            "cdrom" => Err("cdrom: a disk is not followed".to_owned()),
            _ if method.starts_with("tor") || method.contains("+tor") => Err(format!(
                "{method}: archives are not fetched through Tor: to follow this one, set the \
                 profile's `source` to its http: URL, and `http` in [proxy] if it must go through \
                 a proxy"
            )),
            _ => Err(format!(
                "{uri}: apt's method `{method}` is not known here, so that it is not \
                              followed"
            )),
        }
    }

    /// The URL of the archive, or of its list of mirrors.
    pub fn shown(&self) -> &str {
        let (Self::Archive(url) | Self::Mirrors(url)) = self;
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_of_apt() {
        let archive = |url: &str| Ok(Place::Archive(url.to_owned()));
        let mirrors = |url: &str| Ok(Place::Mirrors(url.to_owned()));
        for (uri, place) in [
            ("http://x.example.org/debian", archive("http://x.example.org/debian")),
            ("HTTPS://x.example.org", archive("https://x.example.org")),
            ("file:/srv/debian", archive("file:/srv/debian")),
            ("copy:///srv/debian", archive("file:///srv/debian")),
            ("mirror+file:/etc/apt/mirrors.list", mirrors("file:/etc/apt/mirrors.list")),
            ("mirror+file:///etc/apt/mirrors.list", mirrors("file:///etc/apt/mirrors.list")),
            ("mirror+https://x.example.org/m.txt", mirrors("https://x.example.org/m.txt")),
            ("mirror://x.example.org/m.txt", mirrors("http://x.example.org/m.txt")),
        ] {
            assert_eq!(Place::of(uri), place, "{uri}");
        }
        for (uri, why) in [
            ("cdrom:[Debian 12]/", "a disk"),
            ("tor+http://x.example.org", "through Tor"),
            ("tor://x.example.org", "through Tor"),
            ("mirror+tor+http://x.example.org/m", "through Tor"),
            ("ftp://x.example.org", "method `ftp`"),
            ("ssh:x", "method `ssh`"),
            ("/srv/debian", "not a URI"),
        ] {
            let error = Place::of(uri).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
