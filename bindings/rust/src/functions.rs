//! Single operators: the most used by functions of their own, all by name.
//!
//! A result may be a view of an input and share its memory, and so has its lifetime. The fast-math
//! mode is that in force for the calling thread ([`with_math_mode`](crate::with_math_mode)).
//!
//! Besides what each names, all fail with [`Status::InvalidShape`] or [`Status::InvalidDType`] for
//! inputs that do not fit together.
use crate::error::{c_text, check, static_text, Error, Result, Status};
use crate::ffi;
use crate::tensor::Tensor;
use std::ffi::CString;
use std::ptr;

/// The mode of the thread.
const INHERIT: i32 = -1;

fn optional(tensor: Option<&Tensor<'_>>) -> *const ffi::martlet_tensor {
    tensor.map_or(ptr::null(), |tensor| tensor.raw().cast_const())
}

/// The tensor that a C function makes through its slot.
///
/// # Safety
/// It is a new one, which shares at most what lives for 'a.
unsafe fn make<'a>(
    call: impl FnOnce(*mut *mut ffi::martlet_tensor) -> ffi::martlet_status,
) -> Result<Tensor<'a>> {
    let mut made = ptr::null_mut();
    check(call(&mut made))?;
    // SAFETY: the caller's promise.
    unsafe { Tensor::adopt(made) }
}

/// Matrix product as NumPy's matmul. `lhs`: `[..., M, K]` or `[K]`; `rhs`: `[..., K, N]` or `[K]`;
/// leading axes broadcast; both of one dtype: floats, 32- and 64-bit integers. Gives `[..., M, N]`.
pub fn matmul<'a>(lhs: &Tensor<'a>, rhs: &Tensor<'a>) -> Result<Tensor<'a>> {
    // SAFETY: valid handles.
    unsafe { make(|result| ffi::martlet_matmul(lhs.raw(), rhs.raw(), INHERIT, result)) }
}

/// A fully connected layer, input @ weight^T + bias. `input`: `[..., K]`; `weight`: `[N, K]`;
/// `bias`: `[N]`. Gives `[..., N]`.
pub fn linear<'a>(
    input: &Tensor<'a>,
    weight: &Tensor<'a>,
    bias: Option<&Tensor<'a>>,
) -> Result<Tensor<'a>> {
    // SAFETY: valid handles, or NULL where there is none.
    unsafe {
        make(|result| {
            ffi::martlet_linear(input.raw(), weight.raw(), optional(bias), INHERIT, result)
        })
    }
}

/// How a convolution walks its input; what is empty is 1 for each spatial axis, pads are 0.
#[derive(Debug, Clone, Default)]
pub struct ConvOptions {
    /// One per spatial axis, at least 1.
    pub strides: Vec<i64>,
    /// One per spatial axis, at least 1.
    pub dilations: Vec<i64>,
    /// All leading pads, then all trailing ones, at least 0.
    pub pads: Vec<i64>,
    /// 0 means 1.
    pub groups: i64,
}

/// Convolution (cross-correlation) over one, two or three spatial axes. `input`: `[batch, C,
/// axes...]`; `weight`: `[M, C / groups, kernel...]`; `bias`: `[M]`. Gives `[batch, M, axes...]`.
///
/// Fails with [`Status::InvalidArgument`] for a bad option.
pub fn conv<'a>(
    input: &Tensor<'a>,
    weight: &Tensor<'a>,
    bias: Option<&Tensor<'a>>,
    options: &ConvOptions,
) -> Result<Tensor<'a>> {
    // The library reads as many numbers as there are spatial axes, whichever tensor has more.
    let axes = input
        .shape()
        .len()
        .max(weight.shape().len())
        .saturating_sub(2);
    let list = |name: &str, numbers: &[i64], wanted: usize| {
        if numbers.is_empty() {
            return Ok(ptr::null());
        }
        if numbers.len() != wanted {
            return Err(Error::new(
                Status::InvalidArgument,
                format!(
                    "conv: expected {wanted} {name} for {axes} spatial axes, got {}",
                    numbers.len()
                ),
            ));
        }
        Ok(numbers.as_ptr())
    };
    let given = ffi::martlet_conv_options {
        struct_size: std::mem::size_of::<ffi::martlet_conv_options>(),
        strides: list("strides", &options.strides, axes)?,
        dilations: list("dilations", &options.dilations, axes)?,
        pads: list("pads", &options.pads, 2 * axes)?,
        groups: options.groups,
    };
    // SAFETY: valid handles, and options whose lists are long enough.
    unsafe {
        make(|result| {
            let bias = optional(bias);
            ffi::martlet_conv(input.raw(), weight.raw(), bias, &given, INHERIT, result)
        })
    }
}

