// SPDX-License-Identifier: GPL-2.0-only

//! System calls without a safe form in std. Every `unsafe` of the agent is in this file.

use std::ffi::{c_char, c_int, c_long, c_short, c_ulong, c_void, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

pub const POLLIN: c_short = 1;
pub const POLLOUT: c_short = 4;
pub const POLLHUP: c_short = 16;
pub const SIGKILL: c_int = 9;

const F_GETFL: c_int = 3;
const F_SETFL: c_int = 4;
const O_NOCTTY: c_int = 0o400;
const O_RDWR: c_int = 2;
const O_WRONLY: c_int = 1;
const O_NONBLOCK: c_int = 0o4000;
const O_CLOEXEC: c_int = 0o2000000;
const TIOCSCTTY: c_ulong = 0x540e;
const TIOCSWINSZ: c_ulong = 0x5414;
const FIONREAD: c_ulong = 0x541b;
const CLOCK_REALTIME: c_int = 0;
const RNDADDENTROPY: c_ulong = 0x4008_5203;
const RNDRESEEDCRNG: c_ulong = 0x5207;
const ENODATA: i32 = 61;
const SYS_PIDFD_OPEN: c_long = 434;
#[cfg(target_arch = "x86_64")]
const SYS_FINIT_MODULE: c_long = 313;
// The number of asm-generic/unistd.h.
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
const SYS_FINIT_MODULE: c_long = 273;

#[repr(C)]
pub struct PollFd {
    pub fd: c_int,
    pub events: c_short,
    pub revents: c_short,
}

#[repr(C)]
struct WinSize {
    rows: u16,
    cols: u16,
    x: u16,
    y: u16,
}

#[repr(C)]
struct TimeSpec {
    seconds: i64,
    nanoseconds: c_long,
}

/// `struct rand_pool_info` of linux/random.h.
#[repr(C)]
struct PoolInfo {
    bits: c_int,
    size: c_int,
    data: [u8; ENTROPY],
}

/// Number of bytes of randomness that the kernel's generator gets at once.
const ENTROPY: usize = 32;

#[repr(C)]
struct Termios {
    iflag: u32,
    oflag: u32,
    cflag: u32,
    lflag: u32,
    rest: [u8; 64],
}

extern "C" {
    fn poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn setsid() -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn write(fd: c_int, data: *const c_void, count: usize) -> isize;
    fn close(fd: c_int) -> c_int;
    fn posix_openpt(flags: c_int) -> c_int;
    fn grantpt(fd: c_int) -> c_int;
    fn unlockpt(fd: c_int) -> c_int;
    fn ptsname_r(fd: c_int, buffer: *mut c_char, size: usize) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn tcgetattr(fd: c_int, termios: *mut Termios) -> c_int;
    fn tcsetattr(fd: c_int, when: c_int, termios: *const Termios) -> c_int;
    fn clock_settime(clock: c_int, time: *const TimeSpec) -> c_int;
    fn cfmakeraw(termios: *mut Termios);
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Waits until one of `fds` is ready.
pub fn wait(fds: &mut [PollFd], timeout_ms: c_int) -> io::Result<()> {
    // SAFETY: the pointer and the count describe a slice that lives through the call.
    let result = unsafe { poll(fds.as_mut_ptr(), fds.len() as c_ulong, timeout_ms) };
    match check(result) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other.map(drop),
    }
}

/// Sends a signal; a negative `pid` is a process group.
pub fn send_signal(pid: i32, signal: c_int) -> io::Result<()> {
    // SAFETY: kill takes integers only.
    check(unsafe { kill(pid, signal) }).map(drop)
}

/// Makes reads and writes of `fd` return at once.
pub fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: F_GETFL and F_SETFL take and give integers only; the descriptor is open.
    unsafe {
        let flags = check(fcntl(fd.as_raw_fd(), F_GETFL))?;
        check(fcntl(fd.as_raw_fd(), F_SETFL, flags | O_NONBLOCK)).map(drop)
    }
}

/// Number of bytes that wait in a pipe or pty.
pub fn readable(fd: &impl AsRawFd) -> usize {
    let mut count: c_int = 0;
    // SAFETY: FIONREAD writes one int to the address given.
    let result = unsafe { ioctl(fd.as_raw_fd(), FIONREAD, &mut count as *mut c_int) };
    if result < 0 {
        0
    } else {
        count.max(0) as usize
    }
}

