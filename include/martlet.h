/*
 * martlet.h: run neural networks on CPUs, in float32 or as fast as the chip's bf16 units allow.
 *
 * INTRODUCTION
 *
 *   Load a model, allow BF16, run:
 *
 *     #include <martlet.h>
 *
 *     martlet_model *model = NULL;
 *     martlet_tensor *in = NULL, *out = NULL;
 *     const int64_t shape[] = {1, 3, 224, 224};
 *     martlet_set_float32_fast_math_mode("BF16");
 *     if (martlet_model_load("model.onnx", NULL, &model) ||
 *         martlet_tensor_wrap(pixels, sizeof pixels, MARTLET_FLOAT32, 4, shape, &in) ||
 *         martlet_model_run(model, &in, 1, &out, 1))
 *       fprintf(stderr, "%s\n", martlet_last_error()->message);
 *
 *   Sections, from simple to explicit:
 *     1 versions     2 errors        3 processor   4 threads    5 float32 fast-math modes
 *     6 memory       7 dtypes        8 tensors     9 DLPack    10 functions (matmul, conv, ...)
 *    11 attributes and any operator by name       12 models    13 run contexts    14 values
 *
 * RULES THAT HOLD FOR EVERY FUNCTION
 *
 *   Status. A function that can fail returns martlet_status; MARTLET_OK is 0. Details of the last
 *   failure of the calling thread are in martlet_last_error(). No input makes the library abort,
 *   trap or print, as long as pointers point to what this header says.
 *   Any function may also return MARTLET_OUT_OF_MEMORY and MARTLET_INTERNAL_ERROR, and any function
 *   that takes a handle MARTLET_INVALID_HANDLE: these are not repeated below.
 *
 *   Null. A pointer may be NULL only where its description says so; elsewhere NULL is
 *   MARTLET_INVALID_ARGUMENT, and for handles MARTLET_INVALID_HANDLE.
 *
 *   Results. An out-pointer is written on success; on failure it is set to NULL (or 0). It must not
 *   be NULL unless said otherwise.
 *
 *   Result slots. A tensor result goes through a "slot", a martlet_tensor ** that is read first:
 *     *slot == NULL   a new tensor is made, owned by the caller; on failure the slot stays NULL;
 *     *slot != NULL   the result is written into that tensor of the caller's, which must be
 *                     writable and have the result's dtype and shape (any strides but 0, and it
 *                     may overlap an input, but not another slot's tensor). On failure the slot is
 *                     unchanged and the contents of the tensor are unspecified.
 *   So initialise slots to NULL. A wrong shape is MARTLET_INVALID_SHAPE, a wrong dtype
 *   MARTLET_INVALID_DTYPE; a read-only tensor, a stride of 0 and tensors of two slots that share
 *   memory are MARTLET_INVALID_ARGUMENT.
 *
 *   Handles. martlet_pool, martlet_tensor, martlet_attributes, martlet_model, martlet_context and
 *   martlet_value are opaque and reference counted: a _create, _load, ... gives one reference,
 *   _retain adds one, _release drops one; releasing NULL does nothing. A handle of another kind, one
 *   already released, or a pointer that is no handle at all is MARTLET_INVALID_HANDLE (a released
 *   handle is recognised until its place is used again, which is put off as long as possible).
 *
 *   Strings are UTF-8 and NUL-terminated. Strings that come out of the library belong to it; the
 *   description says for how long they last. Strings that go in are copied; one that is not UTF-8 is
 *   MARTLET_INVALID_ARGUMENT, a path too. Names in a model's file hold no NUL: one that does is
 *   MARTLET_INVALID_MODEL.
 *
 *   Threads. Every function may be called from any thread at any time, except that one
 *   martlet_context, one martlet_attributes, or the elements of one tensor being written must not
 *   be used by two threads at once; releasing a handle while another thread makes a call with it is
 *   fine. A child of fork() may go on using the library, whatever other threads of its parent were
 *   doing in it: fork() waits for those that are just changing what all share, which takes them
 *   microseconds. Only a context that was running on another thread stays busy in the child
 *   (MARTLET_INVALID_STATE). vfork() and _Fork() run no handlers and do not count.
 *
 *   Floating point. The library computes in an environment of its own (round to nearest, denormals as
 *   they are, exceptions masked), on all threads, so bits do not depend on the caller's. The caller's is
 *   as before afterwards, its exception flags too; functions of the caller's that the library calls run
 *   in the library's.
 *
 *   Shapes and strides are arrays of int64_t, outermost axis first. Shapes count elements; strides
 *   count elements between neighbours along an axis and may be 0 or negative. Rank is at most 32;
 *   a model's file that speaks of more is MARTLET_INVALID_MODEL or MARTLET_INVALID_SHAPE.
 *
 *   Stack. A call takes at most 128 KiB of its thread's stack, and 1 MiB where a model's graphs lie
 *   within each other (If, Loop, Scan), which they do 64 deep at most.
 *
 *   No more memory. Where the system refuses memory a call returns MARTLET_OUT_OF_MEMORY, and what
 *   releases or trims still works. Where it grants memory that it does not have, nobody is told.
 *
 *   Growth. Symbols, status values and struct layouts never change; symbols, status values and
 *   struct fields (at the end) may be added. Structs that the caller fills begin with struct_size,
 *   the struct's sizeof, by which the library knows which fields the caller's header has: fields that
 *   it lacks are 0. A struct of a newer header than the library's is fine as long as the fields that
 *   the library does not know are 0, and MARTLET_UNSUPPORTED otherwise; a size that no header has is
 *   MARTLET_INVALID_ARGUMENT.
 */
#ifndef MARTLET_H
#define MARTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ======================================================================= 1  Versions */

#define MARTLET_VERSION_MAJOR 0
#define MARTLET_VERSION_MINOR 1
#define MARTLET_VERSION_PATCH 0
/** The header's version as one number: major * 10000 + minor * 100 + patch. */
#define MARTLET_VERSION \
  (MARTLET_VERSION_MAJOR * 10000 + MARTLET_VERSION_MINOR * 100 + MARTLET_VERSION_PATCH)

/** The library's version in the form of MARTLET_VERSION. Never fails. */
int32_t martlet_version(void);

/** The library's version as text, "0.1.0"; lasts as long as the process. Never fails. */
const char *martlet_version_string(void);

/* ========================================================================= 2  Errors */

typedef int32_t martlet_status;
enum {
  MARTLET_OK = 0,
  MARTLET_INVALID_ARGUMENT = 1, /* null, out of range, or contradicts another argument */
  MARTLET_INVALID_SHAPE = 2,    /* a shape, stride or size that does not fit, or overflows */
  MARTLET_INVALID_DTYPE = 3,    /* a data type that the operation does not take */
  MARTLET_NOT_FOUND = 4,        /* no such operator, input, output, option, mode, file */
  MARTLET_IO = 5,               /* a file could not be read or written */
  MARTLET_INVALID_MODEL = 6,    /* a malformed model: truncated, inconsistent or cyclic */
  MARTLET_UNSUPPORTED = 7,      /* valid, but not supported by this build */
  MARTLET_OUT_OF_MEMORY = 8,    /* memory could not be allocated */
  MARTLET_CANCELLED = 9,        /* the caller's progress callback asked to stop */
  MARTLET_INVALID_HANDLE = 10,  /* NULL, another kind of handle, or one already released */
  MARTLET_INVALID_STATE = 11,   /* not allowed now */
  MARTLET_INTERNAL_ERROR = 12,  /* a fault of Martlet itself; please report it */
  MARTLET_LIMIT_EXCEEDED = 13   /* a run met a limit that it was given */
};

