//! Numbers as people read and write them.

use std::time::Duration;

use rebuilder_actors::protocol::UtcMillis;

/// `90s`, `30m`, `1h`, `2d`, `1h30m`.
///
/// # Errors
/// Not of this form, zero, or more than a `u32` of seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as 90s, 30m, 1h, 2d or 1h30m");
    let mut seconds: u64 = 0;
    let mut number = String::new();
    for c in text.trim().chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return Err(wrong()),
        };
        let count: u64 = number.parse().map_err(|_| wrong())?;
        number.clear();
        seconds = count.checked_mul(unit).and_then(|s| s.checked_add(seconds)).ok_or_else(wrong)?;
    }
    if !number.is_empty() || seconds == 0 || seconds > u64::from(u32::MAX) {
        return Err(wrong());
    }
    Ok(Duration::from_secs(seconds))
}

/// The two largest units: `3d 4h`, `5m 3s`, `12s`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d {}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// Time since `then`: `5m 3s ago`, `now` for the future of a clock that is off.
pub fn ago(now: UtcMillis, then: UtcMillis) -> String {
    match u64::try_from(now.0.saturating_sub(then.0)) {
        Ok(ms) if ms >= 1000 => format!("{} ago", duration(ms)),
        _ => "now".to_owned(),
    }
}

/// `1.5 GiB`, `12 KiB`, `7 B`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let exponent = (count.ilog2() / 10).min(6);
    let unit = UNITS[exponent as usize - 1];
    let tenths = u128::from(count) * 10 / (1_u128 << (10 * exponent));
    if tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
}

/// `2026-01-31 23:59:59`, UTC; `?` outside of the years −9999 to 9999.
pub fn time(at: UtcMillis) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// `2026-01-31T23:59:59.123Z` (RFC 3339, UTC, always milliseconds); `None` as for [`time`].
pub fn rfc3339(at: UtcMillis) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let secs = |text| parse_duration(text).map(|d| d.as_secs());
        assert_eq!(secs("90s"), Ok(90));
        assert_eq!(secs("1h30m"), Ok(5400));
        assert_eq!(secs("2d"), Ok(172_800));
        for wrong in
            ["", "5", "h", "1x", "0s", "1h5", "-1h", "99999999999d", "9999999999999999999d"]
        {
            assert!(secs(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_and_sizes_are_written() {
        assert_eq!(duration(999), "0s");
        assert_eq!(duration(63_000), "1m 3s");
        assert_eq!(duration(3_600_000), "1h 0m");
        assert_eq!(duration(100_000_000), "1d 3h");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(10 << 20), "10 MiB");
        assert_eq!(bytes(u64::MAX), "15 EiB");
        assert_eq!(ago(UtcMillis(70_000), UtcMillis(10_000)), "1m 0s ago");
        assert_eq!(ago(UtcMillis(0), UtcMillis(10_000)), "now");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(UtcMillis(1_767_225_599_123)), "2025-12-31 23:59:59");
        assert_eq!(time(UtcMillis(i64::MAX)), "?");
        let text = rfc3339(UtcMillis(1_767_225_599_123)).unwrap();
        assert_eq!(text, "2025-12-31T23:59:59.123Z");
        assert_eq!(rfc3339(UtcMillis(0)).unwrap(), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(UtcMillis(i64::MIN)), None);
    }
}
