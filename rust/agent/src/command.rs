// SPDX-License-Identifier: GPL-2.0-only

//! One command that runs for the host, or a copy of a file that may block (`copy.rs`).

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::copy;
use crate::frame::{error_payload, reply, Fields, MAX_PAYLOAD};
use crate::sys;

/// Bytes of standard input that the host may send ahead of the command's reads.
pub const STDIN_WINDOW: usize = 256 * 1024;

/// Bytes of output that the host may have in hand, if it tells what it has passed on.
const OUTPUT_WINDOW: usize = 1024 * 1024;

/// Time that a killed command has to end before the agent goes on without it: one may hang in the kernel.
const KILL_PATIENCE_MS: i32 = 1000;

/// Time that a terminal's last output may take from its slave to its master, to which a kernel worker moves it.
const TERMINAL_GRACE: Duration = Duration::from_millis(200);

/// Bytes of a terminal that come after its command's end without regard to the window.
const TERMINAL_REST: usize = 256 * 1024;

const FLAG_PTY: u8 = 1;
const FLAG_STDIN: u8 = 2;
const FLAG_WINDOW: u8 = 4;

/// The meaning of a process for the host.
enum Task {
    Command,
    /// A file on its way to the host: its mode, and the bytes sent so far.
    Read {
        mode: u32,
        sent: u64,
    },
    /// A file that is written in place.
    Write,
}

/// Receiver of a command's frames: (channel, kind, payload).
pub type Emit<'a> = dyn FnMut(u32, u8, &[u8]) + 'a;

/// A running command, and the agent's ends of its pipes.
pub struct Command {
    pub channel: u32,
    task: Task,
    child: Child,
    exited: OwnedFd,
    begun: Instant,
    stdin: Option<File>,
    queue: VecDeque<u8>,
    stdin_ends: bool,
    stdout: Option<File>,
    stderr: Option<File>,
    /// Bytes of output that may be read now; `None` for any number.
    window: Option<usize>,
    pty: bool,
    /// Time of the command's end, while its terminal is not yet at its end.
    lingers: Option<Instant>,
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "malformed request")
}

impl Command {
    /// Starts the command of an EXEC request: flags, rows, columns, folder, arguments, environment.
    pub fn start(channel: u32, payload: &[u8]) -> io::Result<Self> {
        let mut fields = Fields(payload);
        let mut parse = || {
            let flags = fields.u8()?;
            let size = (fields.u16()?, fields.u16()?);
            let folder = fields.bytes()?;
            let mut lists = [Vec::new(), Vec::new()];
            for list in &mut lists {
                for _ in 0..fields.u16()? {
                    list.push(std::ffi::OsStr::from_bytes(fields.bytes()?));
                }
            }
            Some((flags, size, folder, lists))
        };
        let (flags, (rows, cols), folder, [arguments, environment]) =
            parse().ok_or_else(malformed)?;
        let (program, rest) = arguments.split_first().ok_or_else(malformed)?;

        let mut process = Process::new(program);
        process.args(rest);
        if !folder.is_empty() {
            process.current_dir(std::ffi::OsStr::from_bytes(folder));
        }
        for setting in environment {
            let bytes = setting.as_bytes();
            let equals = bytes
                .iter()
                .position(|&b| b == b'=')
                .ok_or_else(malformed)?;
            process.env(
                std::ffi::OsStr::from_bytes(&bytes[..equals]),
                std::ffi::OsStr::from_bytes(&bytes[equals + 1..]),
            );
        }
        let pty = (flags & FLAG_PTY != 0).then_some((rows, cols));
        let mut started = Self::spawn(
            channel,
            Task::Command,
            process,
            pty,
            flags & FLAG_STDIN != 0,
        )?;
        started.window = (flags & FLAG_WINDOW != 0).then_some(OUTPUT_WINDOW);
        Ok(started)
    }

    /// Starts a copy of a file to the host.
    pub fn read(channel: u32, path: &Path, mode: u32) -> io::Result<Self> {
        let task = Task::Read { mode, sent: 0 };
        Self::spawn(channel, task, copying(copy::READ, path), None, false)
    }

    /// Starts a copy from the host into a file.
    pub fn write(channel: u32, path: &Path) -> io::Result<Self> {
        let process = copying(copy::WRITE, path);
        Self::spawn(channel, Task::Write, process, None, true)
    }

