//! Makes images of power cuts, and has them judged in processes of their own: the code that opens
//! a damaged image may abort or hang.

use std::any::Any;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::disk::Medium;
use super::image::Node;
use super::random::Numbers;
use super::recording::Recording;
use super::trace::{Call, Event};

/// What a child is to judge.
const PLAN: &str = "POWER_CUT_PLAN";
/// Replays one image: the line that a fault ended with.
const REPLAY: &str = "POWER_CUT_REPLAY";
/// Another seed than that of the code.
const SEED: &str = "POWER_CUT_SEED";

const CHILDREN: usize = 2;
/// A child that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(120);
/// Images of two children, with room to spare.
const SPACE: u64 = 64 << 20;

/// Which images to make of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutPlan {
    /// The recording's folder.
    pub recording: PathBuf,
    pub medium: Medium,
    pub images: usize,
    pub seed: u64,
    /// Syncs of paths that end so (or have what stands before a final `*`) are not believed: a
    /// planted bug. `None`: all are.
    pub deaf_to: Option<String>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Judged {
    pub images: usize,
    /// Images at moments when something was not durable.
    pub uncertain: usize,
    pub faults: Vec<String>,
}

impl Judged {
    pub fn add(&mut self, other: Self) {
        self.images += other.images;
        self.uncertain += other.uncertain;
        self.faults.extend(other.faults);
    }

    /// Fails with what is wrong; otherwise removes the recordings in `top`.
    pub fn expect_sound(&self, expected: usize, top: &Path) {
        let Self { images, uncertain, faults } = self;
        let (count, list) = (faults.len(), faults.join("\n"));
        assert!(count == 0, "{count} faults, recording kept in {}:\n{list}", top.display());
        assert_eq!(*images, expected);
        assert!(*uncertain > images / 20, "only {uncertain} of {images} images were uncertain");
        println!("{images} images, {uncertain} of them uncertain: all sound");
        fs::remove_dir_all(top).unwrap();
    }
}

impl CutPlan {
    pub fn new(recording: &Recording, medium: Medium, images: usize, seed: u64) -> Self {
        let asked = std::env::var(SEED).ok();
        let seed = asked.map_or(seed, |seed| seed.parse().expect("a seed is a number"));
        Self { recording: recording.dir().to_owned(), medium, images, seed, deaf_to: None }
    }

    /// The plan of one image that the environment asks for; `None` usually.
    pub fn replayed() -> Option<Self> {
        let text = std::env::var(REPLAY).ok()?;
        Some(text.parse().expect("it is as the fault printed it"))
    }

    /// The seed of image `number`; the first one's is the plan's, so that it can be replayed.
    fn image_seed(&self, number: usize) -> u64 {
        if number == 0 { self.seed } else { Numbers::new(self.seed ^ (number as u64) << 32).next() }
    }
}

impl std::fmt::Display for CutPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { recording, medium, images, seed, deaf_to } = self;
        let deaf_to = deaf_to.as_deref().unwrap_or("-");
        write!(f, "{images}:{medium:?}:{seed}:{deaf_to}:{}", recording.display())
    }
}

impl FromStr for CutPlan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.splitn(5, ':').collect();
        let [images, medium, seed, deaf_to, recording] = parts[..] else {
            return Err(format!("`{text}` is not five parts with colons between"));
        };
        let bad = |e: std::num::ParseIntError| e.to_string();
        Ok(Self {
            recording: recording.into(),
            medium: match medium {
                "Synchronous" => Medium::Synchronous,
                "Cached" => Medium::Cached,
                other => return Err(format!("`{other}` is no medium")),
            },
            images: images.parse().map_err(bad)?,
            seed: seed.parse().map_err(bad)?,
            deaf_to: (deaf_to != "-").then(|| deaf_to.to_owned()),
        })
    }
}

/// In a child: makes its share of the images and prints what `fault` finds wrong with each, given
/// its folder and what was acknowledged before the cut. Does nothing in any other process.
pub fn judge(fault: &mut dyn FnMut(&Path, &[String]) -> Option<String>) {
    let Ok(text) = std::env::var(PLAN) else { return };
    let (share, text) = text.split_once(':').expect("the parent writes the share first");
    let share: usize = share.parse().expect("a number");
    let plan: CutPlan = text.parse().expect("the parent wrote it");
    let recording = Recording::open(&plan.recording);
    let events = recording.events();
    let cuts = cuts(&plan, share, &events);

    let space = tempfile::tempdir_in(space_for_images(&plan.recording)).unwrap();
    let mut disk = recording.disk(plan.medium, plan.deaf_to.clone());
    let mut told = recording.told();
    let mut left = cuts.iter().peekable();
    let (mut judged, mut uncertain) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        disk.play(event);
        if let Event::Told(what) = event {
            told.push(what.clone());
        }
        while let Some((_, seed)) = left.next_if(|(moment, _)| *moment == index) {
            println!("\njudging {seed} cut at {index} of {}", events.len());
            uncertain += usize::from(disk.is_uncertain());
            let image = space.path().join(format!("image-{judged}"));
            // The moment was drawn from it first.
            disk.cut(&mut Numbers::new(!seed)).write(&image).unwrap();
            let found = catch_unwind(AssertUnwindSafe(|| fault(&image, &told)));
            if let Some(found) = found.unwrap_or_else(|panic| Some(what_it_said(&*panic))) {
                println!("\nfault {}", found.replace('\n', " "));
            }
            fs::remove_dir_all(&image).unwrap();
            judged += 1;
        }
    }
    println!("\njudged {judged} {uncertain}");
}