/// Softmax along one axis, -rank to rank-1: exp(x - max) / sum.
pub fn softmax<'a>(input: &Tensor<'a>, axis: i64) -> Result<Tensor<'a>> {
    // SAFETY: a valid handle.
    unsafe { make(|result| ffi::martlet_softmax(input.raw(), axis, result)) }
}

/// Layer normalisation over the axes from `axis` to the last. `scale` and `bias`, 1 and 0 where
/// there are none, have the normalised axes' shape.
///
/// Fails with [`Status::InvalidArgument`] for an epsilon that is negative or NaN.
pub fn layer_norm<'a>(
    input: &Tensor<'a>,
    scale: Option<&Tensor<'a>>,
    bias: Option<&Tensor<'a>>,
    axis: i64,
    epsilon: f32,
) -> Result<Tensor<'a>> {
    // SAFETY: valid handles, or NULL where there is none.
    unsafe {
        make(|result| {
            let (scale, bias) = (optional(scale), optional(bias));
            ffi::martlet_layer_norm(input.raw(), scale, bias, axis, epsilon, result)
        })
    }
}

/// Gaussian error linear unit, x/2 (1 + erf(x / sqrt 2)), or its approximation with tanh.
pub fn gelu<'a>(input: &Tensor<'a>, use_tanh: bool) -> Result<Tensor<'a>> {
    // SAFETY: a valid handle.
    unsafe { make(|result| ffi::martlet_gelu(input.raw(), use_tanh, result)) }
}

/// Scaled dot-product attention. `query`: `[batch, heads, L, D]`; `key`: `[batch, kv_heads, S, D]`;
/// `value`: `[batch, kv_heads, S, Dv]`; `mask`: broadcasts to `[batch, heads, L, S]`, bool or the
/// query's dtype; `scale`: 0 for 1 / sqrt(D). Gives `[batch, heads, L, Dv]`.
///
/// Fails with [`Status::InvalidArgument`] for a scale that is not finite.
pub fn attention<'a>(
    query: &Tensor<'a>,
    key: &Tensor<'a>,
    value: &Tensor<'a>,
    mask: Option<&Tensor<'a>>,
    scale: f32,
    is_causal: bool,
) -> Result<Tensor<'a>> {
    let (query, key, value) = (query.raw(), key.raw(), value.raw());
    // SAFETY: valid handles, or NULL where there is none.
    unsafe {
        make(|result| {
            let mask = optional(mask);
            ffi::martlet_attention(query, key, value, mask, scale, is_causal, INHERIT, result)
        })
    }
}

/// Prepares a weight that is used many times: a copy to be given wherever a tensor can.
pub fn pack(weight: &Tensor<'_>) -> Result<Tensor<'static>> {
    // SAFETY: a valid handle, whose elements are copied.
    unsafe { make(|result| ffi::martlet_pack(weight.raw(), result)) }
}

/// A named value of an operator; `1.into()`, `"linear".into()` and `vec![1, 1].into()` are some.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Attribute<'a> {
    /// An integer.
    Int(i64),
    /// A number.
    Float(f32),
    /// Text.
    Text(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// Texts.
    Texts(Vec<String>),
    /// A tensor.
    Tensor(Tensor<'a>),
}

macro_rules! attributes {
    ($($type:ty = $case:ident;)*) => {$(
        impl<'a> From<$type> for Attribute<'a> {
            fn from(value: $type) -> Attribute<'a> {
                Attribute::$case(value)
            }
        }
    )*};
}
attributes! {
    i64 = Int;
    f32 = Float;
    String = Text;
    Vec<i64> = Ints;
    Vec<f32> = Floats;
    Vec<String> = Texts;
    Tensor<'a> = Tensor;
}
impl From<&str> for Attribute<'_> {
    fn from(value: &str) -> Self {
        Attribute::Text(value.to_owned())
    }
}

/// The C set of attributes.
struct AttributeSet(*mut ffi::martlet_attributes);

impl AttributeSet {
    fn new(attributes: &[(&str, Attribute<'_>)]) -> Result<AttributeSet> {
        let mut made = ptr::null_mut();
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_attributes_create(&mut made) })?;
        let set = AttributeSet(made);
        for (name, value) in attributes {
            set.put(name, value)?;
        }
        Ok(set)
    }

