//! Element types.
use crate::ffi;
use std::fmt;

/// The dtypes, their codes and names.
macro_rules! dtypes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        /// Element types; those of ONNX's TensorProto.DataType.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DType {
            /// The model does not say, or a type of a newer library.
            Unknown,
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl DType {
            pub(crate) fn of(code: i32) -> DType {
                match code {
                    $($code => DType::$name,)*
                    _ => DType::Unknown,
                }
            }
            pub(crate) fn code(self) -> i32 {
                match self {
                    DType::Unknown => 0,
                    $(DType::$name => $code,)*
                }
            }
            /// Its name, "float32".
            pub fn name(self) -> &'static str {
                match self {
                    DType::Unknown => "unknown",
                    $(DType::$name => $text,)*
                }
            }
        }
    };
}
dtypes! {
    Float32 = 1, "float32";
    UInt8 = 2, "uint8";
    Int8 = 3, "int8";
    UInt16 = 4, "uint16";
    Int16 = 5, "int16";
    Int32 = 6, "int32";
    Int64 = 7, "int64";
    String = 8, "string";
    Bool = 9, "bool";
    Float16 = 10, "float16";
    Float64 = 11, "float64";
    UInt32 = 12, "uint32";
    UInt64 = 13, "uint64";
    BFloat16 = 16, "bfloat16";
    Float8E4M3FN = 17, "float8e4m3fn";
    Float8E4M3FNUZ = 18, "float8e4m3fnuz";
    Float8E5M2 = 19, "float8e5m2";
    Float8E5M2FNUZ = 20, "float8e5m2fnuz";
    UInt4 = 21, "uint4";
    Int4 = 22, "int4";
    Float4E2M1 = 23, "float4e2m1";
    Float8E8M0 = 24, "float8e8m0";
    UInt2 = 25, "uint2";
    Int2 = 26, "int2";
    Float6E2M3 = 27, "float6e2m3";
    Float6E3M2 = 28, "float6e3m2";
}

impl DType {
    /// Bits of one element; 0 for strings. Elements of less than 8 bits are packed, see
    /// `martlet_dtype_bits` in martlet.h.
    pub fn bits(self) -> i32 {
        // SAFETY: takes any number.
        unsafe { ffi::martlet_dtype_bits(self.code()) }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A float16 as its 16 bits. [`Tensor::convert`](crate::Tensor::convert) makes numbers of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct F16(pub u16);

/// A bfloat16 as its 16 bits: the upper half of a float32's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct BF16(pub u16);

mod sealed {
    /// # Safety
    /// Plain memory without gaps and without pointers; any bits that `are_valid` are a value.
    pub unsafe trait Sealed: Copy + Send + Sync + 'static {
        fn are_valid(_bytes: &[u8]) -> bool {
            true
        }
    }
}
pub(crate) use sealed::Sealed;

/// A Rust type that elements of tensors may have.
pub trait Element: Sealed {
    /// Its dtype.
    const DTYPE: DType;
}

/// An [`Element`] of which all bits are a value, so that the library may write it: all but `bool`.
pub trait Number: Element {}

macro_rules! elements {
    ($($type:ty = $dtype:ident;)*) => {$(
        // SAFETY: a number.
        unsafe impl Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }
        impl Number for $type {}
    )*};
}
elements! {
    f32 = Float32;
    f64 = Float64;
    i8 = Int8;
    i16 = Int16;
    i32 = Int32;
    i64 = Int64;
    u8 = UInt8;
    u16 = UInt16;
    u32 = UInt32;
    u64 = UInt64;
    F16 = Float16;
    BF16 = BFloat16;
}

// SAFETY: one byte, of which 0 and 1 are values.
unsafe impl Sealed for bool {
    fn are_valid(bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| *byte <= 1)
    }
}
impl Element for bool {
    const DTYPE: DType = DType::Bool;
}
