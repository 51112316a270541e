//! What the crate uses of `martlet.h`, in its order. Its contracts are documented there.
#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// A type that is known to the library alone.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        pub struct $name {
            nothing: [u8; 0],
            marker: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )*};
}
opaque!(
    martlet_pool,
    martlet_tensor,
    martlet_attributes,
    martlet_model,
    martlet_context,
    martlet_value
);

pub type martlet_status = i32;
pub type martlet_progress = unsafe extern "C" fn(*mut c_void, f64, *const c_char) -> bool;
pub type martlet_deleter = unsafe extern "C" fn(*mut c_void, *mut c_void);

pub const MARTLET_OK: martlet_status = 0;
pub const MARTLET_WRAP_READ_ONLY: u32 = 1;

#[repr(C)]
pub struct martlet_error {
    pub status: martlet_status,
    pub message: *const c_char,
    pub node: *const c_char,
    pub operator_name: *const c_char,
    pub input: *const c_char,
    pub expected: *const c_char,
    pub actual: *const c_char,
}

#[repr(C)]
pub struct martlet_pool_options {
    pub struct_size: usize,
    pub thread_count: i32,
    pub processors: *const i32,
    pub processor_count: usize,
    pub parallel_for: *const c_void,
    pub parallel_for_user: *mut c_void,
}

#[repr(C)]
pub struct martlet_conv_options {
    pub struct_size: usize,
    pub strides: *const i64,
    pub dilations: *const i64,
    pub pads: *const i64,
    pub groups: i64,
}

#[repr(C)]
pub struct martlet_model_options {
    pub struct_size: usize,
    pub math_mode: *const c_char,
    pub progress: Option<martlet_progress>,
    pub progress_user: *mut c_void,
    pub keys: *const *const c_char,
    pub values: *const *const c_char,
    pub option_count: usize,
    pub pool: *mut martlet_pool,
}

#[repr(C)]
pub struct martlet_value_info {
    pub name: *const c_char,
    pub dtype: i32,
    pub rank: i32,
    pub shape: *const i64,
    pub symbols: *const *const c_char,
    pub kind: i32,
    pub text: *const c_char,
}

#[repr(C)]
#[derive(Default)]
pub struct martlet_memory {
    pub struct_size: usize,
    pub constants_bytes: i64,
    pub mapped_bytes: i64,
    pub prepared_bytes: i64,
    pub arena_bytes: i64,
    pub peak_bytes: i64,
}

#[repr(C)]
pub struct martlet_node_info {
    pub node: *const c_char,
    pub operator_name: *const c_char,
    pub precision: *const c_char,
    pub kernel: *const c_char,
    pub backend: *const c_char,
    pub reason: *const c_char,
    pub nanoseconds: i64,
}