    fn spawn(
        channel: u32,
        task: Task,
        mut process: Process,
        pty: Option<(u16, u16)>,
        input: bool,
    ) -> io::Result<Self> {
        sys::in_new_session(&mut process, pty.is_some());
        let master = if let Some((rows, cols)) = pty {
            let (master, slave) = sys::open_pty(rows, cols)?;
            process
                .stdin(slave.try_clone()?)
                .stdout(slave.try_clone()?)
                .stderr(slave);
            Some(master)
        } else {
            let stdin = if input { Stdio::piped() } else { Stdio::null() };
            process
                .stdin(stdin)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            None
        };
        let begun = Instant::now();
        let mut child = process.spawn()?;
        // The slave's copies live in `process`; while they are open, the master never sees its end.
        drop(process);
        let exited = match sys::pidfd(child.id()) {
            Ok(fd) => fd,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error);
            }
        };
        let (stdin, stdout, stderr) = match master {
            Some(master) => (Some(master.try_clone()?), Some(master), None),
            None => (
                child.stdin.take().map(|s| File::from(OwnedFd::from(s))),
                child.stdout.take().map(|s| File::from(OwnedFd::from(s))),
                child.stderr.take().map(|s| File::from(OwnedFd::from(s))),
            ),
        };
        for file in [&stdin, &stdout, &stderr].into_iter().flatten() {
            sys::set_nonblocking(file)?;
        }
        Ok(Self {
            channel,
            task,
            child,
            exited,
            begun,
            stdin,
            queue: VecDeque::new(),
            stdin_ends: false,
            stdout,
            stderr,
            window: None,
            pty: pty.is_some(),
            lingers: None,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The descriptors to wait for, with the events of interest.
    pub fn interests(&self, out: &mut Vec<sys::PollFd>) {
        let mut add = |fd: RawFd, events| {
            out.push(sys::PollFd {
                fd,
                events,
                revents: 0,
            })
        };
        if self.lingers.is_none() {
            add(self.exited.as_raw_fd(), sys::POLLIN);
        }
        if self.window != Some(0) {
            for file in [&self.stdout, &self.stderr].into_iter().flatten() {
                add(file.as_raw_fd(), sys::POLLIN);
            }
        }
        if let (Some(stdin), false) = (&self.stdin, self.queue.is_empty()) {
            add(stdin.as_raw_fd(), sys::POLLOUT);
        }
    }

    /// Returns true if `turn` has to be called again soon, also without an event.
    pub fn lingers(&self) -> bool {
        self.lingers.is_some()
    }

    /// Takes standard input from the host; an empty piece is its end.
    pub fn input(&mut self, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            self.stdin_ends = true;
        } else if self.queue.len() + data.len() > STDIN_WINDOW {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "more input than the window allows",
            ));
        } else if self.stdin.is_some() {
            self.queue.extend(data);
        }
        Ok(())
    }

    /// Takes the number of bytes of output that the host has passed on.
    pub fn taken(&mut self, count: u32) {
        if let Some(window) = &mut self.window {
            *window = window.saturating_add(count as usize);
        }
    }

    /// Moves all data that can be moved. True when the command has ended and all its output has been sent.
    pub fn turn(&mut self, buffer: &mut [u8], emit: &mut Emit<'_>) -> io::Result<bool> {
        self.push_input(emit);
        // Checked before the pipes: bytes that are in them afterwards were written before the end.
        let status = self.child.try_wait()?;
        if let (Some(_), true, None, Some(window)) =
            (status, self.pty, self.lingers, &mut self.window)
        {
            *window += TERMINAL_REST;
        }
        for (slot, kind) in [
            (&mut self.stdout, reply::STDOUT),
            (&mut self.stderr, reply::STDERR),
        ] {
            // After the end, take only the present bytes: a process left in the background may write for ever.
            let mut budget = match (&status, &slot) {
                (Some(_), Some(file)) if !self.pty => sys::readable(file),
                _ => self.window.unwrap_or(MAX_PAYLOAD).min(MAX_PAYLOAD),
            };
            while budget > 0 && slot.is_some() {
                let count = pull(slot, &mut buffer[..budget.min(MAX_PAYLOAD)]);
                if count == 0 {
                    break;
                }
                let kind = match &mut self.task {
                    Task::Read { sent, .. } => {
                        *sent += count as u64;
                        reply::DATA
                    }
                    _ => kind,
                };
                emit(self.channel, kind, &buffer[..count]);
                budget -= count;
                if let Some(window) = &mut self.window {
                    *window = window.saturating_sub(count);
                }
            }
        }
        let Some(status) = status else {
            return Ok(false);
        };
        if self.pty && self.stdout.is_some() {
            let since = *self.lingers.get_or_insert_with(Instant::now);
            if since.elapsed() < TERMINAL_GRACE {
                return Ok(false);
            }
        }
        let (kind, payload) = self.end(status);
        emit(self.channel, kind, &payload);
        Ok(true)
    }

    /// Kind and payload of the last frame.
    fn end(&self, status: ExitStatus) -> (u8, Vec<u8>) {
        let mut payload = Vec::new();
        match self.task {
            Task::Command => {
                let (how, number) = match (status.code(), status.signal()) {
                    (Some(code), _) => (0u8, code),
                    (None, signal) => (1u8, signal.unwrap_or(0)),
                };
                payload.push(how);
                payload.extend_from_slice(&number.to_le_bytes());
                payload.extend_from_slice(&(self.begun.elapsed().as_micros() as u64).to_le_bytes());
                return (reply::EXIT, payload);
            }
            _ if !status.success() => {
                return (reply::ERROR, error_payload(&copy::error_of(status.code())));
            }
            Task::Read { mode, sent } => {
                payload.extend_from_slice(&mode.to_le_bytes());
                payload.extend_from_slice(&sent.to_le_bytes());
            }
            Task::Write => {}
        }
        (reply::DONE, payload)
    }

    fn push_input(&mut self, emit: &mut Emit<'_>) {
        let mut taken = 0usize;
        if let Some(stdin) = &mut self.stdin {
            while !self.queue.is_empty() {
                // In one piece, which a device gets by one write(2).
                match stdin.write(self.queue.make_contiguous()) {
                    Ok(count) => {
                        self.queue.drain(..count);
                        taken += count;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => {
                        // The command closed its input, so the rest has no reader.
                        taken += self.queue.len();
                        self.queue.clear();
                        self.stdin_ends = true;
                    }
                }
            }
        }
        // A terminal's end of input is a character (^D), which the host sends itself.
        if self.stdin_ends && self.queue.is_empty() && !self.pty {
            self.stdin = None;
        }
        if taken > 0 {
            emit(self.channel, reply::CREDIT, &(taken as u32).to_le_bytes());
        }
    }

    /// Sends a signal to the command's process group or, with `session`, to all it ever started.
    pub fn signal(&self, number: i32, session: bool) {
        let leader = self.child.id() as i32;
        // ESRCH means that the process has ended before.
        let _ = sys::send_signal(-leader, number);
        if session {
            for pid in session_members(leader) {
                let _ = sys::send_signal(pid, number);
            }
        }
    }

    /// Ends the command and all it started, and waits for it a little.
    pub fn kill(&mut self) {
        self.signal(sys::SIGKILL, true);
        let mut end = [sys::PollFd {
            fd: self.exited.as_raw_fd(),
            events: sys::POLLIN,
            revents: 0,
        }];
        let _ = sys::wait(&mut end, KILL_PATIENCE_MS);
        let _ = self.child.try_wait();
    }

    pub fn resize(&self, rows: u16, cols: u16) -> io::Result<()> {
        match (&self.stdout, self.pty) {
            (Some(master), true) => sys::resize(master, rows, cols),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a terminal",
            )),
        }
    }

    /// The pipes that processes in the background may still hold, and that have to be emptied.
    pub fn into_leftovers(self) -> impl Iterator<Item = File> {
        // The pty's master too: closing it sends SIGHUP, as the end of a terminal does. So drop it.
        let keep = !self.pty && matches!(self.task, Task::Command);
        [self.stdout, self.stderr]
            .into_iter()
            .flatten()
            .filter(move |_| keep)
    }
}