/** What went wrong. Fields other than status and message are NULL where they do not apply. */
typedef struct martlet_error {
  martlet_status status;
  const char *message;       /* one sentence with everything below in it; never NULL */
  const char *node;          /* the node of the model that is to blame */
  const char *operator_name; /* its operator */
  const char *input;         /* the input, attribute or option */
  const char *expected;      /* what would have been right */
  const char *actual;        /* what was given */
} martlet_error;

/**
 * The last failure of the calling thread; status MARTLET_OK and message "" before the first.
 * Successful calls leave it alone. Never NULL. The struct and its strings last until the thread's
 * next failing call or its end. Never fails.
 */
const martlet_error *martlet_last_error(void);

/** A status's name, "INVALID_SHAPE"; "UNKNOWN" for other values. Lasts as long as the process. */
const char *martlet_status_name(martlet_status status);

/* ====================================================================== 3  Processor */

/** The processor's name as it calls itself; lasts as long as the process. Never fails. */
const char *martlet_cpu_name(void);

/** The features found that matter here, separated by spaces ("avx2 fma f16c"); lasts as long as
 * the process. Never fails. */
const char *martlet_cpu_features(void);

/** The instruction set in use: "generic", "avx2", "avx512", "avx512bf16", .... The first call of
 * anything that computes, and this one, settle it. Lasts as long as the process. Never fails. */
const char *martlet_cpu_isa(void);

/**
 * Caps the instruction set, as the environment variable MARTLET_ISA does (this call goes before
 * it). Capping above what the processor has is no error: the best one available is used.
 *
 * name: a name that martlet_isa_info_at() lists.
 * Returns MARTLET_NOT_FOUND for an unknown name, MARTLET_INVALID_STATE when the choice has been
 * settled already.
 */
martlet_status martlet_set_isa(const char *name);

/** One instruction set that this build knows. */
typedef struct martlet_isa_info {
  const char *name;
  bool is_available; /* the processor has it, its self-check passed and no cap forbids it */
  bool is_chosen;
  const char *reason; /* why it was chosen, or why not */
} martlet_isa_info;

/** The index-th instruction set from the most portable up, or NULL past the last; lasts as long
 * as the process. Settles the choice. Never fails. */
const martlet_isa_info *martlet_isa_info_at(size_t index);

/** One kernel family in use. */
typedef struct martlet_kernel_info {
  const char *name;    /* "gemm_f32_f32_f32_6x16", "vectors" */
  const char *isa;     /* the instruction set that it is written for */
  const char *purpose; /* "float32 matrix products", ... */
  const char *reason;  /* why this one */
} martlet_kernel_info;

/** The index-th kernel family in use, or NULL past the last; lasts as long as the process.
 * Settles the choice. Never fails. */
const martlet_kernel_info *martlet_kernel_info_at(size_t index);

/* ======================================================================== 4  Threads */

/**
 * Sets how many threads a computation uses at most, the caller's own included, from now on.
 * Results do not depend on it.
 *
 * count: 1...1024, or 0 for the default: MARTLET_NUM_THREADS of the environment does not count
 *   any more then; the processors that affinity, cpuset and cgroup quota leave to the process do.
 * Returns MARTLET_INVALID_ARGUMENT when out of range.
 */
martlet_status martlet_set_num_threads(int32_t count);

/** How many threads a computation uses at most. Never fails. */
int32_t martlet_get_num_threads(void);

/**
 * Sets how long idle workers spin for more work before they sleep.
 *
 * microseconds: 0 (sleep at once) to 1000000; the default is 100, or MARTLET_SPIN_US.
 * Returns MARTLET_INVALID_ARGUMENT when out of range.
 */
martlet_status martlet_set_spin_microseconds(int32_t microseconds);

/** The spin budget in microseconds. Never fails. */
int32_t martlet_get_spin_microseconds(void);

/** A piece of work that the library hands to martlet_parallel_for. Never fails. */
typedef void (*martlet_task)(void *context, int64_t index);

/**
 * A scheduler of the caller's: runs task(context, i) once for every i in 0...count-1, in any order
 * on any threads, and returns when all are done. It may be called from several threads at once.
 */
typedef void (*martlet_parallel_for)(void *user, int64_t count, martlet_task task, void *context);

/**
 * Hands all parallel work to the caller's scheduler instead of the library's own threads.
 * martlet_get_num_threads() > 1 still decides whether there is any.
 *
 * function: NULL goes back to the library's threads.  user: passed through; may be NULL. Both must
 *   stay valid until replaced and until computations that began before are done.
 * Returns MARTLET_OK.
 */
martlet_status martlet_set_parallel_for(martlet_parallel_for function, void *user);

/*
 * Pools of the caller's own. What is set above is that of the process, which everything uses that is
 * given no other: a model (martlet_model_options.pool) or a context (martlet_context_set_pool()).
 * Results are the same, to the bit, with every pool.
 *
 * A pool's threads start when there is first work for them and end soon after its last reference is
 * gone; a model, a context and a run under way hold one, so a pool may be released at any time. One
 * computation at a time has a pool's threads: one that finds them at work, or that runs inside another
 * (on a thread of any pool), is done by its own thread alone, so that nobody waits for anybody. A
 * forked child may use its parent's pools; their threads start anew.
 */
typedef struct martlet_pool martlet_pool;

/** What a pool is like. Set struct_size and leave the rest 0 for the defaults. */
typedef struct martlet_pool_options {
  size_t struct_size;        /* sizeof(martlet_pool_options) */
  int32_t thread_count;      /* 1...1024 threads, the caller's included; 0: one for each processor
                                 in `processors`, or as martlet_set_num_threads(0) */
  const int32_t *processors; /* where its threads may run: numbers as in /proc/cpuinfo; NULL: where
                                 the threads that call may. The threads that call stay where they
                                 are */
  size_t processor_count;    /* of `processors`, at most 65536 */
  martlet_parallel_for parallel_for; /* the caller's scheduler, to use instead of threads of the
                                 pool's own; NULL: none. Must stay valid as long as the pool */
  void *parallel_for_user;           /* passed to it; may be NULL */
} martlet_pool_options;

/**
 * Makes a pool, owned by the caller, into *pool.
 *
 * options: NULL for the defaults.
 * Returns MARTLET_INVALID_ARGUMENT for a bad struct_size, a number of threads out of range or a
 * processor that the calling thread may not use; MARTLET_UNSUPPORTED for options of a newer header
 * that are not 0.
 */
martlet_status martlet_pool_create(const martlet_pool_options *options, martlet_pool **pool);

/** Adds a reference. Returns MARTLET_OK. */
martlet_status martlet_pool_retain(martlet_pool *pool);

/** Drops a reference. NULL is fine. */
martlet_status martlet_pool_release(martlet_pool *pool);

/** How many threads a computation on the pool uses at most, the caller's own included, into *count. */
martlet_status martlet_pool_thread_count(const martlet_pool *pool, int32_t *count);

/* ======================================================= 5  float32 fast-math modes */

/*
 * A mode permits, it never demands: under BF16 the inputs of float32 matrix products (matmul,
 * linear, convolution, attention's two products) may be rounded to bfloat16 where the processor is
 * faster at that; sums and results stay float32, and nothing else changes. Setting a mode never
 * fails for want of hardware; martlet_context_precision_report() says what was done.
 *
 * Which mode is in force: the argument of the call or model, else the calling thread's innermost
 * scope, else the process's mode, else the environment's (MARTLET_FLOAT32_FAST_MATH_MODE,
 * ONEDNN_DEFAULT_FPMATH_MODE, DNNL_DEFAULT_FPMATH_MODE in this order), else FP32.
 */
