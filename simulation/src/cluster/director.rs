//! Makes the world, lets trouble happen to it, heals it, and waits until its work is done.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rebuilder_actors::domain::queue::{EnrolmentRules, RetryPolicy, Settings};
use rebuilder_actors::protocol::AttemptLimits;
use rebuilder_actors::protocol::wire::v1::ctl::{PackageFilter, Request, Response};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::coordinator::CoordinatorNode;
use super::ctl::{self, Client};
use super::hostile;
use super::machine::Machine;
use super::mirror::{Distribution, PROFILES};
use super::network::SimulatedNetwork;
use super::options::{MINUTES, Options};
use super::random_stream::RandomStream;
use super::trouble::Trouble;
use super::worker::{self, SIGNUP_SECRET, WorkerNode, is_listed};
use super::world::{Call, Cluster, Node};
use crate::plan::Plan;

/// What is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum DirectorEvent {
    Start(Node),
    Crash(Node),
    Stop(Node),
    /// A machine's network is cut, in one direction or both.
    Cut(Node),
    Mend(Node),
    Full(Node),
    Empty(Node),
    Publish,
    ClockStep(Node),
    /// Somebody starts another coordinator on the same store, which ends again.
    TakeOver,
    Heal,
}

/// Everything there is.
pub(super) struct Director {
    pub(super) world: Arc<Cluster>,
    calls: mpsc::UnboundedReceiver<Call>,
    random: RandomStream,
    network: Arc<SimulatedNetwork>,
    pub(super) distribution: Arc<Distribution>,
    pub(super) coordinator: CoordinatorNode,
    pub(super) workers: Vec<WorkerNode>,
    clients: JoinSet<()>,
    pub(super) operator: Client,
    /// By time (milliseconds of the world's age) and order.
    happenings: BTreeMap<(u64, u64), DirectorEvent>,
    sequence: u64,
    heals_at: Duration,
    pub(super) restarts: u64,
}

fn settings(options: &Options, seed: u64) -> Settings {
    Settings {
        lease: Duration::from_secs(options.lease_secs),
        retry: RetryPolicy {
            delay_base: Duration::from_secs(options.retry_base_secs),
            max_retries: Some(options.retries_max),
        },
        initial_delay: Duration::ZERO,
        confirmations: if options.workers > 1 { options.confirmations } else { 1 },
        seed,
        limits: AttemptLimits {
            build_secs_max: options.build_secs_max,
            stage_secs_max: 600,
            log_bytes_max: 2 << 20,
        },
        enrolment: EnrolmentRules::default(),
        profiles: BTreeMap::new(),
    }
}

