//! The same seed gives the same bytes in two processes, whatever the system's randomness and clock
//! say; and nothing in the simulated thread asks for either.
//!
//! The functions of the C library that give randomness and time are replaced in this program: they
//! count who asks, and the clock runs differently in each process.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "functions of the C library are replaced")]

use core::cell::Cell;
use std::process::{Command, Stdio};

use rebuilder_simulation::level::run;
use rebuilder_simulation::plan::{Level, Plan};

const SEEDS: u64 = 20;
/// Says that this process is a child, and how much its clock runs too fast.
const CHILD: &str = "REBUILDER_SIMULATION_CHILD";

thread_local! {
    /// True while a world is simulated in this thread.
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    static WALL: Cell<u64> = const { Cell::new(0) };
    static MONOTONIC: Cell<u64> = const { Cell::new(0) };
    /// Seconds that each look at the clock adds.
    static JUMP: Cell<i64> = const { Cell::new(0) };
}

fn count(what: &'static std::thread::LocalKey<Cell<u64>>) {
    if ARMED.get() {
        what.set(what.get() + 1);
    }
}

const SYS_CLOCK_GETTIME: i64 = 228;
const SYS_GETRANDOM: i64 = 318;

/// The system call itself.
unsafe fn raw(number: i64, a: [i64; 6]) -> i64 {
    let result;
    // SAFETY: the convention of the kernel on this architecture; the caller answers for arguments.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

unsafe extern "C" {
    fn __errno_location() -> *mut i32;
}

/// As the C library returns it.
fn returned(result: i64) -> i64 {
    let Ok(error @ 1..=4095) = i32::try_from(-result) else { return result };
    // SAFETY: the C library gives a place of this thread.
    unsafe { *__errno_location() = error };
    -1
}

#[unsafe(no_mangle)]
extern "C" fn syscall(number: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64) -> i64 {
    if number == SYS_GETRANDOM {
        count(&RANDOM);
    }
    // SAFETY: passed on as given.
    returned(unsafe { raw(number, [a, b, c, d, e, f]) })
}

#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut u8, length: usize, flags: u32) -> isize {
    count(&RANDOM);
    let length = i64::try_from(length).unwrap_or(0);
    // SAFETY: passed on as given.
    let result = unsafe { raw(SYS_GETRANDOM, [buffer as i64, length, flags.into(), 0, 0, 0]) };
    isize::try_from(returned(result)).unwrap_or(-1)
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

#[unsafe(no_mangle)]
extern "C" fn clock_gettime(clock: i32, at: *mut Timespec) -> i32 {
    const REALTIME: i32 = 0;
    const MONOTONIC_CLOCK: i32 = 1;
    // SAFETY: passed on as given.
    let result = unsafe { raw(SYS_CLOCK_GETTIME, [clock.into(), at as i64, 0, 0, 0, 0]) };
    match clock {
        REALTIME => count(&WALL),
        MONOTONIC_CLOCK => {
            count(&MONOTONIC);
            if result == 0 && ARMED.get() {
                let jumped = JUMP.get() * i64::try_from(MONOTONIC.get()).unwrap_or(0);
                // SAFETY: the kernel has just written there.
                unsafe { (*at).seconds += jumped };
            }
        }
        _ => {}
    }
    i32::try_from(returned(result)).unwrap_or(-1)
}

fn plan(seed: u64) -> Plan {
    let plan = Plan::of(Level::Cluster, seed);
    Plan { length: Some(15), digest: true, trace: true, ..plan }
}

/// Simulates all seeds; prints what happened, and who asked the system.
#[test]
#[ignore = "run by the test below, in processes of its own"]
fn child() {
    let Ok(jump) = std::env::var(CHILD) else { return };
    JUMP.set(jump.parse().expect("seconds"));
    // tokio seeds a generator that nothing simulated asks; the first map of a thread has keys.
    run(&plan(SEEDS)).expect("a possible plan");
    for seed in 0..SEEDS {
        ARMED.set(true);
        let outcome = run(&plan(seed)).expect("a possible plan");
        ARMED.set(false);
        assert!(outcome.failure.is_none(), "seed {seed}: {:?}", outcome.failure);
        for line in outcome.trace {
            println!("> {line}");
        }
        println!("> seed {seed}: {:?}", outcome.digest);
    }
    println!("asked for randomness {} times, for the date {} times", RANDOM.get(), WALL.get());
}

fn run_child(jump: &str) -> std::process::Child {
    let program = std::env::current_exe().expect("a test has a program");
    let mut command = Command::new(program);
    command.args(["--exact", "child", "--ignored", "--nocapture", "--test-threads", "1"]);
    command.env(CHILD, jump).stdout(Stdio::piped()).spawn().expect("the test starts again")
}

#[test]
fn twenty_seeds_are_the_same_to_the_byte_in_two_processes() {
    let children = ["0", "1000"].map(run_child);
    let [one, two] = children.map(|child| {
        let output = child.wait_with_output().expect("a child ends");
        let text = String::from_utf8(output.stdout).expect("the trace is text");
        assert!(output.status.success(), "{}", text.lines().last().unwrap_or_default());
        text
    });
    let trace = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with('>')).map(Into::into).collect()
    };
    let (first, second) = (trace(&one), trace(&two));
    assert!(first.len() > 5000, "{} lines", first.len());
    let differ = first.iter().zip(&second).find(|(one, two)| one != two);
    assert_eq!(differ, None);
    assert_eq!(first.len(), second.len());
    // tokio seeds a generator for each runtime; nothing simulated asks it.
    let allowed = "asked for randomness 0 times, for the date 0 times";
    let asked = one.lines().find(|line| line.starts_with("asked"));
    assert_eq!(asked, Some(allowed));
}

/// The detector sees what it is for.
#[test]
fn whoever_asks_the_system_is_seen() {
    let asked = std::thread::spawn(|| {
        ARMED.set(true);
        let _ = std::hash::RandomState::new();
        let by_std = RANDOM.get();
        let mut bytes = [0; 8];
        rebuilder_transport::crypto::provider().secure_random.fill(&mut bytes).unwrap();
        let by_ring = RANDOM.get() - by_std;
        #[expect(clippy::disallowed_methods, reason = "to be seen")]
        let _ = std::time::SystemTime::now();
        ARMED.set(false);
        [by_std, by_ring, WALL.get()].map(|count| count > 0)
    });
    assert_eq!(asked.join().unwrap(), [true; 3]);
}