typedef int32_t martlet_math_mode;
enum {
  MARTLET_MATH_DEFAULT = -1, /* as an argument: no argument; the scope or process decides */
  MARTLET_MATH_FP32 = 0,     /* also named STRICT, IEEE, HIGHEST */
  MARTLET_MATH_BF16 = 1,
  MARTLET_MATH_TF32 = 2, /* accepted; permits nothing on processors without such units */
  MARTLET_MATH_F16 = 3,  /* accepted; permits nothing on processors without such units */
  MARTLET_MATH_ANY = 4   /* whatever is fastest among the above */
};

/**
 * Sets the process's mode by name: the one line that makes a float32 model bf16-fast.
 *
 * name: FP32 (STRICT, IEEE, HIGHEST), BF16, TF32, F16 or ANY, in any case.
 * Returns MARTLET_NOT_FOUND, with the list of names, for another name.
 */
martlet_status martlet_set_float32_fast_math_mode(const char *name);

/** The name of the mode in force for the calling thread, "FP32" or "BF16"...; lasts as long as the
 * process. Never fails. */
const char *martlet_get_float32_fast_math_mode(void);

/** Sets the process's mode. Returns MARTLET_INVALID_ARGUMENT for a value that is no mode
 * (MARTLET_MATH_DEFAULT included). */
martlet_status martlet_math_mode_set(martlet_math_mode mode);

/** The process's mode, scopes not counted. Never fails. */
martlet_math_mode martlet_math_mode_get(void);

/** The mode in force for the calling thread. Never fails. */
martlet_math_mode martlet_math_mode_effective(void);

/**
 * Opens a scope on the calling thread: the mode holds for this thread until the matching
 * martlet_math_mode_pop(). Scopes nest, up to 64.
 * Returns MARTLET_INVALID_ARGUMENT for a value that is no mode, MARTLET_INVALID_STATE past 64.
 */
martlet_status martlet_math_mode_push(martlet_math_mode mode);

/** Closes the calling thread's innermost scope. Returns MARTLET_INVALID_STATE when there is none. */
martlet_status martlet_math_mode_pop(void);

/** The mode of a name, in any case, into *mode (MARTLET_MATH_DEFAULT on failure).
 * Returns MARTLET_NOT_FOUND, with the list of names, for another name. */
martlet_status martlet_math_mode_from_name(const char *name, martlet_math_mode *mode);

/** A mode's name, "BF16"; "DEFAULT" for MARTLET_MATH_DEFAULT and "UNKNOWN" for other values. Lasts
 * as long as the process. */
const char *martlet_math_mode_name(martlet_math_mode mode);

/* ========================================================================= 6  Memory */

/** Bytes of tensor memory (weights, packed weights, results, kept scratch) that the library has
 * allocated and not freed. Borrowed and mapped memory does not count. Never fails. */
int64_t martlet_memory_in_use(void);

/* ========================================================================= 7  Dtypes */

/** Element types; the values are those of ONNX TensorProto.DataType. */
typedef int32_t martlet_dtype;
enum {
  MARTLET_DTYPE_UNKNOWN = 0, /* only in descriptions of model inputs and outputs */
  MARTLET_FLOAT32 = 1,
  MARTLET_UINT8 = 2,
  MARTLET_INT8 = 3,
  MARTLET_UINT16 = 4,
  MARTLET_INT16 = 5,
  MARTLET_INT32 = 6,
  MARTLET_INT64 = 7,
  MARTLET_STRING = 8, /* UTF-8 of any length; see martlet_tensor_from_strings() */
  MARTLET_BOOL = 9,   /* one byte, 0 or 1 */
  MARTLET_FLOAT16 = 10,
  MARTLET_FLOAT64 = 11,
  MARTLET_UINT32 = 12,
  MARTLET_UINT64 = 13,
  MARTLET_BFLOAT16 = 16,
  /* Types that are stored, moved, quantised and converted, but not computed in. */
  MARTLET_FLOAT8E4M3FN = 17,
  MARTLET_FLOAT8E4M3FNUZ = 18,
  MARTLET_FLOAT8E5M2 = 19,
  MARTLET_FLOAT8E5M2FNUZ = 20,
  MARTLET_UINT4 = 21,
  MARTLET_INT4 = 22,
  MARTLET_FLOAT4E2M1 = 23,
  MARTLET_FLOAT8E8M0 = 24, /* a power of two, without a sign */
  MARTLET_UINT2 = 25,
  MARTLET_INT2 = 26,
  MARTLET_FLOAT6E2M3 = 27,
  MARTLET_FLOAT6E3M2 = 28
};

/** A dtype's name, "float32"; "unknown" for other values. Lasts as long as the process. */
const char *martlet_dtype_name(martlet_dtype dtype);

/**
 * Bytes of one element; 0 for values that are no dtype, for strings, and for types of less than a byte
 * (see martlet_dtype_bits). Never fails.
 */
size_t martlet_dtype_size(martlet_dtype dtype);

/**
 * Bits of one element; 0 for values that are no dtype, and for strings. Never fails.
 *
 * Elements of less than 8 bits are packed as ONNX packs them: in row-major order without gaps, the
 * first in the lowest bits of the first byte (two of 4 bits or four of 2 bits to a byte, four of 6 bits
 * to three bytes). A tensor of n elements takes (n * bits + 7) / 8 bytes, of which the bits behind the
 * last element mean nothing, and is contiguous always.
 */
int32_t martlet_dtype_bits(martlet_dtype dtype);

/* ======================================================================== 8  Tensors */

/** An n-dimensional array: elements, a dtype, a shape and strides. Shape and dtype never change. */
typedef struct martlet_tensor martlet_tensor;

/** Frees memory that a tensor borrowed; called exactly once, on whatever thread drops the last
 * reference. data is the pointer that was given with it. It must not call into the library. */
typedef void (*martlet_deleter)(void *context, void *data);

/**
 * Makes a contiguous tensor with unspecified elements.
 *
 * dtype: one of MARTLET_FLOAT32, ....  rank: 0...32.
 * shape: rank extents, each >= 0; may be NULL when rank is 0.
 * tensor: receives the tensor, owned by the caller.
 * Returns MARTLET_INVALID_DTYPE; MARTLET_INVALID_SHAPE for a rank out of range, a negative extent
 * or a size that overflows.
 */
martlet_status martlet_tensor_create(martlet_dtype dtype, int32_t rank, const int64_t *shape,
                                     martlet_tensor **tensor);

/** As martlet_tensor_create(), with all elements 0. */
martlet_status martlet_tensor_create_zeroed(martlet_dtype dtype, int32_t rank, const int64_t *shape,
                                            martlet_tensor **tensor);

/**
 * Makes a tensor with a copy of the caller's elements, which are row-major without gaps.
 *
 * data, data_bytes: the elements and their size in bytes, exactly that of the shape; data may be
 *   NULL when data_bytes is 0.
 * The rest, and the statuses, as martlet_tensor_create(); MARTLET_INVALID_SHAPE also when
 * data_bytes is not the size of the shape.
 */
martlet_status martlet_tensor_from_data(const void *data, size_t data_bytes, martlet_dtype dtype,
                                        int32_t rank, const int64_t *shape,
                                        martlet_tensor **tensor);

/**
 * Makes a tensor over the caller's memory, without a copy. The memory must stay valid and is the
 * caller's to free, after the last reference to the tensor (and to results that may be views of
 * it, such as those of Reshape through martlet_op_run()) is gone.
 *
 * data, data_bytes: the elements, row-major without gaps, and the size of the memory in bytes, at
 *   least that of the shape. data must be aligned to the element's size, and may be NULL when
 *   the shape has no elements. The memory may be written through the tensor.
 * The rest as martlet_tensor_create().
 * Returns MARTLET_INVALID_DTYPE; MARTLET_INVALID_SHAPE when the elements do not fit in data_bytes;
 * MARTLET_INVALID_ARGUMENT when data is not aligned.
 */
