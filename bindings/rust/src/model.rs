//! Models, and their runs.
use crate::context::Context;
use crate::dtype::DType;
use crate::error::{c_text, check, optional_text, Error, Result, Status};
use crate::ffi;
use crate::functions::adopt_all;
use crate::process::Pool;
use crate::tensor::{rank_of, NamedTensors, Tensor};
use crate::value::ValueKind;
use std::any::Any;
use std::ffi::{c_char, c_void, CStr, CString};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::{fmt, slice};

type ProgressFunction<'p> = Box<dyn FnMut(f64, &str) -> bool + Send + 'p>;

/// A progress function on its way through C: what it is, and what it panicked with.
pub(crate) struct Progress<'p> {
    function: ProgressFunction<'p>,
    panic: Option<Box<dyn Any + Send>>,
}

impl<'p> Progress<'p> {
    pub(crate) fn new(function: impl FnMut(f64, &str) -> bool + Send + 'p) -> Progress<'p> {
        Progress {
            function: Box::new(function),
            panic: None,
        }
    }

    /// What C calls, with a pointer to a Progress.
    pub(crate) unsafe extern "C" fn tell(
        user: *mut c_void,
        fraction: f64,
        stage: *const c_char,
    ) -> bool {
        // SAFETY: what was given with this function, which nobody else uses during the call.
        let progress = unsafe { &mut *user.cast::<Progress<'_>>() };
        // SAFETY: a string that lasts for this call.
        let stage = unsafe { CStr::from_ptr(stage) }.to_string_lossy();
        let function = &mut progress.function;
        match catch_unwind(AssertUnwindSafe(|| function(fraction, &stage))) {
            Ok(goes_on) => goes_on,
            Err(panic) => {
                progress.panic = Some(panic);
                false
            }
        }
    }

    /// After the call: goes on with a panic that could not pass C.
    pub(crate) fn resume(&mut self) {
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
    }
}

/// How to load a model: options, then [`LoadOptions::load`] or [`LoadOptions::load_bytes`].
///
/// ```
/// # fn main() -> martlet::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Examples/models/digits.onnx");
/// let model = martlet::LoadOptions::new()
///     .math_mode("BF16")
///     .option("winograd", "0")
///     .progress(|fraction, stage| {
///         println!("{stage}: {:.0}%", fraction * 100.0);
///         true // go on
///     })
///     .load(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct LoadOptions<'p> {
    math_mode: Option<String>,
    settings: Vec<(String, String)>,
    pool: Option<Pool>,
    progress: Option<Progress<'p>>,
}

impl<'p> LoadOptions<'p> {
    /// The defaults.
    pub fn new() -> LoadOptions<'p> {
        LoadOptions::default()
    }

    /// The model's own fast-math mode, in place of that of the thread that runs it.
    pub fn math_mode(mut self, name: &str) -> Self {
        self.math_mode = Some(name.to_owned());
        self
    }

    /// A further option by name; section 12 of martlet.h lists them. (`borrow_memory` is
    /// [`Model::from_static`]'s, and refused here.)
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whose threads run it; by default the process's.
    pub fn pool(mut self, pool: &Pool) -> Self {
        self.pool = Some(pool.clone());
        self
    }

    /// Who is told how far the loading has come: a fraction from 0 to 1, and a word for what is
    /// done. It returns false to cancel ([`Status::Cancelled`]); when it panics, the load does.
    pub fn progress(mut self, function: impl FnMut(f64, &str) -> bool + Send + 'p) -> Self {
        self.progress = Some(Progress::new(function));
        self
    }

    /// Loads an ONNX file; see [`Model::load`].
    pub fn load(self, path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        let text = path.to_str().ok_or_else(|| {
            Error::new(
                Status::InvalidArgument,
                format!("load: the path {path:?} is not UTF-8"),
            )
        })?;
        let text = c_text(text, "load: path")?;
        self.perform(false, |options, made| {
            // SAFETY: a string that ends in NUL, and what perform() gives.
            unsafe { ffi::martlet_model_load(text.as_ptr(), options, made) }
        })
    }

