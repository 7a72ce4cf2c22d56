use rebuilder_actors::protocol::UtcMillis;

/// `2026-01-31T23:59:59.123`, UTC without a zone, as the peer's clients read it: a zone would be
/// refused. The fraction is left out where it is zero; a time outside of the years 0 to 9999 is the
/// nearest.
pub(super) fn naive(at: UtcMillis) -> String {
    /// The first moment of the year 0.
    const FIRST: i64 = -62_167_219_200_000;
    /// The last second that jiff counts, for an hour of any zone is to fit behind it.
    const LAST: i64 = 253_402_207_199_999;
    let at = at.0.clamp(FIRST, LAST);
    let stamp = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    let form =
        if at.rem_euclid(1_000) == 0 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S.%3f" };
    stamp.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_zone_and_a_fraction_only_where_there_is_one() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00"),
            (1_767_225_600_123, "2026-01-01T00:00:00.123"),
            (-1, "1969-12-31T23:59:59.999"),
            (i64::MAX, "9999-12-30T21:59:59.999"),
            (i64::MIN, "0000-01-01T00:00:00"),
        ] {
            assert_eq!(naive(UtcMillis(at)), text);
        }
    }
}
