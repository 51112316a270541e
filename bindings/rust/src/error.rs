//! Failures, and text on its way to C and back.
use crate::ffi;
use std::ffi::{c_char, CStr, CString};
use std::fmt;

/// Why a call failed; those of `martlet_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Out of range, or contradicts another argument.
    InvalidArgument,
    /// A shape, stride or size that does not fit, or overflows.
    InvalidShape,
    /// A data type that the operation does not take.
    InvalidDType,
    /// No such operator, input, output, option, mode or file.
    NotFound,
    /// A file could not be read.
    Io,
    /// A malformed model: truncated, inconsistent or cyclic.
    InvalidModel,
    /// Valid, but not supported by this build of the library.
    Unsupported,
    /// Memory could not be allocated.
    OutOfMemory,
    /// A progress function asked to stop.
    Cancelled,
    /// A handle that is none, which this crate does not give.
    InvalidHandle,
    /// Not allowed now.
    InvalidState,
    /// A fault of Martlet itself; please report it.
    InternalError,
    /// A run met a limit that it was given.
    LimitExceeded,
    /// A status of a newer library.
    Other(i32),
}

impl Status {
    pub(crate) fn of(code: ffi::martlet_status) -> Status {
        match code {
            1 => Status::InvalidArgument,
            2 => Status::InvalidShape,
            3 => Status::InvalidDType,
            4 => Status::NotFound,
            5 => Status::Io,
            6 => Status::InvalidModel,
            7 => Status::Unsupported,
            8 => Status::OutOfMemory,
            9 => Status::Cancelled,
            10 => Status::InvalidHandle,
            11 => Status::InvalidState,
            12 => Status::InternalError,
            13 => Status::LimitExceeded,
            other => Status::Other(other),
        }
    }
}

/// What went wrong: a status, a message, and what of the message programs may want by itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    /// Boxed, so that results are small.
    parts: Box<Parts>,
}

#[derive(Clone, PartialEq, Eq)]
struct Parts {
    status: Status,
    message: String,
    node: Option<String>,
    operator_name: Option<String>,
    input: Option<String>,
    expected: Option<String>,
    actual: Option<String>,
}

/// What can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(status: Status, message: String) -> Error {
        let parts = Parts {
            status,
            message,
            node: None,
            operator_name: None,
            input: None,
            expected: None,
            actual: None,
        };
        Error {
            parts: Box::new(parts),
        }
    }

    /// The calling thread's last failure in the library.
    fn last(status: ffi::martlet_status) -> Error {
        // SAFETY: never NULL, and its strings last until this thread's next failing call.
        let last = unsafe { &*ffi::martlet_last_error() };
        // SAFETY: as above; a string is NULL or ends in NUL.
        let text = |text| unsafe { optional_text(text) };
        let parts = Parts {
            status: Status::of(status),
            message: text(last.message).unwrap_or_default(),
            node: text(last.node),
            operator_name: text(last.operator_name),
            input: text(last.input),
            expected: text(last.expected),
            actual: text(last.actual),
        };
        Error {
            parts: Box::new(parts),
        }
    }

    /// Its kind.
    pub fn status(&self) -> Status {
        self.parts.status
    }
    /// One sentence with everything below in it.
    pub fn message(&self) -> &str {
        &self.parts.message
    }
    /// The node of the model that is to blame.
    pub fn node(&self) -> Option<&str> {
        self.parts.node.as_deref()
    }
    /// Its operator.
    pub fn operator_name(&self) -> Option<&str> {
        self.parts.operator_name.as_deref()
    }
    /// The input, attribute or option.
    pub fn input(&self) -> Option<&str> {
        self.parts.input.as_deref()
    }
    /// What would have been right.
    pub fn expected(&self) -> Option<&str> {
        self.parts.expected.as_deref()
    }
    /// What was given.
    pub fn actual(&self) -> Option<&str> {
        self.parts.actual.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.parts.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.status(), self.message())
    }
}

impl std::error::Error for Error {}

/// Nothing, or the error that the library left for a status.
pub(crate) fn check(status: ffi::martlet_status) -> Result<()> {
    if status == ffi::MARTLET_OK {
        return Ok(());
    }
    Err(Error::last(status))
}

/// A string for C, which cannot have a NUL.
pub(crate) fn c_text(text: &str, what: &str) -> Result<CString> {
    CString::new(text).map_err(|_| {
        Error::new(
            Status::InvalidArgument,
            format!("{what} is {text:?}, which holds a NUL"),
        )
    })
}

/// A copy of a string of the library's, None for NULL.
///
/// # Safety
/// NULL or a string that ends in NUL.
pub(crate) unsafe fn optional_text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    )
}

/// A string that lasts as long as the process, "" for NULL.
///
/// # Safety
/// NULL or a string that ends in NUL and is never freed.
pub(crate) unsafe fn static_text(text: *const c_char) -> &'static str {
    if text.is_null() {
        return "";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("")
}
