//! Values that are no tensors: sequences, optionals, maps and states.
use crate::dtype::DType;
use crate::error::{check, Error, Result, Status};
use crate::ffi;
use crate::tensor::Tensor;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// What a [`Value`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// A tensor.
    Tensor,
    /// Values of one kind, in order.
    Sequence,
    /// A value, or none.
    Optional,
    /// Values by keys, int64 or string.
    Map,
    /// A tensor that grows in place.
    State,
    /// A kind of a newer library.
    Unknown,
}

impl ValueKind {
    pub(crate) fn of(code: i32) -> ValueKind {
        match code {
            1 => ValueKind::Tensor,
            2 => ValueKind::Sequence,
            3 => ValueKind::Optional,
            4 => ValueKind::Map,
            5 => ValueKind::State,
            _ => ValueKind::Unknown,
        }
    }
}

/// What the inputs and outputs of models are: tensors mostly, and sequences, optionals, maps and
/// states. A clone is the same value. `'a` is the lifetime of memory that tensors in it borrow.
///
/// It stays on its thread, as values that come of one another may share a state, which runs write:
///
/// ```compile_fail,E0277
/// fn sent<T: Send>(_: T) {}
/// fn send(value: martlet::Value<'static>) {
///     sent(value);
/// }
/// ```
pub struct Value<'a> {
    object: NonNull<ffi::martlet_value>,
    borrowed: PhantomData<&'a [u8]>,
}

/// The value that a C function makes.
///
/// # Safety
/// It is a new one, which shares at most what lives for 'a.
unsafe fn make<'a>(
    call: impl FnOnce(*mut *mut ffi::martlet_value) -> ffi::martlet_status,
) -> Result<Value<'a>> {
    let mut made = ptr::null_mut();
    check(call(&mut made))?;
    // SAFETY: the caller's promise.
    unsafe { Value::adopt(made) }
}

