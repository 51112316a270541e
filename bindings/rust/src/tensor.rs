//! Tensors: owned, borrowed, and memory that results are written to.
use crate::dtype::{DType, Element, Number, Sealed};
use crate::error::{check, Error, Result, Status};
use crate::ffi;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::{fmt, slice};

/// An n-dimensional array that does not change: elements, a [`DType`], a shape and strides.
///
/// `'a` is the lifetime of memory that it borrows ([`Tensor::borrow`]), and of what results that
/// are views of it share; a tensor that owns its elements is a `Tensor<'static>`. A clone is
/// another handle of the same elements.
///
/// Shapes count elements, outermost axis first; rank is 32 at most.
///
/// ```
/// use martlet::{DType, Tensor};
///
/// # fn main() -> martlet::Result<()> {
/// let pixels = vec![0.5f32; 6];
/// let image = Tensor::borrow(&pixels, &[2, 3])?;
/// assert_eq!((image.dtype(), image.shape()), (DType::Float32, &[2, 3][..]));
/// assert_eq!(image.to_vec::<f32>()?, pixels);
/// # Ok(())
/// # }
/// ```
///
/// A tensor cannot outlive what it borrows:
///
/// ```compile_fail,E0597
/// let tensor;
/// {
///     let pixels = vec![0.5f32; 6];
///     tensor = martlet::Tensor::borrow(&pixels, &[2, 3]).unwrap();
/// }
/// tensor.shape();
/// ```
///
/// nor can the memory change meanwhile:
///
/// ```compile_fail,E0506
/// let mut pixels = [0.5f32; 6];
/// let tensor = martlet::Tensor::borrow(&pixels, &[2, 3]).unwrap();
/// pixels[0] = 1.0;
/// tensor.shape();
/// ```
pub struct Tensor<'a> {
    object: NonNull<ffi::martlet_tensor>,
    dtype: DType,
    /// Lasts as long as the object, even of rank 0.
    shape: NonNull<i64>,
    rank: usize,
    len: usize,
    borrowed: PhantomData<&'a [u8]>,
}

// SAFETY: the library's calls may be made from any thread; nobody writes the elements while a
// Tensor of them is there, and its deleters free vectors of numbers, which may happen on any
// thread.
unsafe impl Send for Tensor<'_> {}
// SAFETY: as above.
unsafe impl Sync for Tensor<'_> {}

/// The rank for C, whose limit is far below what becomes the greatest number here.
pub(crate) fn rank_of(shape: &[i64]) -> i32 {
    i32::try_from(shape.len()).unwrap_or(i32::MAX)
}

/// How many elements a shape has; None where that overflows, or an extent is negative.
fn count_of(shape: &[i64]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |count, extent| {
        count.checked_mul(usize::try_from(*extent).ok()?)
    })
}