    fn put(&self, name: &str, value: &Attribute<'_>) -> Result<()> {
        let key = c_text(name, "an attribute's name")?;
        let (set, key) = (self.0, key.as_ptr());
        // SAFETY: a valid set, a name, and values with their number, all of which are copied.
        check(unsafe {
            match value {
                Attribute::Int(value) => ffi::martlet_attributes_set_int(set, key, *value),
                Attribute::Float(value) => ffi::martlet_attributes_set_float(set, key, *value),
                Attribute::Text(value) => {
                    let value = c_text(value, name)?;
                    ffi::martlet_attributes_set_string(set, key, value.as_ptr())
                }
                Attribute::Ints(values) => {
                    ffi::martlet_attributes_set_ints(set, key, values.as_ptr(), values.len())
                }
                Attribute::Floats(values) => {
                    ffi::martlet_attributes_set_floats(set, key, values.as_ptr(), values.len())
                }
                Attribute::Texts(values) => {
                    let texts: Vec<CString> = values
                        .iter()
                        .map(|value| c_text(value, name))
                        .collect::<Result<_>>()?;
                    let texts: Vec<_> = texts.iter().map(|text| text.as_ptr()).collect();
                    ffi::martlet_attributes_set_strings(set, key, texts.as_ptr(), texts.len())
                }
                Attribute::Tensor(value) => {
                    ffi::martlet_attributes_set_tensor(set, key, value.raw())
                }
            }
        })
    }
}

impl Drop for AttributeSet {
    fn drop(&mut self) {
        // SAFETY: our reference, which nobody uses afterwards.
        unsafe { ffi::martlet_attributes_release(self.0) };
    }
}

/// The operators that [`op_run`] knows.
pub fn operators() -> impl Iterator<Item = &'static str> {
    // SAFETY: strings that last, or NULL past the last.
    (0..).map_while(|index| unsafe {
        let name = ffi::martlet_op_name_at(index);
        (!name.is_null()).then(|| static_text(name))
    })
}

/// Runs one operator of ONNX, at its newest supported opset, or of Martlet's own.
///
/// `inputs`: in the operator's order, None where an optional one is left out. Gives its first
/// `output_count` outputs.
///
/// Fails with [`Status::NotFound`] for an unknown operator or attribute, and with
/// [`Status::InvalidArgument`] for a wrong number of inputs or outputs or a bad attribute.
///
/// ```
/// use martlet::{op_run, Tensor};
///
/// # fn main() -> martlet::Result<()> {
/// let x = Tensor::from_slice(&[0.0f32, 0.0], &[1, 2])?;
/// let y = op_run("Softmax", &[Some(&x)], &[("axis", 1.into())], 1)?;
/// assert_eq!(y[0].as_slice::<f32>()?, [0.5, 0.5]);
/// # Ok(())
/// # }
/// ```
pub fn op_run<'a>(
    name: &str,
    inputs: &[Option<&Tensor<'a>>],
    attributes: &[(&str, Attribute<'a>)],
    output_count: usize,
) -> Result<Vec<Tensor<'a>>> {
    let c_name = c_text(name, "op_run: name")?;
    if output_count > 1 << 16 {
        return Err(Error::new(
            Status::InvalidArgument,
            format!("op_run: {output_count} outputs of {name} were asked for"),
        ));
    }
    let set = AttributeSet::new(attributes)?;
    let inputs: Vec<_> = inputs
        .iter()
        .map(|input| input.map_or(ptr::null_mut(), Tensor::raw))
        .collect();
    let mut slots = vec![ptr::null_mut(); output_count];
    // SAFETY: inputs and slots with their numbers; results share what the inputs and attributes
    // have.
    unsafe {
        check(ffi::martlet_op_run(
            c_name.as_ptr(),
            set.0,
            INHERIT,
            inputs.as_ptr(),
            inputs.len(),
            slots.as_mut_ptr(),
            output_count,
        ))?;
        adopt_all(&slots)
    }
}

/// The tensors that a call has made.
///
/// # Safety
/// As of [`Tensor::adopt`], for each.
pub(crate) unsafe fn adopt_all<'a>(slots: &[*mut ffi::martlet_tensor]) -> Result<Vec<Tensor<'a>>> {
    // All are adopted, also where one of them fails: it and those before are let go of then.
    // SAFETY: the caller's promise.
    let adopted: Vec<Result<Tensor<'a>>> = slots
        .iter()
        .map(|slot| unsafe { Tensor::adopt(*slot) })
        .collect();
    adopted.into_iter().collect()
}
