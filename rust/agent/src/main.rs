// SPDX-License-Identifier: GPL-2.0-only

//! r4l's agent: the part of r4l that runs inside a guest, as an ordinary process.
//!
//! The agent serves one virtio port: commands with their standard streams and exit codes, files, signals. It has
//! one thread around one poll(2), so that a fork copies no lock and a busy command cannot starve another.
//! The protocol is in `frame.rs` and, from the host's side, in r4l's `guest` package.
//!
//! Use: `r4l-agent PORT-NAME` where PORT-NAME is the name of a virtio serial port (looked up in sysfs, because no
//! udev makes links here) or the path of a device. Called by the name of `insmod` it works as that (`insmod.rs`); it
//! calls itself to copy files that may block (`copy.rs`).

mod command;
mod copy;
mod files;
mod frame;
mod insmod;
mod port;
mod sys;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use command::Command;
use files::{Get, Put, Source, Target};
use frame::{reply, request, Decoder, Fields, Frame, MAX_PAYLOAD, VERSION};
use port::Port;

/// Largest number of commands, and of transfers, at once: more than any host needs.
const MAX_CHANNELS: usize = 256;

/// Largest number of pipes that processes in the background still hold; a process may have 1,024 descriptors.
const MAX_LEFTOVERS: usize = 256;

struct Agent {
    port: Port,
    session: u32,
    out: Vec<u8>,
    commands: Vec<Command>,
    puts: Vec<Put>,
    gets: Vec<Get>,
    leftovers: Vec<Option<File>>,
}

impl Agent {
    fn say(&mut self, channel: u32, kind: u8, payload: &[u8]) {
        frame::encode(&mut self.out, self.session, channel, kind, payload);
    }

    fn fail(&mut self, channel: u32, error: &io::Error) {
        self.say(channel, reply::ERROR, &frame::error_payload(error));
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.port.write(&self.out);
        self.out.clear();
        result
    }

    /// Forgets everything for a new host, or for the old one that starts afresh.
    fn hello(&mut self, frame: &Frame) {
        if frame.session != self.session {
            for command in &mut self.commands {
                command.kill();
            }
            self.commands.clear();
            self.puts.clear();
            self.gets.clear();
            self.session = frame.session;
        }
        let mut payload = VERSION.to_le_bytes().to_vec();
        payload.extend_from_slice(&std::process::id().to_le_bytes());
        self.say(0, reply::HELLO, &payload);
    }

    fn handle(&mut self, frame: &Frame) {
        if frame.kind == request::HELLO {
            return self.hello(frame);
        }
        if frame.session != self.session {
            return;
        }
        if let Err(error) = self.dispatch(frame) {
            self.fail(frame.channel, &error);
        }
    }

    fn dispatch(&mut self, frame: &Frame) -> io::Result<()> {
        let channel = frame.channel;
        let payload = &frame.payload[..];
        let running = self.commands.iter().position(|c| c.channel == channel);
        let malformed = || io::Error::new(io::ErrorKind::InvalidInput, "malformed request");
        let busy = self.commands.len() + self.puts.len() + self.gets.len() >= MAX_CHANNELS;
        match frame.kind {
            request::EXEC | request::PUT | request::GET if busy => {
                return Err(io::Error::other("too many commands and transfers at once"));
            }
            request::EXEC => {
                let command = Command::start(channel, payload)?;
                self.say(channel, reply::STARTED, &command.pid().to_le_bytes());
                self.commands.push(command);
            }
            // These may cross with the command's end on the wire, and are then ignored, not an error.
            request::STDIN => {
                if let Some(index) = running {
                    self.commands[index].input(payload)?;
                }
            }
            request::SIGNAL => {
                let mut fields = Fields(payload);
                let (number, session) = fields.u32().zip(fields.u8()).ok_or_else(malformed)?;
                if let Some(index) = running {
                    self.commands[index].signal(number as i32, session != 0);
                }
            }
            request::RESIZE => {
                let mut fields = Fields(payload);
                let (rows, cols) = fields.u16().zip(fields.u16()).ok_or_else(malformed)?;
                if let Some(index) = running {
                    self.commands[index].resize(rows, cols)?;
                }
            }
            request::TAKEN => {
                let count = Fields(payload).u32().ok_or_else(malformed)?;
                if let Some(index) = running {
                    self.commands[index].taken(count);
                }
            }
            request::PUT => match Put::start(channel, payload)? {
                Target::File(put) => self.puts.push(put),
                Target::Special(path) => self.commands.push(Command::write(channel, &path)?),
            },
            request::PUT_DATA => {
                // Neither is there if the transfer has failed, which the host was told.
                if let Some(put) = self.puts.iter_mut().find(|p| p.channel == channel) {
                    put.piece(payload);
                    self.say(
                        channel,
                        reply::CREDIT,
                        &(payload.len() as u32).to_le_bytes(),
                    );
                } else if let Some(index) = running {
                    self.commands[index].input(payload)?;
                }
            }
            request::PUT_END => {
                if let Some(index) = running {
                    self.commands[index].input(&[])?;
                } else if let Some(index) = self.puts.iter().position(|p| p.channel == channel) {
                    self.puts.swap_remove(index).finish()?;
                    self.say(channel, reply::DONE, &[]);
                }
            }
            request::GET => match Get::start(channel, payload)? {
                Source::File(get) => self.gets.push(get),
                Source::Special(path, mode) => {
                    self.commands.push(Command::read(channel, &path, mode)?);
                }
            },
            request::CANCEL => {
                self.puts.retain(|p| p.channel != channel);
                self.gets.retain(|g| g.channel != channel);
                if let Some(index) = running {
                    self.commands[index].signal(sys::SIGKILL, true);
                }
            }
            request::PING => self.say(channel, reply::PONG, payload),
            request::MARK => {
                OpenOptions::new()
                    .write(true)
                    .open("/dev/kmsg")?
                    .write_all(payload)?;
                self.say(channel, reply::DONE, &[]);
            }
            // The machine went on from a saved state: the present time, and randomness that no twin has.
            request::WAKE => {
                let mut fields = Fields(payload);
                let (seconds, nanoseconds) =
                    fields.u64().zip(fields.u32()).ok_or_else(malformed)?;
                sys::set_time(seconds, nanoseconds)?;
                sys::stir_random(fields.0)?;
                self.say(channel, reply::DONE, &[]);
            }
            other => return Err(io::Error::other(format!("unknown request {other}"))),
        }
        Ok(())
    }