impl<'a> Tensor<'a> {
    /// Takes over a reference.
    ///
    /// # Safety
    /// `object` is a tensor of whose references one is the caller's, and its elements live for 'a
    /// and are not written meanwhile.
    pub(crate) unsafe fn adopt(object: *mut ffi::martlet_tensor) -> Result<Tensor<'a>> {
        let Some(object) = NonNull::new(object) else {
            return Err(Error::new(
                Status::InternalError,
                "the library gave no tensor".to_owned(),
            ));
        };
        let mut tensor = Tensor {
            object,
            dtype: DType::Unknown,
            shape: NonNull::dangling(),
            rank: 0,
            len: 0,
            borrowed: PhantomData,
        };
        let (mut code, mut rank, mut count) = (0, 0, 0);
        let mut shape = ptr::null();
        // SAFETY: the handle is valid, and the places for results are.
        unsafe {
            check(ffi::martlet_tensor_dtype(tensor.raw(), &mut code))?;
            check(ffi::martlet_tensor_shape(
                tensor.raw(),
                &mut rank,
                &mut shape,
            ))?;
            check(ffi::martlet_tensor_element_count(tensor.raw(), &mut count))?;
        }
        tensor.dtype = DType::of(code);
        if let Some(shape) = NonNull::new(shape.cast_mut()) {
            tensor.shape = shape;
            tensor.rank = usize::try_from(rank).unwrap_or(0);
        }
        tensor.len = usize::try_from(count).unwrap_or(0);
        Ok(tensor)
    }

    pub(crate) fn raw(&self) -> *mut ffi::martlet_tensor {
        self.object.as_ptr()
    }

    // ---------------------------------------------------------------- making

    /// A tensor over the caller's elements, row-major, without a copy.
    ///
    /// Fails with [`Status::InvalidShape`] when there are fewer than the shape says.
    pub fn borrow<T: Element>(elements: &'a [T], shape: &[i64]) -> Result<Tensor<'a>> {
        Tensor::wrap(elements, shape, ptr::null(), 0)
    }

    /// As [`Tensor::borrow`], with a stride for each axis, which counts elements and may be 0 or
    /// negative; `first` is the element that lies at index 0, 0, ....
    ///
    /// Fails with [`Status::InvalidShape`] when an element lies outside of `elements`, or for
    /// another number of strides.
    pub fn borrow_strided<T: Element>(
        elements: &'a [T],
        shape: &[i64],
        strides: &[i64],
        first: usize,
    ) -> Result<Tensor<'a>> {
        if strides.len() != shape.len() {
            return Err(Error::new(
                Status::InvalidShape,
                format!(
                    "borrow_strided: expected {} strides for a shape of that rank, got {}",
                    shape.len(),
                    strides.len()
                ),
            ));
        }
        Tensor::wrap(elements, shape, strides.as_ptr(), first)
    }

    fn wrap<T: Element>(
        elements: &'a [T],
        shape: &[i64],
        strides: *const i64,
        first: usize,
    ) -> Result<Tensor<'a>> {
        let bytes = std::mem::size_of_val(elements);
        let mut made = ptr::null_mut();
        // SAFETY: the elements are there for 'a, which the result has, and are not written:
        // READ_ONLY. Shape and strides are as long as the rank.
        unsafe {
            check(ffi::martlet_tensor_wrap_strided(
                elements.as_ptr().cast_mut().cast(),
                bytes,
                first.saturating_mul(size_of::<T>()).min(bytes),
                T::DTYPE.code(),
                rank_of(shape),
                shape.as_ptr(),
                strides,
                ffi::MARTLET_WRAP_READ_ONLY,
                None,
                ptr::null_mut(),
                &mut made,
            ))?;
            Tensor::adopt(made)
        }
    }

    // ---------------------------------------------------------------- what it is like

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents, one for each axis.
    pub fn shape(&self) -> &[i64] {
        // SAFETY: `rank` extents that last as long as the object.
        unsafe { slice::from_raw_parts(self.shape.as_ptr(), self.rank) }
    }

    /// The strides in elements, one for each axis.
    pub fn strides(&self) -> Result<&[i64]> {
        let mut strides = ptr::null();
        // SAFETY: `rank` strides that last as long as the object.
        unsafe {
            check(ffi::martlet_tensor_strides(self.raw(), &mut strides))?;
            if strides.is_null() {
                return Ok(&[]);
            }
            Ok(slice::from_raw_parts(strides, self.rank))
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the elements alone; gaps do not count.
    pub fn byte_count(&self) -> Result<usize> {
        let mut bytes = 0;
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_tensor_byte_count(self.raw(), &mut bytes) })?;
        Ok(bytes)
    }

    /// Whether the elements lie row-major without gaps.
    pub fn is_contiguous(&self) -> Result<bool> {
        let mut is_contiguous = false;
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_tensor_is_contiguous(self.raw(), &mut is_contiguous) })?;
        Ok(is_contiguous)
    }

    // ---------------------------------------------------------------- elements

    /// The elements where they lie, row-major.
    ///
    /// `T` is the dtype's type, or `u8` for bool. Fails with [`Status::InvalidDType`] for another,
    /// and with [`Status::InvalidArgument`] for elements with gaps ([`Tensor::to_vec`] reads those)
    /// and for `bool` where one is neither 0 nor 1, which comes of [`Tensor::from_bytes`] alone.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.must_hold::<T>("as_slice")?;
        if !self.is_contiguous()? {
            return Err(Error::new(
                Status::InvalidArgument,
                "as_slice: the elements do not lie in a row; to_vec() or copy() puts them so"
                    .to_owned(),
            ));
        }
        if self.len == 0 {
            return Ok(&[]);
        }
        let mut data = ptr::null();
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_tensor_data(self.raw(), &mut data) })?;
        // SAFETY: `len` elements of T's dtype in a row, aligned as the library demands of all
        // memory, which nobody writes as long as the tensor is there. Their bits are looked at
        // first.
        unsafe {
            must_be_valid::<T>(slice::from_raw_parts(
                data.cast(),
                self.len * size_of::<T>(),
            ))?;
            Ok(slice::from_raw_parts(data.cast(), self.len))
        }
    }

    /// A copy of the elements, row-major, whatever the strides. `T` and failures as of
    /// [`Tensor::as_slice`]; [`Status::OutOfMemory`] where there is no room.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.must_hold::<T>("to_vec")?;
        let mut elements = with_room::<T>(self.len)?;
        // SAFETY: there is room for all of them, and their bits are looked at before they are
        // elements.
        unsafe {
            let data: *mut T = elements.as_mut_ptr();
            let bytes = self.len * size_of::<T>();
            check(ffi::martlet_tensor_read(self.raw(), data.cast(), bytes))?;
            must_be_valid::<T>(slice::from_raw_parts(data.cast(), bytes))?;
            elements.set_len(self.len);
        }
        Ok(elements)
    }

    /// Copies the elements, row-major, to the start of `to`.
    ///
    /// Fails with [`Status::InvalidDType`] for elements of another type, and with
    /// [`Status::InvalidShape`] where there is room for fewer.
    pub fn read_into<T: Number>(&self, to: &mut [T]) -> Result<()> {
        self.must_hold::<T>("read_into")?;
        let bytes = std::mem::size_of_val(to);
        // SAFETY: that many bytes of ours alone, and any bits are a T.
        check(unsafe { ffi::martlet_tensor_read(self.raw(), to.as_mut_ptr().cast(), bytes) })
    }

    /// A copy of the elements as bytes: for dtypes that Rust has no type for. Fails with
    /// [`Status::InvalidDType`] for strings.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let count = self.byte_count()?;
        let mut bytes = with_room::<u8>(count)?;
        // SAFETY: there is room for all of them, and the library fills it.
        unsafe {
            check(ffi::martlet_tensor_read(
                self.raw(),
                bytes.as_mut_ptr().cast(),
                count,
            ))?;
            bytes.set_len(count);
        }
        Ok(bytes)
    }

    /// A copy of the elements of a tensor of strings, row-major. Fails with
    /// [`Status::InvalidDType`] for numbers.
    pub fn to_strings(&self) -> Result<Vec<String>> {
        let mut strings = with_room::<String>(self.len)?;
        for index in 0..self.len {
            let (mut string, mut size) = (ptr::null(), 0);
            // SAFETY: places for the results; the bytes last as long as the tensor.
            let bytes: &[u8] = unsafe {
                check(ffi::martlet_tensor_string(
                    self.raw(),
                    index as i64,
                    &mut string,
                    &mut size,
                ))?;
                slice::from_raw_parts(string.cast(), size)
            };
            strings.push(String::from_utf8_lossy(bytes).into_owned());
        }
        if self.dtype != DType::String {
            return Err(self.holds("to_strings", "string"));
        }
        Ok(strings)
    }

    /// The same elements in memory of their own, without gaps.
    pub fn copy(&self) -> Result<Tensor<'static>> {
        let mut made = ptr::null_mut();
        // SAFETY: a slot for a new tensor, whose elements are its own.
        unsafe {
            check(ffi::martlet_tensor_copy(self.raw(), &mut made))?;
            Tensor::adopt(made)
        }
    }

    /// The elements converted to another dtype, as `martlet_tensor_convert` in martlet.h says.
    pub fn convert(&self, dtype: DType) -> Result<Tensor<'a>> {
        let mut made = ptr::null_mut();
        // SAFETY: a slot for a new tensor, which at most shares this one's elements.
        unsafe {
            check(ffi::martlet_tensor_convert(
                self.raw(),
                dtype.code(),
                &mut made,
            ))?;
            Tensor::adopt(made)
        }
    }

    fn must_hold<T: Element>(&self, call: &str) -> Result<()> {
        let is_bool = self.dtype == DType::Bool && T::DTYPE == DType::UInt8;
        if self.dtype == T::DTYPE || is_bool {
            return Ok(());
        }
        Err(self.holds(call, T::DTYPE.name()))
    }

    fn holds(&self, call: &str, asked: &str) -> Error {
        Error::new(
            Status::InvalidDType,
            format!(
                "{call}: the tensor's elements are {}, not {asked}",
                self.dtype
            ),
        )
    }
}

