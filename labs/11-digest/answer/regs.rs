// SPDX-License-Identifier: GPL-2.0-only

//! The registers of the digest engine, as `digest.py` has them. All are in BAR 0.

use kernel::io::register;

register! {
    /// Kind and version of the device.
    pub(crate) ID(u32) @ 0x00 {
        31:16 kind;
        15:0 version;
    }

    pub(crate) CONTROL(u32) @ 0x04 {
        /// Stop at once, and forget all. Reads as 0.
        31:31 reset => bool;

        /// Let `STATUS.done` and `STATUS.error` interrupt.
        1:1 interrupt => bool;

        /// Begin to compute. Reads as 0.
        0:0 start => bool;
    }

    /// `done` and `error` are cleared by writing ones.
    pub(crate) STATUS(u32) @ 0x08 {
        /// The computation has ended without a digest.
        2:2 error => bool;

        /// The computation has ended, and the digest is in memory.
        1:1 done => bool;

        /// A computation is under way.
        0:0 busy => bool;
    }

    /// Bytes of the message.
    pub(crate) LENGTH(u32) @ 0x0c {
        31:0 bytes;
    }

    /// Address of the message.
    pub(crate) SOURCE(u32) @ 0x10 {
        31:0 address;
    }

    /// Address of the memory for the digest.
    pub(crate) TARGET(u32) @ 0x14 {
        31:0 address;
    }
}

/// Size of the registers, in bytes.
pub(crate) const END: usize = 0x18;