martlet_status martlet_tensor_wrap(void *data, size_t data_bytes, martlet_dtype dtype, int32_t rank,
                                   const int64_t *shape, martlet_tensor **tensor);

enum {
  MARTLET_WRAP_READ_ONLY = 1 /* the library must not write to the memory */
};

/**
 * Makes a tensor over the caller's memory with any strides and an owner's deleter.
 *
 * buffer, buffer_bytes: all memory that the elements may lie in.
 * byte_offset: where in it the element at index 0, 0, ... lies.
 * strides: rank values, counting elements, may be 0 or negative; NULL: row-major without gaps.
 * flags: 0 or MARTLET_WRAP_READ_ONLY.
 * deleter: called as deleter(deleter_context, buffer) once no tensor or result uses the memory any
 *   more; NULL: the caller knows when. Not called when this function fails.
 * The rest as martlet_tensor_wrap().
 * Returns MARTLET_INVALID_DTYPE; MARTLET_INVALID_SHAPE when an element lies outside the buffer or
 * a size overflows; MARTLET_INVALID_ARGUMENT for unknown flags or a misaligned element.
 */
martlet_status martlet_tensor_wrap_strided(void *buffer, size_t buffer_bytes, size_t byte_offset,
                                           martlet_dtype dtype, int32_t rank, const int64_t *shape,
                                           const int64_t *strides, uint32_t flags,
                                           martlet_deleter deleter, void *deleter_context,
                                           martlet_tensor **tensor);

/** Adds a reference. Returns MARTLET_OK. */
martlet_status martlet_tensor_retain(martlet_tensor *tensor);

/** Drops a reference; with the last one the memory is freed or its deleter called. NULL is fine. */
martlet_status martlet_tensor_release(martlet_tensor *tensor);

/** The element type, into *dtype (MARTLET_DTYPE_UNKNOWN on failure). */
martlet_status martlet_tensor_dtype(const martlet_tensor *tensor, martlet_dtype *dtype);

/**
 * The rank and the extents.
 *
 * rank: receives the number of axes; may be NULL.
 * shape: receives an array of that many extents, which lasts as long as the tensor (not NULL even
 *   when the rank is 0); may be NULL.
 */
martlet_status martlet_tensor_shape(const martlet_tensor *tensor, int32_t *rank,
                                    const int64_t **shape);

/** The strides in elements, one per axis, into *strides; the array lasts as long as the tensor. */
martlet_status martlet_tensor_strides(const martlet_tensor *tensor, const int64_t **strides);

/** Number of elements, into *count. */
martlet_status martlet_tensor_element_count(const martlet_tensor *tensor, int64_t *count);

/** Bytes of the elements alone: count times element size, into *bytes (gaps do not count). */
martlet_status martlet_tensor_byte_count(const martlet_tensor *tensor, size_t *bytes);

/** Whether the elements lie row-major without gaps, into *is_contiguous. */
martlet_status martlet_tensor_is_contiguous(const martlet_tensor *tensor, bool *is_contiguous);

/** Whether the elements may not be written, into *is_read_only. */
martlet_status martlet_tensor_is_read_only(const martlet_tensor *tensor, bool *is_read_only);

/** The address of the element at index 0, 0, ..., for reading, into *data; lasts as long as the
 * tensor. Look at the strides before walking it. */
martlet_status martlet_tensor_data(const martlet_tensor *tensor, const void **data);

/** As martlet_tensor_data(), for writing. Returns MARTLET_INVALID_ARGUMENT when the tensor is
 * read-only. */
martlet_status martlet_tensor_mutable_data(martlet_tensor *tensor, void **data);

/**
 * Copies the elements, row-major without gaps, to the caller's memory.
 *
 * buffer, buffer_bytes: where to, and its size, at least martlet_tensor_byte_count(); buffer may be
 *   NULL when that is 0. It must not overlap the tensor's memory.
 * Returns MARTLET_INVALID_SHAPE when the buffer is too small.
 */
martlet_status martlet_tensor_read(const martlet_tensor *tensor, void *buffer, size_t buffer_bytes);

/**
 * Copies the elements: into a new contiguous tensor, or into the caller's.
 *
 * copy: a result slot (see Result slots above, which names the statuses).
 */
martlet_status martlet_tensor_copy(const martlet_tensor *tensor, martlet_tensor **copy);

/**
 * Converts the elements to another dtype. To floating point, values are rounded to nearest even. To
 * integers, they are truncated towards zero; NaN and what is out of range become the least int32
 * (int64), of which narrower types keep the low bits; unsigned types of 32 (64) bits take the bits of
 * the signed number, and 0 from 2^32 (2^64) on. To bool, everything but 0 is true. To floats of 8 bits
 * and less, what is too large becomes the largest value, and to MARTLET_FLOAT8E8M0 what lies between
 * two powers of two the upper one; Cast has other ways (attributes saturate and round_mode).
 *
 * dtype: the result's.  converted: a result slot.
 * Returns MARTLET_INVALID_DTYPE for a value that is no dtype, and the statuses of result slots.
 */
martlet_status martlet_tensor_convert(const martlet_tensor *tensor, martlet_dtype dtype,
                                      martlet_tensor **converted);

/**
 * Makes a tensor of strings, which are copied. Their elements have no address: of the functions
 * above, those that make a tensor of bytes or give its address return MARTLET_INVALID_DTYPE for
 * them. A string tensor is read-only.
 *
 * strings: as many as the shape has elements, row-major; may be NULL when it has none.
 * sizes: their sizes in bytes, zero bytes among them allowed; NULL: they are NUL-terminated.
 * rank, shape: as in martlet_tensor_create().
 * tensor: receives the tensor, owned by the caller.
 * Returns MARTLET_INVALID_ARGUMENT for one that is NULL or not UTF-8, naming it;
 * MARTLET_INVALID_SHAPE.
 */
martlet_status martlet_tensor_from_strings(const char *const *strings, const size_t *sizes,
                                           int32_t rank, const int64_t *shape,
                                           martlet_tensor **tensor);

/**
 * One string of a tensor.
 *
 * index: of the element, row-major, whatever the strides.
 * string: receives its bytes, behind which a NUL follows; they last as long as the tensor. May be
 *   NULL.
 * size: receives their number, the NUL not counted; may be NULL.
 * Returns MARTLET_INVALID_DTYPE for a tensor of numbers, MARTLET_INVALID_ARGUMENT for an index out of
 * range.
 */
martlet_status martlet_tensor_string(const martlet_tensor *tensor, int64_t index,
                                     const char **string, size_t *size);

/* ========================================================================= 9  DLPack */

/** DLPack 1.x's struct of this name, as dlpack.h declares it. */
struct DLManagedTensorVersioned;

/**
 * Makes a tensor over the memory of a DLPack tensor, without a copy.
 *
 * managed: a CPU tensor (device kDLCPU, or CUDA-host pinned memory) of DLPack major version 1. On
 *   success it belongs to the tensor, which calls its deleter once nothing uses the memory any
 *   more; on failure it stays the caller's. The read-only flag is kept.
 * tensor: receives the tensor, owned by the caller.
 * Returns MARTLET_UNSUPPORTED for another device or major version, MARTLET_INVALID_DTYPE for a
 * dtype that has no counterpart here (several lanes included), MARTLET_INVALID_SHAPE for a bad
 * shape and for elements of less than a byte that are not contiguous, MARTLET_UNSUPPORTED for such
 * that are padded to a byte each, MARTLET_INVALID_ARGUMENT for misaligned elements.
 */
martlet_status martlet_tensor_from_dlpack(struct DLManagedTensorVersioned *managed,
                                          martlet_tensor **tensor);

