// SPDX-License-Identifier: GPL-2.0-only

//! A guest's program for `r4l bench`: sends and receives over sockets, and prints the time that this took, in
//! nanoseconds of the guest's monotonic clock. On a machine whose clock counts instructions these are instructions.
//!
//! ```text
//! r4l-traffic sink tcp|udp PORT       receive; a TCP connection is closed after its sender has closed
//! r4l-traffic tcp ADDRESS BYTES       send that many bytes, and wait until the other end has them all
//! r4l-traffic udp ADDRESS SIZE COUNT  send that many datagrams
//! r4l-traffic time PROGRAM [ARGUMENT...]
//! ```
//!
//! Each but `sink` prints the nanoseconds as its last line.

use std::env;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::{exit, Command};
use std::time::Instant;

const USAGE: &str =
    "sink tcp|udp PORT | tcp ADDRESS BYTES | udp ADDRESS SIZE COUNT | time PROGRAM [ARGUMENT...]";
/// Bytes of one write, as in one TCP segment of the largest offload.
const CHUNK: usize = 64 << 10;

type Done<T> = Result<T, Box<dyn Error>>;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["sink", "tcp", port] => sink_tcp(port),
        ["sink", "udp", port] => sink_udp(port),
        ["tcp", address, bytes] => send_tcp(address, bytes),
        ["udp", address, size, count] => send_udp(address, size, count),
        ["time", program, rest @ ..] => time(program, rest),
        _ => Err(USAGE.into()),
    };
    if let Err(error) = done {
        eprintln!("r4l-traffic: {error}");
        exit(1);
    }
}

fn sink_tcp(port: &str) -> Done<()> {
    let listener = TcpListener::bind(("0.0.0.0", port.parse()?))?;
    println!("ready");
    let mut buffer = vec![0; CHUNK];
    loop {
        let (mut stream, _) = listener.accept()?;
        while stream.read(&mut buffer)? > 0 {}
    }
}

fn sink_udp(port: &str) -> Done<()> {
    let socket = UdpSocket::bind(("0.0.0.0", port.parse()?))?;
    println!("ready");
    let mut buffer = vec![0; CHUNK];
    loop {
        socket.recv(&mut buffer)?;
    }
}

fn send_tcp(address: &str, bytes: &str) -> Done<()> {
    let mut left: usize = bytes.parse()?;
    let chunk = vec![0; CHUNK];
    let mut stream = TcpStream::connect(address)?;
    let begin = Instant::now();
    while left > 0 {
        let size = left.min(CHUNK);
        stream.write_all(&chunk[..size])?;
        left -= size;
    }
    stream.shutdown(Shutdown::Write)?;
    // The other end closes when it has read everything.
    let more = stream.read(&mut [0])?;
    let taken = begin.elapsed();
    if more != 0 {
        return Err("the other end is no sink: it sent something".into());
    }
    println!("{}", taken.as_nanos());
    Ok(())
}

fn send_udp(address: &str, size: &str, count: &str) -> Done<()> {
    let (size, count): (usize, u64) = (size.parse()?, count.parse()?);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(address)?;
    let datagram = vec![0; size];
    let begin = Instant::now();
    for _ in 0..count {
        socket.send(&datagram)?;
    }
    println!("{}", begin.elapsed().as_nanos());
    Ok(())
}

fn time(program: &str, arguments: &[&str]) -> Done<()> {
    let begin = Instant::now();
    let status = Command::new(program).args(arguments).status()?;
    let taken = begin.elapsed();
    if !status.success() {
        return Err(format!("{program}: {status}").into());
    }
    println!("{}", taken.as_nanos());
    Ok(())
}
