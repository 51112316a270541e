//! Run contexts.
use crate::error::{c_text, check, optional_text, Error, Result, Status};
use crate::ffi;
use crate::functions::adopt_all;
use crate::model::{Model, Progress};
use crate::process::Pool;
use crate::tensor::{NamedTensors, Tensor, TensorMut};
use crate::value::Value;
use std::ffi::{c_char, CString};
use std::fmt;
use std::ptr::{self, NonNull};

/// What one node did in the last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name in the model; made up when it has none.
    pub node: String,
    /// Its operator.
    pub operator_name: String,
    /// Of its products, "fp32", "bf16", ...; None: it has no products.
    pub precision: Option<String>,
    /// The kernel that ran; None with `precision`.
    pub kernel: Option<String>,
    /// "native", ...; None with `precision`.
    pub backend: Option<String>,
    /// Why not the mode's own precision; None when it is.
    pub reason: Option<String>,
    /// Mean time over the runs since profiling was turned on, or 0.
    pub nanoseconds: i64,
}

/// Bytes of a context's results and scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContextMemory {
    /// In tensors that exist now.
    pub live_bytes: i64,
    /// Kept for the next run.
    pub kept_bytes: i64,
    /// The most that was ever live.
    pub peak_bytes: i64,
}

/// The state of one run at a time: memory that is used again, and what is known of the last run.
///
/// It may go from thread to thread, but is used by one at a time:
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>(_: T) {}
/// fn share(context: martlet::Context) {
///     shared(context);
/// }
/// ```
pub struct Context {
    object: NonNull<ffi::martlet_context>,
    model: Model,
    /// What C has a pointer to: dropped after the object.
    progress: Option<Box<Progress<'static>>>,
}

// SAFETY: the library's calls may be made from any thread; that one is used by one at a time is
// what `&mut` and the lack of Sync say.
unsafe impl Send for Context {}

impl Context {
    /// Makes a context for a model, which it keeps alive.
    pub fn new(model: &Model) -> Result<Context> {
        let mut made = ptr::null_mut();
        // SAFETY: a valid handle and a place for the result.
        check(unsafe { ffi::martlet_context_create(model.raw(), &mut made) })?;
        match NonNull::new(made) {
            Some(object) => Ok(Context {
                object,
                model: model.clone(),
                progress: None,
            }),
            None => Err(Error::new(
                Status::InternalError,
                "the library gave no context".to_owned(),
            )),
        }
    }

    fn raw(&self) -> *mut ffi::martlet_context {
        self.object.as_ptr()
    }

    /// After a run: its status, or the panic of a progress function.
    fn finish(&mut self, status: ffi::martlet_status) -> Result<()> {
        let finished = check(status);
        if let Some(progress) = &mut self.progress {
            progress.resume();
        }
        finished
    }