/**
 * Shares a tensor as a DLPack 1.1 tensor, without a copy; the read-only flag is kept. Floats of 8 bits
 * and less have DLPack's codes; elements of less than a byte are packed, as DLPack has them too.
 *
 * managed: receives the DLPack tensor, owned by the caller, who (or whose consumer) calls its
 *   deleter; it holds a reference of its own to the memory, whatever becomes of the tensor.
 */
martlet_status martlet_tensor_to_dlpack(const martlet_tensor *tensor,
                                        struct DLManagedTensorVersioned **managed);

/* ====================================================================== 10  Functions */

/*
 * Named functions for the most used operators; all others are reached through martlet_op_run().
 * Inputs may have any strides. `mode` is the call's own fast-math mode or MARTLET_MATH_DEFAULT.
 * Besides what each names, all return MARTLET_INVALID_SHAPE or MARTLET_INVALID_DTYPE for inputs
 * that do not fit together, MARTLET_INVALID_ARGUMENT for a `mode` that is no mode, and the
 * statuses of result slots. Results do not depend on the number of threads or on the batch.
 */

/**
 * Matrix product as NumPy's matmul: lhs @ rhs.
 *
 * lhs: [..., M, K] or [K].  rhs: [..., K, N] or [K]; leading axes broadcast. Both of one dtype:
 *   float32, float64, float16, bfloat16 (int32, uint32, int64, uint64 without speed).
 * result: slot for [..., M, N].
 */
martlet_status martlet_matmul(const martlet_tensor *lhs, const martlet_tensor *rhs,
                              martlet_math_mode mode, martlet_tensor **result);

/**
 * A fully connected layer: input @ weight^T + bias.
 *
 * input: [..., K].  weight: [N, K].  bias: [N] or NULL.  result: slot for [..., N].
 */
martlet_status martlet_linear(const martlet_tensor *input, const martlet_tensor *weight,
                              const martlet_tensor *bias, martlet_math_mode mode,
                              martlet_tensor **result);

/** How a convolution walks its input. Set struct_size and leave the rest 0 for the defaults. */
typedef struct martlet_conv_options {
  size_t struct_size;       /* sizeof(martlet_conv_options) */
  const int64_t *strides;   /* one per spatial axis, >= 1; NULL: all 1 */
  const int64_t *dilations; /* one per spatial axis, >= 1; NULL: all 1 */
  const int64_t *pads;      /* all leading pads, then all trailing pads, >= 0; NULL: all 0 */
  int64_t groups;           /* 0 means 1 */
} martlet_conv_options;

/**
 * Convolution (cross-correlation) over one, two or three spatial axes.
 *
 * input: [batch, C, axes...].  weight: [M, C / groups, kernel...].  bias: [M] or NULL.
 * options: NULL for the defaults.
 * result: slot for [batch, M, axes...].
 * Returns MARTLET_INVALID_ARGUMENT for a bad option or struct_size; MARTLET_UNSUPPORTED for options
 * of a newer header that are not 0.
 */
martlet_status martlet_conv(const martlet_tensor *input, const martlet_tensor *weight,
                            const martlet_tensor *bias, const martlet_conv_options *options,
                            martlet_math_mode mode, martlet_tensor **result);

/**
 * Softmax along one axis: exp(x - max) / sum.
 *
 * axis: -rank...rank-1; -1 is the last.  result: slot for the input's shape.
 * Returns MARTLET_INVALID_SHAPE for an axis out of range.
 */
martlet_status martlet_softmax(const martlet_tensor *input, int64_t axis, martlet_tensor **result);

/**
 * Layer normalisation over the axes from `axis` to the last: (x - mean) / sqrt(var + epsilon) *
 * scale + bias.
 *
 * scale, bias: of the normalised axes' shape; each may be NULL (1 and 0).
 * axis: -rank...rank-1.  epsilon: >= 0.  result: slot for the input's shape.
 * Returns MARTLET_INVALID_SHAPE for an axis out of range, MARTLET_INVALID_ARGUMENT for an epsilon
 * that is negative or NaN.
 */
martlet_status martlet_layer_norm(const martlet_tensor *input, const martlet_tensor *scale,
                                  const martlet_tensor *bias, int64_t axis, float epsilon,
                                  martlet_tensor **result);

/**
 * Gaussian error linear unit, x/2 (1 + erf(x / sqrt 2)).
 *
 * use_tanh: the approximation x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) instead.
 * result: slot for the input's shape.
 */
martlet_status martlet_gelu(const martlet_tensor *input, bool use_tanh, martlet_tensor **result);

/**
 * Scaled dot-product attention: softmax(query @ key^T * scale + mask) @ value.
 *
 * query: [batch, heads, L, D].  key: [batch, kv_heads, S, D].  value: [batch, kv_heads, S, Dv];
 *   heads is a multiple of kv_heads. Leading axes may be left out (all three alike: rank 2 or 3).
 * mask: broadcasts to [batch, heads, L, S]; bool (true: may attend) or of the query's dtype (added
 *   to the products); NULL: none. A query that may attend to no key gives zero.
 * scale: 0 for 1 / sqrt(D).  is_causal: query i attends to keys 0...i alone.
 * result: slot for [batch, heads, L, Dv].
 * Returns MARTLET_INVALID_ARGUMENT for a scale that is not finite.
 */
martlet_status martlet_attention(const martlet_tensor *query, const martlet_tensor *key,
                                 const martlet_tensor *value, const martlet_tensor *mask,
                                 float scale, bool is_causal, martlet_math_mode mode,
                                 martlet_tensor **result);

/**
 * Prepares a weight that is used many times: a read-only copy of it that can be given wherever a
 * tensor can. When it is the rhs of martlet_matmul(), or the weight of martlet_linear() or
 * martlet_conv(), its rearranged form is made at the first such use and kept with it.
 * Results have the same bits as with the weight itself.
 *
 * weight: the weight; not needed afterwards.  packed: receives the prepared tensor, owned by the
 *   caller; several threads may use it at once.
 */
martlet_status martlet_pack(const martlet_tensor *weight, martlet_tensor **packed);

/* =========================================== 11  Attributes and any operator by name */

/** Named values for martlet_op_run(). One thread at a time. */
typedef struct martlet_attributes martlet_attributes;

/** Makes an empty set, owned by the caller, into *attributes. */
martlet_status martlet_attributes_create(martlet_attributes **attributes);

/** Adds a reference. Returns MARTLET_OK. */
martlet_status martlet_attributes_retain(martlet_attributes *attributes);

/** Drops a reference. NULL is fine. */
martlet_status martlet_attributes_release(martlet_attributes *attributes);

/* Each sets or replaces the attribute `name`; values are copied (a tensor is retained). Arrays
 * may be NULL when count is 0. Return MARTLET_INVALID_ARGUMENT for a count that overflows. */
martlet_status martlet_attributes_set_int(martlet_attributes *attributes, const char *name,
                                          int64_t value);
martlet_status martlet_attributes_set_float(martlet_attributes *attributes, const char *name,
                                            float value);
martlet_status martlet_attributes_set_string(martlet_attributes *attributes, const char *name,
                                             const char *value);
martlet_status martlet_attributes_set_ints(martlet_attributes *attributes, const char *name,
                                           const int64_t *values, size_t count);
martlet_status martlet_attributes_set_floats(martlet_attributes *attributes, const char *name,
                                             const float *values, size_t count);
martlet_status martlet_attributes_set_strings(martlet_attributes *attributes, const char *name,
                                              const char *const *values, size_t count);
martlet_status martlet_attributes_set_tensor(martlet_attributes *attributes, const char *name,
                                             const martlet_tensor *value);

/** The name of the index-th operator that martlet_op_run() knows, or NULL past the last. Names are
 * those of ONNX; Martlet's own operators stand with their domain, as "ai.martlet.Linear" (which is
 * martlet_linear()). Lasts as long as the process. Never fails. */
