// SPDX-License-Identifier: GPL-2.0-only

//! A guest's program that loads a network driver, opens its interface, pings, closes it and unloads the driver,
//! again and again. It starts no other program, which on a kernel with all checkers would cost more than the driver.
//!
//! ```text
//! cycles MODULE.ko MODULE INTERFACE ADDRESS GATEWAY COUNT
//! ```
//!
//! The network is a /24. The last line is the number of cycles; an error names the cycle and the step.

use std::env;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_long;
use std::ffi::c_short;
use std::ffi::c_ulong;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::process::exit;
use std::time::Duration;
use std::time::Instant;

/// Numbers of finit_module(2) and delete_module(2).
#[cfg(target_arch = "x86_64")]
const CALLS: (c_long, c_long) = (313, 176);
#[cfg(not(target_arch = "x86_64"))]
const CALLS: (c_long, c_long) = (273, 106);

const AF_INET: c_int = 2;
const SOCK_RAW: c_int = 3;
const IPPROTO_ICMP: c_int = 1;
const O_NONBLOCK: c_long = 0o4000;
const SIOCGIFFLAGS: c_ulong = 0x8913;
const SIOCSIFFLAGS: c_ulong = 0x8914;
const SIOCSIFADDR: c_ulong = 0x8916;
const SIOCSIFNETMASK: c_ulong = 0x891c;
const IFF_UP: c_short = 1;

/// Bytes of an IPv4 header without options, which a raw socket's packets begin with.
const IP_HEADER: usize = 20;
/// Wait for one answer. The first requests are lost while the card has no carrier yet.
const ANSWER: Duration = Duration::from_millis(100);
/// Bound on one cycle's wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
}

/// netdevice(7)'s `struct ifreq`.
#[repr(C)]
struct Request {
    name: [c_char; 16],
    value: [u8; 24],
}

impl Request {
    fn new(interface: &str) -> Self {
        let mut name = [0; 16];
        for (to, from) in name.iter_mut().zip(interface.bytes().take(15)) {
            *to = from as c_char;
        }
        Self {
            name,
            value: [0; 24],
        }
    }

    fn send(&mut self, to: &UdpSocket, request: c_ulong) -> io::Result<()> {
        // SAFETY: the kernel reads and writes a `struct ifreq`, which this is.
        checked(unsafe { ioctl(to.as_raw_fd(), request, self as *mut Self) }.into())
    }
}

fn checked(answer: c_long) -> io::Result<()> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

struct Cycle<'a> {
    file: &'a str,
    module: CString,
    interface: &'a str,
    address: Ipv4Addr,
    gateway: Ipv4Addr,
    control: UdpSocket,
    icmp: UdpSocket,
}

impl Cycle<'_> {
    fn run(&self, number: u16) -> Result<(), (&'static str, io::Error)> {
        self.load().map_err(|error| ("load", error))?;
        self.open().map_err(|error| ("open", error))?;
        self.ping(number).map_err(|error| ("ping", error))?;
        self.set_up(false).map_err(|error| ("close", error))?;
        // SAFETY: the name ends with a zero byte.
        checked(unsafe { syscall(CALLS.1, self.module.as_ptr(), O_NONBLOCK) })
            .map_err(|error| ("unload", error))
    }

    fn load(&self) -> io::Result<()> {
        let file = File::open(self.file)?;
        // SAFETY: the parameters are an empty string.
        checked(unsafe {
            syscall(
                CALLS.0,
                c_long::from(file.as_raw_fd()),
                c"".as_ptr(),
                0 as c_long,
            )
        })
    }

    fn open(&self) -> io::Result<()> {
        self.set_address(SIOCSIFADDR, self.address)?;
        self.set_address(SIOCSIFNETMASK, Ipv4Addr::new(255, 255, 255, 0))?;
        self.set_up(true)
    }

    fn set_address(&self, request: c_ulong, address: Ipv4Addr) -> io::Result<()> {
        let mut asked = Request::new(self.interface);
        asked.value[..2].copy_from_slice(&(AF_INET as u16).to_ne_bytes());
        asked.value[4..8].copy_from_slice(&address.octets());
        asked.send(&self.control, request)
    }

    fn set_up(&self, up: bool) -> io::Result<()> {
        let mut asked = Request::new(self.interface);
        asked.send(&self.control, SIOCGIFFLAGS)?;
        let flags = c_short::from_ne_bytes([asked.value[0], asked.value[1]]);
        let flags = if up { flags | IFF_UP } else { flags & !IFF_UP };
        asked.value[..2].copy_from_slice(&flags.to_ne_bytes());
        asked.send(&self.control, SIOCSIFFLAGS)
    }

    fn ping(&self, number: u16) -> io::Result<()> {
        let begin = Instant::now();
        let mut packet = [8, 0, 0, 0, 0, 1, 0, 0];
        packet[6..].copy_from_slice(&number.to_be_bytes());
        let sum: u32 = packet
            .chunks(2)
            .map(|two| u32::from(two[0]) << 8 | u32::from(two[1]))
            .sum();
        packet[2..4].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        while begin.elapsed() < PATIENCE {
            // Without a carrier yet the packet is lost, or refused.
            if let Err(error) = self.icmp.send_to(&packet, (self.gateway, 0)) {
                if error.kind() != io::ErrorKind::NetworkUnreachable {
                    return Err(error);
                }
            }
            let mut answer = [0; 256];
            while let Ok((size, _)) = self.icmp.recv_from(&mut answer) {
                let said = &answer[IP_HEADER.min(size)..size];
                if said.len() == packet.len() && said[0] == 0 && said[4..] == packet[4..] {
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let [_, file, module, interface, address, gateway, count] = arguments.as_slice() else {
        eprintln!("usage: cycles MODULE.ko MODULE INTERFACE ADDRESS GATEWAY COUNT");
        exit(2);
    };
    // SAFETY: the socket is this program's own, and nobody else's.
    let icmp = unsafe { UdpSocket::from_raw_fd(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)) };
    icmp.set_read_timeout(Some(ANSWER))
        .expect("a socket takes a time-out");
    let cycle = Cycle {
        file,
        module: CString::new(module.as_str()).expect("an argument has no zero byte"),
        interface,
        address: address.parse().expect("an address"),
        gateway: gateway.parse().expect("an address"),
        control: UdpSocket::bind("0.0.0.0:0").expect("a socket"),
        icmp,
    };
    let count: u32 = count.parse().expect("a number");
    for number in 1..=count {
        if let Err((step, error)) = cycle.run(number as u16) {
            eprintln!("cycle {number}: {step}: {error}");
            exit(1);
        }
    }
    println!("{count}");
}