impl Tensor<'static> {
    /// A tensor with a copy of elements, row-major; `&[]` is the shape of a scalar.
    ///
    /// Fails with [`Status::InvalidShape`] unless there are as many as the shape says.
    pub fn from_slice<T: Element>(elements: &[T], shape: &[i64]) -> Result<Tensor<'static>> {
        let bytes = std::mem::size_of_val(elements);
        // SAFETY: that many bytes, which are copied.
        unsafe { Tensor::from_memory(elements.as_ptr().cast(), bytes, T::DTYPE, shape) }
    }

    /// As [`Tensor::from_slice`], of bytes: for dtypes that Rust has no type for.
    pub fn from_bytes(bytes: &[u8], dtype: DType, shape: &[i64]) -> Result<Tensor<'static>> {
        // SAFETY: that many bytes, which are copied.
        unsafe { Tensor::from_memory(bytes.as_ptr().cast(), bytes.len(), dtype, shape) }
    }

    /// # Safety
    /// `data` has that many bytes.
    unsafe fn from_memory(
        data: *const c_void,
        bytes: usize,
        dtype: DType,
        shape: &[i64],
    ) -> Result<Tensor<'static>> {
        let mut made = ptr::null_mut();
        // SAFETY: the caller's promise; the shape is as long as the rank.
        unsafe {
            check(ffi::martlet_tensor_from_data(
                data,
                bytes,
                dtype.code(),
                rank_of(shape),
                shape.as_ptr(),
                &mut made,
            ))?;
            Tensor::adopt(made)
        }
    }

    /// A tensor over a vector's memory, without a copy.
    ///
    /// Fails with [`Status::InvalidShape`] when there are fewer elements than the shape says.
    pub fn from_vec<T: Element>(elements: Vec<T>, shape: &[i64]) -> Result<Tensor<'static>> {
        unsafe extern "C" fn forget<T>(vector: *mut c_void, _: *mut c_void) {
            // SAFETY: what into_raw() gave below; called once.
            drop(unsafe { Box::from_raw(vector.cast::<Vec<T>>()) });
        }
        let bytes = std::mem::size_of_val(elements.as_slice());
        let data = elements.as_ptr();
        let kept = Box::into_raw(Box::new(elements));
        let mut made = ptr::null_mut();
        // SAFETY: the vector's memory lasts until the deleter is called, and is not written:
        // READ_ONLY.
        unsafe {
            let status = ffi::martlet_tensor_wrap_strided(
                data.cast_mut().cast(),
                bytes,
                0,
                T::DTYPE.code(),
                rank_of(shape),
                shape.as_ptr(),
                ptr::null(),
                ffi::MARTLET_WRAP_READ_ONLY,
                Some(forget::<T>),
                kept.cast(),
                &mut made,
            );
            if status != ffi::MARTLET_OK {
                // The deleter is not called then.
                let error = check(status);
                drop(Box::from_raw(kept));
                error?;
            }
            Tensor::adopt(made)
        }
    }

    /// A tensor of strings, which are copied.
    ///
    /// Fails with [`Status::InvalidShape`] unless there are as many as the shape says.
    pub fn from_strings<S: AsRef<str>>(strings: &[S], shape: &[i64]) -> Result<Tensor<'static>> {
        // The library reads as many as the shape has.
        if count_of(shape).is_some_and(|count| count != strings.len())
            || (count_of(shape).is_none() && shape.iter().all(|extent| *extent >= 0))
        {
            return Err(Error::new(
                Status::InvalidShape,
                format!(
                    "from_strings: {shape:?} is not the shape of {} strings",
                    strings.len()
                ),
            ));
        }
        let (mut texts, mut sizes) = (Vec::new(), Vec::new());
        for string in strings {
            let string = string.as_ref();
            texts.push(string.as_ptr().cast());
            sizes.push(string.len());
        }
        let mut made = ptr::null_mut();
        // SAFETY: as many strings and sizes as the shape has; a negative extent is refused before.
        unsafe {
            check(ffi::martlet_tensor_from_strings(
                texts.as_ptr(),
                sizes.as_ptr(),
                rank_of(shape),
                shape.as_ptr(),
                &mut made,
            ))?;
            Tensor::adopt(made)
        }
    }

    /// A tensor of zeros.
    ///
    /// Fails with [`Status::InvalidDType`] for strings and [`DType::Unknown`], and with
    /// [`Status::InvalidShape`] for a rank out of range, a negative extent or a size that
    /// overflows.
    pub fn zeros(dtype: DType, shape: &[i64]) -> Result<Tensor<'static>> {
        let mut made = ptr::null_mut();
        // SAFETY: the shape is as long as the rank.
        unsafe {
            check(ffi::martlet_tensor_create_zeroed(
                dtype.code(),
                rank_of(shape),
                shape.as_ptr(),
                &mut made,
            ))?;
            Tensor::adopt(made)
        }
    }
}

