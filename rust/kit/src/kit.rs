// SPDX-License-Identifier: GPL-2.0-only

//! Safe abstractions for drivers, network drivers above all, that Linux does not have yet.
//!
//! The kit is a crate of its own, linked statically into each module that uses it, so that a
//! driver can say `#![forbid(unsafe_code)]`. Its modules:
//!
//! * [`pci`]: binds a network driver to its PCI devices, and owns the values that must not be
//!   forgotten.
//! * [`capture`]: a hook that sees the frames of interfaces.
//! * [`virt`]: network devices without hardware.
//! * [`net`]: the network device: its callbacks, NAPI, the transmit queue, receive modes.
//! * [`skb`]: socket buffers, each owned once.
//! * [`dma`]: streaming DMA mappings that own their memory.
//! * [`spsc`]: the ring between `start_xmit` and the poll function.
//! * [`chrdev`]: character devices, also those of a module alone (misc): numbers, node, open files
//!   and their operations.
//! * [`irq`]: interrupts of PCI devices.
//! * [`wait`]: waiting for a condition, until a signal comes.
//! * [`lock`]: spinlocks for data that interrupts use too.
//! * [`completion`]: waits that one call, a signal or a time-out ends.
//! * [`param`]: parameters of modules.
//! * [`error`]: errors that the kernel's Rust has no constants for.
//! * [`barrier`]: memory barriers between CPU and device.
//!
//! The kit supports Linux 7.2 and 7.3; `compat` has the differences.

#![warn(missing_docs)]

mod bindings;
mod compat;

pub mod barrier;
pub mod capture;
pub mod chrdev;
pub mod completion;
pub mod dma;
pub mod error;
pub mod irq;
pub mod lock;
#[doc(hidden)]
pub mod module;
pub mod net;
pub mod param;
pub mod pci;
pub mod skb;
pub mod spsc;
pub mod virt;
pub mod wait;

/// Prefix of the kit's own messages.
const __LOG_PREFIX: &[u8] = b"r4l_kit\0";