    /// Loads an ONNX model from the bytes of its file, which are copied; external data is not
    /// available to it ([`Status::Unsupported`]).
    pub fn load_bytes(self, bytes: &[u8]) -> Result<Model> {
        self.perform(false, |options, made| {
            // SAFETY: that many bytes, and what perform() gives.
            unsafe {
                ffi::martlet_model_load_memory(bytes.as_ptr().cast(), bytes.len(), options, made)
            }
        })
    }

    fn perform(
        mut self,
        borrows: bool,
        load: impl FnOnce(
            *const ffi::martlet_model_options,
            *mut *mut ffi::martlet_model,
        ) -> ffi::martlet_status,
    ) -> Result<Model> {
        if self
            .settings
            .iter()
            .any(|(name, _)| name == "borrow_memory")
        {
            return Err(Error::new(
                Status::InvalidArgument,
                "option 'borrow_memory' is not for callers: Model::from_static() borrows"
                    .to_owned(),
            ));
        }
        if borrows {
            self.settings
                .push(("borrow_memory".to_owned(), "1".to_owned()));
        }
        let mode = self
            .math_mode
            .as_deref()
            .map(|mode| c_text(mode, "math_mode"))
            .transpose()?;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (name, value) in &self.settings {
            keys.push(c_text(name, "an option's name")?);
            values.push(c_text(value, "an option's value")?);
        }
        let pointers =
            |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        let (key_pointers, value_pointers) = (pointers(&keys), pointers(&values));
        let tell: ffi::martlet_progress = Progress::tell;
        let options = ffi::martlet_model_options {
            struct_size: std::mem::size_of::<ffi::martlet_model_options>(),
            math_mode: mode.as_ref().map_or(ptr::null(), |mode| mode.as_ptr()),
            progress: self.progress.is_some().then_some(tell),
            progress_user: match &mut self.progress {
                Some(progress) => (progress as *mut Progress<'_>).cast(),
                None => ptr::null_mut(),
            },
            keys: key_pointers.as_ptr(),
            values: value_pointers.as_ptr(),
            option_count: key_pointers.len(),
            pool: self.pool.as_ref().map_or(ptr::null_mut(), Pool::raw),
        };
        let mut made = ptr::null_mut();
        let loaded = check(load(&options, &mut made)).and_then(|()| Model::adopt(made));
        if let Some(progress) = &mut self.progress {
            progress.resume();
        }
        loaded
    }
}

impl fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoadOptions")
            .field("math_mode", &self.math_mode)
            .field("options", &self.settings)
            .field("pool", &self.pool)
            .field("progress", &self.progress.is_some())
            .finish()
    }
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// The dtype; [`DType::Unknown`] when the model does not say.
    pub dtype: DType,
    /// The extents, None for each that is known at run time only; None when the model does not say.
    pub shape: Option<Vec<Option<i64>>>,
    /// For each extent the name that it goes by ("batch"), or "".
    pub symbols: Vec<String>,
    /// Whether it is a tensor, a sequence, ....
    pub kind: ValueKind,
    /// All that the model says: "float32[n, 3]", "sequence(string)".
    pub text: String,
}

/// Bytes that a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModelMemory {
    /// Of the constants that its nodes name.
    pub constants_bytes: i64,
    /// Of those of them in the mapped file: memory only while they are read.
    pub mapped_bytes: i64,
    /// Of what was made of constants, shared by all contexts.
    pub prepared_bytes: i64,
    /// Of the block for results and scratch of the context that ran last.
    pub arena_bytes: i64,
    /// The most that its run had in use, outputs included.
    pub peak_bytes: i64,
}