fn objects(values: &[&Value<'_>]) -> Vec<*mut ffi::martlet_value> {
    values.iter().map(|value| value.raw()).collect()
}

impl<'a> Value<'a> {
    /// # Safety
    /// `object` is a value of whose references one is the caller's, and its tensors' elements live
    /// for 'a.
    pub(crate) unsafe fn adopt(object: *mut ffi::martlet_value) -> Result<Value<'a>> {
        match NonNull::new(object) {
            Some(object) => Ok(Value {
                object,
                borrowed: PhantomData,
            }),
            None => Err(Error::new(
                Status::InternalError,
                "the library gave no value".to_owned(),
            )),
        }
    }

    pub(crate) fn raw(&self) -> *mut ffi::martlet_value {
        self.object.as_ptr()
    }

    /// A tensor as a value; it shares the elements.
    pub fn from_tensor(tensor: &Tensor<'a>) -> Result<Value<'a>> {
        // SAFETY: a valid handle.
        unsafe { make(|value| ffi::martlet_value_from_tensor(tensor.raw(), value)) }
    }

    /// A sequence of values of one kind and dtype, of any shapes; `dtype` is that of the tensors in
    /// a sequence of none, and else [`DType::Unknown`].
    ///
    /// Fails with [`Status::InvalidDType`], naming the element, for one that is not as the first,
    /// and with [`Status::InvalidArgument`] for values nested deeper than 16, as all that follow
    /// do.
    pub fn sequence(elements: &[&Value<'a>], dtype: DType) -> Result<Value<'a>> {
        let elements = objects(elements);
        // SAFETY: as many values as it says.
        unsafe {
            make(|value| {
                let (elements, count) = (elements.as_ptr(), elements.len());
                ffi::martlet_value_create_sequence(elements, count, dtype.code(), value)
            })
        }
    }

    /// An optional, with a value or without.
    pub fn optional(element: Option<&Value<'a>>) -> Result<Value<'a>> {
        let element = element.map_or(ptr::null_mut(), Value::raw);
        // SAFETY: a valid handle, or NULL.
        unsafe { make(|value| ffi::martlet_value_create_optional(element, value)) }
    }

    /// A map of as many values as there are keys, a vector of int64 or string.
    ///
    /// Fails with [`Status::InvalidDType`] or [`Status::InvalidShape`] for other keys.
    pub fn map(keys: &Tensor<'a>, values: &[&Value<'a>]) -> Result<Value<'a>> {
        let values = objects(values);
        // SAFETY: as many values as it says.
        unsafe {
            make(|value| {
                let (values, count) = (values.as_ptr(), values.len());
                ffi::martlet_value_create_map(keys.raw(), values, count, value)
            })
        }
    }

    /// What it is.
    pub fn kind(&self) -> Result<ValueKind> {
        let mut kind = 0;
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_value_kind_of(self.raw(), &mut kind) })?;
        Ok(ValueKind::of(kind))
    }

    /// How many values there are in it: elements of a sequence, values of a map, 1 or 0 in an
    /// optional, 0 in a tensor or state.
    pub fn count(&self) -> Result<usize> {
        let mut count = 0;
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_value_count(self.raw(), &mut count) })?;
        Ok(count)
    }

    /// One of the values in it. Fails with [`Status::InvalidArgument`] when out of range.
    pub fn get(&self, index: usize) -> Result<Value<'a>> {
        // SAFETY: a valid handle; what it gives shares this one's memory.
        unsafe { make(|value| ffi::martlet_value_element(self.raw(), index, value)) }
    }

    /// The keys of a map, one for each of its values. Fails with [`Status::InvalidArgument`] for
    /// another kind.
    pub fn keys(&self) -> Result<Tensor<'a>> {
        let mut keys = ptr::null_mut();
        // SAFETY: a place for the result, which shares this value's memory.
        unsafe {
            check(ffi::martlet_value_keys(self.raw(), &mut keys))?;
            Tensor::adopt(keys)
        }
    }

    /// The tensor that it is; of a state a copy of its elements, which runs may write over.
    ///
    /// Fails with [`Status::InvalidArgument`] for another kind, and with [`Status::InvalidState`]
    /// for a state that is used up.
    pub fn tensor(&self) -> Result<Tensor<'a>> {
        let is_state = self.kind()? == ValueKind::State;
        let mut tensor = ptr::null_mut();
        // SAFETY: a place for the result, which shares this value's memory. That of a state is
        // copied before anybody else can have it, and on the thread that alone has values of it.
        unsafe {
            check(ffi::martlet_value_tensor(self.raw(), &mut tensor))?;
            let tensor = Tensor::adopt(tensor)?;
            if is_state {
                tensor.copy()
            } else {
                Ok(tensor)
            }
        }
    }
}

impl Value<'static> {
    /// A state: a tensor that operators append to in place, as a cache of keys and values;
    /// `martlet_value_create_state` in martlet.h says how.
    ///
    /// `initial`: its first elements, which are copied. `axis`: the one that grows, 0 to rank-1.
    /// `capacity`: the extent along it that there is room for.
    ///
    /// Fails with [`Status::InvalidDType`] for strings and floats of 8 bits and less, and with
    /// [`Status::InvalidArgument`] for an axis or capacity that cannot be.
    pub fn state(initial: &Tensor<'_>, axis: i32, capacity: i64) -> Result<Value<'static>> {
        // SAFETY: a valid handle, whose elements are copied.
        unsafe {
            make(|value| ffi::martlet_value_create_state(initial.raw(), axis, capacity, value))
        }
    }
}

impl Clone for Value<'_> {
    fn clone(&self) -> Self {
        // SAFETY: a valid handle, of which there is a reference more then.
        let status = unsafe { ffi::martlet_value_retain(self.raw()) };
        assert_eq!(status, ffi::MARTLET_OK, "a value can be retained");
        Value {
            object: self.object,
            borrowed: PhantomData,
        }
    }
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        // SAFETY: our reference, which nobody uses afterwards.
        unsafe { ffi::martlet_value_release(self.raw()) };
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind(), self.tensor(), self.count()) {
            (Ok(ValueKind::Tensor), Ok(tensor), _) => write!(formatter, "Value({tensor:?})"),
            (Ok(ValueKind::State), Ok(tensor), _) => write!(formatter, "Value(State, {tensor:?})"),
            (Ok(kind), _, Ok(count)) => write!(formatter, "Value({kind:?} of {count})"),
            _ => formatter.write_str("Value"),
        }
    }
}