const char *martlet_op_name_at(size_t index);

/**
 * Runs one operator. Names, inputs, attributes and meaning are those of the ONNX operator at its
 * newest supported opset.
 *
 * name: "Softmax", "Conv", ...; one of Martlet's own with its domain or without: "Linear".
 * attributes: NULL: none.
 * mode: the call's own fast-math mode, or MARTLET_MATH_DEFAULT.
 * inputs: input_count tensors in the operator's order, NULL where an optional one is left out; may
 *   be NULL when input_count is 0.
 * outputs: output_count result slots in the operator's order; at least 1. A result may be a view
 *   of an input (it shares the memory, and keeps it alive).
 * Returns MARTLET_NOT_FOUND for an unknown operator or attribute, MARTLET_INVALID_ARGUMENT for a
 * wrong number of inputs or outputs or a bad attribute, MARTLET_INVALID_SHAPE or
 * MARTLET_INVALID_DTYPE for inputs that do not fit, and the statuses of result slots. On failure
 * no slot has changed.
 */
martlet_status martlet_op_run(const char *name, const martlet_attributes *attributes,
                              martlet_math_mode mode, martlet_tensor *const *inputs,
                              size_t input_count, martlet_tensor **outputs, size_t output_count);

/* ======================================================================== 12  Models */

/** A loaded model: immutable, used by any number of threads at once. */
typedef struct martlet_model martlet_model;

/**
 * Told how far a long call has come; on the thread that made the call.
 *
 * user: as given.  fraction: 0 to 1, never falling.  stage: a word or two ("read",
 *   "convert", "optimize", "prepare"; "run"), lasting for this call.
 * Returns true to go on, false to make the long call return MARTLET_CANCELLED soon.
 */
typedef bool (*martlet_progress)(void *user, double fraction, const char *stage);

/** How to load a model. Set struct_size and leave the rest 0 for the defaults. */
typedef struct martlet_model_options {
  size_t struct_size;        /* sizeof(martlet_model_options) */
  const char *math_mode;     /* the model's own fast-math mode by name; NULL: the one in force on
                                 the thread that runs it */
  martlet_progress progress; /* told about the loading; may be NULL */
  void *progress_user;       /* passed to it; may be NULL */
  const char *const *keys;   /* option_count names of further options (below); may be NULL if 0 */
  const char *const *values; /* their values */
  size_t option_count;
  martlet_pool *pool; /* whose threads run it; NULL: the process's. The model holds a
                                 reference */
} martlet_model_options;

/*
 * Further options by name. An unknown name is MARTLET_NOT_FOUND, a bad value
 * MARTLET_INVALID_ARGUMENT.
 *
 * Of the runs, which a context may have otherwise (martlet_context_set_option()):
 *   "winograd"       "1": 3x3 convolutions with constant weights may run by Winograd's algorithm where
 *                    it is faster (the precision report names the kernel); "0": never. Default: as
 *                    MARTLET_WINOGRAD in the environment says, else "1".
 *   "max_loop_iterations"  the most iterations that all Loop and Scan nodes of a run may make together,
 *                    those inside others included; "0" (default): any number. A run that would go on
 *                    is ended with MARTLET_LIMIT_EXCEEDED, which names the node.
 *   "max_memory_bytes"  the most bytes that a run may hold at once in results and scratch (not in
 *                    constants, nor in what each thread keeps for its kernels); "0" (default): as many
 *                    as there are. A run that would hold more is ended with MARTLET_LIMIT_EXCEEDED,
 *                    which names the node that asked. Strings count with their bytes and about 128 more
 *                    each, sequences with their lists and what is in them, states with all the room that
 *                    they get. What earlier runs have left does not count, nor what the caller gives.
 *   "max_milliseconds"  how long a run may take; "0" (default): as long as it does. A run that is not done
 *                    then is ended with MARTLET_LIMIT_EXCEEDED, before its next node or iteration of a loop;
 *                    of nodes that have begun, only some on strings and sequences look at the time.
 *   "flush_denormals"  "1": denormal numbers, among operands and results, are taken for zero, on all
 *                    threads of the run; "0" (default): computed with, whatever the calling thread's
 *                    own floating-point environment says. Weights that are read in another form were
 *                    brought into it with them.
 *
 * Of the loading:
 *   "optimize"       "1" (default): lossless passes over the graph; "0": run it as it was written.
 *   "prepare"        "1" (default): weights are brought into the form that runs read while the model
 *                    is loaded, for the mode in force then; "0": by the first run that needs them.
 *   "strict_shapes"  "0" (default): in a run, extents of inputs that have one name in the file may differ
 *                    (exporters call all of them "None" or "N"), and an input that is declared without
 *                    extents may be of any rank. The first run that makes use of it prepares the model
 *                    again, beside what is there; the model's source must be unchanged then too. "1":
 *                    such runs are MARTLET_INVALID_SHAPE.
 *   "borrow_memory"  martlet_model_load_memory() only. "0" (default): data is copied; "1": it is
 *                    not, and must stay valid and unchanged until the model is gone.
 */

/**
 * Loads an ONNX model. Weights stay in the mapped file; those that runs read in another form are let
 * go of once they have it (see "prepare"), and read again if a later mode needs them. The file must
 * not be changed in place while the model is in use (replacing it by renaming another over it is fine).
 *
 * path: of the .onnx file; external data is looked for beside it, and links out of its folder are
 * refused (MARTLET_INVALID_MODEL).
 * options: NULL for the defaults.
 * model: receives the model, owned by the caller.
 * Returns MARTLET_NOT_FOUND when there is no such file or for an unknown option or mode;
 * MARTLET_IO when it cannot be read (a directory, no permission); MARTLET_INVALID_MODEL when it is
 * malformed (empty, truncated, inconsistent, cyclic); MARTLET_UNSUPPORTED when it uses what this
 * build lacks, and for options of a newer header that are not 0; MARTLET_CANCELLED;
 * MARTLET_INVALID_ARGUMENT for a bad option or struct_size.
 */
martlet_status martlet_model_load(const char *path, const martlet_model_options *options,
                                  martlet_model **model);

/**
 * Loads an ONNX model from memory; external data is not available to it (MARTLET_UNSUPPORTED).
 *
 * data, data_bytes: the file's bytes.  The rest, and the statuses, as martlet_model_load().
 */
martlet_status martlet_model_load_memory(const void *data, size_t data_bytes,
                                         const martlet_model_options *options,
                                         martlet_model **model);

/** Adds a reference. Returns MARTLET_OK. */
martlet_status martlet_model_retain(martlet_model *model);

/** Drops a reference; contexts hold references of their own. NULL is fine. */
martlet_status martlet_model_release(martlet_model *model);

/** An input or output of a model. */
typedef struct martlet_value_info {
  const char *name;
  martlet_dtype dtype;        /* MARTLET_DTYPE_UNKNOWN when the model does not say */
  int32_t rank;               /* -1 when the model does not say */
  const int64_t *shape;       /* rank extents; -1 where known at run time only; NULL if rank < 1 */
  const char *const *symbols; /* rank names of extents that go by a name or are computed from such
                                 ("past + 1"), NULL elsewhere; NULL if rank < 1 */
  int32_t kind;               /* a martlet_value_kind; if it is no tensor, dtype is unknown and
                                 rank -1 */
  const char *type;           /* all that the model says: "float32[n, 3]", "sequence(string)" */
} martlet_value_info;

/** How many inputs a run takes, into *count. */
martlet_status martlet_model_input_count(const martlet_model *model, size_t *count);

/** How many outputs a run gives, into *count. */
martlet_status martlet_model_output_count(const martlet_model *model, size_t *count);

/** Describes an input, into *info, which lasts as long as the model.
 * Returns MARTLET_INVALID_ARGUMENT for an index out of range. */