impl Director {
    pub(super) fn new(plan: &Plan) -> Self {
        let options = Options::draw(plan);
        let mut settings = settings(&options, plan.seed);
        let (bare, _) = Cluster::new(plan, options.clone(), settings.clone());
        // Keys come from the seed alone: the settings name them before there is a world.
        let machine = |node| Machine::new(&bare, node);
        let hosts: Vec<Machine> = (0..options.workers).map(|n| machine(Node::Worker(n))).collect();
        let keys = hosts.iter().map(|host| host.identity.public_key());
        let workers: BTreeMap<_, _> = keys.clone().zip(0..).collect();
        let house = machine(Node::Coordinator);
        let coordinator = house.identity.public_key();
        settings.enrolment = EnrolmentRules {
            coordinator,
            authorized: keys.enumerate().filter(|(n, _)| is_listed(*n)).map(|(_, k)| k).collect(),
            signup_secret: Some(SIGNUP_SECRET.to_vec()),
        };
        let (world, calls) = Cluster::new(plan, options, settings);
        let network = SimulatedNetwork::new(&world);
        let distribution = Distribution::new(&world);
        // The last client is the director's own.
        let ctls: Vec<Machine> =
            (0..world.options.ctls + 1).map(|n| Machine::new(&world, Node::Ctl(n))).collect();
        let admins: BTreeSet<_> = [&ctls[0], &ctls[ctls.len() - 1]]
            .map(|ctl| ctl.identity.public_key())
            .into_iter()
            .collect();
        let coordinator_node =
            CoordinatorNode::new(&world, &network, &distribution, house, workers, admins);
        let mut clients: Vec<Client> =
            ctls.into_iter().map(|ctl| Client::new(&world, &network, ctl, coordinator)).collect();
        let operator = clients.pop().expect("the director has a client");
        let mut tasks = JoinSet::new();
        for (number, client) in clients.into_iter().enumerate() {
            tasks.spawn(ctl::live(client, world.clone(), distribution.clone(), number == 0));
        }
        hostile::begin(&world, &network, coordinator, &mut tasks);
        let node = |(number, host)| WorkerNode::new(&world, &network, number, host);
        let workers: Vec<WorkerNode> = hosts.into_iter().enumerate().map(node).collect();
        for worker in workers.iter().filter(|worker| is_listed(worker.number)) {
            worker.knows(coordinator);
        }
        Self {
            random: world.random("director"),
            calls,
            network,
            distribution,
            coordinator: coordinator_node,
            workers,
            clients: tasks,
            operator,
            happenings: BTreeMap::new(),
            sequence: 0,
            heals_at: Duration::from_secs(u64::from(plan.length.unwrap_or(MINUTES)) * 60),
            restarts: 0,
            world,
        }
    }

    /// Lives through the trouble, and heals.
    pub(super) async fn trouble(&mut self) {
        self.plan();
        while self.world.in_trouble() && !self.world.has_failed() {
            let Some((&(at, _), _)) = self.happenings.first_key_value() else { break };
            let at = self.world.zero() + Duration::from_millis(at);
            match tokio::time::timeout_at(at, self.calls.recv()).await {
                Ok(Some(call)) => self.called(call),
                Ok(None) => break,
                Err(_) => {
                    if let Some((_, happening)) = self.happenings.pop_first() {
                        self.happen(happening).await;
                    }
                }
            }
        }
    }

    fn plan(&mut self) {
        self.after(0, DirectorEvent::Start(Node::Coordinator));
        for number in 0..self.workers.len() {
            let delay = self.random.of(0..20_000);
            self.after(delay, DirectorEvent::Start(Node::Worker(number)));
        }
        let heal = u64::try_from(self.heals_at.as_millis()).unwrap_or(u64::MAX);
        self.after(heal, DirectorEvent::Heal);
        let nodes = 0..self.workers.len();
        let nodes = nodes.map(Node::Worker).chain([Node::Coordinator]);
        for node in nodes.collect::<Vec<_>>() {
            let crashes = match node {
                Node::Coordinator => Trouble::CoordinatorCrashes,
                _ => Trouble::WorkerCrashes,
            };
            self.again(crashes, DirectorEvent::Crash(node));
            self.again(crashes, DirectorEvent::Stop(node));
            self.again(Trouble::Partitions, DirectorEvent::Cut(node));
            self.again(Trouble::OneWay, DirectorEvent::Cut(node));
            self.again(Trouble::FullDisks, DirectorEvent::Full(node));
            self.again(Trouble::ClockSteps, DirectorEvent::ClockStep(node));
        }
        self.again(Trouble::Publishing, DirectorEvent::Publish);
        self.again(Trouble::Takeovers, DirectorEvent::TakeOver);
    }

    /// Plans the next time that something of its kind happens, where there is such trouble.
    fn again(&mut self, fault: Trouble, happening: DirectorEvent) {
        if !self.world.has(fault) {
            return;
        }
        let options = &self.world.options;
        let about = match happening {
            DirectorEvent::Crash(_) => options.crash_secs,
            DirectorEvent::Stop(_) | DirectorEvent::TakeOver => 3 * options.crash_secs,
            DirectorEvent::Cut(_) => options.partition_secs,
            DirectorEvent::Publish => 200,
            _ => 900,
        };
        let delay = self.random.of(0..2 * about * 1000);
        self.after(delay, happening);
    }

