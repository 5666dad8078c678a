//! The limits on what clients may take: connections, their silence, time to authenticate, memory for requests, partitions.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use base::Secret;
use rdkafka::{
    admin::{AdminOptions, NewPartitions},
    error::RDKafkaErrorCode,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use super::{Server, admin, batch_of, produce};
use crate::Protocol;

const WAIT: Duration = Duration::from_secs(20);
/// ApiVersions, version 0, of a client without a name.
const ASK: &[u8] = &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

/// Asks, and whether there was an answer.
async fn answered(stream: &mut TcpStream) -> bool {
    if stream.write_all(ASK).await.is_err() {
        return false;
    }
    let Ok(Ok(length)) = timeout(WAIT, stream.read_u32()).await else { return false };
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.is_ok()
}

/// Waits until the broker has closed it.
async fn closed(stream: &mut TcpStream) -> Duration {
    let (start, mut rest) = (Instant::now(), Vec::new());
    timeout(WAIT, stream.read_to_end(&mut rest)).await.expect("it is closed in time").ok();
    start.elapsed()
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder, |options| options.connections_per_ip_count_max = 2).await;
    let mut first = TcpStream::connect(server.addr()).await.unwrap();
    let mut second = TcpStream::connect(server.addr()).await.unwrap();
    assert!(answered(&mut first).await && answered(&mut second).await);
    let mut third = TcpStream::connect(server.addr()).await.unwrap();
    closed(&mut third).await;
    let elsewhere = TcpSocket::new_v4().unwrap();
    elsewhere.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
    let mut elsewhere = elsewhere.connect(server.addr()).await.unwrap();
    assert!(answered(&mut elsewhere).await, "another address has its own");
    drop(first);
    let deadline = Instant::now() + WAIT;
    while !answered(&mut TcpStream::connect(server.addr()).await.unwrap()).await {
        assert!(Instant::now() < deadline, "the place is not given back");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_one_that_asks_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder, |options| options.connections_idle_ms_max = 400).await;
    let mut silent = TcpStream::connect(server.addr()).await.unwrap();
    let mut half = TcpStream::connect(server.addr()).await.unwrap();
    half.write_all(&ASK[..7]).await.unwrap();
    let mut asking = TcpStream::connect(server.addr()).await.unwrap();
    let talk = async {
        while answered(&mut asking).await {
            timeout(Duration::from_millis(50), std::future::pending::<()>()).await.ok();
        }
    };
    let silence = async {
        assert!(closed(&mut silent).await >= Duration::from_millis(300));
        closed(&mut half).await;
    };
    tokio::select! {
        () = talk => panic!("one that asks is closed"),
        () = silence => {}
    }
    assert!(answered(&mut asking).await);
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_authenticate_loses_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder, |options| {
        options.authentication_ms_max = 400;
        options.security.protocol = Protocol::SaslPlaintext;
        options.security.sasl.mechanisms = vec!["PLAIN".to_owned()];
        options.security.sasl.users = BTreeMap::from([("alice".to_owned(), Secret::new("wonder"))]);
    })
    .await;
    let mut silent = TcpStream::connect(server.addr()).await.unwrap();
    let mut asking = TcpStream::connect(server.addr()).await.unwrap();
    let began = Instant::now();
    while answered(&mut asking).await {
        assert!(began.elapsed() < WAIT, "asking keeps it open");
        timeout(Duration::from_millis(20), std::future::pending::<()>()).await.ok();
    }
    closed(&mut silent).await;
    server.stop().await;
}

/// A Produce request as its client would send it.
fn produce_frame(value_bytes: usize) -> Vec<u8> {
    let records = batch_of(&[("k", &"x".repeat(value_bytes))]);
    let mut body = vec![0, 0, 0, 3, 0, 0, 0, 7, 0xff, 0xff]; // key, version 3, correlation id, no client id
    body.extend_from_slice(&[0xff, 0xff, 0, 1, 0, 0, 0x75, 0x30, 0, 0, 0, 1]); // no transaction, acks 1, 30 s, one topic
    body.extend_from_slice(b"\x00\x05large\x00\x00\x00\x01\x00\x00\x00\x00"); // one partition, 0
    body.extend_from_slice(&(records.len() as u32).to_be_bytes());
    body.extend_from_slice(&records);
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_requests_wait_for_memory_and_small_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder, |options| options.request_memory_bytes_max = 600_000).await;
    assert_eq!(admin::create(&server, "large", 1, &[]).await, None);
    let frame = produce_frame(500_000);
    let mut first = TcpStream::connect(server.addr()).await.unwrap();
    first.write_all(&frame[..400_000]).await.unwrap();
    // The first has its memory once the broker has read its head; there is no telling when, so give it a moment.
    timeout(Duration::from_millis(300), std::future::pending::<()>()).await.ok();
    let (mut second, mut output) = TcpStream::connect(server.addr()).await.unwrap().into_split();
    let whole = frame.clone();
    let writing = tokio::spawn(async move { output.write_all(&whole).await.map(|()| output) });
    let waits = timeout(Duration::from_millis(300), second.read_u32()).await;
    assert!(waits.is_err(), "there is no memory for a second one");
    let mut small = TcpStream::connect(server.addr()).await.unwrap();
    assert!(answered(&mut small).await);
    first.write_all(&frame[400_000..]).await.unwrap();
    timeout(WAIT, first.read_u32()).await.unwrap().unwrap();
    timeout(WAIT, second.read_u32()).await.unwrap().unwrap();
    drop(writing.await.unwrap().unwrap());
    assert_eq!(produce::read_all(&server, "large", 1).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_too_large_closes_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder, |options| options.request_bytes_max = 1_000).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&1_001_u32.to_be_bytes()).await.unwrap();
    closed(&mut stream).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_in_flight_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder, |options| options.requests_in_flight_count_max = 1).await;
    assert_eq!(admin::create(&server, "slow", 1, &[]).await, None);
    let settings = [("batch.num.messages", "3"), ("linger.ms", "0"), ("enable.idempotence", "true")];
    produce::send(&server, "slow", 500, &settings).await;
    assert_eq!(produce::read_all(&server, "slow", 1).await.len(), 500);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_in_all_have_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder, |options| options.partitions_total_max = 5).await;
    let violation = Some(RDKafkaErrorCode::PolicyViolation);
    assert_eq!(admin::create(&server, "a", 6, &[]).await, violation);
    assert_eq!(admin::create(&server, "a", 3, &[]).await, None);
    assert_eq!(admin::create(&server, "b", 3, &[]).await, violation);
    let client = admin::admin(&server);
    let grow = async |partitions| {
        let grown = [NewPartitions::new("a", partitions)];
        let grown = client.create_partitions(&grown, &AdminOptions::new()).await.unwrap();
        grown[0].as_ref().err().map(|(_, code)| *code)
    };
    assert_eq!(grow(6).await, violation);
    assert_eq!(grow(5).await, None);
    assert_eq!(admin::create(&server, "b", 1, &[]).await, violation);
    produce::send(&server, "a", 20, &[("enable.idempotence", "true")]).await;
    client.delete_topics(&["a"], &AdminOptions::new()).await.unwrap();
    assert_eq!(admin::create(&server, "b", 5, &[]).await, None);
    server.stop().await;
}
