//! Frames over real connections: order, limits, ends, and flow control.

use core::time::Duration;

use crate::common::{frame, pair, pair_with, soon};
use bytes::Bytes;
use rebuilder_actors::port::StreamError;
use rebuilder_transport::{Limits, codes};

#[tokio::test]
async fn frames_arrive_whole_and_in_order_both_ways() {
    let pair = soon(pair()).await;
    let (mut send, mut receive) = soon(pair.at_client.open(1 << 22)).await.unwrap();
    let sizes = [0, 1, 3, 1199, 8192, 8193, 65_536, 3 << 20, 5];
    let payload = |size: usize| Bytes::from((0..size).map(|i| i as u8).collect::<Vec<_>>());
    let echo = tokio::spawn(async move {
        let (mut back, mut from) = pair.at_server.accept(1 << 22).await.unwrap();
        while let Some(frame) = from.receive().await.unwrap() {
            back.send(frame).await.unwrap();
        }
        back.finish().unwrap();
        pair.at_server.closed().await
    });
    for size in sizes {
        soon(send.send(payload(size))).await.unwrap();
        assert_eq!(soon(receive.receive()).await, Ok(Some(payload(size))), "{size} bytes");
    }
    send.finish().unwrap();
    assert_eq!(soon(receive.receive()).await, Ok(None));
    assert_eq!(soon(receive.receive()).await, Ok(None), "the end stays the end");
    let after = soon(send.send(frame("x"))).await.err();
    assert!(matches!(after, Some(StreamError::Closed(reason)) if reason.code == codes::FINISHED));
    drop((send, receive, pair.at_client));
    assert_eq!(soon(echo).await.unwrap().code, codes::DROPPED);
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_stream_on_both_sides() {
    let pair = soon(pair()).await;
    let mut send = soon(pair.at_client.open_one_way()).await.unwrap();
    soon(send.send(Bytes::from(vec![0; 100]))).await.unwrap();
    soon(send.send(Bytes::from(vec![0; 101]))).await.unwrap();
    let mut receive = soon(pair.at_server.accept_one_way(100)).await.unwrap();
    assert_eq!(soon(receive.receive()).await.unwrap().unwrap().len(), 100);
    let error = Err(StreamError::FrameTooLong { length: 101, limit: 100 });
    assert_eq!(soon(receive.receive()).await, error);
    assert_eq!(soon(receive.receive()).await, error, "and it stays so");
    let told = soon(async {
        loop {
            if let Err(error) = send.send(frame("more")).await {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(told, StreamError::Reset(codes::STREAM_FRAME_TOO_LONG));
    // Only the stream: the connection goes on.
    let mut send = soon(pair.at_client.open_one_way()).await.unwrap();
    soon(send.send(frame("fine"))).await.unwrap();
    let mut receive = soon(pair.at_server.accept_one_way(100)).await.unwrap();
    assert_eq!(soon(receive.receive()).await, Ok(Some(frame("fine"))));
}

#[tokio::test]
async fn a_slow_reader_holds_the_sender_back_and_loses_nothing() {
    let limits = Limits {
        stream_window: 64 << 10,
        connection_window: 128 << 10,
        send_window: 128 << 10,
        ..Limits::default()
    };
    let pair = soon(pair_with(limits)).await;
    let mut send = soon(pair.at_client.open_one_way()).await.unwrap();
    let mut sent = 0_u32;
    let part = |number: u32| Bytes::from(number.to_be_bytes().repeat(2500));
    // 10,000 bytes each. A send that waits is dropped, and its frame still arrives once.
    while tokio::time::timeout(Duration::from_millis(500), send.send(part(sent))).await.is_ok() {
        sent += 1;
        assert!(sent < 100, "the sender was never held back");
    }
    sent += 1;
    let mut receive = soon(pair.at_server.accept_one_way(10_000)).await.unwrap();
    let reader = tokio::spawn(async move {
        let mut frames = Vec::new();
        while let Some(frame) = receive.receive().await.unwrap() {
            frames.push(frame);
        }
        frames
    });
    for number in sent..sent + 50 {
        soon(send.send(part(number))).await.unwrap();
    }
    send.finish().unwrap();
    let frames = soon(reader).await.unwrap();
    assert_eq!(frames, (0..sent + 50).map(part).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_is_no_end() {
    let limits = Limits { stream_window: 1000, ..Limits::default() };
    let pair = soon(pair_with(limits)).await;
    let mut send = soon(pair.at_client.open_one_way()).await.unwrap();
    let cut = send.send(Bytes::from(vec![7; 5000]));
    assert!(tokio::time::timeout(Duration::from_millis(200), cut).await.is_err());
    // quinn finishes a stream that is dropped, here after about 1,000 of 5,004 bytes.
    drop(send);
    let mut receive = soon(pair.at_server.accept_one_way(5000)).await.unwrap();
    assert_eq!(soon(receive.receive()).await, Err(StreamError::Truncated));

    let mut send = soon(pair.at_client.open_one_way()).await.unwrap();
    let cut = send.send(Bytes::from(vec![7; 5000]));
    assert!(tokio::time::timeout(Duration::from_millis(200), cut).await.is_err());
    assert_eq!(send.finish(), Err(StreamError::Truncated));
    let mut receive = soon(pair.at_server.accept_one_way(5000)).await.unwrap();
    let error = Err(StreamError::Reset(codes::STREAM_ABANDONED));
    assert_eq!(soon(receive.receive()).await, error);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_frames_pass_over_many_streams() {
    const STREAMS: u32 = 16;
    const FRAMES: u32 = 5_000;
    let pair = soon(pair()).await;
    let mut tasks = Vec::new();
    for stream in 0..STREAMS {
        let connection = pair.at_client.clone_handle();
        tasks.push(tokio::spawn(async move {
            let mut send = connection.open_one_way().await.unwrap();
            for number in 0..FRAMES {
                let frame = [stream.to_be_bytes(), number.to_be_bytes()].concat().repeat(12);
                send.send(Bytes::from(frame)).await.unwrap();
            }
            send.finish().unwrap();
        }));
    }
    for _ in 0..STREAMS {
        let mut receive = soon(pair.at_server.accept_one_way(96)).await.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut next = 0;
            while let Some(frame) = receive.receive().await.unwrap() {
                assert_eq!(frame[4..8], u32::to_be_bytes(next));
                next += 1;
            }
            assert_eq!(next, FRAMES);
        }));
    }
    for task in tasks {
        soon(task).await.unwrap();
    }
}

#[tokio::test]
async fn a_peer_opens_no_more_streams_than_allowed() {
    let pair = soon(pair_with(Limits { streams_max: 2, ..Limits::default() })).await;
    let first = soon(pair.at_client.open(1)).await.unwrap();
    let _second = soon(pair.at_client.open(1)).await.unwrap();
    let third = tokio::time::timeout(Duration::from_millis(200), pair.at_client.open(1)).await;
    assert!(third.is_err(), "a third stream must wait");
    // Both halves of the first end on both sides: the third may open.
    drop(first);
    drop(soon(pair.at_server.accept(1)).await.unwrap());
    soon(pair.at_client.open(1)).await.unwrap();
}
