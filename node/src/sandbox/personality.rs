//! Which machine the kernel says that it is (personality(2)), and whether it runs the programs of
//! another one.

use std::env::consts::ARCH;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Command, Stdio};

use nix::sys::personality::{self, Persona};
use rebuilder_actors::domain::architecture::is_narrow;
use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

/// How the kernel presents itself to a build, which programs ask for with `uname -m` and what they
/// build depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Personality {
    /// As it is, whatever the caller of this process had chosen.
    #[default]
    Native,
    /// As one of 32 bits: `i686`, `armv8l`.
    Linux32,
}

impl Personality {
    /// What belongs to an architecture, on every machine and for every backend.
    pub fn of(architecture: &str) -> Self {
        if is_narrow(architecture) { Self::Linux32 } else { Self::Native }
    }

    /// Gives it to this process and all that it starts. A system call and nothing else: may be
    /// called between fork and exec. What a caller had besides (`setarch -R`, `--uname-2.6`) ends.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn take(self) -> io::Result<()> {
        let persona = match self {
            Self::Native => 0,
            Self::Linux32 => PER_LINUX32,
        };
        personality::set(Persona::from_bits_retain(persona))?;
        Ok(())
    }
}

/// Whether programs of the 32-bit family of this machine run; where there is no such family nobody
/// asks.
pub(super) fn narrow_programs() -> Result<(), String> {
    match program(ARCH) {
        Some(program) => try_program(&program).map_err(|error| error.to_string()),
        None => Err("no program to try it with is known".to_owned()),
    }
}

/// What to do about an architecture whose programs do not run for this reason.
pub(super) fn refusal(architecture: &str, why: &str) -> String {
    let option = match ARCH {
        "x86_64" => {
            "CONFIG_IA32_EMULATION, which the boot option `ia32_emulation=off` switches off"
        }
        _ => "CONFIG_COMPAT, and a processor that has a 32-bit mode",
    };
    format!(
        "this machine does not run programs of {architecture} ({why}): boot a kernel with \
         {option}, or take {architecture} out of `architectures` in [worker]"
    )
}

/// Runs a program that ends at once.
fn try_program(program: &[u8]) -> io::Result<()> {
    let file = File::from(memory_file()?);
    (&file).write_all(program)?;
    // An executable that is open for writing is busy.
    let read_only = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    drop(file);
    let mut command = Command::new(format!("/proc/self/fd/{}", read_only.as_raw_fd()));
    let status = command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("it ended as {status}"))) }
}

/// In memory, because folders may be mounted `noexec`.
fn memory_file() -> io::Result<OwnedFd> {
    let usual = MemfdFlags::CLOEXEC;
    // Linux 6.3 and later can be told to ask for this flag; those before do not know it.
    let made = rustix::fs::memfd_create("program", usual | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("program", usual));
    Ok(made?)
}

/// The smallest program of the 32-bit family of a machine: an ELF header, one segment, `exit(0)`.
fn program(machine: &str) -> Option<Vec<u8>> {
    let (number, flags, code): (u16, u32, &[u8]) = match machine {
        // EM_386: mov eax, 1; xor ebx, ebx; int 0x80
        "x86_64" => (3, 0, &[0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80]),
        // EM_ARM, EABI 5: mov r7, #1; mov r0, #0; svc #0
        "aarch64" => (40, 0x0500_0000, &[1, 0x70, 0xa0, 0xe3, 0, 0, 0xa0, 0xe3, 0, 0, 0, 0xef]),
        _ => return None,
    };
    const HEADERS: u32 = 52 + 32;
    const ADDRESS: u32 = 0x0001_0000;
    let size = HEADERS + u32::try_from(code.len()).ok()?;
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |bytes: &mut Vec<u8>, value: u16| bytes.extend(value.to_le_bytes());
    let word = |bytes: &mut Vec<u8>, value: u32| bytes.extend(value.to_le_bytes());
    half(&mut bytes, 2); // executable
    half(&mut bytes, number);
    word(&mut bytes, 1);
    word(&mut bytes, ADDRESS + HEADERS); // where it begins
    word(&mut bytes, 52); // the segments' table
    word(&mut bytes, 0);
    word(&mut bytes, flags);
    for value in [52, 32, 1, 0, 0, 0] {
        half(&mut bytes, value);
    }
    // Loaded as a whole, to be read and executed.
    for value in [1, 0, ADDRESS, ADDRESS, size, size, 5, 0x1000] {
        word(&mut bytes, value);
    }
    bytes.extend_from_slice(code);
    Some(bytes)
}

/// `PER_LINUX32` of `linux/personality.h`.
const PER_LINUX32: std::ffi::c_int = 0x8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_32_bit_architecture_has_the_32_bit_personality_on_every_machine() {
        for name in ["i386", "i686", "armhf", "armel", "armv7h", "powerpc"] {
            assert_eq!(Personality::of(name), Personality::Linux32, "{name}");
        }
        for name in ["amd64", "x86_64", "arm64", "riscv64", "all", "any", "x32"] {
            assert_eq!(Personality::of(name), Personality::Native, "{name}");
        }
    }

    /// In a thread of its own: a personality is a thread's.
    #[test]
    fn what_was_chosen_before_ends() {
        let machine = |persona: std::ffi::c_int, wanted: Personality| {
            let asked = move || {
                personality::set(Persona::from_bits_retain(persona)).unwrap();
                wanted.take().unwrap();
                let printed = Command::new("uname").arg("-mr").output().unwrap();
                String::from_utf8(printed.stdout).unwrap()
            };
            std::thread::spawn(asked).join().unwrap()
        };
        let [fixed, old] = [0x0004_0000, 0x0002_0000];
        let native = machine(0, Personality::Native);
        for persona in [PER_LINUX32, fixed, old, PER_LINUX32 | old | fixed] {
            assert_eq!(machine(persona, Personality::Native), native, "{persona:x}");
        }
        let narrow = machine(0, Personality::Linux32);
        match ARCH {
            "x86_64" => assert!(narrow.ends_with(" i686\n"), "{narrow}"),
            "aarch64" => assert!(narrow.ends_with(" armv8l\n"), "{narrow}"),
            _ => {}
        }
        assert_eq!(machine(old, Personality::Linux32), narrow);
    }

    #[test]
    fn a_program_of_another_family_is_refused_and_the_remedy_named() {
        let other = if ARCH == "x86_64" { "aarch64" } else { "x86_64" };
        try_program(&program(other).unwrap()).unwrap_err();
        try_program(b"no program").unwrap_err();
        let text = refusal("i386", "Exec format error (os error 8)");
        assert!(text.contains("programs of i386 (Exec format error"), "{text}");
        assert!(text.contains("CONFIG_") && text.contains("`architectures` in [worker]"), "{text}");
    }
}
