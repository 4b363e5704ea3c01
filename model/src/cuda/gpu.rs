//! A GPU on the fast path: its own stream, the libraries, our kernels, and scratch memory that the networks use in
//! turn.
//!
//! burn's work and ours run on different streams of the same context. [`Gpu::run`] orders them by two events, one
//! before and one after, without a wait on the host.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::result::{self, event, primary_ctx};
use cudarc::driver::sys::{self, CUcontext, CUdevice_attribute, CUevent, CUevent_flags, CUstream};

use super::attention::Attention;
use super::convolution::Convolutions;
use super::error::CudaError;
use super::fp8_kernels::{self, Fp8Kernels};
use super::image_kernels::ImageKernels;
use super::kernels::Kernels;
use super::product::{Products, WORKSPACE_BYTES};
use super::profile::{Profile, ProfileSpan};
use super::session::{Scratch, Session};
use super::text_kernels::TextKernels;
use super::transformer_kernels::TransformerKernels;

/// An opened GPU: its context, stream, libraries, kernels and scratch memory.
pub struct Gpu {
    state: Mutex<State>,
    /// The first failure of work that was queued from where no error can be returned.
    fault: Mutex<Option<CudaError>>,
    versions: Versions,
    /// A copy for readers that must not wait for the lock.
    scratch_bytes: AtomicUsize,
}

/// Versions of the libraries, for the log and `sakuga info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// cuBLASLt, such as 130100.
    pub cublaslt: usize,
    /// cuDNN, such as 91400.
    pub cudnn: usize,
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cublaslt, cudnn } = *self;
        let [blas, dnn] = [cublaslt, cudnn].map(|version| (version / 10_000, version % 10_000 / 100));
        write!(f, "cuBLASLt {}.{}, cuDNN {}.{}", blas.0, blas.1, dnn.0, dnn.1)
    }
}

struct State {
    context: CUcontext,
    stream: CUstream,
    /// Recorded after burn has queued what we read, and after we have queued what burn reads.
    before: CUevent,
    after: CUevent,
    products: Products,
    attention: Attention,
    convolutions: Convolutions,
    kernels: Kernels,
    image_kernels: ImageKernels,
    text_kernels: TextKernels,
    transformer_kernels: TransformerKernels,
    /// `None` if the device has no fp8.
    fp8_kernels: Option<Fp8Kernels>,
    scratch: Scratch,
    /// `Some` while operations are timed.
    profile: Option<Profile>,
}

// SAFETY: handles of the driver belong to the process; one thread at a time uses them, behind the lock.
unsafe impl Send for State {}

impl Gpu {
    /// The GPU of this index. It is opened once and stays open until the process ends.
    ///
    /// # Errors
    ///
    /// A library is missing or too old, or the driver refuses. A second call returns the same result.
    pub fn open(index: usize) -> Result<Arc<Self>, CudaError> {
        static OPENED: Mutex<BTreeMap<usize, Result<Arc<Gpu>, CudaError>>> = Mutex::new(BTreeMap::new());
        let mut opened = lock(&OPENED);
        opened.entry(index).or_insert_with(|| Self::new(index).map(Arc::new)).clone()
    }

