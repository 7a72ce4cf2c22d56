//! A coordinator of canned answers: the real transport on loopback, real frames.

use std::net::Ipv4Addr;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use rebuilder_actors::port::{
    CloseReason, Connection, FrameReceive, FrameSend, Network, StreamError,
};
use rebuilder_actors::protocol::wire::v1::ctl::{
    JobCounts, Package, PackageFilter, PackageStatus, RefusalCode, Request, Response, Status,
};
use rebuilder_actors::protocol::wire::v1::history::{DatedPackage, FirstTimes};
use rebuilder_actors::protocol::wire::{
    BootId, CHUNK_FRAME_BYTES_MAX, CONTROL_FRAME_BYTES_MAX, CloseCode, Hello, SOFTWARE, Welcome,
    decode, encode,
};
use rebuilder_actors::protocol::{InputId, PublicKey, UtcMillis};
use rebuilder_transport::{Identity, Limits, Quic, system};

/// Rows that the filter `many` matches.
pub const MANY: usize = 2500;

pub struct Coordinator {
    pub address: String,
    pub key: PublicKey,
    runtime: tokio::runtime::Runtime,
}

impl Coordinator {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let identity = Identity::from_seed([1; 32]);
        let key = identity.public_key();
        let server = runtime
            .block_on(async {
                system::server((Ipv4Addr::LOCALHOST, 0).into(), identity, Limits::default())
            })
            .unwrap();
        let address = server.local_address().unwrap().to_string();
        runtime.spawn(serve(server));
        Self { address, key, runtime }
    }

    /// `rebuilder-ctl` with these arguments, and nothing from the environment of the test.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.env("REBUILDER_ENDPOINT", &self.address);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    pub fn stop(self) {
        self.runtime.shutdown_background();
    }
}

pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rebuilder-ctl"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// What the program did.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

async fn serve(server: Quic) {
    while let Some(connection) = server.accept().await {
        tokio::spawn(async move {
            // A client that is killed ends its connection in the middle of something.
            talk(connection).await.ok();
        });
    }
}

async fn talk(connection: Box<dyn Connection>) -> Result<(), StreamError> {
    let (mut send, mut receive) = connection.accept(CONTROL_FRAME_BYTES_MAX).await?;
    let hello: Hello = decode(&receive.receive().await?.unwrap()).unwrap();
    assert_eq!((hello.version_min, hello.version_max), (1, 1));
    // A key that the tests give to a client that is too old.
    if connection.peer() == Identity::from_seed([9; 32]).public_key() {
        let text = "no protocol version in common".to_owned();
        connection.close(CloseReason { code: CloseCode::Version as u32, text });
        return Ok(());
    }
    let (software, boot) = (SOFTWARE.to_owned(), BootId([3; 16]));
    let welcome = Welcome { version: 1, software, boot, proof: None, admin: false };
    send.send(encode(&welcome)).await?;
    loop {
        let (send, receive) = connection.accept(CHUNK_FRAME_BYTES_MAX).await?;
        answer(send, receive, &*connection).await?;
    }
}

async fn answer(
    mut send: Box<dyn FrameSend>,
    mut receive: Box<dyn FrameReceive>,
    connection: &dyn Connection,
) -> Result<(), StreamError> {
    let request: Request = decode(&receive.receive().await?.unwrap()).unwrap();
    assert_eq!(receive.receive().await?, None);
    for response in canned(&request) {
        send.send(encode(&response)).await?;
    }
    match &request {
        Request::DatedPackages(filters) if name(&filters[0]) == "lost" => {
            // The rows arrive, then the coordinator dies.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let text = "disk full".to_owned();
            connection.close(CloseReason { code: CloseCode::Internal as u32, text });
        }
        Request::Log { filter, follow: true } if name(filter) == "a" => loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            send.send(encode(&Response::Chunk(Bytes::new()))).await?;
        },
        _ => send.finish()?,
    }
    Ok(())
}

