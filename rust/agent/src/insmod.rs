// SPDX-License-Identifier: GPL-2.0-only

//! `insmod FILE [PARAMETER=VALUE]...`: the agent's work when it is called by that name.
//!
//! busybox's own insmod asks the kernel twice about a refused module, by finit_module(2) and then by
//! init_module(2): a failing init runs twice, and logs everything twice. This insmod asks once, like kmod's,
//! and prints busybox's messages.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::sys;

const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const ENOEXEC: i32 = 8;

/// Returns true if the program was called by that name.
pub fn is_name(called: &OsString) -> bool {
    called == "insmod" || called.as_bytes().ends_with(b"/insmod")
}

/// Loads a module; the arguments are those behind the program's name.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(path) = arguments.next() else {
        return fail("usage: insmod FILE [PARAMETER=VALUE]...");
    };
    let shown = path.to_string_lossy();
    if !shown.ends_with(".ko") {
        // A compressed module has to be unpacked first.
        let mut busybox = Command::new("/bin/busybox");
        let error = busybox.arg("insmod").arg(&path).args(arguments).exec();
        return fail(&format!("busybox: {}", words(&error)));
    }
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => return fail(&format!("can't open '{shown}': {}", words(&error))),
    };
    let parameters: Vec<Vec<u8>> = arguments.map(|one| quoted(one.into_vec())).collect();
    match sys::load_module(&file, parameters.join(&b' ')) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("can't insert '{shown}': {}", reason(&error))),
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("insmod: {text}");
    ExitCode::FAILURE
}

/// A parameter as the kernel splits them (kernel/params.c): at spaces, but for those between quotes.
fn quoted(parameter: Vec<u8>) -> Vec<u8> {
    let equals = parameter.iter().position(|&b| b == b'=');
    match equals.map(|at| parameter.split_at(at + 1)) {
        Some((name, value)) if value.contains(&b' ') && !value.starts_with(b"\"") => {
            [name, b"\"", value, b"\""].concat()
        }
        _ => parameter,
    }
}

/// Meaning of an error of finit_module(2), if it differs from the error's meaning for other calls.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(ENOEXEC) => "invalid module format".into(),
        Some(ENOENT) => "unknown symbol in module, or unknown parameter".into(),
        Some(ESRCH) => "module has wrong symbol version".into(),
        _ => words(error),
    }
}

/// The error's text, as of C's strerror(3).
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
