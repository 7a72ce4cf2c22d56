use axum::http::{HeaderMap, HeaderValue, header};

/// With what an answer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Zstd,
    Gzip,
}

/// Best first, where a client takes both as gladly.
const ALL: [Packing; 2] = [Packing::Zstd, Packing::Gzip];

impl Packing {
    /// As headers name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What a client wants (RFC 9110 §12.5.3); `None`: the bytes as they are. That is also the
    /// answer to a client that refuses everything: it gets something that it can at least look at.
    pub(super) fn wanted(headers: &HeaderMap) -> Option<Self> {
        let given = Weights::of(headers);
        let mut best = (given.identity(), None);
        for packing in ALL {
            let weight = given.of_name(packing.name()).or(given.any).unwrap_or(0);
            // As gladly as packed: packed is what both sides save by.
            if weight > best.0 || weight == best.0 && weight > 0 && best.1.is_none() {
                best = (weight, Some(packing));
            }
        }
        best.1
    }
}

/// Weights that a client gives, in thousandths.
#[derive(Debug, Default)]
struct Weights {
    named: Vec<(String, u16)>,
    /// Of what is not named; `None`: it says nothing of that.
    any: Option<u16>,
}

/// Encodings of one request that are looked at; there are a dozen at all.
const NAMED_MAX: usize = 32;

impl Weights {
    fn of(headers: &HeaderMap) -> Self {
        let mut weights = Self::default();
        let values = headers.get_all(header::ACCEPT_ENCODING).iter();
        let texts = values.filter_map(|value: &HeaderValue| value.to_str().ok());
        for item in texts.flat_map(|text| text.split(',')).take(NAMED_MAX) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| {
                part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")).map(thousandths)
            });
            let weight = weight.unwrap_or(1000);
            match name.as_str() {
                "" => {}
                "*" => weights.any = Some(weight),
                "x-gzip" => weights.named.push(("gzip".to_owned(), weight)),
                _ => weights.named.push((name, weight)),
            }
        }
        weights
    }

    fn of_name(&self, name: &str) -> Option<u16> {
        self.named.iter().find(|(named, _)| named == name).map(|(_, weight)| *weight)
    }

    /// What is not named as it is can be sent as it is, but is wanted less than all that is named.
    fn identity(&self) -> u16 {
        self.of_name("identity").unwrap_or(0)
    }
}

/// `0.5` as 500; what is no weight is none.
fn thousandths(text: &str) -> u16 {
    let weight = text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight));
    weight.map_or(0, |weight| (weight * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_decides_and_zstd_wins_a_tie() {
        for (said, wanted) in [
            ("", None),
            ("identity", None),
            ("br", None),
            ("gzip", Some(Packing::Gzip)),
            ("x-gzip", Some(Packing::Gzip)),
            ("gzip, deflate, br, zstd", Some(Packing::Zstd)),
            ("GZIP;q=1.0, Zstd;Q=0.5", Some(Packing::Gzip)),
            ("zstd;q=0, gzip;q=0.001", Some(Packing::Gzip)),
            ("zstd;q=0", None),
            ("*", Some(Packing::Zstd)),
            ("*;q=0.5, zstd;q=0", Some(Packing::Gzip)),
            ("*;q=0", None),
            ("identity, zstd;q=0.9", None),
            ("identity;q=0.9, zstd;q=0.9", Some(Packing::Zstd)),
            ("identity;q=0", None),
            ("zstd;q=NaN, gzip;q=7, ;;,", None),
            ("zstd ; q=0.3 , gzip ; q=0.4", Some(Packing::Gzip)),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(said));
            assert_eq!(Packing::wanted(&headers), wanted, "{said}");
        }
        assert_eq!(Packing::wanted(&HeaderMap::new()), None);
        let mut two = HeaderMap::new();
        two.append(header::ACCEPT_ENCODING, HeaderValue::from_static("br"));
        two.append(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(Packing::wanted(&two), Some(Packing::Gzip));
    }
}