fn canned(request: &Request) -> Vec<Response> {
    let refused = |code, text: &str| vec![Response::Refused { code, text: text.to_owned() }];
    match request {
        Request::DatedPackages(filters) => match name(&filters[0]) {
            "many" => (0..MANY).map(dated).collect(),
            "lost" => (0..10).map(dated).collect(),
            // As a coordinator that does not know the question.
            "earlier" => refused(RefusalCode::Invalid, "the request cannot be read"),
            _ => Vec::new(),
        },
        Request::PackagesOfAny(filters) => match name(&filters[0]) {
            "earlier" => vec![Response::Package(package(0))],
            _ => Vec::new(),
        },
        Request::Workers
        | Request::Profiles
        | Request::Queue { .. }
        | Request::Troubles
        | Request::Capabilities
        | Request::Faults(_)
        | Request::History(_) => Vec::new(),
        Request::Log { filter, .. } => match name(filter) {
            "two" => {
                let rows = (0..2).map(|n| Response::Package(package(n)));
                std::iter::once(Response::Ambiguous { matches: 2 }).chain(rows).collect()
            }
            "absent" => refused(RefusalCode::NotFound, "no job matches\u{1b}[2J"),
            _ => [b"one \x1b[2J\xff\n".as_slice(), b"", b"two\n"]
                .map(|bytes| Response::Chunk(Bytes::from_static(bytes)))
                .to_vec(),
        },
        Request::QueuePushAny { filters, .. } if name(&filters[0]) == "nothing" => {
            vec![Response::Done { affected: 0, text: "no job matches".to_owned() }]
        }
        Request::QueuePushAny { filters, priority } => {
            let text = format!("{} {priority}", name(&filters[0]));
            vec![Response::Done { affected: 1, text }]
        }
        Request::QueueDropAny { filters } => {
            vec![Response::Done { affected: 1, text: format!("{} dropped", name(&filters[0])) }]
        }
        Request::Status => vec![Response::Status(status())],
        Request::Difference { .. } | Request::Attestation { .. } => {
            refused(RefusalCode::NotFound, "it has not been built yet")
        }
        Request::Invite { .. } => refused(RefusalCode::Denied, "this key may only read"),
        Request::SyncRun { .. } => refused(RefusalCode::Internal, "the store is gone"),
        Request::Revoke { worker } if worker == "oak" => {
            refused(RefusalCode::Invalid, "two workers have this name")
        }
        Request::Revoke { .. } => vec![Response::Done { affected: 1, text: "revoked".into() }],
        // Something that does not answer the request.
        _ => vec![Response::Ambiguous { matches: 1 }],
    }
}

fn dated(number: usize) -> Response {
    let times = FirstTimes { seen: Some(UtcMillis(0)), ..FirstTimes::default() };
    Response::DatedPackage(DatedPackage { package: package(number), times })
}

fn name(filter: &PackageFilter) -> &str {
    filter.name.as_deref().unwrap_or("")
}

fn status() -> Status {
    Status {
        software: SOFTWARE.into(),
        uptime_ms: 1,
        key: PublicKey([1; 32]),
        jobs: JobCounts::default(),
        artifacts: Vec::new(),
        running: Vec::new(),
        quarantined: 0,
    }
}

fn package(number: usize) -> Package {
    Package {
        name: format!("package-{number}"),
        version: "1".into(),
        source: "source".into(),
        distribution: "debian".into(),
        release: Some("sid".into()),
        component: Some("main".into()),
        architecture: "amd64".into(),
        url: format!("https://mirror.example.org/package-{number}_1_amd64.deb"),
        file: format!("package-{number}_1_amd64.deb"),
        sha256: None,
        status: PackageStatus::Unknown,
        verdict: None,
        evidence: None,
        gate_grade: false,
        flaky: false,
        rebuilt_sha256: None,
        job: InputId(1),
        build: None,
        built_at: None,
        worker: None,
        has_difference: false,
        reason: None,
        fault: None,
    }
}
