use proptest::prelude::*;

use super::*;

fn names(text: &[u8]) -> Vec<String> {
    let mut input = text;
    let mut stanzas = Stanzas::new(&mut input);
    let mut found = Vec::new();
    while let Some(stanza) = stanzas.next().unwrap() {
        let [name] = stanza.fields(["Package"]).unwrap();
        let name = name.map_or("-".into(), Value::shown);
        found.push(format!("{name} at {}", stanza.line()));
    }
    found
}

fn values(text: &str, field: &str) -> Option<String> {
    let [value] = Stanza::first(text.as_bytes()).fields([field]).unwrap();
    value.map(|value| value.text().unwrap().to_owned())
}

#[test]
fn stanzas_end_with_blank_lines_or_the_file() {
    assert_eq!(names(b""), Vec::<String>::new());
    assert_eq!(names(b"\n\r\n\n"), Vec::<String>::new());
    assert_eq!(names(b"Package: a\n\n\n\nPackage: b\n\n"), ["a at 1", "b at 5"]);
    assert_eq!(names(b"\nPackage: a\nX: y\n\nPackage: b"), ["a at 2", "b at 5"]);
    assert_eq!(names(b"Package: a\r\n\r\nPackage: b\r\n"), ["a at 1", "b at 3"]);
    assert_eq!(names(b"Package: a\n\r\r\nPackage: b\r\n\r"), ["a at 1", "b at 3"]);
    assert_eq!(names(b"\xef\xbb\xbfPackage: a\n"), ["a at 1"]);
}

#[test]
fn a_line_of_blanks_continues_a_field() {
    assert_eq!(
        names(b"Package: a\nX: y\n \n\t\nPackage: a\n \nY: z\n\nPackage: b"),
        ["a at 1", "b at 9"]
    );
}

#[test]
fn fields_may_go_on_and_begin_on_the_next_line() {
    let text = "a: 1\n 2\n\t3\r\nB:x\nab: y\nc:\n z\r\nD : blank before the colon\n";
    let stanza = Stanza::first(text.as_bytes());
    let found = stanza.fields(["A", "AB", "B", "C", "D", "E"]).unwrap();
    let found = found.map(|value| value.map(|value| value.text().unwrap()));
    assert_eq!(
        found,
        [Some("1\n 2\n\t3"), Some("y"), Some("x"), Some("z"), Some("blank before the colon"), None]
    );
}

#[test]
fn a_field_that_comes_twice_must_be_the_same() {
    assert_eq!(values("A: 1\nB: 2\na: 1\n", "A").as_deref(), Some("1"));
    let twice = Stanza::first(b"A: 1\nB: 2\na: 3\n").fields(["A"]).unwrap_err();
    assert_eq!(twice.to_string(), "stanza at line 1: A is given twice");
}

#[test]
fn stray_lines_cost_themselves() {
    for stray in ["stray", "<html>", ": x", "# a: b", "=====\n and more"] {
        let text = format!("A: 1\n{stray}\nB: 2\n");
        assert_eq!(values(&text, "A").as_deref(), Some("1"), "{stray}");
        assert_eq!(values(&text, "B").as_deref(), Some("2"), "{stray}");
        let first = format!("{stray}\nA: 1\n");
        assert_eq!(values(&first, "A").as_deref(), Some("1"), "{stray}");
    }
}

#[test]
fn bytes_of_any_encoding_are_read() {
    let stanza = Stanza::first(b"A: Ren\xe9\nB: \x93\xfa\n\0: x\nC: \xff\xfe\n");
    let [a, b, c] = stanza.fields(["A", "B", "C"]).unwrap();
    assert_eq!(a.unwrap().shown(), "Ren\u{fffd}");
    assert!(b.unwrap().text().is_none() && c.is_some());
    let fault = stanza.text("A", a).unwrap_err();
    assert_eq!(fault.what, "A is not UTF-8");
}

#[test]
fn folded_lines_keep_their_indentation() {
    let unfolded = |text: &str| {
        let [value] = Stanza::first(text.as_bytes()).fields(["B"]).unwrap();
        String::from_utf8(value.unwrap().unfolded()).unwrap()
    };
    assert_eq!(unfolded("A: 1\nB:\n x\n   y\n .\nc: z\n"), "\nx\n  y\n.");
    assert_eq!(unfolded("B: 1\r\n  2\r\n \r\n"), "1\n 2");
}

#[test]
fn an_over_long_stanza_costs_itself() {
    let long = "x".repeat(STANZA_BYTES_MAX + CHUNK_BYTES);
    for end in ["\n\n", "\r\n\r\n", "\n\r\r\n", ""] {
        let text = format!("Package: a\n\nPackage: long\nX: {long}\n y{end}Package: b\n");
        let mut input = text.as_bytes();
        let mut stanzas = Stanzas::new(&mut input);
        let mut found = Vec::new();
        while let Some(stanza) = stanzas.next().unwrap() {
            found.push((stanza.line(), stanza.is_whole()));
        }
        let mut expected = vec![(1, true), (3, false)];
        expected.extend((!end.is_empty()).then_some((7, true)));
        assert_eq!(found, expected, "{end:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_between_chunks(
        lengths in proptest::collection::vec(0_usize..90_000, 1..9),
        end in prop_oneof![Just("\n"), Just("\r\n")],
    ) {
        let text: String = lengths.iter().enumerate()
            .map(|(n, len)| format!("Package: p{n}{end}X: {}{end}{end}", "y".repeat(*len)))
            .collect();
        let expected: Vec<_> =
            (0..lengths.len()).map(|n| format!("p{n} at {}", 1 + 3 * n)).collect();
        prop_assert_eq!(names(text.as_bytes()), expected);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut input = &*bytes;
        let mut stanzas = Stanzas::new(&mut input);
        while let Some(stanza) = stanzas.next().unwrap() {
            let _either = stanza.fields(["Package", "Version"]);
            stanza.all().for_each(|(_, value)| drop(value.unfolded()));
        }
    }
}