/// The first image of `plan`, and what was acknowledged before its cut.
pub fn image(plan: &CutPlan) -> (Node, Vec<String>) {
    let recording = Recording::open(&plan.recording);
    let events = recording.events();
    let (moment, seed) = cuts(&CutPlan { images: 1, ..plan.clone() }, 0, &events)[0];
    let mut disk = recording.disk(plan.medium, plan.deaf_to.clone());
    let mut told = recording.told();
    for event in &events[..=moment] {
        disk.play(event);
        if let Event::Told(what) = event {
            told.push(what.clone());
        }
    }
    (disk.cut(&mut Numbers::new(!seed)), told)
}

fn what_it_said(panic: &dyn Any) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    format!("it panics: {}", text.unwrap_or_default())
}

/// Moments and seeds of the images of one child, in order of the moments. Every fourth moment is
/// beside a change of names or a sync: these are few, and matter.
fn cuts(plan: &CutPlan, share: usize, events: &[Event]) -> Vec<(usize, u64)> {
    let is_rare = |event: &Event| {
        matches!(event, Event::Began { call, .. } if !matches!(call,
            Call::Write { .. } | Call::Seek { .. } | Call::Open { create: false, .. }))
    };
    let rare: Vec<usize> = (0..events.len()).filter(|i| is_rare(&events[*i])).collect();
    let mine = (0..plan.images).filter(|number| number % CHILDREN == share);
    let cut = |number| {
        let seed = plan.image_seed(number);
        let mut random = Numbers::new(seed);
        let moment = if random.once_in(4) && !rare.is_empty() {
            (rare[random.below(rare.len())] + random.below(3)).saturating_sub(1)
        } else {
            random.below(events.len())
        };
        (moment.min(events.len() - 1), seed)
    };
    let mut cuts: Vec<(usize, u64)> = mine.map(cut).collect();
    cuts.sort_unstable();
    cuts
}

/// Memory where the system has enough of it, otherwise the disk.
fn space_for_images(otherwise: &Path) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |fs| fs.f_bavail * fs.f_frsize);
    if free >= SPACE { memory.to_owned() } else { otherwise.to_owned() }
}

/// Has the images of `plan` judged by the test `child` of this program, which calls [`judge`].
pub fn judged_by_children(plan: &CutPlan, child: &str) -> Judged {
    let (send, receive) = mpsc::channel();
    let mut children: Vec<Child> = Vec::new();
    for share in 0..CHILDREN.min(plan.images) {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", child, "--nocapture"])
            .env(PLAN, format!("{share}:{plan}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let send = send.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = send.send((share, line));
            }
        });
        children.push(process);
    }
    drop(send);
    let judged = collect(plan, children.len(), &receive);
    for mut process in children {
        let _ = process.kill();
        process.wait().unwrap();
    }
    judged
}

fn collect(plan: &CutPlan, children: usize, receive: &mpsc::Receiver<(usize, String)>) -> Judged {
    let mut all = Judged::default();
    let mut now: Vec<Option<String>> = vec![Some("nothing yet".to_owned()); children];
    let replay = |judging: &str| {
        let seed = judging.split(' ').next().and_then(|seed| seed.parse().ok());
        let one = CutPlan { images: 1, seed: seed.unwrap_or(plan.seed), ..plan.clone() };
        format!("{judging}; replay with {REPLAY}={one}")
    };
    let ended = loop {
        let (share, line) = match receive.recv_timeout(SILENCE) {
            Ok(said) => said,
            Err(error) => break error,
        };
        match line.split_once(' ') {
            Some(("judging", image)) => now[share] = Some(image.to_owned()),
            Some(("fault", fault)) => {
                let image = now[share].as_deref().unwrap_or_default();
                all.faults.push(format!("{fault}; {}", replay(image)));
            }
            Some(("judged", counts)) => {
                let mut counts = counts.split(' ').map(|n| n.parse::<usize>().unwrap());
                all.images += counts.next().unwrap();
                all.uncertain += counts.next().unwrap();
                now[share] = None;
            }
            _ => {}
        }
    };
    let how = if ended == RecvTimeoutError::Timeout { "it hangs" } else { "the process died" };
    all.faults.extend(now.iter().flatten().map(|image| format!("{how}; {}", replay(image))));
    all
}
