/// What the system says of a full disk: `No space left on device`, whoever adds its number.
pub fn disk_full() -> &'static str {
    nix::errno::Errno::ENOSPC.desc()
}
