// SPDX-License-Identifier: GPL-2.0-only

//! The virtio port to the host: found, opened, and found again after the system has slept.
//!
//! While the host is away a read returns the end of the file, and a write waits. The host is away between a
//! snapshot and its restore, and for a moment after a suspend. Linux 7.3 has a fault, too: on resume
//! `virtcons_restore` (drivers/char/virtio_console.c) asks for the host before it has put out buffers for the
//! answer, and QEMU drops an answer without a buffer. So the port stays without a host for ever, and only a new
//! probe of the device asks again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::sys;

const PORTS: &str = "/sys/class/virtio-ports";
const DRIVER: &str = "/sys/bus/virtio/drivers/virtio_console";
const STATISTICS: &str = "/sys/power/suspend_stats";

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Number of looks after which the host of a system that has slept is taken to be there, unknown to the kernel.
const PATIENCE: u32 = 25;

/// An open port.
pub struct Port {
    file: File,
    name: String,
    /// Number of the system's suspends when the port was opened.
    slept: u64,
    /// Number of looks in a row that found the host away.
    away: u32,
}

impl Port {
    /// Opens a port by its name, or a device by its path. Waits for a port that is not there yet.
    pub fn open(name: String) -> io::Result<Self> {
        let path = loop {
            match find(&name)? {
                Some(path) if path.exists() => break path,
                _ => sleep(Duration::from_millis(10)),
            }
        };
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        sys::make_raw(&file);
        Ok(Self {
            file,
            name,
            slept: slept(),
            away: 0,
        })
    }

    /// Reads the present bytes: none if the host is away, or a signal has come.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(0) => self.host_is_away().map(|()| 0),
            Ok(count) => {
                self.away = 0;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Writes all of it, once the host is there.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        loop {
            let mut port = [sys::PollFd {
                fd: self.as_raw_fd(),
                events: sys::POLLOUT,
                revents: 0,
            }];
            sys::wait(&mut port, -1)?;
            if port[0].revents & sys::POLLOUT != 0 || port[0].revents & sys::POLLHUP == 0 {
                return self.file.write_all(data);
            }
            self.host_is_away()?;
        }
    }

    /// Waits a little; has the device probed again if the system has slept and the host does not come back.
    fn host_is_away(&mut self) -> io::Result<()> {
        self.away += 1;
        if self.away < PATIENCE || slept() == self.slept {
            sleep(PAUSE);
            return Ok(());
        }
        if let Some(device) = device(&self.name)? {
            fs::write(Path::new(DRIVER).join("unbind"), &device)?;
            fs::write(Path::new(DRIVER).join("bind"), &device)?;
        }
        *self = Self::open(std::mem::take(&mut self.name))?;
        Ok(())
    }
}

impl AsRawFd for Port {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// Number of the system's suspends, including attempts.
fn slept() -> u64 {
    ["success", "fail"]
        .iter()
        .filter_map(|name| fs::read_to_string(Path::new(STATISTICS).join(name)).ok())
        .filter_map(|text| text.trim_end().parse::<u64>().ok())
        .sum()
}

/// The entry in sysfs of the virtio port called `name`.
fn entry(name: &str) -> io::Result<Option<PathBuf>> {
    let Ok(ports) = fs::read_dir(PORTS) else {
        return Ok(None);
    };
    for port in ports {
        let path = port?.path();
        if fs::read_to_string(path.join("name")).is_ok_and(|text| text.trim_end() == name) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The device file of the virtio port called `name`.
fn find(name: &str) -> io::Result<Option<PathBuf>> {
    if name.starts_with('/') {
        return Ok(Some(PathBuf::from(name)));
    }
    Ok(entry(name)?.and_then(|path| Some(Path::new("/dev").join(path.file_name()?))))
}

/// The name of the virtio device that the port belongs to, as its driver knows it.
fn device(name: &str) -> io::Result<Option<String>> {
    let Some(path) = entry(name)? else {
        return Ok(None);
    };
    let device = fs::read_link(path.join("device"))?;
    Ok(device
        .file_name()
        .map(|name| name.to_string_lossy().into_owned()))
}
