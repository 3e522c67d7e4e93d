// SPDX-License-Identifier: GPL-2.0-only

//! Memory in the kernel: every allocation has flags, and may fail.

#![forbid(unsafe_code)]

use core::mem::size_of_val;
use kernel::{
    alloc::flags,
    prelude::*,
    str::CString, //
};

module! {
    type: AllocDemo,
    name: "alloc_demo",
    authors: ["The r4l authors"],
    description: "Allocations that can fail, and trait objects",
    license: "GPL",
}

/// A shape with an area; its size in memory is known at run time only.
trait Shape: Send + Sync {
    fn name(&self) -> &'static str;
    fn area(&self) -> u32;
}

struct Square(u32);
struct Rectangle(u32, u32);

impl Shape for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn area(&self) -> u32 {
        self.0 * self.0
    }
}

impl Shape for Rectangle {
    fn name(&self) -> &'static str {
        "rectangle"
    }

    fn area(&self) -> u32 {
        self.0 * self.1
    }
}

struct AllocDemo {
    shapes: KVec<KBox<dyn Shape>>,
}

/// Grows a vector push by push. Each push can fail and hands the error on.
fn squares(count: u32) -> Result<KVec<u32>> {
    let mut numbers = KVec::new();
    for n in 1..=count {
        numbers.push(n * n, GFP_KERNEL)?;
    }
    Ok(numbers)
}

/// Fails an allocation that is too large: the result is an error, not a panic. `__GFP_NOWARN` keeps
/// the allocator from logging it.
fn too_much() -> Result<KVec<u8>> {
    Ok(KVec::with_capacity(
        1 << 40,
        GFP_KERNEL | flags::__GFP_NOWARN,
    )?)
}

impl kernel::Module for AllocDemo {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let numbers = squares(5)?;
        pr_info!("squares: {:?}\n", &numbers[..]);

        let refused = too_much().err();
        pr_info!("a TiB at once: {refused:?}\n");

        let mut shapes: KVec<KBox<dyn Shape>> = KVec::with_capacity(2, GFP_KERNEL)?;
        shapes.push(
            KBox::new(Square(3), GFP_KERNEL)? as KBox<dyn Shape>,
            GFP_KERNEL,
        )?;
        shapes.push(
            KBox::new(Rectangle(2, 5), GFP_KERNEL)? as KBox<dyn Shape>,
            GFP_KERNEL,
        )?;
        for shape in &shapes {
            let (name, area) = (shape.name(), shape.area());
            pr_info!(
                "dyn Shape: {name} of {area}, {} bytes\n",
                size_of_val(&**shape)
            );
        }

        let greeting = CString::try_from_fmt(fmt!("{} shapes", shapes.len()))?;
        pr_info!("a string: {}\n", greeting.to_str()?);
        Ok(AllocDemo { shapes })
    }
}

impl Drop for AllocDemo {
    fn drop(&mut self) {
        pr_info!("{} shapes are freed with their vector\n", self.shapes.len());
    }
}