    fn after(&mut self, delay_ms: u64, happening: DirectorEvent) {
        let now = u64::try_from(self.world.age().as_millis()).unwrap_or(u64::MAX);
        self.sequence += 1;
        self.happenings.insert((now + delay_ms, self.sequence), happening);
    }

    async fn happen(&mut self, happening: DirectorEvent) {
        match happening {
            DirectorEvent::Start(Node::Coordinator) => self.coordinator.start().await,
            DirectorEvent::Start(node) => {
                if let Some(number) = worker::number(node) {
                    self.workers[number].start().await;
                }
            }
            DirectorEvent::Crash(node) => {
                self.crash(node, "the power went");
                let crashes = match node {
                    Node::Coordinator => Trouble::CoordinatorCrashes,
                    _ => Trouble::WorkerCrashes,
                };
                self.again(crashes, happening);
            }
            DirectorEvent::Stop(Node::Coordinator) => {
                self.coordinator.stop();
                self.again(Trouble::CoordinatorCrashes, happening);
            }
            DirectorEvent::Stop(node) => {
                if let Some(number) = worker::number(node) {
                    self.workers[number].stop();
                }
                self.again(Trouble::WorkerCrashes, happening);
            }
            DirectorEvent::Cut(node) => self.cut(node),
            DirectorEvent::Mend(node) => self.mend(node),
            DirectorEvent::Full(node) | DirectorEvent::Empty(node) => {
                let full = matches!(happening, DirectorEvent::Full(_));
                let machine = self.machine(node);
                machine.full.store(full, Ordering::Relaxed);
                self.world.event(node, if full { "disk is full" } else { "disk has room" });
                if full {
                    let delay = self.random.of(1000..200_000);
                    self.after(delay, DirectorEvent::Empty(node));
                } else {
                    self.again(Trouble::FullDisks, DirectorEvent::Full(node));
                }
            }
            DirectorEvent::Publish => {
                self.distribution.change(&mut self.random);
                self.again(Trouble::Publishing, happening);
            }
            DirectorEvent::TakeOver => {
                self.coordinator.taken_over();
                self.again(Trouble::Takeovers, happening);
            }
            DirectorEvent::ClockStep(node) => {
                let step = i64::try_from(self.random.of(0..7_200_000)).unwrap_or(0) - 3_600_000;
                self.machine(node).clock.set_offset(step);
                self.world
                    .event(node, &format!("wall clock is set {step} ms beside the true time"));
                self.again(Trouble::ClockSteps, happening);
            }
            DirectorEvent::Heal => self.heal().await,
        }
    }

    fn machine(&self, node: Node) -> &Machine {
        match worker::number(node) {
            Some(number) => &self.workers[number].machine,
            None => &self.coordinator.machine,
        }
    }

    fn cut(&mut self, node: Node) {
        let here = Machine::address(node, 0).ip();
        let both = self.world.has(Trouble::Partitions);
        let one_way = self.world.has(Trouble::OneWay);
        let direction = match (both, one_way) {
            (true, false) => 0,
            (false, true) => self.random.of(1..3),
            _ => self.random.of(0..3),
        };
        let others: Vec<Node> = match node {
            Node::Coordinator => (0..self.workers.len()).map(Node::Worker).collect(),
            _ => vec![Node::Coordinator],
        };
        for other in others {
            let there = Machine::address(other, 0).ip();
            if direction != 1 {
                self.network.block(here, there);
            }
            if direction != 2 {
                self.network.block(there, here);
            }
        }
        let how = ["is cut off", "hears nobody", "is heard by nobody"];
        self.world.event(node, how[usize::try_from(direction).unwrap_or(0)]);
        let long = self.random.percent(20);
        let delay = self.random.of(500..if long { 1_200_000 } else { 60_000 });
        self.after(delay, DirectorEvent::Mend(node));
    }

