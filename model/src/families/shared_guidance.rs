//! [`SharedGuidance`]: the exchange of the leading device with the one that computes the unconditional half of guidance.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{DType, Tensor, TensorData};
use sakuga_model_core::{Assistant, EngineError, HalfPrediction, HalfTask, PeerLost};

use super::place::Place;

/// A generation with an assisting device, as the leading one computes it; see [`sakuga_model_core::Assistant`]. Values go through the
/// memory of the host.
pub(crate) struct SharedGuidance<'a> {
    assistant: &'a dyn Assistant,
    exchange: Exchange<'a>,
    state: Mutex<State>,
}

/// Latents and predictions as they go from one device to the other.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    pub(crate) place: &'a Place,
    /// The type in which the network reads latents and returns predictions.
    pub(crate) dtype: DType,
}

#[derive(Default)]
struct State {
    /// Whether the assisting device has left.
    is_alone: bool,
    /// Whether it was lost before it was released.
    is_lost: bool,
    /// This device failed.
    failure: Option<EngineError>,
}

impl<'a> SharedGuidance<'a> {
    pub(crate) fn new(assistant: &'a dyn Assistant, exchange: Exchange<'a>) -> Self {
        Self { assistant, exchange, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the assisting device has left: this one computes both halves.
    pub(crate) fn is_alone(&self) -> bool {
        self.state().is_alone
    }

    /// Whether the assisting device was lost before it was released.
    pub(crate) fn is_lost(&self) -> bool {
        self.state().is_lost
    }

    /// Why this device failed in an exchange, once.
    pub(crate) fn take_failure(&self) -> Option<EngineError> {
        self.state().failure.take()
    }

    /// Releases the assisting device. Later evaluations are computed here.
    pub(crate) fn release(&self) {
        self.state().is_alone = true;
        self.assistant.release();
    }

    /// Hands out the unconditional half of an evaluation of these latents; `false`: it has to be computed here.
    ///
    /// # Shapes
    ///
    /// - latents: `[images, channels, height, width]` in f32
    pub(crate) fn begin(&self, latents: &Tensor<4>, task: HalfTask) -> bool {
        if self.is_alone() {
            return false;
        }
        match self.exchange.bytes(latents.clone()) {
            Ok(latents) => self.noted(self.assistant.begin(HalfTask { latents, ..task })).is_some(),
            Err(error) => {
                let mut state = self.state();
                (state.is_alone, state.failure) = (true, Some(error));
                false
            }
        }
    }

    /// The prediction that was begun, and what each of its rows reused; `None`: it has to be computed here.
    ///
    /// # Shapes
    ///
    /// - like, output: `[images, channels, height, width]` in f32
    pub(crate) fn finish(&self, like: &Tensor<4>) -> Option<(Tensor<4>, Vec<bool>)> {
        let HalfPrediction { values, reused } = self.noted(self.assistant.finish())?;
        let prediction = self.exchange.tensor(values, like.dims()).ok_or(PeerLost);
        self.noted(prediction).map(|prediction| (prediction.cast(DType::F32), reused))
    }

    /// Notes that the assisting device has left.
    fn noted<T>(&self, exchanged: Result<T, PeerLost>) -> Option<T> {
        if exchanged.is_err() {
            let mut state = self.state();
            (state.is_alone, state.is_lost) = (true, true);
            drop(state);
            tracing::warn!("the device that computes half of the guidance has left; this one continues alone");
        }
        exchanged.ok()
    }
}

impl Exchange<'_> {
    /// The values of latents or a prediction, once they are computed.
    ///
    /// # Errors
    ///
    /// The device failed, now or at something that was queued before.
    pub(crate) fn bytes(&self, tensor: Tensor<4>) -> Result<Vec<u8>, EngineError> {
        const DOING: &str = "computing half of the guidance";
        let data = tensor.cast(self.dtype).try_into_data();
        // What a device that failed has computed must not be used.
        self.place.finish(DOING)?;
        let data = data.map_err(|error| self.place.device_error(DOING, &error.to_string()))?;
        Ok(data.as_bytes().to_vec())
    }

    /// A tensor of values that another device has sent; `None`: they are not of this shape.
    pub(crate) fn tensor(&self, values: Vec<u8>, shape: [usize; 4]) -> Option<Tensor<4>> {
        let bytes = shape.iter().product::<usize>() * self.dtype.size();
        if values.len() != bytes {
            return None;
        }
        let data = TensorData::from_bytes_vec(values, shape, self.dtype);
        Some(Tensor::from_data(data, (self.place.device(), self.dtype)))
    }
}