martlet_status martlet_model_input(const martlet_model *model, size_t index,
                                   const martlet_value_info **info);

/** Describes an output, into *info, which lasts as long as the model.
 * Returns MARTLET_INVALID_ARGUMENT for an index out of range. */
martlet_status martlet_model_output(const martlet_model *model, size_t index,
                                    const martlet_value_info **info);

/** How many initialisers of the model are inputs too (in ONNX files from IR version 4 on), into *count:
 * martlet_context_run_named() takes other values for them. They are no inputs that a run must be
 * given. */
martlet_status martlet_model_replaceable_count(const martlet_model *model, size_t *count);

/** The index-th of them, as the file declares it as an input, into *info, which lasts as long as the
 * model.
 * Returns MARTLET_INVALID_ARGUMENT for an index out of range. */
martlet_status martlet_model_replaceable(const martlet_model *model, size_t index,
                                         const martlet_value_info **info);

/** How many metadata entries there are, into *count. */
martlet_status martlet_model_metadata_count(const martlet_model *model, size_t *count);

/**
 * One metadata entry: what the file says of itself ("producer", "graph", "opset", ...) and its
 * own entries.
 *
 * key, value: receive strings that last as long as the model.
 * Returns MARTLET_INVALID_ARGUMENT for an index out of range.
 */
martlet_status martlet_model_metadata(const martlet_model *model, size_t index, const char **key,
                                      const char **value);

/** Bytes that a model takes. Set struct_size before the call that fills it. */
typedef struct martlet_memory {
  size_t struct_size;      /* sizeof(martlet_memory) */
  int64_t constants_bytes; /* of the constants that its nodes name */
  int64_t mapped_bytes; /* of those of them in the mapped file: memory only while they are read */
  int64_t
    prepared_bytes;    /* of what was made of constants, shared by all contexts: what runs read in
                              their place */
  int64_t arena_bytes; /* of the block for results and scratch of the context that ran last */
  int64_t peak_bytes;  /* the most that its run had in use, outputs included; both are 0 before
                              the first run */
} martlet_memory;

/** What the model takes now, into *memory: the fields that it has by its struct_size, and 0 into those
 * that this library does not know.
 * Returns MARTLET_INVALID_ARGUMENT for a struct_size that no header has. */
martlet_status martlet_model_memory(const martlet_model *model, martlet_memory *memory);

/**
 * What the results of a run will take at once, outputs included but without the scratch of single
 * nodes, for inputs of given shapes. Nothing is run.
 *
 * shapes, ranks: for each of the input_count inputs, in the model's order, its extents and their
 *   number; a shape may be NULL where the rank is 0.
 * bytes: receives the number, or -1 where it depends on the inputs' elements.
 * Returns MARTLET_INVALID_ARGUMENT for a wrong number of inputs, MARTLET_INVALID_SHAPE, with the
 * names, for a shape that does not fit an input or a node.
 */
martlet_status martlet_model_result_bytes(const martlet_model *model, const int64_t *const *shapes,
                                          const int32_t *ranks, size_t input_count, int64_t *bytes);

/**
 * Runs the model once, with a context made for the purpose or kept from an earlier call. For many
 * runs from one thread, a context of one's own is a little faster and can be asked more.
 *
 * Parameters and statuses as martlet_context_run(). Several threads may call it at once.
 */
martlet_status martlet_model_run(martlet_model *model, martlet_tensor *const *inputs,
                                 size_t input_count, martlet_tensor **outputs, size_t output_count);

/* ================================================================== 13  Run contexts */

/** The state of one run at a time: memory that is used again, and what is known of the last run.
 * One thread at a time. */
typedef struct martlet_context martlet_context;

/** Makes a context for a model, owned by the caller, into *context. It keeps the model alive. */
martlet_status martlet_context_create(martlet_model *model, martlet_context **context);

/** Adds a reference. Returns MARTLET_OK. */
martlet_status martlet_context_retain(martlet_context *context);

/** Drops a reference; results of earlier runs stay valid. NULL is fine. */
martlet_status martlet_context_release(martlet_context *context);

/**
 * Runs the model once. The fast-math mode is the model's own, else the one in force for the
 * calling thread.
 *
 * inputs, input_count: a tensor for every input, in the model's order. They are only read.
 * outputs, output_count: result slots for the first output_count outputs, in the model's order; at
 *   least 1. A new result stays valid whatever becomes of the context.
 * Returns MARTLET_INVALID_ARGUMENT for a wrong number of inputs or outputs or a NULL input;
 * MARTLET_INVALID_SHAPE or MARTLET_INVALID_DTYPE, with the names, for an input or slot that does
 * not fit or a node that cannot be computed with these inputs; MARTLET_INVALID_STATE when another
 * thread is using the context; MARTLET_CANCELLED; MARTLET_LIMIT_EXCEEDED where the run met a limit of
 * its options. On failure no slot has changed.
 */
martlet_status martlet_context_run(martlet_context *context, martlet_tensor *const *inputs,
                                   size_t input_count, martlet_tensor **outputs,
                                   size_t output_count);

/**
 * As martlet_context_run(), by name: inputs in any order, and only the outputs that are wanted.
 *
 * input_names: input_count names, each input of the model once. Besides, initialisers that are inputs
 *   too (martlet_model_replaceable()) may be given other values for this run; the first run that gives
 *   those prepares the model again, with its weights, beside what is there. The last four such sets of
 *   names are kept.
 * output_names: output_count names; NULL: the first output_count outputs in the model's order.
 * Returns, besides, MARTLET_NOT_FOUND for a name that the model does not have and
 * MARTLET_INVALID_ARGUMENT for a missing or repeated one.
 */
martlet_status martlet_context_run_named(martlet_context *context, const char *const *input_names,
                                         martlet_tensor *const *inputs, size_t input_count,
                                         const char *const *output_names, martlet_tensor **outputs,
                                         size_t output_count);

/**
 * Sets who is told about the progress of runs, twice a millisecond at most, and may cancel them
 * between two nodes and between two iterations of a loop.
 *
 * progress: NULL: nobody.  user: passed to it; may be NULL.
 */
martlet_status martlet_context_set_progress(martlet_context *context, martlet_progress progress,
                                            void *user);

/**
 * Sets an option of the context's runs, from its next run on; at first they are as the model's.
 *
 * name, value: those of runs under "Further options by name" above.
 * Returns MARTLET_NOT_FOUND for an unknown name, MARTLET_INVALID_ARGUMENT for a bad value.
 */
martlet_status martlet_context_set_option(martlet_context *context, const char *name,
                                          const char *value);

/** Sets whose threads run the context, from its next run on; it is the model's pool at first.
 *
 * pool: NULL: the process's. The context holds a reference.
 */
martlet_status martlet_context_set_pool(martlet_context *context, martlet_pool *pool);

/** Turns the measuring of nodes on (anew) or off, for runs from now on; it is off at first. */
martlet_status martlet_context_set_profiling(martlet_context *context, bool enabled);

/** What one node did in the last run. */
typedef struct martlet_node_info {
  const char *node; /* its name in the model; made up when it has none; never NULL */
  const char
    *operator_name;      /* as martlet_op_name_at() has it; a product that took over what follows
                                it is one of Martlet's own, "ai.martlet.FusedMatMul"; never NULL */
  const char *precision; /* of its products, "fp32", "bf16", ...; NULL: it has no products */
  const char *kernel;    /* the kernel that ran; NULL with precision */
  const char *backend;   /* "native", ...; NULL with precision */
  const char *reason;    /* why not the mode's own precision; NULL when it is */
  int64_t nanoseconds;   /* mean time over the runs since profiling was turned on, or 0 */
} martlet_node_info;

