use rebuilder_actors::actor::TreeEnd;

use super::error::RoleError;
use super::expected::Expected;
use super::host::Host;
use super::progress;
use super::signals::{Signals, Stop};
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
    // Before anything is opened: SIGHUP and its like must not end a start half way.
    let mut signals = Signals::catch()?;
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
    let result = wait(coordinator.as_mut(), worker.as_mut(), &mut signals, options, &until).await;
    let stop = async {
        if let Some(worker) = worker {
            worker.stop().await;
        }
        if let Some(coordinator) = coordinator {
            coordinator.stop().await;
        }
    };
    tokio::select! {
        biased;
        () = stop => result,
        // What is durable does not need the order, and the kernel ends the builds with us.
        signal = signals.again() => Err(RoleError::Forced(signal)),
    }
}

/// Waits for a signal, for the end of a tree, or until nothing is left to do.
async fn wait(
    mut coordinator: Option<&mut coordinator::Running>,
    worker: Option<&mut worker::Running>,
    signals: &mut Signals,
    options: &Options,
    until: &progress::Until<'_>,
) -> Result<(), RoleError> {
    let goes_on = coordinator.is_some() && !options.until_idle;
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
        let Some(worker) = worker else { return std::future::pending().await };
        match (&mut worker.ended).await {
            // Other workers still need the coordinator of a standalone node.
            Ok(TreeEnd::Refused { reason }) if goes_on => {
                tracing::error!(
                    target: "rebuilder",
                    "this node's own worker has ended ({reason}); its coordinator goes on"
                );
                std::future::pending().await
            }
            end => end.ok(),
        }
    };
    tokio::select! {
        biased;
        stop = signals.stop() => stopped(stop, options),
        end = coordinator_ended => ended(end),
        end = worker_ended => ended(end),
        result = idle => result,
    }
}

fn stopped(stop: Stop, options: &Options) -> Result<(), RoleError> {
    let signal = match stop {
        Stop::Asked(signal) => signal,
        Stop::HungUp => "SIGHUP",
    };
    tracing::info!(target: "rebuilder", "stopping ({signal}); SIGTERM or SIGINT again forces it");
    match stop {
        _ if options.until_idle => Err(RoleError::Interrupted),
        Stop::HungUp => Err(RoleError::HungUp),
        Stop::Asked(_) => Ok(()),
    }
}

fn ended(end: Option<TreeEnd>) -> Result<(), RoleError> {
    match end {
        Some(TreeEnd::GaveUp { reason }) => Err(RoleError::GaveUp(reason)),
        Some(TreeEnd::Damaged { reason }) => Err(RoleError::Damaged(reason)),
        Some(TreeEnd::TakenOver { reason }) => Err(RoleError::TakenOver(reason)),
        Some(TreeEnd::Refused { reason }) => Err(RoleError::Refused(reason.text)),
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
