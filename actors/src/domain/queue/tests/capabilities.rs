use super::harness::Harness;
use crate::domain::queue::Event;
use crate::protocol::WorkerId;
use crate::protocol::wire::v1::worker::Capabilities;

#[test]
fn capabilities_are_bounded_and_end_with_the_connection() {
    let mut harness = Harness::new();
    let (first, second) = (harness.join(1), harness.join(2));
    let shown = |harness: &Harness| harness.capabilities();
    assert_eq!(shown(&harness), [], "workers of an earlier release say nothing");
    let words = vec!["seccomp".to_owned(), "landlock-7\u{1b}[2J".to_owned()];
    harness.handle(Event::Capabilities(second, Capabilities { words }));
    let row = &shown(&harness)[0];
    assert_eq!(row.worker, WorkerId(2));
    assert_eq!(row.words, ["seccomp", "landlock-7?[2J"]);

    let words = (0..1000).map(|n| format!("{n}-{}", "x".repeat(1000))).collect();
    harness.handle(Event::Capabilities(first, Capabilities { words }));
    let row = &shown(&harness)[0];
    assert_eq!((row.worker, row.words.len()), (WorkerId(1), 32));
    assert!(row.words.iter().all(|word| word.chars().count() <= 65), "{:?}", row.words[0]);

    harness.handle(Event::Left(first));
    assert_eq!(shown(&harness).len(), 1);
    let again = harness.join(2);
    assert_eq!(shown(&harness), [], "another process may be on another kernel");
    // What is still under way of the former connection says nothing about this one.
    let late = Capabilities { words: vec!["ids".to_owned()] };
    harness.handle(Event::Capabilities(second, late.clone()));
    assert_eq!(shown(&harness), []);
    harness.handle(Event::Capabilities(again, late));
    assert_eq!(shown(&harness)[0].words, ["ids"]);
}
