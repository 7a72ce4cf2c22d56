//! Orders in which calls that ran at the same time may have happened.
//!
//! sled gives space back with an `ftruncate` in a thread of its own, or in several at once, while
//! others write over what is free. A trace shows when each began and ended, as the tracer came to
//! see it, and not which was the last: the file's length tells.

/// The trace as it is, then every other one in which a call that ran together with the last
/// resizing changes places with it.
pub fn possible<'a>(lines: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut all = vec![lines.to_vec()];
    let Some(last) = (0..lines.len()).rfind(|at| is_call(lines[*at], "ftruncate(")) else {
        return all;
    };
    let changes =
        |at: &usize| is_call(lines[*at], "ftruncate(") || is_call(lines[*at], "pwrite64(");
    // A begin that was seen early may be moved to any time before its end.
    let mut moved = |from: usize, to: usize| {
        let mut order = lines.to_vec();
        order[from..=to].rotate_left(1);
        all.push(order);
    };
    for earlier in (0..last).filter(changes).filter(|at| end(lines, *at) > last) {
        moved(earlier, last);
    }
    for later in (last + 1..end(lines, last)).filter(changes) {
        moved(last, later);
    }
    all
}

fn is_call(line: &str, call: &str) -> bool {
    line.split_once(' ').is_some_and(|(_, rest)| rest.trim_start().starts_with(call))
}

/// Where the call of line `at` ended; after the last line when not in this trace.
fn end(lines: &[&str], at: usize) -> usize {
    if !lines[at].ends_with(" ...>") {
        return at;
    }
    let thread = lines[at].split(' ').next();
    let later = (at + 1..lines.len()).find(|later| lines[*later].split(' ').next() == thread);
    later.unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ran_together_can_change_places() {
        let lines = [
            "1 ftruncate(4<\\x66>, 1) = 0",
            "1 ftruncate(4<\\x66>, 2 <unfinished ...>",
            "2 pwrite64(4<\\x66>, \"\\x00\", 1, 2 <unfinished ...>",
            "1 <... ftruncate resumed>) = 0",
            "3 ftruncate(4<\\x66>, 4) = 0",
            "2 <... pwrite64 resumed>) = 1",
        ];
        let [a, b, c, d, e, f] = lines;
        // The third thread began after the first had ended, and before the second did.
        assert_eq!(possible(&lines), [vec![a, b, c, d, e, f], vec![a, b, d, e, c, f]]);
        // The second began while the first ran.
        assert_eq!(possible(&lines[..4]), [vec![a, b, c, d], vec![a, c, b, d]]);
        assert_eq!(possible(&["1 fsync(4) = 0"]), [["1 fsync(4) = 0"]]);
    }
}
