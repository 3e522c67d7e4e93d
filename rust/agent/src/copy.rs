// SPDX-License-Identifier: GPL-2.0-only

//! The agent's second use: `r4l-agent --read FILE` and `r4l-agent --write FILE`, a process for one file that may block.
//!
//! The file goes to standard output, or standard input into the file. The exit code is the error number, 0 for none.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use crate::frame::MAX_PAYLOAD;

pub const READ: &str = "--read";
pub const WRITE: &str = "--write";

/// Exit code for an error without a number.
const OTHER: u8 = 255;

/// Returns true for the first argument of this use.
pub fn is_word(word: Option<&OsString>) -> bool {
    word.is_some_and(|word| word == READ || word == WRITE)
}

/// Copies the file that the arguments name.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.collect();
    let [way, path] = &words[..] else {
        return ExitCode::from(OTHER);
    };
    match copy(way, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let number = error.raw_os_error().and_then(|n| u8::try_from(n).ok());
            ExitCode::from(number.unwrap_or(OTHER))
        }
    }
}

fn copy(way: &OsStr, path: &OsStr) -> io::Result<()> {
    // Not by io::copy, which uses splice(2): a driver may know read and write only.
    let (mut from, mut to) = if way == READ {
        let out = io::stdout().as_fd().try_clone_to_owned()?;
        (File::open(path)?, File::from(out))
    } else {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        (
            File::from(input),
            OpenOptions::new().write(true).open(path)?,
        )
    };
    let mut buffer = vec![0u8; MAX_PAYLOAD];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The error that an exit code of this use stands for.
pub fn error_of(code: Option<i32>) -> io::Error {
    match code {
        Some(number) if number != i32::from(OTHER) => io::Error::from_raw_os_error(number),
        _ => io::Error::other("the copying process has ended"),
    }
}
