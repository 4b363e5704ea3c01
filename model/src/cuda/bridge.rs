//! Converts burn's tensors to addresses on the device.
//!
//! [`call`] is an operation of burn's own graph whose body gets the addresses of its operands: burn keeps the order,
//! the lifetimes and the result. [`Pins`] resolves the addresses of weights once.
//!
//! burn stores a tensor in any order of its axes: the result of an element-wise operation is stored like its input. [`call`]
//! copies operands whose last axis has gaps, so bodies read rows; [`call_as_stored`] is for bodies that read any strides.
//!
//! burn may move tensors to free pages of memory. An address is therefore held by a handle on the memory: for the time
//! of a [`call`], or as long as a network's [`Pins`] live.

use std::collections::VecDeque;
use std::mem::replace;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::nn::Linear;
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::cuda::CudaRuntime;
use cubecl_runtime::runtime::Runtime;

use super::error::CudaError;
use super::gpu::Gpu;
use super::operand::{Hold, Operand};
use super::product::{Layer, Matrix};
use super::session::Session;
use super::text_kernels::PositionTables;

type Body = dyn Fn(&mut Session<'_>, &[Operand], u64) -> Result<(), CudaError> + Send + Sync;

/// The body of a [`call`] with the shape and type of its result.
#[derive(Clone)]
pub(crate) struct Work {
    shape: Shape,
    dtype: DType,
    gpu: Arc<Gpu>,
    /// Number of operands that `body` gets.
    count: usize,
    storage: Storage,
    body: Arc<Body>,
}

/// The order of an operand's elements in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// As burn stores it.
    Any,
    /// The elements along the last axis are next to each other.
    Rows,
}

/// An operation of five operands; unused ones repeat the last.
#[backend_extension(Cube, Fusion)]
pub(crate) trait DeviceWork: Backend {
    /// Runs `work` on the operands. The result has no gaps.
    #[fusion(dtype = work.dtype, shape = work.shape.clone())]
    fn device_work(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        work: Work,
    ) -> FloatTensor<Self>;
}

impl DeviceWork for CubeBackend {
    fn device_work(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        work: Work,
    ) -> FloatTensor<Self> {
        let tensors: Vec<_> = [a, b, c, d, e].into_iter().take(work.count).collect();
        let tensors = match work.storage {
            Storage::Any => tensors,
            Storage::Rows => tensors.into_iter().map(in_rows).collect(),
        };
        let first = &tensors[0];
        let out = empty_device_contiguous_dtype(first.client.clone(), first.device.clone(), work.shape, work.dtype);
        // Resolving an address waits until all earlier work was launched, and the flush guarantees it, so the event
        // that `Gpu::run` records covers everything that the operands depend on.
        let located = tensors.iter().chain([&out]).map(locate).collect::<Result<Vec<_>, _>>().and_then(|located| {
            let flushed = out.client.flush();
            flushed.map(|()| located).map_err(|error| unlocated(format!("{error:?}")))
        });
        match located {
            Ok(located) => {
                let (operands, out) = located.split_at(tensors.len());
                work.gpu.run_or_note(|session| (work.body)(session, operands, out[0].at));
            }
            Err(error) => work.gpu.note(error),
        }
        out
    }
}

/// A copy in order if the elements along the last axis are not next to each other.
fn in_rows(tensor: CubeTensor) -> CubeTensor {
    match (tensor.meta.shape().last(), tensor.meta.strides().last()) {
        (Some(&extent), Some(&stride)) if extent > 1 && stride != 1 => into_contiguous(tensor),
        _ => tensor,
    }
}

fn locate(tensor: &CubeTensor) -> Result<Operand, CudaError> {
    let resource = tensor
        .client
        .get_resource::<<CudaRuntime as Runtime>::Server>(tensor.handle.clone())
        .map_err(|error| unlocated(format!("{error:?}")))?;
    Ok(Operand {
        at: resource.resource().ptr,
        shape: tensor.meta.shape().to_vec(),
        strides: tensor.meta.strides().to_vec(),
        hold: Hold::new(resource),
    })
}

fn unlocated(reason: String) -> CudaError {
    CudaError::Driver { doing: "find a tensor on the device", reason }
}

/// A tensor of any rank as an operand of [`call`].
pub(crate) type Handle = FloatTensor<Dispatch>;

