// SPDX-License-Identifier: GPL-2.0-only

//! Files from and to the host.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::frame::{Fields, MAX_PAYLOAD};

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// A file that is being received. A complete file gets its name.
pub struct Put {
    pub channel: u32,
    file: File,
    mode: u32,
    /// Temporary file for the bytes; `None` if they go straight into a device or the like.
    temporary: Option<PathBuf>,
    path: PathBuf,
    pub failure: Option<io::Error>,
}

impl Put {
    /// Begins with the request's mode and path. Missing parent folders are made.
    pub fn start(channel: u32, payload: &[u8]) -> io::Result<Self> {
        let mut fields = Fields(payload);
        let (Some(mode), Some(path)) = (fields.u32(), fields.bytes()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "malformed request",
            ));
        };
        let path = path_of(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // An existing file that is not an ordinary one (a device, a file of /proc or /sys) is written in place.
        let special = match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => return Err(io::Error::from_raw_os_error(21)),
            Ok(meta) => {
                let kind = meta.file_type();
                kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || pseudo(&path)
            }
            Err(_) => false,
        };
        let (file, temporary) = if special {
            (OpenOptions::new().write(true).open(&path)?, None)
        } else {
            let mut name = path.file_name().unwrap_or_default().to_os_string();
            name.push(format!(".r4l-{channel}"));
            let temporary = path.with_file_name(name);
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            (file, Some(temporary))
        };
        Ok(Self {
            channel,
            file,
            mode,
            temporary,
            path,
            failure: None,
        })
    }

    /// Takes the next piece. A failure is kept for the end: pieces are not answered.
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

fn pseudo(path: &Path) -> bool {
    ["/proc", "/sys", "/dev"]
        .iter()
        .any(|root| path.starts_with(root))
}

/// A file that is being sent.
pub struct Get {
    pub channel: u32,
    file: File,
    pub mode: u32,
    pub sent: u64,
}

impl Get {
    pub fn start(channel: u32, payload: &[u8]) -> io::Result<Self> {
        let path = Fields(payload).bytes().map(path_of);
        let path =
            path.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "malformed request"))?;
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::Error::from_raw_os_error(21));
        }
        Ok(Self {
            channel,
            file,
            mode: meta.permissions().mode(),
            sent: 0,
        })
    }

    /// Reads the next piece; zero at the end.
    pub fn piece(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(&mut buffer[..MAX_PAYLOAD])?;
        self.sent += count as u64;
        Ok(count)
    }
}
