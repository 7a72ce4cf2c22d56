use rebuilder_actors::actor::TreeEnd;
use tokio::signal::unix::{SignalKind, signal};

use super::error::RoleError;
use super::expected::Expected;
use super::host::Host;
use super::progress;
use super::{coordinator, worker};
use crate::config::Config;

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Standalone only: end when every job is decided, parked or not due within a minute.
    pub until_idle: bool,
    /// What the table is compared with.
    pub expected: Expected,
}

/// Runs a node until it is stopped by a signal, gives up, or is idle.
///
/// # Errors
/// It cannot start, or gave up; see [`RoleError::exit_code`].
pub async fn run(config: &Config, options: &Options) -> Result<(), RoleError> {
    let host = Host::new();
    let opened = config.worker.as_ref().map(worker::Opened::open).transpose()?;
    let mut coordinator = match &config.coordinator {
        Some(settings) => {
            let also = opened.as_ref().map(worker::Opened::key);
            Some(coordinator::Running::start(settings, &host, also).await?)
        }
        None => None,
    };
    let mut worker = match (opened, &config.worker) {
        (Some(opened), Some(settings)) => {
            let known = coordinator
                .as_ref()
                .map(|c| worker::Known { address: loopback(c.address).to_string(), key: c.key });
            Some(opened.start(settings, &host, known).await?)
        }
        _ => None,
    };
    let until = progress::Until {
        profiles: config.coordinator.as_ref().map_or(0, |settings| settings.profiles.len()),
        diffoscope: config.worker.as_ref().is_some_and(|settings| settings.diffoscope.enabled),
        expected: &options.expected,
    };
    let result = wait(coordinator.as_mut(), worker.as_mut(), options, &until).await;
    if let Some(worker) = worker {
        worker.stop().await;
    }
    if let Some(coordinator) = coordinator {
        coordinator.stop().await;
    }
    result
}

/// Waits for a signal, for the end of a tree, or until nothing is left to do.
async fn wait(
    mut coordinator: Option<&mut coordinator::Running>,
    worker: Option<&mut worker::Running>,
    options: &Options,
    until: &progress::Until<'_>,
) -> Result<(), RoleError> {
    let handler = |kind| signal(kind).map_err(|e| RoleError::Start(e.to_string()));
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let idle = {
        let tree = coordinator.as_ref().map(|coordinator| coordinator.tree.clone());
        async move {
            match tree.filter(|_| options.until_idle) {
                Some(tree) => progress::until_idle(&tree, until).await,
                None => std::future::pending().await,
            }
        }
    };
    let coordinator_ended = async {
        match coordinator.as_mut() {
            Some(coordinator) => (&mut coordinator.ended).await.ok(),
            None => std::future::pending().await,
        }
    };
    let worker_ended = async {
        match worker {
            Some(worker) => (&mut worker.ended).await.ok(),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        _ = terminate.recv() => stopped(options),
        _ = interrupt.recv() => stopped(options),
        end = coordinator_ended => ended(end),
        end = worker_ended => ended(end),
        result = idle => result,
    }
}

fn stopped(options: &Options) -> Result<(), RoleError> {
    tracing::info!(target: "rebuilder", "stopping");
    if options.until_idle { Err(RoleError::Interrupted) } else { Ok(()) }
}

fn ended(end: Option<TreeEnd>) -> Result<(), RoleError> {
    match end {
        Some(TreeEnd::GaveUp { reason }) => Err(RoleError::GaveUp(reason)),
        Some(TreeEnd::Damaged { reason }) => Err(RoleError::Damaged(reason)),
        Some(TreeEnd::Stopped) => Ok(()),
        None => Err(RoleError::GaveUp("the tree ended without a word".into())),
    }
}

/// Where a process reaches its own listener.
fn loopback(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            std::net::SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            std::net::SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
