// SPDX-License-Identifier: GPL-2.0-only

//! What `ethtool` asks. Every function is called under the RTNL lock.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

use super::{
    driver::Driver,
    private::Private, //
};
use crate::{
    bindings,
    bindings::layout,
    netdev_err, //
};
use core::slice;
use kernel::{
    error::from_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::atomic::Relaxed, //
};

/// Ways to run a link over copper, as `ethtool` lists them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkModes(u32);

impl LinkModes {
    /// 10 Mbit/s, one way at a time.
    pub const HALF_10: Self = Self(layout::ADVERTISED_10BASET_HALF as u32);
    /// 10 Mbit/s, both ways at once.
    pub const FULL_10: Self = Self(layout::ADVERTISED_10BASET_FULL as u32);
    /// 100 Mbit/s, one way at a time.
    pub const HALF_100: Self = Self(layout::ADVERTISED_100BASET_HALF as u32);
    /// 100 Mbit/s, both ways at once.
    pub const FULL_100: Self = Self(layout::ADVERTISED_100BASET_FULL as u32);
    /// 1000 Mbit/s, both ways at once.
    pub const FULL_1000: Self = Self(layout::ADVERTISED_1000BASET_FULL as u32);
    /// Both ends can pause.
    pub const PAUSE: Self = Self(layout::ADVERTISED_PAUSE as u32);
    /// One end can pause the other.
    pub const ASYMMETRIC_PAUSE: Self = Self(layout::ADVERTISED_ASYM_PAUSE as u32);
    /// None.
    pub const NONE: Self = Self(0);

    /// The modes of both.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not among `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are among them.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// As bits, to be kept; `ADVERTISED_*` of `ethtool`.
    pub const fn into_raw(self) -> u32 {
        self.0
    }

    /// From bits that [`Self::into_raw`] gave.
    pub const fn from_raw(bits: u32) -> Self {
        Self(bits)
    }
}

/// How a link shall come about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LinkRequest {
    /// By negotiation: these modes are offered to the other end.
    Negotiate(LinkModes),
    /// Without negotiation, in the one mode that is among these.
    Force(LinkModes),
}

/// Pause frames (IEEE 802.3, annex 31B).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// They are negotiated with the other end.
    pub negotiate: bool,
    /// The device obeys them.
    pub rx: bool,
    /// The device sends them.
    pub tx: bool,
}

/// What the lamp of a device is to do, so that somebody finds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lamp {
    /// Its former state is about to be needed again.
    Begin,
    /// Shine.
    On,
    /// Do not shine.
    Off,
    /// Back to the former state.
    End,
}

/// Copies names to where the core wants them.
///
/// # Safety
///
/// There is zeroed memory for as many names at `data`, `ETH_GSTRING_LEN` bytes each.
unsafe fn copy_names(names: &[&str], data: *mut u8) {
    const LEN: usize = bindings::ETH_GSTRING_LEN as usize;

    for (i, name) in names.iter().enumerate() {
        let len = name.len().min(LEN - 1);
        // SAFETY: As required of the caller.
        unsafe { core::ptr::copy_nonoverlapping(name.as_ptr(), data.add(i * LEN), len) };
    }
}

/// The one mode of a speed, in Mbit/s, and a duplex.
fn mode_of(speed: u32, full_duplex: bool) -> Result<LinkModes> {
    match (speed, full_duplex) {
        (10, false) => Ok(LinkModes::HALF_10),
        (10, true) => Ok(LinkModes::FULL_10),
        (100, false) => Ok(LinkModes::HALF_100),
        (100, true) => Ok(LinkModes::FULL_100),
        (1000, true) => Ok(LinkModes::FULL_1000),
        _ => Err(EINVAL),
    }
}

