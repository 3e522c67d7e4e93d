// SPDX-License-Identifier: GPL-2.0-only

//! A hook that sees each frame which an interface sends or receives, as a packet socket does.
//!
//! The hook sees a sent frame when the stack hands it to the driver, and a received frame when the
//! driver has handed it up: before any protocol, any filter and any route. A frame that the stack
//! will cut into segments, or has merged from several (GSO, GRO), is one frame for the hook. A VLAN
//! tag that the device inserts or strips is not in the frame. pktgen hands its frames to the driver
//! past all hooks.
//!
//! A module has one such hook, from load to unload: see [`module_capture!`](crate::module_capture).
//! The hook sees the interfaces of the first network namespace.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use crate::{
    bindings,
    bindings::layout, //
};
use core::{
    marker::PhantomData,
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_int,
    prelude::*,
    types::Opaque, //
};

/// A module's hook.
pub trait Hook: Send + Sync + Sized + 'static {
    /// Makes the hook, when the module is loaded.
    fn new() -> impl PinInit<Self, Error>;

    /// Called for each frame that was sent or received.
    ///
    /// Runs with soft interrupts disabled, on several CPUs at a time, and must not sleep.
    fn frame(&self, frame: &Frame<'_>);
}

/// Direction of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the device to the stack.
    Received,
    /// From the stack to the device.
    Sent,
}

/// A frame that passes by, shared and so read-only.
///
/// # Invariants
///
/// Both pointers are valid for `'a`, and no code writes to the frame meanwhile.
pub struct Frame<'a> {
    skb: NonNull<bindings::sk_buff>,
    dev: NonNull<bindings::net_device>,
    _lent: PhantomData<&'a ()>,
}

impl Frame<'_> {
    /// Offset of the Ethernet header from the data, which begins behind the header in a received
    /// frame, and with the header in a frame to be sent.
    #[inline]
    fn start(&self) -> i32 {
        let skb = self.skb.as_ptr();
        // SAFETY: Valid by the type invariants.
        unsafe {
            if bindings::skb_mac_header_was_set(skb) {
                bindings::skb_mac_offset(skb)
            } else {
                0
            }
        }
    }

    /// The number of bytes, from the Ethernet header on.
    #[expect(clippy::len_without_is_empty, reason = "a frame always has a header")]
    #[inline]
    pub fn len(&self) -> u32 {
        // SAFETY: Valid by the type invariants.
        unsafe { (*self.skb.as_ptr()).len }.wrapping_sub(self.start() as u32)
    }

    /// Copies the first bytes, as many as the frame has and as fit. Returns their number.
    #[inline]
    pub fn copy_to(&self, to: &mut [u8]) -> usize {
        let len = to.len().min(self.len() as usize);
        // SAFETY: Valid by the type invariants, and `to` has room for `len` bytes, which is no
        // more than an `i32` holds. An offset may be negative down to the beginning of the MAC
        // header, which lies in the linear part; the function checks the other end.
        let done = unsafe {
            bindings::skb_copy_bits(
                self.skb.as_ptr(),
                self.start(),
                to.as_mut_ptr().cast(),
                len as c_int,
            )
        };
        if done == 0 {
            len
        } else {
            0
        }
    }

    /// The frame's direction.
    #[inline]
    pub fn direction(&self) -> Direction {
        // SAFETY: Valid by the type invariants.
        let kind = unsafe { bindings::skb_pkt_type(self.skb.as_ptr()) };
        if kind as usize == layout::PACKET_OUTGOING {
            Direction::Sent
        } else {
            Direction::Received
        }
    }

    /// The number of the interface, as `ip link` shows it.
    #[inline]
    pub fn interface(&self) -> u32 {
        // SAFETY: Valid by the type invariants; the number does not change.
        unsafe { (*self.dev.as_ptr()).ifindex as u32 }
    }
}

/// A hook and its entry in the kernel's list.
#[pin_data]
struct Registered<H> {
    packet_type: Opaque<bindings::packet_type>,
    #[pin]
    hook: H,
}

