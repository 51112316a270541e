/* The _martlet extension: Python objects over the C ABI of martlet.h, and nothing else.
 *
 * Every function returns a new reference, or NULL with a Python exception set, unless said
 * otherwise; all need the GIL. Calls into the library that may take long release it.
 *
 * The sections below are in the order of the files: each uses only what stands up to its own
 * (scripts/check-layers). */
#ifndef MARTLET_PYTHON_EXTENSION_H
#define MARTLET_PYTHON_EXTENSION_H

/* Free-threaded CPython has no limited API; nothing outside of it is used there either. */
#if !defined(Py_LIMITED_API) && !defined(MARTLET_FREE_THREADED)
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <martlet.h>

#define STATUS_COUNT (MARTLET_LIMIT_EXCEEDED + 1)
#define MAX_RANK 32

typedef struct {
  PyTypeObject *tensor_type;
  PyTypeObject *model_type;
  PyTypeObject *context_type;
  PyTypeObject *pool_type;
  PyTypeObject *value_type;
  PyObject *error;                /* martlet.Error, the base of the others */
  PyObject *errors[STATUS_COUNT]; /* the exception of each status */
  PyObject *file_not_found;       /* NOT_FOUND, of a file */
} ModuleState;

/* The state of the module that made this object's type (none of them can be subclassed). */
static inline ModuleState *state_of(PyObject *self) { return PyType_GetModuleState(Py_TYPE(self)); }

/* ---- errors.c */

/* Creates the exception classes in the state and adds them to the module. 0, or -1 on failure. */
int add_errors(PyObject *module, ModuleState *state);
/* Raises martlet_last_error() of this thread; must come before any other call of the library. */
PyObject *raise_status(ModuleState *state, martlet_status status);
/* Raises the exception of this status with a message of the extension's own. */
PyObject *raise_message(ModuleState *state, martlet_status status, PyObject *message,
                        const char *expected, const char *actual);
/* As raise_status, for a file: a missing one is a FileNotFoundError. */
PyObject *raise_file_status(ModuleState *state, martlet_status status, const char *path);

/* ---- owners.c: Python objects whose memory the library borrows */

typedef struct Owner Owner;
/* Holds a buffer; takes over what view holds. Never fails but for lack of memory. */
Owner *owner_of_buffer(const Py_buffer *view);
/* Holds something that `release(pointer)` gives back. */
Owner *owner_of_pointer(void *pointer, void (*release)(void *));
/* A martlet_deleter: context is the Owner. Any thread, without the GIL: what it holds is given
 * back soon after, by drain_owners(). */
void owner_deleter(void *context, void *data);
/* Gives back what deleters have left. Keeps a pending exception. */
void drain_owners(void);
/* Gives back at once. */
void owner_release(Owner *owner);

/* ---- dtypes.c */

/* The dtype of a name or of a NumPy, ml_dtypes, torch or Python type; UNKNOWN with an exception. */
martlet_dtype dtype_from_object(PyObject *object);
/* The dtype of this name, also as ml_dtypes and torch call it, or UNKNOWN. */
martlet_dtype dtype_of_name(const char *name);

/* ---- tensor.c */

typedef struct {
  PyObject_HEAD
  martlet_tensor *handle;
  martlet_dtype dtype;
  int32_t rank;
  const int64_t *shape; /* of the handle */
  Py_ssize_t *extents;  /* rank extents, then rank strides in bytes: what buffers point to */
} TensorObject;

/* Takes over the handle, also on failure. */
PyObject *tensor_object(ModuleState *state, martlet_tensor *handle);

/* ---- tensor_view.c */

PyObject *tensor_view(PyObject *module, PyObject *args);

/* ---- dlpack.c */

PyObject *tensor_to_dlpack(TensorObject *self, PyObject *args, PyObject *kwargs);
/* Imports through object.__dlpack__(); an output must share the object's memory. `what` names the
 * object in errors. */
PyObject *tensor_from_dlpack(ModuleState *state, PyObject *object, const char *what, int is_output);
PyObject *bits_of(PyObject *module, PyObject *object);

/* ---- convert.c */

/* A Tensor of anything that can be one: a Tensor, a buffer, a DLPack exporter, a number. `what`
 * names it in errors. Shares memory wherever the layout allows. */
PyObject *as_tensor(ModuleState *state, PyObject *object, const char *what);
/* A Tensor for results to go into: over the object's memory, or, where its elements lie so that the
 * library cannot write them (misaligned, at odd distances), one of the same shape. Then `*later`,
 * all zero before, has an `obj`: the results are to be put there with PyBuffer_FromContiguous(),
 * and it is to be released. */
PyObject *as_output(ModuleState *state, PyObject *object, const char *what, Py_buffer *later);

/* ---- pool.c */

typedef struct {
  PyObject_HEAD
  martlet_pool *handle;
} PoolObject;

extern PyType_Spec pool_spec;
/* The handle of a ThreadPool, NULL for None; it is the object's. 0, or -1 with an exception. */
int pool_handle(ModuleState *state, PyObject *object, martlet_pool **handle);

/* ---- values.c */

/* The handles of a tuple of Values, to be freed; NULL with an exception. */
martlet_value **value_handles(ModuleState *state, PyObject *tuple);
/* A tuple of Values; takes over the handles, also on failure. */
PyObject *value_results(ModuleState *state, martlet_value **handles, size_t count);
extern PyMethodDef value_methods[];
extern PyType_Spec value_spec;

/* ---- functions.c */

/* The mode of None, a name, or one of torch's dtypes. 0, or -1 with an exception. */
int parse_mode(ModuleState *state, PyObject *object, martlet_math_mode *mode);
extern PyMethodDef function_methods[];

/* ---- context.c */

/* Tells a caller's function of progress. Whether to go on; *failed where it has raised. */
bool tell_progress(PyObject *function, double fraction, const char *stage, int *failed);
/* A run context of the model. */
PyObject *context_of(ModuleState *state, martlet_model *model);
extern PyType_Spec context_spec;

/* ---- model.c */

extern PyMethodDef model_methods[];
extern PyType_Spec model_spec;

/* ---- tensor_syntax.c */

/* Slots of the Tensor's type besides those of its spec, up to one of 0. */
extern PyType_Slot tensor_syntax[];

/* ---- tensor_type.c */

extern PyType_Spec tensor_spec;

#endif