    /// Runs the model once: as [`Model::run`], and [`Status::Cancelled`] where the progress
    /// function says so.
    pub fn run(&mut self, inputs: &[&Tensor<'_>]) -> Result<Vec<Tensor<'static>>> {
        let mut slots = vec![ptr::null_mut(); self.model.output_count()?];
        self.run_slots(inputs, &mut slots)?;
        // SAFETY: outputs have memory of their own.
        unsafe { adopt_all(&slots) }
    }

    /// Runs the model once, and writes its first outputs to the caller's memory, whose dtypes and
    /// shapes must be the results'. On failure the contents of the memory are unspecified.
    ///
    /// ```
    /// use martlet::{Context, Model, Tensor, TensorMut};
    ///
    /// # fn main() -> martlet::Result<()> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Examples/models/digits.onnx");
    /// let mut context = Context::new(&Model::load(path)?)?;
    /// let image = [0.0f32; 64];
    /// let mut scores = [0.0f32; 10];
    /// context.run_into(
    ///     &[&Tensor::borrow(&image, &[1, 1, 8, 8])?],
    ///     &mut [&mut TensorMut::borrow(&mut scores, &[1, 10])?],
    /// )?;
    /// assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_into(
        &mut self,
        inputs: &[&Tensor<'_>],
        outputs: &mut [&mut TensorMut<'_>],
    ) -> Result<()> {
        let mut slots: Vec<_> = outputs.iter_mut().map(|output| output.raw()).collect();
        self.run_slots(inputs, &mut slots)
    }

    fn run_slots(
        &mut self,
        inputs: &[&Tensor<'_>],
        slots: &mut [*mut ffi::martlet_tensor],
    ) -> Result<()> {
        let inputs: Vec<_> = inputs.iter().map(|input| input.raw()).collect();
        // SAFETY: inputs and slots with their numbers.
        let status = unsafe {
            ffi::martlet_context_run(
                self.raw(),
                inputs.as_ptr(),
                inputs.len(),
                slots.as_mut_ptr(),
                slots.len(),
            )
        };
        self.finish(status)
    }

    /// Runs the model once, by name: as [`Model::run_named`], without the cost of making a context.
    pub fn run_named(
        &mut self,
        inputs: &[(&str, &Tensor<'_>)],
        outputs: &[&str],
    ) -> Result<NamedTensors> {
        let names: Vec<String> = if outputs.is_empty() {
            self.model
                .outputs()?
                .into_iter()
                .map(|output| output.name)
                .collect()
        } else {
            outputs.iter().map(|name| (*name).to_owned()).collect()
        };
        let c_names = |names: &mut dyn Iterator<Item = &str>| -> Result<Vec<CString>> {
            names
                .map(|name| c_text(name, "run_named: a name"))
                .collect()
        };
        let in_names = c_names(&mut inputs.iter().map(|(name, _)| *name))?;
        let out_names = c_names(&mut names.iter().map(String::as_str))?;
        let pointers =
            |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        let (in_names, out_names) = (&pointers(&in_names), &pointers(&out_names));
        let tensors: Vec<_> = inputs.iter().map(|(_, tensor)| tensor.raw()).collect();
        let mut slots = vec![ptr::null_mut(); names.len()];
        // SAFETY: names, inputs and slots with their numbers.
        let status = unsafe {
            ffi::martlet_context_run_named(
                self.raw(),
                in_names.as_ptr(),
                tensors.as_ptr(),
                tensors.len(),
                out_names.as_ptr(),
                slots.as_mut_ptr(),
                slots.len(),
            )
        };
        self.finish(status)?;
        // SAFETY: outputs have memory of their own.
        let results = unsafe { adopt_all(&slots) }?;
        Ok(NamedTensors::new(names.into_iter().zip(results).collect()))
    }

    /// As [`Context::run`], with values of any kind. Fails with [`Status::InvalidArgument`],
    /// besides, for an input of another kind than the model's, naming it.
    pub fn run_values(&mut self, inputs: &[&Value<'_>]) -> Result<Vec<Value<'static>>> {
        let inputs: Vec<_> = inputs.iter().map(|input| input.raw()).collect();
        let mut slots = vec![ptr::null_mut(); self.model.output_count()?];
        // SAFETY: inputs and slots with their numbers.
        let status = unsafe {
            ffi::martlet_context_run_values(
                self.raw(),
                inputs.as_ptr(),
                inputs.len(),
                slots.as_mut_ptr(),
                slots.len(),
            )
        };
        self.finish(status)?;
        // All are adopted, also where one of them fails.
        // SAFETY: outputs are values of their own; states have memory of their own.
        let adopted: Vec<_> = slots
            .into_iter()
            .map(|slot| unsafe { Value::adopt(slot) })
            .collect();
        adopted.into_iter().collect()
    }

    /// Sets who is told about runs, twice a millisecond at most, and may cancel them between two
    /// nodes and between two iterations of a loop, by returning false. When it panics, the run
    /// does.
    pub fn set_progress(
        &mut self,
        function: impl FnMut(f64, &str) -> bool + Send + 'static,
    ) -> Result<()> {
        let mut progress = Box::new(Progress::new(function));
        let user = (progress.as_mut() as *mut Progress<'static>).cast();
        // SAFETY: the box stays where it is until another function is set or the context is gone.
        check(unsafe {
            ffi::martlet_context_set_progress(self.raw(), Some(Progress::tell), user)
        })?;
        self.progress = Some(progress);
        Ok(())
    }

    /// Nobody is told any more.
    pub fn clear_progress(&mut self) -> Result<()> {
        // SAFETY: a valid handle.
        check(unsafe { ffi::martlet_context_set_progress(self.raw(), None, ptr::null_mut()) })?;
        self.progress = None;
        Ok(())
    }

    /// Sets an option of the runs from the next one on: "winograd", "max_loop_iterations",
    /// "max_memory_bytes", "max_milliseconds", "flush_denormals" (section 12 of martlet.h).
    ///
    /// Fails with [`Status::NotFound`] for another name, and with [`Status::InvalidArgument`] for a
    /// bad value.
    pub fn set_option(&mut self, name: &str, value: &str) -> Result<()> {
        let (name, value) = (
            c_text(name, "set_option: name")?,
            c_text(value, "set_option: value")?,
        );
        // SAFETY: strings that end in NUL.
        check(unsafe { ffi::martlet_context_set_option(self.raw(), name.as_ptr(), value.as_ptr()) })
    }

    /// Sets whose threads run it from the next run on; None: the process's.
    pub fn set_pool(&mut self, pool: Option<&Pool>) -> Result<()> {
        let pool = pool.map_or(ptr::null_mut(), Pool::raw);
        // SAFETY: a valid handle, or NULL.
        check(unsafe { ffi::martlet_context_set_pool(self.raw(), pool) })
    }

    /// Turns the measuring of nodes on (anew) or off, for runs from now on.
    pub fn set_profiling(&mut self, is_enabled: bool) -> Result<()> {
        // SAFETY: a valid handle.
        check(unsafe { ffi::martlet_context_set_profiling(self.raw(), is_enabled) })
    }

    /// What the nodes of the last successful run did, in the order of running; none before the
    /// first.
    pub fn nodes(&self) -> Result<Vec<NodeInfo>> {
        let mut count = 0;
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_context_node_count(self.raw(), &mut count) })?;
        (0..count)
            .map(|index| {
                let mut row = ptr::null();
                // SAFETY: a place for the result, which lasts until the next run.
                let row: &ffi::martlet_node_info = unsafe {
                    check(ffi::martlet_context_node(self.raw(), index, &mut row))?;
                    &*row
                };
                // SAFETY: NULL or strings that last as long as the row.
                let text = |text| unsafe { optional_text(text) };
                Ok(NodeInfo {
                    node: text(row.node).unwrap_or_default(),
                    operator_name: text(row.operator_name).unwrap_or_default(),
                    precision: text(row.precision),
                    kernel: text(row.kernel),
                    backend: text(row.backend),
                    reason: text(row.reason),
                    nanoseconds: row.nanoseconds,
                })
            })
            .collect()
    }

    /// What each node with matrix products of the last successful run ran as, and why, for people.
    /// Fails with [`Status::InvalidState`] before the first.
    pub fn precision_report(&self) -> Result<String> {
        self.text(ffi::martlet_context_precision_report)
    }

    /// Mean times by operator, then by node, for people. Fails with [`Status::InvalidState`] unless
    /// a run has succeeded with profiling on.
    pub fn profile(&self) -> Result<String> {
        self.text(ffi::martlet_context_profile)
    }

    fn text(
        &self,
        text_of: unsafe extern "C" fn(
            *const ffi::martlet_context,
            *mut *const c_char,
        ) -> ffi::martlet_status,
    ) -> Result<String> {
        let mut text = ptr::null();
        // SAFETY: a place for the result, which lasts until the next run.
        unsafe {
            check(text_of(self.raw(), &mut text))?;
            Ok(optional_text(text).unwrap_or_default())
        }
    }

    /// Memory of its results and scratch.
    pub fn memory(&self) -> Result<ContextMemory> {
        let mut memory = ContextMemory::default();
        // SAFETY: places for the results.
        check(unsafe {
            ffi::martlet_context_memory(
                self.raw(),
                &mut memory.live_bytes,
                &mut memory.kept_bytes,
                &mut memory.peak_bytes,
            )
        })?;
        Ok(memory)
    }

    /// Gives the memory that is kept for the next run back to the system.
    pub fn trim(&mut self) -> Result<()> {
        // SAFETY: a valid handle.
        check(unsafe { ffi::martlet_context_trim(self.raw()) })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: our reference, which nobody uses afterwards.
        unsafe { ffi::martlet_context_release(self.raw()) };
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Context")
            .field("model", &self.model)
            .finish()
    }
}
