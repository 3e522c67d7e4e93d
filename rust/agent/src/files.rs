// SPDX-License-Identifier: GPL-2.0-only

//! Files from and to the host.
//!
//! A file that may block, such as a FIFO, a device, or a file of /proc, is opened and copied by a process of its own
//! (`copy.rs`), so that the agent goes on.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::frame::{Fields, MAX_PAYLOAD};

const EISDIR: i32 = 21;

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "malformed request")
}

/// The other end of a transfer from the host.
pub enum Target {
    /// An ordinary file.
    File(Put),
    /// A device, a FIFO, a file of /proc or /sys, which is written in place.
    Special(PathBuf),
}

/// A file that is being received. A complete file gets its name.
pub struct Put {
    pub channel: u32,
    file: File,
    mode: u32,
    /// Temporary file for the bytes; `None` once it has its name.
    temporary: Option<PathBuf>,
    path: PathBuf,
    pub failure: Option<io::Error>,
}

impl Put {
    /// Begins with the request's mode and path. Missing parent folders are made.
    pub fn start(channel: u32, payload: &[u8]) -> io::Result<Target> {
        let mut fields = Fields(payload);
        let (Some(mode), Some(path)) = (fields.u32(), fields.bytes()) else {
            return Err(malformed());
        };
        let path = path_of(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => return Err(io::Error::from_raw_os_error(EISDIR)),
            Ok(meta) if !meta.is_file() || pseudo(&path) => return Ok(Target::Special(path)),
            _ => {}
        }
        // A name of its own: the file's may have the greatest length.
        let temporary = path.with_file_name(format!(".r4l-{}-{channel}", std::process::id()));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        Ok(Target::File(Self {
            channel,
            file,
            mode,
            temporary: Some(temporary),
            path,
            failure: None,
        }))
    }

    /// Takes the next piece. A failure is kept for the end.
    pub fn piece(&mut self, data: &[u8]) {
        if self.failure.is_none() {
            self.failure = self.file.write_all(data).err();
        }
    }

    /// Gives the file its mode and its name.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(temporary) = &self.temporary {
            fs::set_permissions(temporary, Permissions::from_mode(self.mode & 0o7777))?;
            fs::rename(temporary, &self.path)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for Put {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // A half file that cannot be removed stays.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Returns true for a file that the kernel makes up, wherever a link to it is.
fn pseudo(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|real| real.starts_with("/proc") || real.starts_with("/sys"))
}

/// The other end of a transfer to the host.
pub enum Source {
    /// An ordinary file.
    File(Get),
    /// A file whose opening or reading may block, with its mode.
    Special(PathBuf, u32),
}

/// A file that is being sent.
pub struct Get {
    pub channel: u32,
    file: File,
    pub mode: u32,
    pub sent: u64,
}

impl Get {
    pub fn start(channel: u32, payload: &[u8]) -> io::Result<Source> {
        let path = Fields(payload).bytes().map(path_of).ok_or_else(malformed)?;
        let meta = fs::metadata(&path)?;
        let mode = meta.permissions().mode();
        if meta.is_dir() {
            return Err(io::Error::from_raw_os_error(EISDIR));
        }
        // Files of debugfs and tracefs, which may be mounted anywhere, have no size.
        if !meta.is_file() || meta.len() == 0 || pseudo(&path) {
            return Ok(Source::Special(path, mode));
        }
        Ok(Source::File(Self {
            channel,
            file: File::open(path)?,
            mode,
            sent: 0,
        }))
    }

    /// Reads the next piece; zero at the end.
    pub fn piece(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(&mut buffer[..MAX_PAYLOAD])?;
        self.sent += count as u64;
        Ok(count)
    }
}