/// A descriptor that becomes readable when the process ends.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and gives a new descriptor, which nobody else owns.
    unsafe {
        let fd = syscall(SYS_PIDFD_OPEN, pid as c_long, 0 as c_long);
        check(fd as c_int)?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Loads a module into the kernel, with its parameters.
pub fn load_module(file: &File, parameters: Vec<u8>) -> io::Result<()> {
    let parameters = CString::new(parameters)?;
    // SAFETY: finit_module reads an open descriptor and a string that ends with a zero.
    let result = unsafe {
        syscall(
            SYS_FINIT_MODULE,
            file.as_raw_fd() as c_long,
            parameters.as_ptr(),
            0 as c_long,
        )
    };
    check(result as c_int).map(drop)
}

/// Sets the clock that tells the date.
pub fn set_time(seconds: u64, nanoseconds: u32) -> io::Result<()> {
    let time = TimeSpec {
        seconds: seconds as i64,
        nanoseconds: nanoseconds as c_long,
    };
    // SAFETY: clock_settime reads one timespec from the address given.
    check(unsafe { clock_settime(CLOCK_REALTIME, &time) }).map(drop)
}

/// Adds `data` to the kernel's random numbers, and has it use them from now on.
pub fn stir_random(data: &[u8]) -> io::Result<()> {
    let mut info = PoolInfo {
        bits: 8 * ENTROPY as c_int,
        size: ENTROPY as c_int,
        data: [0; ENTROPY],
    };
    if data.len() != ENTROPY {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "malformed request",
        ));
    }
    info.data.copy_from_slice(data);
    let device = File::options().write(true).open("/dev/urandom")?;
    // SAFETY: RNDADDENTROPY reads a rand_pool_info, of the size in it, from the address given; RNDRESEEDCRNG takes
    // nothing.
    unsafe {
        check(ioctl(
            device.as_raw_fd(),
            RNDADDENTROPY,
            &info as *const PoolInfo,
        ))?;
        match check(ioctl(device.as_raw_fd(), RNDRESEEDCRNG)) {
            // The generator has not begun yet, and begins with these bytes.
            Err(error) if error.raw_os_error() == Some(ENODATA) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Turns off echo, line discipline and translation if `port` is a terminal (a virtio console).
pub fn make_raw(port: &impl AsRawFd) {
    let mut termios = Termios {
        iflag: 0,
        oflag: 0,
        cflag: 0,
        lflag: 0,
        rest: [0; 64],
    };
    // SAFETY: Termios is larger than libc's struct (60 bytes) and begins with the same fields.
    unsafe {
        if tcgetattr(port.as_raw_fd(), &mut termios) == 0 {
            cfmakeraw(&mut termios);
            tcsetattr(port.as_raw_fd(), 0, &termios);
        }
    }
}

/// A new pseudo-terminal: its master and its slave.
pub fn open_pty(rows: u16, cols: u16) -> io::Result<(File, File)> {
    // SAFETY: each call gets an open descriptor; the name buffer's size is passed along; ptsname_r
    // terminates the name with a zero; the descriptors made are owned by the Files from then on.
    unsafe {
        let master = File::from_raw_fd(check(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC))?);
        check(grantpt(master.as_raw_fd()))?;
        check(unlockpt(master.as_raw_fd()))?;
        let mut name = [0 as c_char; 64];
        check(-ptsname_r(master.as_raw_fd(), name.as_mut_ptr(), name.len()).abs())?;
        let slave = File::from_raw_fd(check(open(name.as_ptr(), O_RDWR | O_NOCTTY | O_CLOEXEC))?);
        resize(&master, rows, cols)?;
        Ok((master, slave))
    }
}

/// Tells a pseudo-terminal its size.
pub fn resize(master: &File, rows: u16, cols: u16) -> io::Result<()> {
    let size = WinSize {
        rows,
        cols,
        x: 0,
        y: 0,
    };
    // SAFETY: TIOCSWINSZ reads one struct winsize from the address given.
    check(unsafe { ioctl(master.as_raw_fd(), TIOCSWINSZ, &size as *const WinSize) }).map(drop)
}

/// Makes the child of `command` the leader of a session of its own, with `terminal` for its standard input
/// as the controlling terminal, and an ordinary victim for the out-of-memory killer (the agent is none).
pub fn in_new_session(command: &mut Command, terminal: bool) {
    let hook = move || {
        // SAFETY: these calls are async-signal-safe, as is needed between fork and exec, and the path and
        // the data are constants.
        unsafe {
            check(setsid())?;
            if terminal {
                check(ioctl(0, TIOCSCTTY, 0 as c_int))?;
            }
            let fd = open(c"/proc/self/oom_score_adj".as_ptr(), O_WRONLY | O_CLOEXEC);
            if fd >= 0 {
                write(fd, c"0".as_ptr().cast(), 1);
                close(fd);
            }
        }
        Ok(())
    };
    // SAFETY: the hook allocates nothing and takes no lock.
    unsafe { command.pre_exec(hook) };
}