/// A tensor as an operand of [`call`].
pub(crate) fn handle<const D: usize>(tensor: &Tensor<D>) -> Handle {
    tensor.clone().into_dispatch()
}

/// Runs `body` on up to five tensors; the result is of this shape and type. `body` gets the operands in the order given
/// and the address of the result, and only queues work. The last axis of an operand has stride 1; other axes may have gaps.
///
/// # Panics
///
/// If there is no operand, or there are more than five.
pub(crate) fn call<const D: usize>(
    gpu: &Arc<Gpu>,
    operands: &[Handle],
    shape: [usize; D],
    dtype: DType,
    body: impl Fn(&mut Session<'_>, &[Operand], u64) -> Result<(), CudaError> + Send + Sync + 'static,
) -> Tensor<D> {
    queue(gpu, operands, Storage::Rows, (shape, dtype), Arc::new(body))
}

/// [`call`] for a `body` that reads operands of any strides.
///
/// # Panics
///
/// As [`call`].
pub(crate) fn call_as_stored<const D: usize>(
    gpu: &Arc<Gpu>,
    operands: &[Handle],
    shape: [usize; D],
    dtype: DType,
    body: impl Fn(&mut Session<'_>, &[Operand], u64) -> Result<(), CudaError> + Send + Sync + 'static,
) -> Tensor<D> {
    queue(gpu, operands, Storage::Any, (shape, dtype), Arc::new(body))
}

fn queue<const D: usize>(
    gpu: &Arc<Gpu>,
    operands: &[Handle],
    storage: Storage,
    (shape, dtype): ([usize; D], DType),
    body: Arc<Body>,
) -> Tensor<D> {
    assert!((1..=5).contains(&operands.len()), "between one and five operands");
    let operand = |i: usize| operands[i.min(operands.len() - 1)].clone();
    let count = operands.len();
    let work = Work { shape: Shape::from(shape), dtype, gpu: Arc::clone(gpu), count, storage, body };
    Tensor::from_dispatch(Dispatch::device_work(operand(0), operand(1), operand(2), operand(3), operand(4), work))
}

/// Addresses of a network's weights, which stay valid as long as this lives.
pub(crate) struct Pins {
    gpu: Arc<Gpu>,
    held: Mutex<Vec<Hold>>,
    batch: Mutex<Batch>,
}

/// Tensors that are located together: see [`Pins::batched`].
enum Batch {
    /// Each is located when it is asked for.
    Off,
    /// What was asked for so far.
    Asked(Vec<Asked>),
    /// Where those are, in the same order.
    Located(VecDeque<Operand>),
}

/// A tensor that burn has been asked to locate.
struct Asked {
    operand: Arc<Mutex<Option<Operand>>>,
    /// The result of the operation, without which burn need not run it.
    done: Tensor<1>,
}

impl Asked {
    fn new<const D: usize>(gpu: &Arc<Gpu>, tensor: &Tensor<D>) -> Self {
        let operand = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&operand);
        let done = call_as_stored(gpu, &[handle(tensor)], [1], tensor.dtype(), move |_, operands, _| {
            *lock(&answer) = operands.first().cloned();
            Ok(())
        });
        Self { operand, done }
    }

    /// Makes burn run everything that it was asked for.
    fn wait(&self, gpu: &Gpu) -> Result<(), CudaError> {
        self.done.device().sync().map_err(|error| unlocated(error.to_string()))?;
        gpu.take_fault().map_or(Ok(()), Err)
    }

    fn operand(self) -> Result<Operand, CudaError> {
        lock(&self.operand).take().ok_or_else(|| unlocated("its operation was not run".to_owned()))
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Pins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pins").finish_non_exhaustive()
    }
}

impl Pins {
    /// None yet.
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Self {
        Self { gpu: Arc::clone(gpu), held: Mutex::default(), batch: Mutex::new(Batch::Off) }
    }

    /// What `pin` makes of a network's weights, and what keeps their addresses valid.
    ///
    /// `pin` runs twice, and must ask for the same tensors in the same order: the first time for placeholders, after which the
    /// device is waited for once, and not for each tensor.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor), and those of `pin`.
    pub(crate) fn batched<T>(
        gpu: &Arc<Gpu>,
        pin: impl Fn(&Self) -> Result<T, CudaError>,
    ) -> Result<(T, Self), CudaError> {
        let pins = Self { batch: Mutex::new(Batch::Asked(Vec::new())), ..Self::new(gpu) };
        drop(pin(&pins)?);
        let asked = match replace(&mut *lock(&pins.batch), Batch::Off) {
            Batch::Asked(asked) => asked,
            Batch::Off | Batch::Located(_) => Vec::new(),
        };
        if let Some(last) = asked.last() {
            last.wait(gpu)?;
        }
        let located = asked.into_iter().map(Asked::operand).collect::<Result<VecDeque<_>, _>>()?;
        *lock(&pins.batch) = Batch::Located(located);
        Ok((pin(&pins)?, pins))
    }

    /// The GPU that the addresses are on.
    pub(crate) fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// The address of a tensor.
    ///
    /// # Errors
    ///
    /// The device fails, or the tensor is not on it.
    pub(crate) fn tensor<const D: usize>(&self, tensor: &Tensor<D>) -> Result<Operand, CudaError> {
        let operand = match &mut *lock(&self.batch) {
            Batch::Off => {
                let asked = Asked::new(&self.gpu, tensor);
                asked.wait(&self.gpu)?;
                asked.operand()?
            }
            Batch::Asked(asked) => {
                asked.push(Asked::new(&self.gpu, tensor));
                return Ok(placeholder(tensor.dims()));
            }
            Batch::Located(located) => {
                located.pop_front().ok_or_else(|| unlocated("the first pass did not ask for it".to_owned()))?
            }
        };
        lock(&self.held).push(operand.hold.clone());
        Ok(operand)
    }

    /// The address of a vector.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub(crate) fn vector(&self, tensor: &Tensor<1>) -> Result<u64, CudaError> {
        self.tensor(tensor).map(|operand| operand.at)
    }

    /// A table of embeddings, whose rows must have no gaps.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor), and if its rows are not contiguous.
    pub(crate) fn table(&self, tensor: &Tensor<2>) -> Result<Matrix, CudaError> {
        let table = self.tensor(tensor)?;
        match table.strides[..] {
            [row_stride, 1] => Ok(Matrix { at: table.at, row_stride }),
            _ => Err(CudaError::Unsupported {
                what: "the distance of a table's columns",
                found: table.strides[1],
                wanted: "1, the order of checkpoints",
            }),
        }
    }

    /// Rotary tables `[1, positions, head_dim / 2]` in f32.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor), and if the strides of cosines and sines differ.
    pub(crate) fn positions(&self, cosine: &Tensor<3>, sine: &Tensor<3>) -> Result<PositionTables, CudaError> {
        let [cosine, sine] = [self.tensor(cosine)?, self.tensor(sine)?];
        match (&cosine.strides[..], &sine.strides[..]) {
            (&[_, stride, 1], &[_, other, 1]) if stride == other => {
                Ok(PositionTables { cosine: cosine.at, sine: sine.at, stride })
            }
            _ => Err(CudaError::Unsupported {
                what: "the distance of a rotary table's columns",
                found: cosine.strides.last().copied().unwrap_or(0),
                wanted: "1, the same in both tables",
            }),
        }
    }

    /// A linear layer whose weight is stored by output, as in checkpoints.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor), and if the weight is stored in another order.
    pub(crate) fn linear(&self, layer: &Linear) -> Result<Layer, CudaError> {
        let weight = self.tensor(&layer.weight.val())?;
        let [d_input, d_output] = weight.shape[..] else {
            return Err(unlocated("a weight is not a matrix".to_owned()));
        };
        let row_stride = weight.output_stride()?;
        let bias = layer.bias.as_ref().map(|bias| self.vector(&bias.val())).transpose()?;
        Ok(Layer { weight: Matrix { at: weight.at, row_stride }, bias, d_input, d_output })
    }
}

/// An operand at no address, a matrix stored by output as in checkpoints.
fn placeholder<const D: usize>(shape: [usize; D]) -> Operand {
    let strides = match shape.as_slice() {
        [d_input, _] => vec![1, *d_input],
        other => vec![1; other.len()],
    };
    Operand { at: 0, shape: shape.to_vec(), strides, hold: Hold::new(()) }
}
