// SPDX-License-Identifier: GPL-2.0-only

//! The digest engine at work: one message at a time, by DMA, until its interrupt comes.

use crate::regs::{
    self,
    CONTROL,
    LENGTH,
    SOURCE,
    STATUS,
    TARGET, //
};
use kernel::{
    device::Bound,
    dma::Coherent,
    io::Io,
    new_mutex,
    pci,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    time::msecs_to_jiffies, //
};
use kit::{
    completion::Completion,
    dma::{
        coherent_address,
        dma_read,
        dma_write, //
    },
    irq::{
        Handler,
        Outcome, //
    },
};

/// Largest length of a message, in bytes.
pub(crate) const LONGEST: usize = 4096;

/// Length of a digest, in bytes.
pub(crate) const BYTES: usize = 32;

/// Longest time of a computation, in milliseconds. A device that works takes a few.
const PATIENCE: u32 = 1000;

/// Value of each register if no device answers: it was pulled out.
const NOBODY: u32 = !0;

/// A device, shared by the processes that use it and by its interrupt handler.
#[pin_data]
pub(crate) struct Engine {
    bar: pci::DevresBar<{ regs::END }>,
    /// The last status that came with an interrupt.
    status: Atomic<u32>,
    /// Completed by the interrupt handler.
    #[pin]
    ended: Completion,
    /// Locked for as long as a computation takes.
    #[pin]
    job: Mutex<Job>,
}

/// Memory that is shared with the device, and the result.
struct Job {
    message: Coherent<[u8]>,
    digest: Coherent<[u8]>,
    last: Option<[u8; BYTES]>,
}

impl Engine {
    pub(crate) fn new(
        pdev: &pci::Device<Bound>,
        bar: pci::DevresBar<{ regs::END }>,
    ) -> Result<Arc<Self>> {
        let job = Job {
            message: Coherent::zeroed_slice(pdev.as_ref(), LONGEST, GFP_KERNEL)?,
            digest: Coherent::zeroed_slice(pdev.as_ref(), BYTES, GFP_KERNEL)?,
            last: None,
        };
        Arc::pin_init(
            pin_init!(Self {
                bar,
                status: Atomic::new(0),
                ended <- Completion::new(),
                job <- new_mutex!(job),
            }),
            GFP_KERNEL,
        )
    }

    /// Accesses the registers. `ENODEV` once the driver was unbound. `access` must not sleep.
    fn registers<R>(&self, access: impl FnOnce(&pci::Bar<'_, { regs::END }>) -> R) -> Result<R> {
        let bar = self.bar.try_access().ok_or(ENODEV)?;
        Ok(access(&bar))
    }

    /// Stops the device, which forgets all, and lets no interrupt through.
    fn reset(&self) -> Result {
        // --- starter
        //| // YOURS (late, unload): write `CONTROL.reset`, by `self.registers(|bar| …)`.
        //| Ok(())
        // --- answer
        self.registers(|bar| bar.write_reg(CONTROL::zeroed().with_reset(true)))
        // --- end
    }

    /// Returns the last digest, if the last computation has made one.
    pub(crate) fn last(&self) -> Option<[u8; BYTES]> {
        self.job.lock().last
    }

    /// Computes the digest of a message. May sleep.
    pub(crate) fn compute(&self, message: &[u8]) -> Result {
        // --- starter
        //| let mut _job = self.job.lock();
        //| // YOURS (digest): forget the last digest; put the bytes into `job.message`; write the
        //| // registers, CONTROL last.
        //| // YOURS (digest, timeout): wait for `self.ended`, but at most `PATIENCE` milliseconds.
        //| // YOURS (late): after a time-out, reset the device before the memory is used again.
        //| // YOURS (errors): return EIO unless `self.status` has STATUS.done.
        //| // YOURS (digest): take the digest out of `job.digest`, and store it in `job.last`.
        //| let _ = message;
        //| Err(EOPNOTSUPP)
        // --- answer
        let mut job = self.job.lock();
        job.last = None;
        for (i, &byte) in message.iter().enumerate() {
            dma_write!(job.message, [try: i], byte);
        }
        // An interrupt that came too late for the last message does not end this one.
        while self.ended.try_wait() {}
        self.registers(|bar| {
            bar.write_reg(LENGTH::from(message.len() as u32));
            // Without another DMA mask, Linux gives a device addresses of 32 bits.
            bar.write_reg(SOURCE::from(coherent_address(&job.message) as u32));
            bar.write_reg(TARGET::from(coherent_address(&job.digest) as u32));
            bar.write_reg(CONTROL::zeroed().with_start(true).with_interrupt(true));
        })?;
        let waited = self.ended.wait_timeout(msecs_to_jiffies(PATIENCE));
        if let Err(error) = waited.into_result() {
            // The device may still write to the memory of this job.
            self.reset()?;
            return Err(error);
        }
        if !STATUS::from(self.status.load(Relaxed)).done() {
            return Err(EIO);
        }
        let mut digest = [0; BYTES];
        for (i, byte) in digest.iter_mut().enumerate() {
            *byte = dma_read!(job.digest, [try: i]);
        }
        job.last = Some(digest);
        Ok(())
        // --- end
    }
}

impl Handler for Engine {
    fn interrupt(&self) -> Outcome {
        // --- starter
        //| // YOURS (digest, interrupt): read STATUS. If neither `done` nor `error` is set, or nobody
        //| // answers, the interrupt is not ours. Else clear what was read by writing it back, keep it
        //| // in `self.status`, and complete `self.ended`.
        //| Outcome::NotMine
        // --- answer
        let ended = self.registers(|bar| {
            let status = bar.read(STATUS);
            if status.into_raw() == NOBODY || !(status.done() || status.error()) {
                return false;
            }
            // Clears what was read, and so lets the line go low.
            bar.write_reg(status);
            self.status.store(status.into_raw(), Relaxed);
            true
        });
        if ended != Ok(true) {
            return Outcome::NotMine;
        }
        self.ended.complete();
        Outcome::Handled
        // --- end
    }
}

/// A device that may compute. Reset on drop: nothing is under way any more then.
pub(crate) struct Running(Arc<Engine>);

impl Running {
    pub(crate) fn new(engine: Arc<Engine>) -> Result<Self> {
        engine.reset()?;
        Ok(Self(engine))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // --- starter
        //| // YOURS (unload): reset the device. Why can the error be ignored here?
        // --- answer
        // Without a driver there is no device to reset.
        let _ = self.0.reset();
        // --- end
    }
}
