//! An exchange between two threads, each with a device, that wait for each other as long as it takes. For tests and tools: a server
//! also has to notice engines that hang and jobs that are cancelled.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};

use crate::{Assistant, HalfPrediction, HalfTask, Leader, PeerLost};

/// The end of the leading device.
#[derive(Debug)]
pub struct LeadingLink(Mutex<Option<(Sender<HalfTask>, Receiver<HalfPrediction>)>>);

/// The end of the assisting device. The leading one continues alone when it is dropped.
#[derive(Debug)]
pub struct AssistingLink {
    tasks: Receiver<HalfTask>,
    halves: Sender<HalfPrediction>,
}

/// Both ends of an exchange.
pub fn link() -> (LeadingLink, AssistingLink) {
    let (task, tasks) = mpsc::channel();
    let (halves, half) = mpsc::channel();
    (LeadingLink(Mutex::new(Some((task, half)))), AssistingLink { tasks, halves })
}

impl Assistant for LeadingLink {
    fn begin(&self, task: HalfTask) -> Result<(), PeerLost> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tasks, _) = ends.as_ref().ok_or(PeerLost)?;
        tasks.send(task).map_err(|_| PeerLost)
    }

    fn finish(&self) -> Result<HalfPrediction, PeerLost> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, halves) = ends.as_ref().ok_or(PeerLost)?;
        halves.recv().map_err(|_| PeerLost)
    }

    fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Leader for AssistingLink {
    fn next(&mut self) -> Option<HalfTask> {
        self.tasks.recv().ok()
    }

    fn answer(&mut self, half: HalfPrediction) -> Result<(), PeerLost> {
        self.halves.send(half).map_err(|_| PeerLost)
    }
}
