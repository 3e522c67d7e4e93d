// SPDX-License-Identifier: GPL-2.0-only

//! Access to the registers of a device's PHY by ioctl, as `mii-tool` does.
//!
//! C header: [`include/uapi/linux/mii.h`](srctree/include/uapi/linux/mii.h)

use super::{
    driver::Driver,
    private::Private, //
};
use crate::{
    bindings,
    error::not_supported, //
};
use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*, //
};

impl<D: Driver> Private<D> {
    /// Reads or writes a register of the PHY.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `request` is valid.
    pub(super) unsafe extern "C" fn ndo_eth_ioctl(
        dev: *mut bindings::net_device,
        request: *mut bindings::ifreq,
        command: c_int,
    ) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            let this = unsafe { Self::of(dev) };
            // SAFETY: As `if_mii` does: the structure lies in the request for the three commands,
            // and is unused for others. The request is valid, and no other code accesses it.
            let data =
                unsafe { &mut *(&raw mut (*request).ifr_ifru).cast::<bindings::mii_ioctl_data>() };
            match command as u32 {
                bindings::SIOCGMIIPHY => {
                    data.phy_id = D::PHY_ADDRESS.into();
                    // The kernel's own libraries return the register, too (drivers/net/mii.c). The
                    // question is for the number, which there is without any register.
                    let _ = this.read_phy(data);
                }
                bindings::SIOCGMIIREG => this.read_phy(data)?,
                // The core has checked for CAP_NET_ADMIN.
                bindings::SIOCSMIIREG if D::HAS_WRITE_PHY => {
                    let register = Self::register_of(data)?;
                    this.driver
                        .write_phy(this.device(), register, data.val_in)?;
                }
                _ => return Err(not_supported()),
            }
            Ok(0)
        })
    }

    /// Returns the register that a request names.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] for another PHY than the device's own, [`EINVAL`] for a register that no PHY has.
    fn register_of(data: &bindings::mii_ioctl_data) -> Result<u8> {
        /// Number of registers of a PHY (IEEE 802.3, 22.2.4).
        const REGISTERS: u16 = 32;

        if data.phy_id != D::PHY_ADDRESS.into() {
            return Err(ENODEV);
        }
        if data.reg_num >= REGISTERS {
            return Err(EINVAL);
        }
        Ok(data.reg_num as u8)
    }

    fn read_phy(&self, data: &mut bindings::mii_ioctl_data) -> Result {
        let register = Self::register_of(data)?;
        data.val_out = self.driver.read_phy(register)?;
        Ok(())
    }
}