/// A loaded model: immutable, used by any number of threads at once. A clone is the same model.
///
/// ```
/// use martlet::{Model, Tensor};
///
/// # fn main() -> martlet::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Examples/models/digits.onnx");
/// let model = Model::load(path)?;
/// let image = [0.0f32; 64];
/// let image = Tensor::borrow(&image, &[1, 1, 8, 8])?;
/// let outputs = model.run_named(&[("image", &image)], &["probabilities"])?;
/// let scores = outputs.get("probabilities")?.to_vec::<f32>()?;
/// assert_eq!(scores.len(), 10);
/// # Ok(())
/// # }
/// ```
pub struct Model {
    object: NonNull<ffi::martlet_model>,
}

// SAFETY: the library's calls may be made from any thread, and a model is immutable.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

type CountOf = unsafe extern "C" fn(*const ffi::martlet_model, *mut usize) -> ffi::martlet_status;
type InfoAt = unsafe extern "C" fn(
    *const ffi::martlet_model,
    usize,
    *mut *const ffi::martlet_value_info,
) -> ffi::martlet_status;

impl Model {
    fn adopt(object: *mut ffi::martlet_model) -> Result<Model> {
        match NonNull::new(object) {
            Some(object) => Ok(Model { object }),
            None => Err(Error::new(
                Status::InternalError,
                "the library gave no model".to_owned(),
            )),
        }
    }

    pub(crate) fn raw(&self) -> *mut ffi::martlet_model {
        self.object.as_ptr()
    }