/// The agent itself, for one file.
fn copying(way: &str, path: &Path) -> Process {
    let mut process = Process::new("/proc/self/exe");
    process.arg0("r4l-agent").arg(way).arg(path);
    process
}

/// Reads once; closes the slot at the end of the file. Zero when nothing is there.
pub fn pull(slot: &mut Option<File>, buffer: &mut [u8]) -> usize {
    let Some(file) = slot else { return 0 };
    match file.read(buffer) {
        Ok(0) => *slot = None,
        Ok(count) => return count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        // A pty's master reads EIO once its last slave is closed.
        Err(_) => *slot = None,
    }
    0
}

/// All processes of a session, by the sixth field of /proc/PID/stat.
fn session_members(session: i32) -> Vec<i32> {
    let mut members = Vec::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return members;
    };
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(stat) = fs::read(entry.path().join("stat")) else {
            continue;
        };
        // The name in brackets may hold anything, spaces and brackets too.
        let Some(bracket) = stat.iter().rposition(|&b| b == b')') else {
            continue;
        };
        let text = String::from_utf8_lossy(&stat[bracket + 1..]);
        if text
            .split_ascii_whitespace()
            .nth(3)
            .and_then(|f| f.parse().ok())
            == Some(session)
        {
            members.push(pid);
        }
    }
    members
}