    fn mend(&mut self, node: Node) {
        let here = Machine::address(node, 0).ip();
        let others = (0..self.workers.len()).map(Node::Worker).chain([Node::Coordinator]);
        for other in others {
            let there = Machine::address(other, 0).ip();
            self.network.unblock(here, there);
            self.network.unblock(there, here);
        }
        self.world.event(node, "can be reached again");
        let fault =
            if self.world.has(Trouble::Partitions) { Trouble::Partitions } else { Trouble::OneWay };
        self.again(fault, DirectorEvent::Cut(node));
    }

    /// A node's process is gone; another one begins later.
    fn crash(&mut self, node: Node, why: &str) {
        let gone = match worker::number(node) {
            Some(number) => self.workers[number].crash(why),
            None => self.coordinator.crash(why),
        };
        if gone {
            self.restarts += 1;
        }
        let longest = if self.world.in_trouble() { 120_000 } else { 5000 };
        let long = self.world.in_trouble() && self.random.percent(15);
        let delay = self.random.of(500..if long { 1_200_000 } else { longest });
        self.after(delay, DirectorEvent::Start(node));
    }

    pub(super) fn called(&mut self, call: Call) {
        let current = |director: &Self, node| match worker::number(node) {
            Some(number) => director.workers[number].process(),
            None => director.coordinator.number(),
        };
        match call {
            Call::PowerCut(node, process) if current(self, node) == Some(process) => {
                self.crash(node, "the power went inside a write");
            }
            Call::Ended(node, process, reason) if current(self, node) == Some(process) => {
                self.crash(node, &reason);
            }
            // It could not even begin.
            Call::Ended(node, _, reason) if current(self, node).is_none() => {
                self.crash(node, &reason);
            }
            Call::PowerCut(..) | Call::Ended(..) | Call::Broken => {}
        }
    }

    /// All trouble ends: everybody runs, the operator looks at what is parked.
    async fn heal(&mut self) {
        self.world.heal();
        self.network.clear();
        self.coordinator.machine.heal();
        self.workers.iter().for_each(|worker| worker.machine.heal());
        self.happenings.clear();
        self.coordinator.start().await;
        for worker in &mut self.workers {
            worker.start().await;
        }
    }

    /// Lets the healed world go on for so long; nodes that end begin again.
    pub(super) async fn peace(&mut self, duration: Duration) {
        let end = super::time::now() + duration;
        loop {
            let planned = self.happenings.first_key_value();
            let planned =
                planned.map(|((at, _), _)| self.world.zero() + Duration::from_millis(*at));
            let at = planned.map_or(end, |planned| planned.min(end));
            match tokio::time::timeout_at(at, self.calls.recv()).await {
                Ok(Some(Call::Broken) | None) => return,
                Ok(Some(call)) => self.called(call),
                Err(_) if planned.is_some_and(|planned| planned <= at) => {
                    if let Some((_, happening)) = self.happenings.pop_first() {
                        self.happen(happening).await;
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// The operator has these packages tried again, and every index read.
    pub(super) async fn operate(&mut self, parked: BTreeSet<String>) -> Result<(), String> {
        let node = self.operator.node();
        let syncs = PROFILES.map(|profile| Request::SyncRun { profile: profile.into() });
        let pushes = parked.into_iter().map(|name| {
            let filter = PackageFilter { name: Some(name), ..PackageFilter::default() };
            Request::QueuePush { filter, priority: 0 }
        });
        for request in syncs.into_iter().chain(pushes) {
            let answer = self.operator.ask(&request).await?;
            self.world.line(node, || format!("{request:?}: {answer:?}"));
            if let [Response::Refused { text, .. }] = answer.as_slice() {
                return Err(text.clone());
            }
        }
        Ok(())
    }

    /// Everything ends.
    pub(super) fn end(&mut self) {
        self.clients.abort_all();
        self.coordinator.crash("the world ends");
        for worker in &mut self.workers {
            worker.crash("the world ends");
        }
    }
}