impl<D: Driver> Private<D> {
    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_regs_len(_dev: *mut bindings::net_device) -> c_int {
        (D::REGISTERS * size_of::<u32>()) as c_int
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_regs(
        dev: *mut bindings::net_device,
        regs: *mut bindings::ethtool_regs,
        data: *mut c_void,
    ) {
        // SAFETY: The core hands over zeroed memory of as many bytes as `get_regs_len` said, from
        // `vzalloc`, so aligned to a page.
        let values = unsafe { slice::from_raw_parts_mut(data.cast::<u32>(), D::REGISTERS) };
        // SAFETY: The core only calls this for a registered device of ours, and hands over a valid
        // structure.
        unsafe { (*regs).version = Self::of(dev).driver.registers(values) };
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_msglevel(dev: *mut bindings::net_device) -> u32 {
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }.driver.messages().load(Relaxed)
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn set_msglevel(dev: *mut bindings::net_device, level: u32) {
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }
            .driver
            .messages()
            .store(level, Relaxed);
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn nway_reset(dev: *mut bindings::net_device) -> c_int {
        from_result(|| {
            // SAFETY: The core only calls this for a registered device of ours.
            let this = unsafe { Self::of(dev) };
            if !this.device().is_up() {
                return Err(EAGAIN);
            }
            this.driver.negotiate_again().map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_eeprom_len(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }.driver.eeprom_len() as c_int
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_eeprom(
        dev: *mut bindings::net_device,
        eeprom: *mut bindings::ethtool_eeprom,
        data: *mut u8,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core hands over a valid structure; its range lies within
            // `get_eeprom_len`, and `data` has as many bytes.
            let (eeprom, bytes) = unsafe {
                (
                    &mut *eeprom,
                    slice::from_raw_parts_mut(data, (*eeprom).len as usize),
                )
            };
            bytes.fill(0);
            // SAFETY: The core only calls this for a registered device of ours.
            let driver = &unsafe { Self::of(dev) }.driver;
            eeprom.magic = driver.eeprom_magic();
            driver.read_eeprom(eeprom.offset, bytes).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn set_eeprom(
        dev: *mut bindings::net_device,
        eeprom: *mut bindings::ethtool_eeprom,
        data: *mut u8,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core hands over a valid structure; its range lies within
            // `get_eeprom_len`, and `data` has as many bytes, as a page of its own has them.
            let (eeprom, bytes) = unsafe {
                (
                    &*eeprom,
                    slice::from_raw_parts(data, (*eeprom).len as usize),
                )
            };
            // SAFETY: The core only calls this for a registered device of ours.
            let driver = &unsafe { Self::of(dev) }.driver;
            if eeprom.magic != driver.eeprom_magic() {
                return Err(EFAULT);
            }
            driver.write_eeprom(eeprom.offset, bytes).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_coalesce(
        dev: *mut bindings::net_device,
        coalesce: *mut bindings::ethtool_coalesce,
        _kernel: *mut bindings::kernel_ethtool_coalesce,
        _ack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: The core only calls this for a registered device of ours, with a valid structure.
        unsafe { (*coalesce).rx_coalesce_usecs = Self::of(dev).driver.interrupt_interval() };
        0
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn set_coalesce(
        dev: *mut bindings::net_device,
        coalesce: *mut bindings::ethtool_coalesce,
        _kernel: *mut bindings::kernel_ethtool_coalesce,
        _ack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core only calls this for a registered device of ours, with a valid
            // structure.
            let (driver, usecs) = unsafe { (&Self::of(dev).driver, (*coalesce).rx_coalesce_usecs) };
            driver.set_interrupt_interval(usecs).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_ringparam(
        dev: *mut bindings::net_device,
        ring: *mut bindings::ethtool_ringparam,
        _kernel_ring: *mut bindings::kernel_ethtool_ringparam,
        _ack: *mut bindings::netlink_ext_ack,
    ) {
        // SAFETY: The core only calls this for a registered device of ours.
        let driver = &unsafe { Self::of(dev) }.driver;
        // SAFETY: The core hands over a valid structure to fill in.
        let ring = unsafe { &mut *ring };
        let now = driver.ring_sizes();
        let most = if D::HAS_MAKE_RINGS {
            driver.max_ring_sizes()
        } else {
            now
        };
        (ring.rx_pending, ring.tx_pending) = now;
        (ring.rx_max_pending, ring.tx_max_pending) = most;
    }

    /// Other rings are allocated before those that are there are given back, so without memory the
    /// device goes on with these.
    ///
    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn set_ringparam(
        dev: *mut bindings::net_device,
        ring: *mut bindings::ethtool_ringparam,
        _kernel_ring: *mut bindings::kernel_ethtool_ringparam,
        _ack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core only calls this for a registered device of ours, with a valid
            // structure, whose sizes it has compared with the largest ones.
            let (this, ring) = unsafe { (Self::of(dev), &*ring) };
            let driver = &this.driver;
            let sizes = driver.fit_ring_sizes((ring.rx_pending, ring.tx_pending));
            if sizes == driver.ring_sizes() {
                return Ok(0);
            }
            // SAFETY: The RTNL lock is held.
            if !unsafe { this.is_running() } {
                driver.set_ring_sizes(sizes);
                return Ok(0);
            }
            let rings = driver.make_rings(sizes)?;
            driver.set_ring_sizes(sizes);
            // SAFETY: The device is registered, and the RTNL lock is held.
            unsafe { this.exchange(rings) }.map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_pauseparam(
        dev: *mut bindings::net_device,
        pause: *mut bindings::ethtool_pauseparam,
    ) {
        // SAFETY: The core only calls this for a registered device of ours.
        let now = unsafe { Self::of(dev) }.driver.pause();
        // SAFETY: The core hands over a valid structure to fill in.
        let pause = unsafe { &mut *pause };
        pause.autoneg = now.negotiate.into();
        pause.rx_pause = now.rx.into();
        pause.tx_pause = now.tx.into();
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn set_pauseparam(
        dev: *mut bindings::net_device,
        pause: *mut bindings::ethtool_pauseparam,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core only calls this for a registered device of ours, with a valid
            // structure.
            let (this, pause) = unsafe { (Self::of(dev), &*pause) };
            let pause = Pause {
                negotiate: pause.autoneg != 0,
                rx: pause.rx_pause != 0,
                tx: pause.tx_pause != 0,
            };
            this.driver.set_pause(this.device(), pause).map(|()| 0)
        })
    }

    /// Tests a device. For those that disturb it, it is closed, and opened afterwards.
    ///
    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn self_test(
        dev: *mut bindings::net_device,
        test: *mut bindings::ethtool_test,
        data: *mut u64,
    ) {
        const OFFLINE: u32 = bindings::ethtool_test_flags_ETH_TEST_FL_OFFLINE;
        const FAILED: u32 = bindings::ethtool_test_flags_ETH_TEST_FL_FAILED;

        // SAFETY: The core only calls this for a registered device of ours, with a valid structure and
        // zeroed memory for as many values as `get_sset_count` said.
        let (this, test, results) = unsafe {
            (
                Self::of(dev),
                &mut *test,
                slice::from_raw_parts_mut(data, D::SELF_TESTS.len()),
            )
        };
        let offline = test.flags & OFFLINE != 0;
        let reopen = offline && this.device().is_up();
        this.driver.self_test(this.device(), false, results);
        if reopen {
            // SAFETY: The RTNL lock is held.
            unsafe { this.close() };
        }
        if offline {
            this.driver.self_test(this.device(), true, results);
        }
        if reopen {
            // SAFETY: As above.
            if let Err(e) = unsafe { this.open() } {
                netdev_err!(
                    this.device(),
                    "open failed after a test: {:?}, going down\n",
                    e
                );
                test.flags |= FAILED;
                // SAFETY: The device is registered, and the RTNL lock is held.
                unsafe { bindings::dev_close(dev) };
            }
        }
        if results.iter().any(|result| *result != 0) {
            test.flags |= FAILED;
        }
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_sset_count(_dev: *mut bindings::net_device, set: c_int) -> c_int {
        let names = match set as u32 {
            bindings::ethtool_stringset_ETH_SS_STATS => D::COUNTERS,
            bindings::ethtool_stringset_ETH_SS_TEST => D::SELF_TESTS,
            _ => &[],
        };
        match names {
            [] => -(bindings::EOPNOTSUPP as c_int),
            _ => names.len() as c_int,
        }
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_strings(_dev: *mut bindings::net_device, set: u32, data: *mut u8) {
        let names = match set {
            bindings::ethtool_stringset_ETH_SS_STATS => D::COUNTERS,
            bindings::ethtool_stringset_ETH_SS_TEST => D::SELF_TESTS,
            _ => return,
        };
        // SAFETY: The core hands over zeroed memory for as many strings as `get_sset_count` said.
        unsafe { copy_names(names, data) };
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn set_phys_id(
        dev: *mut bindings::net_device,
        state: bindings::ethtool_phys_id_state,
    ) -> c_int {
        /// How often a second the lamp goes on and off.
        const TIMES: c_int = 2;

        let (lamp, answer) = match state {
            bindings::ethtool_phys_id_state_ETHTOOL_ID_ACTIVE => (Lamp::Begin, TIMES),
            bindings::ethtool_phys_id_state_ETHTOOL_ID_ON => (Lamp::On, 0),
            bindings::ethtool_phys_id_state_ETHTOOL_ID_OFF => (Lamp::Off, 0),
            _ => (Lamp::End, 0),
        };
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }.driver.identify(lamp);
        answer
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_ethtool_stats(
        dev: *mut bindings::net_device,
        _stats: *mut bindings::ethtool_stats,
        data: *mut u64,
    ) {
        // SAFETY: The core hands over zeroed memory for as many values as `get_sset_count` said.
        let values = unsafe { slice::from_raw_parts_mut(data, D::COUNTERS.len()) };
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }.driver.counters(values);
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_link_ksettings(
        dev: *mut bindings::net_device,
        settings: *mut bindings::ethtool_link_ksettings,
    ) -> c_int {
        // SAFETY: The core only calls this for a registered device of ours.
        let driver = &unsafe { Self::of(dev) }.driver;
        let link = driver.link();
        // SAFETY: The core hands over a valid structure to fill in.
        let settings = unsafe { &mut *settings };
        let base = &mut settings.base;
        base.port = bindings::PORT_TP as u8;
        base.autoneg = bindings::AUTONEG_ENABLE as u8;
        match link {
            Some(link) => {
                base.speed = link.speed;
                base.duplex = if link.full_duplex {
                    bindings::DUPLEX_FULL as u8
                } else {
                    bindings::DUPLEX_HALF as u8
                };
            }
            None => {
                base.speed = bindings::SPEED_UNKNOWN as u32;
                base.duplex = bindings::DUPLEX_UNKNOWN as u8;
            }
        }
        if D::HAS_LINK_REQUEST {
            let (request, supported) = driver.link_request();
            let advertised = match request {
                LinkRequest::Negotiate(modes) => modes.0 | layout::ADVERTISED_AUTONEG as u32,
                LinkRequest::Force(_) => {
                    base.autoneg = bindings::AUTONEG_DISABLE as u8;
                    0
                }
            };
            let supported =
                supported.0 | layout::ADVERTISED_AUTONEG as u32 | layout::ADVERTISED_TP as u32;
            // SAFETY: Both have room for all modes.
            unsafe {
                bindings::ethtool_convert_legacy_u32_to_link_mode(
                    settings.link_modes.supported.as_mut_ptr(),
                    supported,
                );
                bindings::ethtool_convert_legacy_u32_to_link_mode(
                    settings.link_modes.advertising.as_mut_ptr(),
                    advertised | layout::ADVERTISED_TP as u32,
                );
            }
        }
        0
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn set_link_ksettings(
        dev: *mut bindings::net_device,
        settings: *const bindings::ethtool_link_ksettings,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core only calls this for a registered device of ours, with a valid
            // structure.
            let (this, settings) = unsafe { (Self::of(dev), &*settings) };
            let (_, supported) = this.driver.link_request();
            let request = if u32::from(settings.base.autoneg) == bindings::AUTONEG_ENABLE {
                let mut modes = 0;
                // SAFETY: The one has all modes, the other room for the legacy ones.
                let legacy = unsafe {
                    bindings::ethtool_convert_link_mode_to_legacy_u32(
                        &mut modes,
                        settings.link_modes.advertising.as_ptr(),
                    )
                };
                let ignored = layout::ADVERTISED_AUTONEG as u32 | layout::ADVERTISED_TP as u32;
                let modes = LinkModes(modes & !ignored);
                if !legacy || modes == LinkModes::NONE || !supported.has(modes) {
                    return Err(EINVAL);
                }
                LinkRequest::Negotiate(modes)
            } else {
                let full = u32::from(settings.base.duplex) == bindings::DUPLEX_FULL;
                let mode = mode_of(settings.base.speed, full)?;
                if !supported.has(mode) {
                    return Err(EINVAL);
                }
                LinkRequest::Force(mode)
            };
            this.driver
                .set_link_request(this.device(), request)
                .map(|()| 0)
        })
    }

    // The core warns about a set of strings that is there and empty.
    const HAS_NAMES: bool = !D::COUNTERS.is_empty() || !D::SELF_TESTS.is_empty();

    // The core fills in `get_drvinfo` itself, from the names of driver and bus device.
    pub(super) const ETHTOOL_OPS: bindings::ethtool_ops = {
        let mut ops = bindings::ethtool_ops {
            get_link: Some(bindings::ethtool_op_get_link),
            ..pin_init::zeroed()
        };
        if D::HAS_REGISTERS {
            ops.get_regs_len = Some(Self::get_regs_len);
            ops.get_regs = Some(Self::get_regs);
        }
        if D::HAS_MESSAGES {
            ops.get_msglevel = Some(Self::get_msglevel);
            ops.set_msglevel = Some(Self::set_msglevel);
        }
        if D::HAS_NEGOTIATE_AGAIN {
            ops.nway_reset = Some(Self::nway_reset);
        }
        if D::HAS_READ_EEPROM {
            ops.get_eeprom_len = Some(Self::get_eeprom_len);
            ops.get_eeprom = Some(Self::get_eeprom);
            if D::HAS_WRITE_EEPROM {
                ops.set_eeprom = Some(Self::set_eeprom);
            }
        }
        if D::HAS_INTERRUPT_INTERVAL {
            ops.supported_coalesce_params = layout::ETHTOOL_COALESCE_RX_USECS as u32;
            ops.get_coalesce = Some(Self::get_coalesce);
            ops.set_coalesce = Some(Self::set_coalesce);
        }
        if D::HAS_RING_SIZES {
            ops.get_ringparam = Some(Self::get_ringparam);
            if D::HAS_MAKE_RINGS {
                ops.set_ringparam = Some(Self::set_ringparam);
            }
        }
        if D::HAS_PAUSE {
            ops.get_pauseparam = Some(Self::get_pauseparam);
            ops.set_pauseparam = Some(Self::set_pauseparam);
        }
        if D::HAS_SELF_TEST {
            ops.self_test = Some(Self::self_test);
        }
        if Self::HAS_NAMES {
            ops.get_sset_count = Some(Self::get_sset_count);
            ops.get_strings = Some(Self::get_strings);
        }
        if D::HAS_IDENTIFY {
            ops.set_phys_id = Some(Self::set_phys_id);
        }
        if !D::COUNTERS.is_empty() {
            ops.get_ethtool_stats = Some(Self::get_ethtool_stats);
        }
        if D::HAS_LINK {
            ops.get_link_ksettings = Some(Self::get_link_ksettings);
        }
        if D::HAS_SET_LINK_REQUEST {
            ops.set_link_ksettings = Some(Self::set_link_ksettings);
        }
        ops
    };
}
