//! Orders in which calls that ran at the same time may have happened.
//!
//! sled gives space back from several threads at once, each with an `ftruncate` of its own. A
//! trace shows when each began and ended, as the tracer came to see it, and not which was the
//! last: the file's length tells.

const CALL: &str = "ftruncate(";

/// The trace as it is, then every other one in which another of the last resizings that ran
/// together is the last of them.
pub fn possible<'a>(lines: &[&'a str]) -> Vec<Vec<&'a str>> {
    let resizings: Vec<usize> = (0..lines.len()).filter(|at| is_resizing(lines[*at])).collect();
    let mut all = vec![lines.to_vec()];
    let Some((last, earlier)) = resizings.split_last() else { return all };
    for at in earlier {
        if end(lines, *at).is_none_or(|end| end > *last) {
            let mut moved = lines.to_vec();
            // Its begin, which was seen early, may be moved to any time before its end.
            moved[*at..=*last].rotate_left(1);
            all.push(moved);
        }
    }
    all
}

fn is_resizing(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(_, call)| call.trim_start().starts_with(CALL))
}

/// Where the call of line `at` ended; `None`: not in this trace.
fn end(lines: &[&str], at: usize) -> Option<usize> {
    if !lines[at].ends_with(" ...>") {
        return Some(at);
    }
    let thread = |line: &'_ str| line.split(' ').next().map(str::to_owned);
    let own = thread(lines[at]);
    (at + 1..lines.len()).find(|later| thread(lines[*later]) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ran_together_can_change_places() {
        let lines = [
            "1 ftruncate(4<\\x66>, 1) = 0",
            "1 ftruncate(4<\\x66>, 2 <unfinished ...>",
            "2 ftruncate(4<\\x66>, 3 <unfinished ...>",
            "1 <... ftruncate resumed>) = 0",
            "3 ftruncate(4<\\x66>, 4) = 0",
            "2 <... ftruncate resumed>) = 0",
        ];
        let [a, b, c, d, e, f] = lines;
        // The third thread began after the first had ended, and before the second did.
        assert_eq!(possible(&lines), [vec![a, b, c, d, e, f], vec![a, b, d, e, c, f]]);
        assert_eq!(possible(&lines[..4]), [vec![a, b, c, d], vec![a, c, b, d]]);
        assert_eq!(possible(&["1 fsync(4) = 0"]), [["1 fsync(4) = 0"]]);
    }
}
