// SPDX-License-Identifier: GPL-2.0-only

//! Frames on the port, and the way by which both ends find each other again.
//!
//! A frame is a header of 16 bytes, a payload, and a trailer of 4, all little-endian:
//!
//! | bytes | field                                              |
//! |-------|----------------------------------------------------|
//! | 0..4  | magic `R4L1`                                       |
//! | 4..8  | session: the nonce of the host's latest HELLO      |
//! | 8..12 | channel: which command or transfer                 |
//! | 12..15| payload length, at most [`MAX_PAYLOAD`]            |
//! | 15    | kind                                               |
//! | ...   | payload                                            |
//! | last 4| the session again, every bit flipped               |
//!
//! The host may vanish in the middle of a frame (a snapshot is restored, a tool is killed). Its successor
//! sends zeros until any half frame must be complete, then HELLO with a fresh nonce. The half frame is
//! dropped for its trailer (no nonce has a highest byte of 0xff, so zeros never complete one), zeros never look
//! like a header, and frames of an older session are ignored.

use std::io;

/// `R4L1` in memory order.
pub const MAGIC: u32 = u32::from_le_bytes(*b"R4L1");
/// Bytes before the payload.
pub const HEADER: usize = 16;
/// Bytes after the payload.
pub const TRAILER: usize = 4;
/// The largest payload either side may send.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// The version that HELLO carries; the two ends must agree.
pub const VERSION: u32 = 2;

/// Requests of the host.
///
/// PUT_DATA and STDIN have a window: the host sends no more than 256 KiB (`STDIN_WINDOW`) for which CREDIT has not
/// come. The output of a command has one if the host asks for it, of 1 MiB (`OUTPUT_WINDOW`): the agent reads no more
/// of it before TAKEN has come, and the command waits as one does with a full pipe, while others go on.
pub mod request {
    pub const HELLO: u8 = 1;
    pub const EXEC: u8 = 2;
    pub const STDIN: u8 = 3;
    pub const SIGNAL: u8 = 4;
    pub const RESIZE: u8 = 5;
    pub const PUT: u8 = 6;
    pub const PUT_DATA: u8 = 7;
    pub const PUT_END: u8 = 8;
    pub const GET: u8 = 9;
    pub const PING: u8 = 10;
    pub const MARK: u8 = 11;
    pub const WAKE: u8 = 12;
    /// A number of bytes of a command's output that the host has passed on.
    pub const TAKEN: u8 = 13;
    /// The end of a transfer that the host waits for no longer; there is no answer.
    pub const CANCEL: u8 = 14;
}

/// Messages of the agent.
pub mod reply {
    /// In session 0, once, when the agent starts: "a host that waits may say HELLO now".
    pub const READY: u8 = 0x80;
    pub const HELLO: u8 = 0x81;
    pub const STARTED: u8 = 0x82;
    pub const STDOUT: u8 = 0x83;
    pub const STDERR: u8 = 0x84;
    pub const EXIT: u8 = 0x85;
    pub const CREDIT: u8 = 0x86;
    pub const DATA: u8 = 0x87;
    pub const DONE: u8 = 0x88;
    pub const ERROR: u8 = 0x89;
    pub const PONG: u8 = 0x8a;
}

/// One whole frame.
pub struct Frame {
    pub session: u32,
    pub channel: u32,
    pub kind: u8,
    pub payload: Vec<u8>,
}

/// Appends a frame to `out`. The payload must fit [`MAX_PAYLOAD`].
pub fn encode(out: &mut Vec<u8>, session: u32, channel: u32, kind: u8, payload: &[u8]) {
    assert!(payload.len() <= MAX_PAYLOAD);
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&session.to_le_bytes());
    out.extend_from_slice(&channel.to_le_bytes());
    out.extend_from_slice(&((payload.len() as u32) | (u32::from(kind) << 24)).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&(!session).to_le_bytes());
}

/// The payload of an ERROR: the error number, or 0, and a text.
pub fn error_payload(error: &io::Error) -> Vec<u8> {
    let mut payload = error.raw_os_error().unwrap_or(0).to_le_bytes().to_vec();
    payload.extend_from_slice(error.to_string().as_bytes());
    payload
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Turns a stream of bytes into frames, and skips other bytes.
#[derive(Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Takes in bytes from the port.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > MAX_PAYLOAD {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if one is there.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let rest = &self.buffer[self.start..];
            if rest.len() < HEADER {
                return None;
            }
            let length = (word(&rest[12..]) & 0x00ff_ffff) as usize;
            if word(rest) != MAGIC || length > MAX_PAYLOAD {
                self.hunt();
                continue;
            }
            let whole = HEADER + length + TRAILER;
            if rest.len() < whole {
                return None;
            }
            let session = word(&rest[4..]);
            if word(&rest[HEADER + length..]) != !session {
                self.hunt();
                continue;
            }
            let frame = Frame {
                session,
                channel: word(&rest[8..]),
                kind: rest[15],
                payload: rest[HEADER..HEADER + length].to_vec(),
            };
            self.start += whole;
            return Some(frame);
        }
    }

    /// Moves on to the next byte that can begin a frame.
    fn hunt(&mut self) {
        let first = MAGIC.to_le_bytes()[0];
        let rest = &self.buffer[self.start + 1..];
        let skip = rest.iter().position(|&b| b == first).unwrap_or(rest.len());
        self.start += 1 + skip;
    }
}

/// Reads fields out of a payload; `None` as soon as it is too short.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        if self.0.len() < count {
            return None;
        }
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        Some(head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|b| u16::from_le_bytes([b[0], b[1]]))
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4).map(word)
    }

    pub fn u64(&mut self) -> Option<u64> {
        let (low, high) = (self.u32()?, self.u32()?);
        Some(u64::from(low) | (u64::from(high) << 32))
    }

    /// A string of bytes with its length in front.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }
}