/** How many rows there are on the nodes of the last successful run, into *count; 0 before the
 * first. A node with several different kinds of products has a row for each. */
martlet_status martlet_context_node_count(const martlet_context *context, size_t *count);

/** The index-th row on the last successful run, in the order of running, into *info, which lasts
 * until the context's next run.
 * Returns MARTLET_INVALID_ARGUMENT for an index out of range. */
martlet_status martlet_context_node(const martlet_context *context, size_t index,
                                    const martlet_node_info **info);

/**
 * The precision report of the last successful run as text for people: the mode, then for each node
 * with matrix products what it ran as, and why. Into *text, which lasts until the context's next
 * run.
 * Returns MARTLET_INVALID_STATE before the first successful run.
 */
martlet_status martlet_context_precision_report(const martlet_context *context, const char **text);

/**
 * The profile of the runs since profiling was turned on as text for people: mean time by operator,
 * then by node. Into *text, which lasts until the context's next run.
 * Returns MARTLET_INVALID_STATE unless a run has succeeded with profiling on.
 */
martlet_status martlet_context_profile(const martlet_context *context, const char **text);

/**
 * Memory of the context's results and scratch, in bytes. Each pointer may be NULL.
 *
 * live_bytes: in tensors that exist now.  kept_bytes: kept for the next run.
 * peak_bytes: the most that was ever live.
 */
martlet_status martlet_context_memory(const martlet_context *context, int64_t *live_bytes,
                                      int64_t *kept_bytes, int64_t *peak_bytes);

/** Gives the memory that is kept for the next run back to the system; during a run it does nothing. */
martlet_status martlet_context_trim(martlet_context *context);

/**
 * Gives the memory that a model's contexts keep for their next runs back to the system, whoever has
 * them, with the contexts that martlet_model_run() keeps; runs under way keep theirs. Results are the
 * same afterwards; the next run of each context lays out its memory anew.
 */
martlet_status martlet_model_trim(martlet_model *model);

/** martlet_model_trim() for all models, and what the C library's allocator keeps of freed memory. */
martlet_status martlet_trim(void);

/* ======================================================================== 14  Values */

/**
 * What the inputs and outputs of models are: tensors mostly, and sequences, optionals, maps and
 * states. Immutable, and shared by the values that hold it.
 *
 * Handles of elements are made as they are asked for: each is owned by the caller.
 */
typedef struct martlet_value martlet_value;

typedef int32_t martlet_value_kind;
enum {
  MARTLET_VALUE_TENSOR = 1,
  MARTLET_VALUE_SEQUENCE = 2, /* values of one kind, in order */
  MARTLET_VALUE_OPTIONAL = 3, /* a value, or none */
  MARTLET_VALUE_MAP = 4,      /* values by keys, int64 or string */
  MARTLET_VALUE_STATE = 5     /* a tensor that grows in place */
};

/** A tensor as a value, into *value, owned by the caller. The value shares its memory, which must not
 * be written while the value is in use. */
martlet_status martlet_value_from_tensor(const martlet_tensor *tensor, martlet_value **value);

/**
 * Makes a sequence.
 *
 * elements, count: values of one kind and dtype, of any shapes; may be NULL when count is 0.
 * dtype: of the tensors in a sequence of none; else MARTLET_DTYPE_UNKNOWN.
 * value: receives the sequence, owned by the caller.
 * Returns MARTLET_INVALID_DTYPE, naming the element, for one of another kind or dtype than the first;
 * MARTLET_INVALID_ARGUMENT for values nested deeper than 16.
 */
martlet_status martlet_value_create_sequence(martlet_value *const *elements, size_t count,
                                             martlet_dtype dtype, martlet_value **value);

/** Makes an optional with a value, or, where element is NULL, without, into *value, owned by the
 * caller. Returns MARTLET_INVALID_ARGUMENT for values nested deeper than 16. */
martlet_status martlet_value_create_optional(const martlet_value *element, martlet_value **value);

/**
 * Makes a map.
 *
 * keys: a vector of int64 or string.  values, count: one for each key.
 * value: receives the map, owned by the caller.
 * Returns MARTLET_INVALID_DTYPE or MARTLET_INVALID_SHAPE for keys that are not such a vector;
 * MARTLET_INVALID_ARGUMENT for values nested deeper than 16.
 */
martlet_status martlet_value_create_map(const martlet_tensor *keys, martlet_value *const *values,
                                        size_t count, martlet_value **value);

/**
 * Makes a state: a tensor that operators append to in place, as a cache of keys and values.
 *
 * A run is given the state as an input, where a tensor is asked for. Where an operator appends to it
 * along its axis (Concat to its first input; Attention to past_key and past_value, axis 2), the
 * output is a state too, which is given to the next run: what is in it is not copied as long as there
 * is room. The state that was given in stays as it was.
 *
 * Where TensorScatter takes the state as past_cache, and nothing else in the model or in the run's
 * inputs reads it, its elements are written over: the output is the state to go on with, and the one
 * given in is used up, as are those from before it, also where the run fails after that. To run a model
 * with one, or to ask for its tensor, returns MARTLET_INVALID_STATE, naming the input; tensors taken
 * of it before show what is written.
 *
 * initial: its first elements, which are copied: any shape, also of extent 0 along the axis.
 * axis: the axis that grows, 0...rank-1.
 * capacity: the extent along it that there is room for, at least that of initial. A state that grows
 *   beyond it moves to memory with half as much room again.
 * value: receives the state, owned by the caller.
 * Returns MARTLET_INVALID_DTYPE for strings and for floats of 8 bits and integers of 4 bits and less,
 * MARTLET_INVALID_ARGUMENT for an axis or capacity that cannot be.
 */
martlet_status martlet_value_create_state(const martlet_tensor *initial, int32_t axis,
                                          int64_t capacity, martlet_value **value);

/** Adds a reference. Returns MARTLET_OK. */
martlet_status martlet_value_retain(martlet_value *value);

/** Drops a reference. NULL is fine. */
martlet_status martlet_value_release(martlet_value *value);

/** What the value is, into *kind. */
martlet_status martlet_value_kind_of(const martlet_value *value, martlet_value_kind *kind);

/** How many values there are in it, into *count: elements of a sequence, values of a map, 1 or 0 in
 * an optional, 0 in a tensor or state. */
martlet_status martlet_value_count(const martlet_value *value, size_t *count);

/** One of the values in it, into *element, owned by the caller.
 * Returns MARTLET_INVALID_ARGUMENT for an index out of range. */
martlet_status martlet_value_element(const martlet_value *value, size_t index,
                                     martlet_value **element);

/** The keys of a map, a vector with one for each of its values, into *keys, owned by the caller.
 * Returns MARTLET_INVALID_ARGUMENT for another kind. */
martlet_status martlet_value_keys(const martlet_value *value, martlet_tensor **keys);

/** The tensor that the value is, into *tensor, owned by the caller; of a state its elements, read-only
 * and strided. Returns MARTLET_INVALID_ARGUMENT for another kind, MARTLET_INVALID_STATE for a state that
 * is used up (see martlet_value_create_state()). */
martlet_status martlet_value_tensor(const martlet_value *value, martlet_tensor **tensor);

/**
 * As martlet_context_run(), with values of any kind.
 *
 * inputs, input_count: a value for every input, in the model's order.
 * outputs, output_count: receive the first output_count outputs, owned by the caller; all NULL on
 *   failure. They are values of their own, but for states (see martlet_value_create_state()).
 * Returns MARTLET_INVALID_ARGUMENT, besides, for an input of another kind than the model's, naming it.
 */
martlet_status martlet_context_run_values(martlet_context *context, martlet_value *const *inputs,
                                          size_t input_count, martlet_value **outputs,
                                          size_t output_count);

#ifdef __cplusplus
}
#endif
#endif