    /// Loads an ONNX file; external data is looked for beside it. Weights stay in the mapped file,
    /// which nobody may change in place while the model is in use, as with every map of a file;
    /// replacing it by renaming another over it is fine.
    ///
    /// Fails with [`Status::NotFound`] when there is no such file or for an unknown option or mode;
    /// [`Status::Io`] when it cannot be read; [`Status::InvalidModel`] when it is malformed;
    /// [`Status::Unsupported`] when it uses what the library lacks; [`Status::InvalidArgument`] for
    /// a bad option.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        LoadOptions::new().load(path)
    }

    /// Loads an ONNX model from the bytes of its file, which are copied.
    pub fn from_bytes(bytes: &[u8]) -> Result<Model> {
        LoadOptions::new().load_bytes(bytes)
    }

    /// As [`Model::from_bytes`], without a copy: for `include_bytes!`.
    pub fn from_static(bytes: &'static [u8]) -> Result<Model> {
        LoadOptions::new().perform(true, |options, made| {
            // SAFETY: that many bytes, which stay for ever, and what perform() gives.
            unsafe {
                ffi::martlet_model_load_memory(bytes.as_ptr().cast(), bytes.len(), options, made)
            }
        })
    }

    /// What a run takes, in order.
    pub fn inputs(&self) -> Result<Vec<ValueInfo>> {
        self.infos(ffi::martlet_model_input_count, ffi::martlet_model_input)
    }

    /// What a run gives, in order.
    pub fn outputs(&self) -> Result<Vec<ValueInfo>> {
        self.infos(ffi::martlet_model_output_count, ffi::martlet_model_output)
    }

    /// Initialisers that are inputs too: runs by name may be given other values for them.
    pub fn replaceable(&self) -> Result<Vec<ValueInfo>> {
        self.infos(
            ffi::martlet_model_replaceable_count,
            ffi::martlet_model_replaceable,
        )
    }

    fn infos(&self, count_of: CountOf, info_at: InfoAt) -> Result<Vec<ValueInfo>> {
        let mut count = 0;
        // SAFETY: a place for the result.
        check(unsafe { count_of(self.raw(), &mut count) })?;
        (0..count)
            .map(|index| {
                let mut info = ptr::null();
                // SAFETY: a place for the result, which lasts as long as the model.
                unsafe {
                    check(info_at(self.raw(), index, &mut info))?;
                    Ok(value_info(&*info))
                }
            })
            .collect()
    }

    /// What the file says of itself ("producer", "graph", "opset", ...), and its own entries.
    pub fn metadata(&self) -> Result<Vec<(String, String)>> {
        let mut count = 0;
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_model_metadata_count(self.raw(), &mut count) })?;
        (0..count)
            .map(|index| {
                let (mut key, mut value) = (ptr::null(), ptr::null());
                // SAFETY: places for the results, which last as long as the model.
                unsafe {
                    check(ffi::martlet_model_metadata(
                        self.raw(),
                        index,
                        &mut key,
                        &mut value,
                    ))?;
                    let text = |text| optional_text(text).unwrap_or_default();
                    Ok((text(key), text(value)))
                }
            })
            .collect()
    }

    /// Bytes that the model takes now.
    pub fn memory(&self) -> Result<ModelMemory> {
        let mut memory = ffi::martlet_memory {
            struct_size: std::mem::size_of::<ffi::martlet_memory>(),
            ..Default::default()
        };
        // SAFETY: a place for the result, of the size that it says.
        check(unsafe { ffi::martlet_model_memory(self.raw(), &mut memory) })?;
        Ok(ModelMemory {
            constants_bytes: memory.constants_bytes,
            mapped_bytes: memory.mapped_bytes,
            prepared_bytes: memory.prepared_bytes,
            arena_bytes: memory.arena_bytes,
            peak_bytes: memory.peak_bytes,
        })
    }

    /// Bytes that the results of a run take at once, for inputs of given shapes, in order; None
    /// where that depends on the inputs' elements.
    ///
    /// Fails with [`Status::InvalidArgument`] for a wrong number of shapes, and with
    /// [`Status::InvalidShape`] for one that does not fit.
    pub fn result_bytes(&self, shapes: &[&[i64]]) -> Result<Option<i64>> {
        let extents: Vec<_> = shapes.iter().map(|shape| shape.as_ptr()).collect();
        let ranks: Vec<_> = shapes.iter().map(|shape| rank_of(shape)).collect();
        let mut bytes = -1;
        // SAFETY: as many shapes and ranks as it says, and a place for the result.
        check(unsafe {
            ffi::martlet_model_result_bytes(
                self.raw(),
                extents.as_ptr(),
                ranks.as_ptr(),
                shapes.len(),
                &mut bytes,
            )
        })?;
        Ok((bytes >= 0).then_some(bytes))
    }

    /// Gives memory that is kept for the next runs back to the system.
    pub fn trim(&self) -> Result<()> {
        // SAFETY: a valid handle.
        check(unsafe { ffi::martlet_model_trim(self.raw()) })
    }

    /// Runs the model once: all inputs and all outputs, in its order. Results own their memory.
    ///
    /// Fails with [`Status::InvalidArgument`] for a wrong number of inputs, with
    /// [`Status::InvalidShape`] or [`Status::InvalidDType`], with the names, for one that does not
    /// fit, and with [`Status::LimitExceeded`].
    pub fn run(&self, inputs: &[&Tensor<'_>]) -> Result<Vec<Tensor<'static>>> {
        self.run_first(inputs, self.output_count()?)
    }

    fn run_first(&self, inputs: &[&Tensor<'_>], count: usize) -> Result<Vec<Tensor<'static>>> {
        let inputs: Vec<_> = inputs.iter().map(|input| input.raw()).collect();
        let mut slots = vec![ptr::null_mut(); count];
        // SAFETY: inputs and slots with their numbers; outputs have memory of their own.
        unsafe {
            check(ffi::martlet_model_run(
                self.raw(),
                inputs.as_ptr(),
                inputs.len(),
                slots.as_mut_ptr(),
                slots.len(),
            ))?;
            adopt_all(&slots)
        }
    }

    /// Runs the model once, by name: inputs in any order, and the outputs that are named, or all
    /// where none is. For many such runs a [`Context`] is faster.
    ///
    /// Fails, besides, with [`Status::NotFound`] for a name that the model does not have, and with
    /// [`Status::InvalidArgument`] for a missing or repeated one.
    pub fn run_named(
        &self,
        inputs: &[(&str, &Tensor<'_>)],
        outputs: &[&str],
    ) -> Result<NamedTensors> {
        // All inputs, and outputs as the model has them first: these need no context to be made, which
        // is slower. It is what knows other names, and says what is wrong with them.
        let ins = self.names(ffi::martlet_model_input_count, ffi::martlet_model_input)?;
        let outs = self.names(ffi::martlet_model_output_count, ffi::martlet_model_output)?;
        let names = if outputs.is_empty() {
            &outs[..]
        } else {
            outputs
        };
        let ordered: Option<Vec<&Tensor<'_>>> = ins
            .iter()
            .map(|own| {
                inputs
                    .iter()
                    .find(|(name, _)| name == own)
                    .map(|(_, tensor)| *tensor)
            })
            .collect();
        let ordered = match ordered {
            Some(ordered)
                if ins.len() == inputs.len()
                    && !names.is_empty()
                    && !ins.is_empty()
                    && outs.starts_with(names) =>
            {
                ordered
            }
            _ => return Context::new(self)?.run_named(inputs, outputs),
        };
        let results = self.run_first(&ordered, names.len())?;
        let named = names
            .iter()
            .map(|name| (*name).to_owned())
            .zip(results)
            .collect();
        Ok(NamedTensors::new(named))
    }

    /// The names of inputs or outputs; none where there are many.
    fn names(&self, count_of: CountOf, info_at: InfoAt) -> Result<Vec<&str>> {
        let mut count = 0;
        // SAFETY: a place for the result.
        check(unsafe { count_of(self.raw(), &mut count) })?;
        (0..if count > 64 { 0 } else { count })
            .map(|index| {
                let mut info = ptr::null();
                // SAFETY: a place for the result, which lasts as long as the model.
                unsafe {
                    check(info_at(self.raw(), index, &mut info))?;
                    Ok(CStr::from_ptr((*info).name).to_str().unwrap_or(""))
                }
            })
            .collect()
    }

    pub(crate) fn output_count(&self) -> Result<usize> {
        let mut count = 0;
        // SAFETY: a place for the result.
        check(unsafe { ffi::martlet_model_output_count(self.raw(), &mut count) })?;
        Ok(count)
    }
}

/// A copy of what the library says of an input or output.
///
/// # Safety
/// As the library gives it.
unsafe fn value_info(info: &ffi::martlet_value_info) -> ValueInfo {
    let rank = usize::try_from(info.rank).ok();
    let (extents, symbols) = match rank {
        Some(rank) if rank > 0 => {
            // SAFETY: `rank` extents and names.
            unsafe {
                let extents = slice::from_raw_parts(info.shape, rank);
                (extents, slice::from_raw_parts(info.symbols, rank))
            }
        }
        _ => (&[][..], &[][..]),
    };
    // SAFETY: NULL or strings that last as long as the model.
    let text = |text| unsafe { optional_text(text) }.unwrap_or_default();
    ValueInfo {
        name: text(info.name),
        dtype: DType::of(info.dtype),
        shape: rank.map(|_| {
            extents
                .iter()
                .map(|extent| (*extent >= 0).then_some(*extent))
                .collect()
        }),
        symbols: symbols.iter().map(|symbol| text(*symbol)).collect(),
        kind: ValueKind::of(info.kind),
        text: text(info.text),
    }
}

impl Clone for Model {
    fn clone(&self) -> Model {
        // SAFETY: a valid handle, of which there is a reference more then.
        let status = unsafe { ffi::martlet_model_retain(self.raw()) };
        assert_eq!(status, ffi::MARTLET_OK, "a model can be retained");
        Model {
            object: self.object,
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: our reference, which nobody uses afterwards.
        unsafe { ffi::martlet_model_release(self.raw()) };
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = |infos: Result<Vec<ValueInfo>>| -> Vec<String> {
            let infos = infos.unwrap_or_default();
            infos
                .iter()
                .map(|info| format!("{}: {}", info.name, info.text))
                .collect()
        };
        formatter
            .debug_struct("Model")
            .field("inputs", &texts(self.inputs()))
            .field("outputs", &texts(self.outputs()))
            .finish()
    }
}