    /// Lets every command and transfer move on as far as it can.
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut ended = Vec::new();
        for (index, command) in self.commands.iter_mut().enumerate() {
            let (out, session) = (&mut self.out, self.session);
            let mut emit = |channel: u32, kind: u8, payload: &[u8]| {
                frame::encode(out, session, channel, kind, payload);
            };
            if command.turn(buffer, &mut emit)? {
                ended.push(index);
            }
        }
        for index in ended.into_iter().rev() {
            let left = self.commands.swap_remove(index).into_leftovers();
            self.leftovers.extend(left.map(Some));
        }
        // The oldest are closed: a process that has run in the background for longest writes into a broken pipe then.
        let surplus = self.leftovers.len().saturating_sub(MAX_LEFTOVERS);
        self.leftovers.drain(..surplus);
        for index in (0..self.gets.len()).rev() {
            let channel = self.gets[index].channel;
            match self.gets[index].piece(buffer) {
                Ok(0) => {
                    let get = self.gets.swap_remove(index);
                    let mut payload = get.mode.to_le_bytes().to_vec();
                    payload.extend_from_slice(&get.sent.to_le_bytes());
                    self.say(channel, reply::DONE, &payload);
                }
                Ok(count) => self.say(channel, reply::DATA, &buffer[..count]),
                Err(error) => {
                    self.gets.swap_remove(index);
                    self.fail(channel, &error);
                }
            }
        }
        for slot in &mut self.leftovers {
            command::pull(slot, buffer);
        }
        self.leftovers.retain(Option::is_some);
        Ok(())
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut decoder = Decoder::default();
        let mut buffer = vec![0u8; MAX_PAYLOAD];
        let mut interests = Vec::new();
        self.say(0, reply::READY, &VERSION.to_le_bytes());
        loop {
            self.flush()?;
            interests.clear();
            let fd = self.port.as_raw_fd();
            interests.push(sys::PollFd {
                fd,
                events: sys::POLLIN,
                revents: 0,
            });
            for command in &self.commands {
                command.interests(&mut interests);
            }
            for file in self.leftovers.iter().flatten() {
                interests.push(sys::PollFd {
                    fd: file.as_raw_fd(),
                    events: sys::POLLIN,
                    revents: 0,
                });
            }
            let timeout = match (
                self.gets.is_empty(),
                self.commands.iter().any(Command::lingers),
            ) {
                (false, _) => 0,
                (true, true) => 10,
                (true, false) => -1,
            };
            sys::wait(&mut interests, timeout)?;
            if interests[0].revents != 0 {
                let count = self.port.read(&mut buffer)?;
                decoder.feed(&buffer[..count]);
                while let Some(frame) = decoder.next() {
                    self.handle(&frame);
                }
            }
            self.turn(&mut buffer)?;
        }
    }
}

fn run() -> io::Result<()> {
    let name = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "r4l.agent".into());
    let port = Port::open(name)?;
    // Only root may. An agent of another user (in a test) stays an ordinary victim.
    match fs::write("/proc/self/oom_score_adj", "-1000") {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    Agent {
        port,
        session: 0,
        out: Vec::new(),
        commands: Vec::new(),
        puts: Vec::new(),
        gets: Vec::new(),
        leftovers: Vec::new(),
    }
    .serve()
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|name| insmod::is_name(&name)) {
        return insmod::main(arguments);
    }
    let mut words = arguments.peekable();
    if copy::is_word(words.peek()) {
        return copy::main(words);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("r4l-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