/// The hold of a module on its hook. Its drop removes the hook from the kernel.
#[doc(hidden)]
pub struct Registration<H: Hook>(Pin<KBox<Registered<H>>>);

// SAFETY: A reference to it allows no operation.
unsafe impl<H: Hook> Sync for Registration<H> {}

// SAFETY: `H` is `Send`, and any thread may remove a `packet_type`.
unsafe impl<H: Hook> Send for Registration<H> {}

impl<H: Hook> Registration<H> {
    /// Makes the hook and adds it to the kernel's list.
    ///
    /// # Safety
    ///
    /// The value is dropped, not forgotten, before the module's code is gone.
    pub unsafe fn new() -> Result<Self> {
        let registered = KBox::try_pin_init(
            try_pin_init!(Registered {
                packet_type: Opaque::new(bindings::packet_type {
                    type_: (bindings::ETH_P_ALL as u16).to_be(),
                    func: Some(Self::func),
                    af_packet_net: (&raw mut bindings::init_net).cast(),
                    ..pin_init::zeroed()
                }),
                hook <- H::new(),
            }? Error),
            GFP_KERNEL,
        )?;
        let packet_type = registered.packet_type.get();
        // SAFETY: Nobody knows it yet. It lies in pinned memory until `drop` has removed it, and
        // so does the hook that the pointer is for: neither `func` nor `skb_loop_sk`, which
        // compares the pointer with those of sockets, finds anything else behind it.
        unsafe {
            (*packet_type).af_packet_priv = core::ptr::from_ref(&*registered).cast_mut().cast();
            bindings::dev_add_pack(packet_type);
        }
        Ok(Self(registered))
    }

    /// # Safety
    ///
    /// Called by the kernel, for a `packet_type` that [`Self::new`] has added, with a reference to
    /// `skb` for it to give up.
    unsafe extern "C" fn func(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
        packet_type: *mut bindings::packet_type,
        _original: *mut bindings::net_device,
    ) -> c_int {
        if let (Some(skb), Some(dev)) = (NonNull::new(skb), NonNull::new(dev)) {
            // SAFETY: `new` put it there, and `dev_remove_pack` waits until no call is under way.
            let registered = unsafe { &*(*packet_type).af_packet_priv.cast::<Registered<H>>() };
            // INVARIANT: The caller gives us a reference to the buffer, and holds the device for
            // as long as the call takes. Whoever else holds the buffer must not change it while
            // it is shared.
            registered.hook.frame(&Frame {
                skb,
                dev,
                _lent: PhantomData,
            });
        }
        // SAFETY: The reference was ours, and NULL may be given up too. It was looked at and not
        // dropped, which is what those who watch for losses want to know.
        unsafe { bindings::consume_skb(skb) };
        0
    }
}

impl<H: Hook> Drop for Registration<H> {
    fn drop(&mut self) {
        // SAFETY: Added in `new`, removed once. Process context: it waits for calls to end.
        unsafe { bindings::dev_remove_pack(self.0.packet_type.get()) };
    }
}

/// Declares a module that is a [`Hook`] and nothing else. Takes the arguments of `module!`.
#[macro_export]
macro_rules! module_capture {
    (type: $type:ty, $($fields:tt)*) => {
        /// The module: it owns the hook.
        struct HookModule {
            _registration: $crate::capture::Registration<$type>,
        }

        impl ::kernel::Module for HookModule {
            fn init(
                _module: &'static ::kernel::ThisModule,
            ) -> ::kernel::error::Result<Self> {
                static INITIALISED: $crate::module::Initialised =
                    $crate::module::Initialised::new();

                INITIALISED.begin()?;
                ::core::result::Result::Ok(Self {
                    // SAFETY: `module!` keeps the module in a static, and drops it when the module
                    // is unloaded. Any other call of this function fails.
                    _registration: unsafe { $crate::capture::Registration::new() }?,
                })
            }
        }

        ::kernel::prelude::module! {
            type: HookModule,
            $($fields)*
        }
    };
}