extern "C" {
    pub fn martlet_version() -> i32;
    pub fn martlet_version_string() -> *const c_char;

    pub fn martlet_last_error() -> *const martlet_error;

    pub fn martlet_cpu_name() -> *const c_char;
    pub fn martlet_cpu_features() -> *const c_char;
    pub fn martlet_cpu_isa() -> *const c_char;
    pub fn martlet_set_isa(name: *const c_char) -> martlet_status;

    pub fn martlet_set_num_threads(count: i32) -> martlet_status;
    pub fn martlet_get_num_threads() -> i32;
    pub fn martlet_set_spin_microseconds(microseconds: i32) -> martlet_status;
    pub fn martlet_get_spin_microseconds() -> i32;
    pub fn martlet_pool_create(
        options: *const martlet_pool_options,
        pool: *mut *mut martlet_pool,
    ) -> martlet_status;
    pub fn martlet_pool_retain(pool: *mut martlet_pool) -> martlet_status;
    pub fn martlet_pool_release(pool: *mut martlet_pool) -> martlet_status;
    pub fn martlet_pool_thread_count(pool: *const martlet_pool, count: *mut i32) -> martlet_status;

    pub fn martlet_set_float32_fast_math_mode(name: *const c_char) -> martlet_status;
    pub fn martlet_math_mode_effective() -> i32;
    pub fn martlet_math_mode_push(mode: i32) -> martlet_status;
    pub fn martlet_math_mode_pop() -> martlet_status;

    pub fn martlet_memory_in_use() -> i64;

    pub fn martlet_dtype_bits(dtype: i32) -> i32;

    pub fn martlet_tensor_create_zeroed(
        dtype: i32,
        rank: i32,
        shape: *const i64,
        tensor: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_tensor_from_data(
        data: *const c_void,
        data_bytes: usize,
        dtype: i32,
        rank: i32,
        shape: *const i64,
        tensor: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_tensor_wrap_strided(
        buffer: *mut c_void,
        buffer_bytes: usize,
        byte_offset: usize,
        dtype: i32,
        rank: i32,
        shape: *const i64,
        strides: *const i64,
        flags: u32,
        deleter: Option<martlet_deleter>,
        deleter_context: *mut c_void,
        tensor: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_tensor_retain(tensor: *mut martlet_tensor) -> martlet_status;
    pub fn martlet_tensor_release(tensor: *mut martlet_tensor) -> martlet_status;
    pub fn martlet_tensor_dtype(tensor: *const martlet_tensor, dtype: *mut i32) -> martlet_status;
    pub fn martlet_tensor_shape(
        tensor: *const martlet_tensor,
        rank: *mut i32,
        shape: *mut *const i64,
    ) -> martlet_status;
    pub fn martlet_tensor_strides(
        tensor: *const martlet_tensor,
        strides: *mut *const i64,
    ) -> martlet_status;
    pub fn martlet_tensor_element_count(
        tensor: *const martlet_tensor,
        count: *mut i64,
    ) -> martlet_status;
    pub fn martlet_tensor_byte_count(
        tensor: *const martlet_tensor,
        bytes: *mut usize,
    ) -> martlet_status;
    pub fn martlet_tensor_is_contiguous(
        tensor: *const martlet_tensor,
        is_contiguous: *mut bool,
    ) -> martlet_status;
    pub fn martlet_tensor_data(
        tensor: *const martlet_tensor,
        data: *mut *const c_void,
    ) -> martlet_status;
    pub fn martlet_tensor_read(
        tensor: *const martlet_tensor,
        buffer: *mut c_void,
        buffer_bytes: usize,
    ) -> martlet_status;
    pub fn martlet_tensor_copy(
        tensor: *const martlet_tensor,
        copy: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_tensor_convert(
        tensor: *const martlet_tensor,
        dtype: i32,
        converted: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_tensor_from_strings(
        strings: *const *const c_char,
        sizes: *const usize,
        rank: i32,
        shape: *const i64,
        tensor: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_tensor_string(
        tensor: *const martlet_tensor,
        index: i64,
        string: *mut *const c_char,
        size: *mut usize,
    ) -> martlet_status;

    pub fn martlet_matmul(
        lhs: *const martlet_tensor,
        rhs: *const martlet_tensor,
        mode: i32,
        result: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_linear(
        input: *const martlet_tensor,
        weight: *const martlet_tensor,
        bias: *const martlet_tensor,
        mode: i32,
        result: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_conv(
        input: *const martlet_tensor,
        weight: *const martlet_tensor,
        bias: *const martlet_tensor,
        options: *const martlet_conv_options,
        mode: i32,
        result: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_softmax(
        input: *const martlet_tensor,
        axis: i64,
        result: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_layer_norm(
        input: *const martlet_tensor,
        scale: *const martlet_tensor,
        bias: *const martlet_tensor,
        axis: i64,
        epsilon: f32,
        result: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_gelu(
        input: *const martlet_tensor,
        use_tanh: bool,
        result: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_attention(
        query: *const martlet_tensor,
        key: *const martlet_tensor,
        value: *const martlet_tensor,
        mask: *const martlet_tensor,
        scale: f32,
        is_causal: bool,
        mode: i32,
        result: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_pack(
        weight: *const martlet_tensor,
        packed: *mut *mut martlet_tensor,
    ) -> martlet_status;

    pub fn martlet_attributes_create(attributes: *mut *mut martlet_attributes) -> martlet_status;
    pub fn martlet_attributes_release(attributes: *mut martlet_attributes) -> martlet_status;
    pub fn martlet_attributes_set_int(
        attributes: *mut martlet_attributes,
        name: *const c_char,
        value: i64,
    ) -> martlet_status;
    pub fn martlet_attributes_set_float(
        attributes: *mut martlet_attributes,
        name: *const c_char,
        value: f32,
    ) -> martlet_status;
    pub fn martlet_attributes_set_string(
        attributes: *mut martlet_attributes,
        name: *const c_char,
        value: *const c_char,
    ) -> martlet_status;
    pub fn martlet_attributes_set_ints(
        attributes: *mut martlet_attributes,
        name: *const c_char,
        values: *const i64,
        count: usize,
    ) -> martlet_status;
    pub fn martlet_attributes_set_floats(
        attributes: *mut martlet_attributes,
        name: *const c_char,
        values: *const f32,
        count: usize,
    ) -> martlet_status;
    pub fn martlet_attributes_set_strings(
        attributes: *mut martlet_attributes,
        name: *const c_char,
        values: *const *const c_char,
        count: usize,
    ) -> martlet_status;
    pub fn martlet_attributes_set_tensor(
        attributes: *mut martlet_attributes,
        name: *const c_char,
        value: *const martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_op_name_at(index: usize) -> *const c_char;
    pub fn martlet_op_run(
        name: *const c_char,
        attributes: *const martlet_attributes,
        mode: i32,
        inputs: *const *mut martlet_tensor,
        input_count: usize,
        outputs: *mut *mut martlet_tensor,
        output_count: usize,
    ) -> martlet_status;

    pub fn martlet_model_load(
        path: *const c_char,
        options: *const martlet_model_options,
        model: *mut *mut martlet_model,
    ) -> martlet_status;
    pub fn martlet_model_load_memory(
        data: *const c_void,
        data_bytes: usize,
        options: *const martlet_model_options,
        model: *mut *mut martlet_model,
    ) -> martlet_status;
    pub fn martlet_model_retain(model: *mut martlet_model) -> martlet_status;
    pub fn martlet_model_release(model: *mut martlet_model) -> martlet_status;
    pub fn martlet_model_input_count(
        model: *const martlet_model,
        count: *mut usize,
    ) -> martlet_status;
    pub fn martlet_model_output_count(
        model: *const martlet_model,
        count: *mut usize,
    ) -> martlet_status;
    pub fn martlet_model_input(
        model: *const martlet_model,
        index: usize,
        info: *mut *const martlet_value_info,
    ) -> martlet_status;
    pub fn martlet_model_output(
        model: *const martlet_model,
        index: usize,
        info: *mut *const martlet_value_info,
    ) -> martlet_status;
    pub fn martlet_model_replaceable_count(
        model: *const martlet_model,
        count: *mut usize,
    ) -> martlet_status;
    pub fn martlet_model_replaceable(
        model: *const martlet_model,
        index: usize,
        info: *mut *const martlet_value_info,
    ) -> martlet_status;
    pub fn martlet_model_metadata_count(
        model: *const martlet_model,
        count: *mut usize,
    ) -> martlet_status;
    pub fn martlet_model_metadata(
        model: *const martlet_model,
        index: usize,
        key: *mut *const c_char,
        value: *mut *const c_char,
    ) -> martlet_status;
    pub fn martlet_model_memory(
        model: *const martlet_model,
        memory: *mut martlet_memory,
    ) -> martlet_status;
    pub fn martlet_model_result_bytes(
        model: *const martlet_model,
        shapes: *const *const i64,
        ranks: *const i32,
        input_count: usize,
        bytes: *mut i64,
    ) -> martlet_status;
    pub fn martlet_model_run(
        model: *mut martlet_model,
        inputs: *const *mut martlet_tensor,
        input_count: usize,
        outputs: *mut *mut martlet_tensor,
        output_count: usize,
    ) -> martlet_status;

    pub fn martlet_context_create(
        model: *mut martlet_model,
        context: *mut *mut martlet_context,
    ) -> martlet_status;
    pub fn martlet_context_release(context: *mut martlet_context) -> martlet_status;
    pub fn martlet_context_run(
        context: *mut martlet_context,
        inputs: *const *mut martlet_tensor,
        input_count: usize,
        outputs: *mut *mut martlet_tensor,
        output_count: usize,
    ) -> martlet_status;
    pub fn martlet_context_run_named(
        context: *mut martlet_context,
        input_names: *const *const c_char,
        inputs: *const *mut martlet_tensor,
        input_count: usize,
        output_names: *const *const c_char,
        outputs: *mut *mut martlet_tensor,
        output_count: usize,
    ) -> martlet_status;
    pub fn martlet_context_set_progress(
        context: *mut martlet_context,
        progress: Option<martlet_progress>,
        user: *mut c_void,
    ) -> martlet_status;
    pub fn martlet_context_set_option(
        context: *mut martlet_context,
        name: *const c_char,
        value: *const c_char,
    ) -> martlet_status;
    pub fn martlet_context_set_pool(
        context: *mut martlet_context,
        pool: *mut martlet_pool,
    ) -> martlet_status;
    pub fn martlet_context_set_profiling(
        context: *mut martlet_context,
        enabled: bool,
    ) -> martlet_status;
    pub fn martlet_context_node_count(
        context: *const martlet_context,
        count: *mut usize,
    ) -> martlet_status;
    pub fn martlet_context_node(
        context: *const martlet_context,
        index: usize,
        info: *mut *const martlet_node_info,
    ) -> martlet_status;
    pub fn martlet_context_precision_report(
        context: *const martlet_context,
        text: *mut *const c_char,
    ) -> martlet_status;
    pub fn martlet_context_profile(
        context: *const martlet_context,
        text: *mut *const c_char,
    ) -> martlet_status;
    pub fn martlet_context_memory(
        context: *const martlet_context,
        live_bytes: *mut i64,
        kept_bytes: *mut i64,
        peak_bytes: *mut i64,
    ) -> martlet_status;
    pub fn martlet_context_trim(context: *mut martlet_context) -> martlet_status;
    pub fn martlet_model_trim(model: *mut martlet_model) -> martlet_status;
    pub fn martlet_trim() -> martlet_status;

    pub fn martlet_value_from_tensor(
        tensor: *const martlet_tensor,
        value: *mut *mut martlet_value,
    ) -> martlet_status;
    pub fn martlet_value_create_sequence(
        elements: *const *mut martlet_value,
        count: usize,
        dtype: i32,
        value: *mut *mut martlet_value,
    ) -> martlet_status;
    pub fn martlet_value_create_optional(
        element: *const martlet_value,
        value: *mut *mut martlet_value,
    ) -> martlet_status;
    pub fn martlet_value_create_map(
        keys: *const martlet_tensor,
        values: *const *mut martlet_value,
        count: usize,
        value: *mut *mut martlet_value,
    ) -> martlet_status;
    pub fn martlet_value_create_state(
        initial: *const martlet_tensor,
        axis: i32,
        capacity: i64,
        value: *mut *mut martlet_value,
    ) -> martlet_status;
    pub fn martlet_value_retain(value: *mut martlet_value) -> martlet_status;
    pub fn martlet_value_release(value: *mut martlet_value) -> martlet_status;
    pub fn martlet_value_kind_of(value: *const martlet_value, kind: *mut i32) -> martlet_status;
    pub fn martlet_value_count(value: *const martlet_value, count: *mut usize) -> martlet_status;
    pub fn martlet_value_element(
        value: *const martlet_value,
        index: usize,
        element: *mut *mut martlet_value,
    ) -> martlet_status;
    pub fn martlet_value_keys(
        value: *const martlet_value,
        keys: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_value_tensor(
        value: *const martlet_value,
        tensor: *mut *mut martlet_tensor,
    ) -> martlet_status;
    pub fn martlet_context_run_values(
        context: *mut martlet_context,
        inputs: *const *mut martlet_value,
        input_count: usize,
        outputs: *mut *mut martlet_value,
        output_count: usize,
    ) -> martlet_status;
}
