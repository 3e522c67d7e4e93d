// SPDX-License-Identifier: GPL-2.0-only

//! The registers of a device's PHY, as `mii-tool` reads and writes them.
//!
//! C header: [`include/uapi/linux/mii.h`](srctree/include/uapi/linux/mii.h)

use super::{
    driver::Driver,
    private::Private, //
};
use crate::bindings;
use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*, //
};

impl<D: Driver> Private<D> {
    /// # Safety
    ///
    /// Called by the core under the RTNL lock; `dev` has a `Private<D>` behind it, and `request` is
    /// valid.
    pub(super) unsafe extern "C" fn ndo_eth_ioctl(
        dev: *mut bindings::net_device,
        request: *mut bindings::ifreq,
        command: c_int,
    ) -> c_int {
        from_result(|| {
            // SAFETY: `dev` is ours.
            let this = unsafe { Self::of(dev) };
            // SAFETY: For the three commands, and unused for others, the structure lies in the
            // request, which is valid and nobody else's. This is what `if_mii` does.
            let data =
                unsafe { &mut *(&raw mut (*request).ifr_ifru).cast::<bindings::mii_ioctl_data>() };
            match command as u32 {
                bindings::SIOCGMIIPHY => {
                    data.phy_id = D::PHY_ADDRESS.into();
                    this.read_phy(data)?;
                }
                bindings::SIOCGMIIREG => this.read_phy(data)?,
                // The core has asked for CAP_NET_ADMIN.
                bindings::SIOCSMIIREG if D::HAS_WRITE_PHY => {
                    let register = Self::register_of(data)?;
                    this.driver
                        .write_phy(this.device(), register, data.val_in)?;
                }
                _ => return Err(EOPNOTSUPP),
            }
            Ok(0)
        })
    }

    /// The register of the device's own PHY that a request means.
    fn register_of(data: &bindings::mii_ioctl_data) -> Result<u8> {
        /// How many registers a PHY has (IEEE 802.3, 22.2.4).
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
