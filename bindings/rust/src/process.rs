//! What the process shares: versions, the processor, threads, fast-math modes, memory.
use crate::error::{c_text, check, static_text, Error, Result, Status};
use crate::ffi;
use std::fmt;
use std::ptr::{self, NonNull};

/// The library's version: major * 10000 + minor * 100 + patch.
pub fn version() -> i32 {
    // SAFETY: never fails.
    unsafe { ffi::martlet_version() }
}

/// The library's version as text, "0.1.0".
pub fn version_string() -> &'static str {
    // SAFETY: a string that lasts.
    unsafe { static_text(ffi::martlet_version_string()) }
}

/// The processor's name as it calls itself.
pub fn cpu_name() -> &'static str {
    // SAFETY: a string that lasts.
    unsafe { static_text(ffi::martlet_cpu_name()) }
}

/// The features found that matter here, separated by spaces ("avx2 fma f16c").
pub fn cpu_features() -> &'static str {
    // SAFETY: a string that lasts.
    unsafe { static_text(ffi::martlet_cpu_features()) }
}

/// The instruction set in use: "generic", "avx2", "avx512bf16", .... Settles the choice.
pub fn cpu_isa() -> &'static str {
    // SAFETY: a string that lasts.
    unsafe { static_text(ffi::martlet_cpu_isa()) }
}

/// Caps the instruction set, before anything is computed.
///
/// Fails with [`Status::NotFound`] for an unknown name, and with [`Status::InvalidState`] when the
/// choice has been settled already.
pub fn set_isa(name: &str) -> Result<()> {
    let name = c_text(name, "set_isa: name")?;
    // SAFETY: a string that ends in NUL.
    check(unsafe { ffi::martlet_set_isa(name.as_ptr()) })
}

/// Sets how many threads a computation uses at most, the caller's own included: 1 to 1024, 0 for
/// the default. Results do not depend on it. Fails with [`Status::InvalidArgument`] when out of
/// range.
pub fn set_num_threads(count: i32) -> Result<()> {
    // SAFETY: takes any number.
    check(unsafe { ffi::martlet_set_num_threads(count) })
}

/// How many threads a computation uses at most.
pub fn num_threads() -> i32 {
    // SAFETY: never fails.
    unsafe { ffi::martlet_get_num_threads() }
}

/// Sets how long idle workers spin for more work before they sleep: 0 to 1000000 microseconds.
/// Fails with [`Status::InvalidArgument`] when out of range.
pub fn set_spin_microseconds(microseconds: i32) -> Result<()> {
    // SAFETY: takes any number.
    check(unsafe { ffi::martlet_set_spin_microseconds(microseconds) })
}

/// The spin budget in microseconds.
pub fn spin_microseconds() -> i32 {
    // SAFETY: never fails.
    unsafe { ffi::martlet_get_spin_microseconds() }
}

/// Bytes of tensor memory that the library has allocated and not freed; borrowed and mapped memory
/// does not count.
pub fn memory_in_use() -> i64 {
    // SAFETY: never fails.
    unsafe { ffi::martlet_memory_in_use() }
}

/// Gives memory that is kept for next runs back to the system, for all models.
pub fn trim() -> Result<()> {
    // SAFETY: may be called at any time.
    check(unsafe { ffi::martlet_trim() })
}

/// What float32 products may be lowered to; section 5 of martlet.h says how modes go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MathMode {
    /// Nothing is lowered.
    Fp32,
    /// Inputs of matrix products may be rounded to bfloat16 where the processor is faster at that.
    Bf16,
    /// Accepted; permits nothing on processors without such units.
    Tf32,
    /// Accepted; permits nothing on processors without such units.
    F16,
    /// Whatever is fastest among the above.
    Any,
}

impl MathMode {
    fn code(self) -> i32 {
        match self {
            MathMode::Fp32 => 0,
            MathMode::Bf16 => 1,
            MathMode::Tf32 => 2,
            MathMode::F16 => 3,
            MathMode::Any => 4,
        }
    }
}