    fn new(index: usize) -> Result<Self, CudaError> {
        // SAFETY: each only looks for its library.
        if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
            return Err(CudaError::NoLibrary { library: "NVRTC (libnvrtc.so, part of the CUDA toolkit)" });
        }
        result::init().map_err(CudaError::driver("begin"))?;
        let ordinal = i32::try_from(index).unwrap_or(i32::MAX);
        let device = result::device::get(ordinal).map_err(CudaError::driver("find the device"))?;
        // SAFETY: the device is there. The primary context, which burn's backend uses too, is kept until the process
        // ends.
        let (context, capability) = unsafe {
            let context = primary_ctx::retain(device).map_err(CudaError::driver("open the device's context"))?;
            result::ctx::set_current(context).map_err(CudaError::driver("use the device's context"))?;
            let attribute = |attribute| {
                result::device::get_attribute(device, attribute)
                    .map_err(CudaError::driver("query its compute capability"))
            };
            let major = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
            let minor = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
            (context, (major, minor))
        };
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(CudaError::driver("create a stream"))?;
        let event =
            || event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING).map_err(CudaError::driver("create an event"));
        // SAFETY: a fresh allocation that is kept until the process ends.
        let workspace = unsafe { result::malloc_sync(WORKSPACE_BYTES) }
            .map_err(CudaError::driver("reserve the libraries' workspace"))?;
        let products = Products::open(workspace)?;
        let attention = Attention::open(workspace, WORKSPACE_BYTES)?;
        let convolutions = Convolutions::open(workspace, WORKSPACE_BYTES)?;
        let kernels = Kernels::load(capability)?;
        let image_kernels = ImageKernels::load(capability)?;
        let text_kernels = TextKernels::load(capability)?;
        let transformer_kernels = TransformerKernels::new(capability);
        let has_fp8 = capability >= fp8_kernels::CAPABILITY_MIN;
        let fp8_kernels = has_fp8.then(|| Fp8Kernels::load(capability)).transpose()?;
        let versions = Versions { cublaslt: products.version(), cudnn: attention.version() };
        let state = State {
            context,
            stream,
            before: event()?,
            after: event()?,
            products,
            attention,
            convolutions,
            kernels,
            image_kernels,
            text_kernels,
            transformer_kernels,
            fp8_kernels,
            scratch: Scratch::default(),
            profile: None,
        };
        let (fault, scratch_bytes) = (Mutex::default(), AtomicUsize::new(0));
        let gpu = Self { state: Mutex::new(state), fault, versions, scratch_bytes };
        // Fails here and not at the first picture if the driver cannot order contexts by events (12.5 and later can).
        gpu.run(|_| Ok(()))?;
        Ok(gpu)
    }

    /// Versions of the driver and of the CUDA libraries that were loaded.
    pub fn versions(&self) -> Versions {
        self.versions
    }

    /// Checks that fp8 products with these rows, inner sizes and columns can be computed. Computes nothing.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn check_fp8(&self, sizes: &[[usize; 3]]) -> Result<(), CudaError> {
        self.run(|session| {
            session.fp8_kernels()?;
            sizes.iter().try_for_each(|&size| session.products.check_fp8(size))
        })
    }

    /// Queues work behind everything that burn has submitted, and burn's later work behind it.
    ///
    /// # Errors
    ///
    /// The error of `work`, or the driver's.
    pub fn run<T>(&self, work: impl FnOnce(&mut Session<'_>) -> Result<T, CudaError>) -> Result<T, CudaError> {
        let mut state = lock(&self.state);
        let State {
            context,
            stream,
            before,
            after,
            products,
            attention,
            convolutions,
            kernels,
            image_kernels,
            text_kernels,
            transformer_kernels,
            fp8_kernels,
            scratch,
            profile,
        } = &mut *state;
        // SAFETY: context, stream and events were made in `new` and are never destroyed.
        unsafe {
            result::ctx::set_current(*context).map_err(CudaError::driver("use the device's context"))?;
            sys::cuCtxRecordEvent(*context, *before)
                .result()
                .map_err(CudaError::driver("order its work after burn's (needs driver 555 or later)"))?;
            sys::cuStreamWaitEvent(*stream, *before, 0).result().map_err(CudaError::driver("wait for burn's work"))?;
        }
        let mut profile = profile.as_mut();
        if let Some(profile) = &mut profile {
            profile.begin(*stream)?;
        }
        let done = work(&mut Session {
            stream: *stream,
            products,
            attention,
            convolutions,
            kernels,
            image_kernels,
            text_kernels,
            transformer_kernels,
            fp8_kernels: fp8_kernels.as_ref(),
            scratch,
            profile,
        });
        self.scratch_bytes.store(scratch.bytes, Ordering::Relaxed);
        // SAFETY: as above. Also after a failure: part of the work may be queued.
        unsafe {
            event::record(*after, *stream).map_err(CudaError::driver("mark the end of our work"))?;
            sys::cuCtxWaitEvent(*context, *after)
                .result()
                .map_err(CudaError::driver("order burn's work after ours"))?;
        }
        done
    }

    /// [`run`](Self::run) for callers that cannot return an error: the first one is kept for [`Gpu::take_fault`].
    pub fn run_or_note(&self, work: impl FnOnce(&mut Session<'_>) -> Result<(), CudaError>) {
        if let Err(error) = self.run(work) {
            self.note(error);
        }
    }

    /// Keeps an error for [`Gpu::take_fault`], unless one is kept already.
    pub fn note(&self, error: CudaError) {
        tracing::error!(%error, "the work on the device failed");
        lock(&self.fault).get_or_insert(error);
    }

    /// The first error since the last call. If there is one, everything computed since then is invalid.
    pub fn take_fault(&self) -> Option<CudaError> {
        lock(&self.fault).take()
    }

    /// Starts to time each operation.
    pub fn start_profile(&self) {
        lock(&self.state).profile = Some(Profile::default());
    }

    /// Stops timing and drops the results.
    pub fn drop_profile(&self) {
        lock(&self.state).profile = None;
    }

    /// Waits for the device, stops timing, and returns how long each operation since [`Gpu::start_profile`] took, in
    /// order.
    ///
    /// # Errors
    ///
    /// The device failed.
    pub fn finish_profile(&self) -> Result<Vec<ProfileSpan>, CudaError> {
        let profile = lock(&self.state).profile.take();
        profile.map_or(Ok(Vec::new()), Profile::finish)
    }

    /// Free and total bytes of the device's memory, from the driver. `None` if it does not report them.
    pub fn memory_bytes(&self) -> Option<(u64, u64)> {
        let state = lock(&self.state);
        // SAFETY: the context was made in `open` and is never destroyed.
        unsafe { result::ctx::set_current(state.context) }.ok()?;
        let (free, total) = result::mem_get_info().ok()?;
        Some((free as u64, total as u64))
    }

    /// Bytes of scratch memory that are reserved.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch_bytes.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_people_write_them() {
        let versions = Versions { cublaslt: 130_101, cudnn: 91_400 };
        assert_eq!(versions.to_string(), "cuBLASLt 13.1, cuDNN 9.14");
    }
}