/// Room for `count` elements, or OUT_OF_MEMORY.
fn with_room<T>(count: usize) -> Result<Vec<T>> {
    let mut elements = Vec::new();
    elements.try_reserve_exact(count).map_err(|_| {
        Error::new(
            Status::OutOfMemory,
            format!("there is no memory for {count} elements"),
        )
    })?;
    Ok(elements)
}

fn must_be_valid<T: Sealed>(bytes: &[u8]) -> Result<()> {
    if T::are_valid(bytes) {
        return Ok(());
    }
    Err(Error::new(
        Status::InvalidArgument,
        "an element of bool is neither 0 nor 1; u8 reads it".to_owned(),
    ))
}

impl Clone for Tensor<'_> {
    fn clone(&self) -> Self {
        // SAFETY: a valid handle, of which there is a reference more then.
        let status = unsafe { ffi::martlet_tensor_retain(self.raw()) };
        assert_eq!(status, ffi::MARTLET_OK, "a tensor can be retained");
        Tensor { ..*self }
    }
}

impl Drop for Tensor<'_> {
    fn drop(&mut self) {
        // SAFETY: our reference, which nobody uses afterwards.
        unsafe { ffi::martlet_tensor_release(self.raw()) };
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tensor({}{:?})", self.dtype, self.shape())
    }
}

