// SPDX-License-Identifier: GPL-2.0-only

//! Does to /dev/cicv in the guest what no program of busybox does: each argument is a step, and
//! each step prints one line, its result or the name of its error.
//!
//! Steps have parts, `write:0:hello`. Files count from 0 in the order in which they were opened.

use std::{
    env,
    ffi::{
        c_char,
        c_int,
        c_long,
        c_short,
        c_uint,
        c_ulong,
        c_void, //
    },
    io::{
        Error,
        Write, //
    },
    ptr,
    slice, //
};

extern "C" {
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn dup(fd: c_int) -> c_int;
    fn read(fd: c_int, to: *mut c_void, len: usize) -> isize;
    fn pread(fd: c_int, to: *mut c_void, len: usize, offset: i64) -> isize;
    fn write(fd: c_int, from: *const c_void, len: usize) -> isize;
    fn pwrite(fd: c_int, from: *const c_void, len: usize, offset: i64) -> isize;
    fn lseek(fd: c_int, offset: i64, whence: c_int) -> i64;
    fn poll(fds: *mut PollFd, count: c_ulong, milliseconds: c_int) -> c_int;
    fn ioctl(fd: c_int, command: c_ulong, ...) -> c_int;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn sendfile(to: c_int, from: c_int, offset: *mut i64, len: usize) -> isize;
    fn pipe(fds: *mut c_int) -> c_int;
    fn mmap(
        at: *mut c_void,
        len: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(at: *mut c_void, len: usize) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn siginterrupt(number: c_int, interrupt: c_int) -> c_int;
    fn sysconf(name: c_int) -> c_long;
}

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

const CLEAR: c_ulong = 0xC100;
const SIZE: c_ulong = 0x8008_C101;
const CAPACITY: c_ulong = 0x8008_C102;
const FOLLOW: c_ulong = 0x4004_C103;

const USR1: c_int = 10;

const ERRORS: [(i32, &str); 10] = [
    (4, "EINTR"),
    (6, "ENXIO"),
    (9, "EBADF"),
    (11, "EAGAIN"),
    (14, "EFAULT"),
    (16, "EBUSY"),
    (22, "EINVAL"),
    (25, "ENOTTY"),
    (28, "ENOSPC"),
    (29, "ESPIPE"),
];

/// The end of a page that has none behind it.
struct Edge {
    start: *mut u8,
    page: usize,
}

impl Edge {
    fn new() -> Self {
        const READ_WRITE: c_int = 3;
        const PRIVATE_ANONYMOUS: c_int = 0x22;
        // SAFETY: New memory, two pages, of which the second is given back.
        unsafe {
            let page = sysconf(30) as usize;
            let start = mmap(
                ptr::null_mut(),
                2 * page,
                READ_WRITE,
                PRIVATE_ANONYMOUS,
                -1,
                0,
            )
            .cast::<u8>();
            assert_eq!(munmap(start.add(page).cast(), page), 0);
            Self { start, page }
        }
    }

    /// The last bytes, so many of them.
    fn last(&self, len: usize) -> &mut [u8] {
        assert!(len <= self.page);
        // SAFETY: They lie in the page that there is.
        unsafe { slice::from_raw_parts_mut(self.start.add(self.page - len), len) }
    }
}

extern "C" fn on_signal(_number: c_int) {}

fn outcome(result: i64) -> String {
    if result >= 0 {
        return result.to_string();
    }
    let code = Error::last_os_error().raw_os_error().unwrap_or(0);
    let known = ERRORS.iter().find(|(number, _)| *number == code);
    known.map_or(format!("errno {code}"), |(_, name)| (*name).into())
}

fn with_bytes(result: isize, bytes: &[u8]) -> String {
    let text = bytes
        .get(..result.max(0) as usize)
        .unwrap_or(b"more than there is room for");
    format!("{} {}", outcome(result as i64), text.escape_ascii())
        .trim_end()
        .into()
}

fn flags_of(words: &str) -> c_int {
    words
        .split('+')
        .map(|word| match word {
            "r" => 0,
            "w" => 1,
            "rw" => 2,
            "trunc" => 0o1000,
            "append" => 0o2000,
            "nonblock" => 0o4000,
            _ => panic!("no such flag: {word}"),
        })
        .sum()
}

/// Writes blocks of one letter and reads whatever is there: of more than one letter it must not be.
fn torn(fd: c_int, len: usize, rounds: usize, letter: u8) -> String {
    let mine = vec![letter; len];
    let mut seen = vec![0u8; len];
    let mut torn = 0;
    for _ in 0..rounds {
        // SAFETY: Both buffers have as many bytes.
        unsafe {
            assert_eq!(pwrite(fd, mine.as_ptr().cast(), len, 0), len as isize);
            assert_eq!(pread(fd, seen.as_mut_ptr().cast(), len, 0), len as isize);
        }
        torn += usize::from(seen.iter().any(|byte| *byte != seen[0]));
    }
    torn.to_string()
}

fn step(fds: &mut Vec<c_int>, what: &str) -> String {
    let parts: Vec<&str> = what.split(':').collect();
    let number = |at: usize| parts[at].parse::<i64>().expect("a number");
    let fd = || fds[number(1) as usize];
    let text = |at: usize| parts[at].as_bytes();
    // SAFETY: Buffers have as many bytes as is said of them, but for those that are to have fewer:
    // the kernel has to find that out.
    unsafe {
        match parts[0] {
            "open" => {
                let fd = open(c"/dev/cicv".as_ptr(), flags_of(parts[1]));
                if fd >= 0 {
                    fds.push(fd);
                }
                outcome(fd.min(0).into())
            }
            "dup" => {
                let fd = dup(fd());
                fds.push(fd);
                outcome(fd.min(0).into())
            }
            "flags" => outcome(fcntl(fd(), 4, flags_of(parts[2])).into()),
            "read" => {
                let mut bytes = vec![0; number(2) as usize];
                with_bytes(read(fd(), bytes.as_mut_ptr().cast(), bytes.len()), &bytes)
            }
            "pread" => {
                let mut bytes = vec![0; number(2) as usize];
                with_bytes(
                    pread(fd(), bytes.as_mut_ptr().cast(), bytes.len(), number(3)),
                    &bytes,
                )
            }
            "write" => outcome(write(fd(), text(2).as_ptr().cast(), text(2).len()) as i64),
            "pwrite" => {
                outcome(pwrite(fd(), text(3).as_ptr().cast(), text(3).len(), number(2)) as i64)
            }
            "fill" => {
                let bytes = vec![b'x'; number(2) as usize];
                outcome(write(fd(), bytes.as_ptr().cast(), bytes.len()) as i64)
            }
            // So many bytes are there, and so many are asked for.
            "read-over-edge" => {
                let edge = Edge::new();
                let there = edge.last(number(2) as usize);
                with_bytes(
                    read(fd(), there.as_mut_ptr().cast(), number(3) as usize),
                    there,
                )
            }
            "write-over-edge" => {
                let edge = Edge::new();
                let there = edge.last(text(2).len());
                there.copy_from_slice(text(2));
                outcome(write(fd(), there.as_ptr().cast(), number(3) as usize) as i64)
            }
            "lseek" => {
                let whence = ["set", "cur", "end"]
                    .iter()
                    .position(|word| *word == parts[3]);
                outcome(lseek(fd(), number(2), whence.map_or(99, |at| at as c_int)))
            }
            "poll" => {
                let events = match parts.get(3) {
                    Some(&"in") => 1,
                    Some(_) => panic!("no such event: {what}"),
                    None => 5,
                };
                let mut asked = PollFd {
                    fd: fd(),
                    events,
                    revents: 0,
                };
                let ready = poll(&raw mut asked, 1, number(2) as c_int);
                match (ready, asked.revents) {
                    (0 | 1, 0) => "none".into(),
                    (1, 1) => "in".into(),
                    (1, 4) => "out".into(),
                    (1, 5) => "in out".into(),
                    (1, other) => format!("{other:#x}"),
                    _ => outcome(ready.into()),
                }
            }
            "clear" => outcome(ioctl(fd(), CLEAR).into()),
            "size" | "capacity" => {
                let mut value = 0u64;
                let command = if parts[0] == "size" { SIZE } else { CAPACITY };
                match ioctl(fd(), command, &raw mut value) {
                    0 => value.to_string(),
                    error => outcome(error.into()),
                }
            }
            "follow" => {
                let value = number(2) as c_uint;
                outcome(ioctl(fd(), FOLLOW, &raw const value).into())
            }
            "ioctl" => outcome(ioctl(fd(), number(2) as c_ulong, ptr::null_mut::<u8>()).into()),
            "sendfile" => {
                let mut ends = [0; 2];
                let mut bytes = vec![0; number(2) as usize];
                assert_eq!(pipe(ends.as_mut_ptr()), 0);
                let sent = sendfile(ends[1], fd(), ptr::null_mut(), bytes.len());
                if sent > 0 {
                    read(ends[0], bytes.as_mut_ptr().cast(), bytes.len());
                }
                with_bytes(sent, &bytes)
            }
            // A signal interrupts (1), or the call is begun anew (0).
            "catch" => {
                signal(USR1, on_signal as extern "C" fn(c_int) as usize);
                outcome(siginterrupt(USR1, number(1) as c_int).into())
            }
            "torn" => torn(fd(), number(2) as usize, number(3) as usize, text(4)[0]),
            "say" => parts[1].into(),
            _ => panic!("no such step: {what}"),
        }
    }
}

fn main() {
    let mut fds = Vec::new();
    for what in env::args().skip(1) {
        println!("{}", step(&mut fds, &what));
        std::io::stdout().flush().expect("somebody reads this");
    }
}