/// Sets the process's mode by name: the one line that makes a float32 model bf16-fast.
///
/// FP32 (STRICT, IEEE, HIGHEST), BF16, TF32, F16 or ANY, in any case; [`Status::NotFound`], with
/// the list, for another name.
///
/// ```
/// # fn main() -> martlet::Result<()> {
/// martlet::set_float32_fast_math_mode("BF16")?;
/// # Ok(())
/// # }
/// ```
pub fn set_float32_fast_math_mode(name: &str) -> Result<()> {
    let name = c_text(name, "set_float32_fast_math_mode: name")?;
    // SAFETY: a string that ends in NUL.
    check(unsafe { ffi::martlet_set_float32_fast_math_mode(name.as_ptr()) })
}

/// The mode in force for the calling thread.
pub fn float32_fast_math_mode() -> MathMode {
    // SAFETY: never fails.
    match unsafe { ffi::martlet_math_mode_effective() } {
        1 => MathMode::Bf16,
        2 => MathMode::Tf32,
        3 => MathMode::F16,
        4 => MathMode::Any,
        _ => MathMode::Fp32,
    }
}

/// Calls `work` with a mode of the calling thread's own. Fails with [`Status::InvalidState`],
/// without calling it, where 64 such calls are within each other already.
///
/// ```
/// use martlet::{float32_fast_math_mode, with_math_mode, MathMode};
///
/// # fn main() -> martlet::Result<()> {
/// with_math_mode(MathMode::Bf16, || assert_eq!(float32_fast_math_mode(), MathMode::Bf16))?;
/// # Ok(())
/// # }
/// ```
pub fn with_math_mode<R>(mode: MathMode, work: impl FnOnce() -> R) -> Result<R> {
    /// Leaves the scope also where `work` panics.
    struct Scope;
    impl Drop for Scope {
        fn drop(&mut self) {
            // SAFETY: on the thread that entered it, and in order, as calls nest.
            unsafe { ffi::martlet_math_mode_pop() };
        }
    }
    // SAFETY: takes any number.
    check(unsafe { ffi::martlet_math_mode_push(mode.code()) })?;
    let _scope = Scope;
    Ok(work())
}

/// Threads of one's own, for models and contexts. A clone is the same pool.
pub struct Pool {
    object: NonNull<ffi::martlet_pool>,
}

// SAFETY: the library's calls may be made from any thread, and a pool is not changed.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Makes a pool.
    ///
    /// `thread_count`: 1 to 1024 threads, the caller's included; 0: one for each of `processors`,
    /// or the default. `processors`: where they may run, numbers as in /proc/cpuinfo; empty: where
    /// the threads that call may.
    ///
    /// Fails with [`Status::InvalidArgument`] for a number of threads out of range or a processor
    /// that the calling thread may not use.
    pub fn new(thread_count: i32, processors: &[i32]) -> Result<Pool> {
        let options = ffi::martlet_pool_options {
            struct_size: std::mem::size_of::<ffi::martlet_pool_options>(),
            thread_count,
            processors: if processors.is_empty() {
                ptr::null()
            } else {
                processors.as_ptr()
            },
            processor_count: processors.len(),
            parallel_for: ptr::null(),
            parallel_for_user: ptr::null_mut(),
        };
        let mut made = ptr::null_mut();
        // SAFETY: options as the header has them, and a place for the result.
        check(unsafe { ffi::martlet_pool_create(&options, &mut made) })?;
        match NonNull::new(made) {
            Some(object) => Ok(Pool { object }),
            None => Err(Error::new(
                Status::InternalError,
                "the library gave no pool".to_owned(),
            )),
        }
    }

    pub(crate) fn raw(&self) -> *mut ffi::martlet_pool {
        self.object.as_ptr()
    }

    /// How many threads a computation on it uses at most, the caller's own included.
    pub fn thread_count(&self) -> Result<i32> {
        let mut count = 0;
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_pool_thread_count(self.raw(), &mut count) })?;
        Ok(count)
    }
}

impl Clone for Pool {
    fn clone(&self) -> Pool {
        // SAFETY: a valid handle, of which there is a reference more then.
        let status = unsafe { ffi::martlet_pool_retain(self.raw()) };
        assert_eq!(status, ffi::MARTLET_OK, "a pool can be retained");
        Pool {
            object: self.object,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: our reference, which nobody uses afterwards.
        unsafe { ffi::martlet_pool_release(self.raw()) };
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Pool({} threads)",
            self.thread_count().unwrap_or(0)
        )
    }
}
