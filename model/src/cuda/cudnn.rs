//! Backend descriptors of cuDNN.

use std::ffi::{CStr, c_void};
use std::ptr;

use cudarc::cudnn::sys::{
    self, cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type, cudnnBackendDescriptor_t,
    cudnnBackendDescriptorType_t as Kind, cudnnDataType_t, cudnnStatus_t,
};

use super::error::CudaError;

/// Length of cuDNN's longest message.
const MESSAGE_BYTES: usize = 1024;

/// A tensor of four axes inside a plan.
pub(super) fn describe(
    id: i64,
    dtype: cudnnDataType_t,
    dims: [i64; 4],
    strides: [i64; 4],
    by_value: bool,
) -> Result<Descriptor, CudaError> {
    let tensor = Descriptor::new(Kind::CUDNN_BACKEND_TENSOR_DESCRIPTOR)?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_DATA_TYPE, Type::CUDNN_TYPE_DATA_TYPE, &[dtype])?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_DIMENSIONS, Type::CUDNN_TYPE_INT64, &dims)?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_STRIDES, Type::CUDNN_TYPE_INT64, &strides)?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_UNIQUE_ID, Type::CUDNN_TYPE_INT64, &[id])?;
    tensor.set(Name::CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, Type::CUDNN_TYPE_INT64, &[16_i64])?;
    if by_value {
        tensor.set(Name::CUDNN_ATTR_TENSOR_IS_BY_VALUE, Type::CUDNN_TYPE_BOOLEAN, &[true])?;
    }
    tensor.finish()?;
    Ok(tensor)
}

/// A backend descriptor that is destroyed with its owner.
pub(super) struct Descriptor(pub(super) cudnnBackendDescriptor_t);

impl Descriptor {
    pub(super) fn new(kind: Kind) -> Result<Self, CudaError> {
        let mut descriptor = ptr::null_mut();
        // SAFETY: the descriptor is written by the call.
        check(unsafe { sys::cudnnBackendCreateDescriptor(kind, &mut descriptor) }, || format!("{kind:?}"))?;
        Ok(Self(descriptor))
    }

    pub(super) fn set<T>(&self, name: Name, kind: Type, values: &[T]) -> Result<(), CudaError> {
        // SAFETY: every call above names the type that the attribute has; the values are copied.
        let status =
            unsafe { sys::cudnnBackendSetAttribute(self.0, name, kind, values.len() as i64, values.as_ptr().cast()) };
        check(status, || format!("{name:?}"))
    }

    pub(super) fn finish(&self) -> Result<(), CudaError> {
        // SAFETY: the descriptor is alive.
        check(unsafe { sys::cudnnBackendFinalize(self.0) }, || "a descriptor".to_owned())
    }

    pub(super) fn number(&self, name: Name) -> Result<i64, CudaError> {
        let (mut value, mut count) = (0_i64, 0_i64);
        // SAFETY: there is room for the one number that is asked for.
        let status = unsafe {
            let value = (&raw mut value).cast::<c_void>();
            sys::cudnnBackendGetAttribute(self.0, name, Type::CUDNN_TYPE_INT64, 1, &mut count, value)
        };
        check(status, || format!("{name:?}"))?;
        Ok(value)
    }

    /// The engines that a heuristic proposes, the best first.
    pub(super) fn engines(&self) -> Result<Vec<Self>, CudaError> {
        let (name, kind) = (Name::CUDNN_ATTR_ENGINEHEUR_RESULTS, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR);
        let mut count = 0_i64;
        // SAFETY: with room for none, the call only counts.
        check(unsafe { sys::cudnnBackendGetAttribute(self.0, name, kind, 0, &mut count, ptr::null_mut()) }, || {
            "the number of engines".to_owned()
        })?;
        let engines =
            (0..count).map(|_| Self::new(Kind::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)).collect::<Result<Vec<_>, _>>()?;
        let mut raw: Vec<_> = engines.iter().map(|engine| engine.0).collect();
        let mut found = 0_i64;
        // SAFETY: there is room for `count` descriptors, which the call fills.
        let status =
            unsafe { sys::cudnnBackendGetAttribute(self.0, name, kind, count, &mut found, raw.as_mut_ptr().cast()) };
        check(status, || "the engines".to_owned())?;
        Ok(engines.into_iter().take(usize::try_from(found).unwrap_or(0)).collect())
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: made by `cudnnBackendCreateDescriptor`; cuDNN counts what refers to it.
        unsafe { sys::cudnnBackendDestroyDescriptor(self.0) };
    }
}

/// Turns a status other than success into [`CudaError::Dnn`]; `doing` names the operation.
pub(super) fn check(status: cudnnStatus_t, doing: impl FnOnce() -> String) -> Result<(), CudaError> {
    if status == cudnnStatus_t::CUDNN_STATUS_SUCCESS {
        return Ok(());
    }
    let mut message = [0; MESSAGE_BYTES];
    // SAFETY: the call writes at most that many bytes and ends them with a zero.
    let message = unsafe {
        sys::cudnnGetLastErrorString(message.as_mut_ptr(), MESSAGE_BYTES);
        CStr::from_ptr(message.as_ptr())
    };
    Err(CudaError::Dnn { doing: doing(), reason: format!("{status:?} {}", message.to_string_lossy()) })
}