/// Memory of the caller's that a result is written to
/// ([`Context::run_into`](crate::Context::run_into)).
///
/// It is the caller's again when this is dropped; until then [`TensorMut::as_slice`] reads it.
///
/// ```compile_fail,E0502
/// let mut scores = [0.0f32; 10];
/// let slot = martlet::TensorMut::borrow(&mut scores, &[1, 10]).unwrap();
/// println!("{scores:?}");
/// drop(slot);
/// ```
pub struct TensorMut<'a> {
    tensor: Tensor<'a>,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> TensorMut<'a> {
    /// Memory for a result of this shape, row-major. (Of `bool` there is none, as the library does
    /// not promise bytes of 0 and 1.)
    ///
    /// Fails with [`Status::InvalidShape`] when there are fewer elements than the shape says.
    pub fn borrow<T: Number>(elements: &'a mut [T], shape: &[i64]) -> Result<TensorMut<'a>> {
        let mut made = ptr::null_mut();
        // SAFETY: memory that is ours alone for 'a, which the result has; any bits are a T. The
        // tensor inside is given to nobody who would keep a view of it.
        unsafe {
            check(ffi::martlet_tensor_wrap_strided(
                elements.as_mut_ptr().cast(),
                std::mem::size_of_val(elements),
                0,
                T::DTYPE.code(),
                rank_of(shape),
                shape.as_ptr(),
                ptr::null(),
                0,
                None,
                ptr::null_mut(),
                &mut made,
            ))?;
            Ok(TensorMut {
                tensor: Tensor::adopt(made)?,
                borrowed: PhantomData,
            })
        }
    }

    pub(crate) fn raw(&mut self) -> *mut ffi::martlet_tensor {
        self.tensor.raw()
    }

    /// What has been written. Failures as of [`Tensor::as_slice`].
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.tensor.as_slice()
    }

    /// The extents, one for each axis.
    pub fn shape(&self) -> &[i64] {
        self.tensor.shape()
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.tensor.dtype()
    }
}

impl fmt::Debug for TensorMut<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TensorMut({}{:?})", self.dtype(), self.shape())
    }
}

/// Tensors by name, in the order in which they were asked for.
#[derive(Debug, Clone, Default)]
pub struct NamedTensors {
    entries: Vec<(String, Tensor<'static>)>,
}

impl NamedTensors {
    pub(crate) fn new(entries: Vec<(String, Tensor<'static>)>) -> NamedTensors {
        NamedTensors { entries }
    }

    /// The tensor of a name. Fails with [`Status::NotFound`], naming those that there are, for
    /// another.
    pub fn get(&self, name: &str) -> Result<&Tensor<'static>> {
        if let Some((_, tensor)) = self.entries.iter().find(|(own, _)| own == name) {
            return Ok(tensor);
        }
        let names: Vec<String> = self
            .entries
            .iter()
            .map(|(own, _)| format!("'{own}'"))
            .collect();
        Err(Error::new(
            Status::NotFound,
            format!(
                "there is no tensor '{name}', there are {}",
                names.join(", ")
            ),
        ))
    }

    /// Names and tensors, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<'static>)> {
        self.entries
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl IntoIterator for NamedTensors {
    type Item = (String, Tensor<'static>);
    type IntoIter = std::vec::IntoIter<Self::Item>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}
