#include <stdlib.h>

#include "extension.h"

typedef struct {
  PyObject_HEAD
  martlet_model *handle;
} ModelObject;

/* ---- loading */

typedef struct {
  PyObject *callback;    /* or NULL */
  PyThreadState *thread; /* of the loading thread, which runs without the GIL */
  int failed;            /* an exception is set */
} LoadProgress;

static bool load_progress(void *user, double fraction, const char *stage) {
  LoadProgress *progress = user;
  if (progress->failed) return false;
  PyEval_RestoreThread(progress->thread);
  progress->failed = PyErr_CheckSignals() < 0;
  int goes_on = !progress->failed;
  if (goes_on && progress->callback != NULL)
    goes_on = tell_progress(progress->callback, fraction, stage, &progress->failed);
  progress->thread = PyEval_SaveThread();
  return goes_on;
}

enum { MAX_OPTIONS = 32 };

/* The names and texts of a dict of strings, which they last as long as. 0, or -1 with an exception. */
static int option_texts(PyObject *dict, const char *keys[], const char *values[], size_t *count) {
  PyObject *key, *value;
  Py_ssize_t position = 0;
  *count = 0;
  while (PyDict_Next(dict, &position, &key, &value)) {
    if (*count == MAX_OPTIONS) {
      PyErr_SetString(PyExc_ValueError, "too many options");
      return -1;
    }
    keys[*count] = PyUnicode_AsUTF8AndSize(key, NULL);
    values[*count] = PyUnicode_AsUTF8AndSize(value, NULL);
    if (keys[*count] == NULL || values[*count] == NULL) return -1;
    *count += 1;
  }
  return 0;
}

/* load(source: bytes path or buffer, is_path, mode, options: dict of strings, pool, progress)
 * -> model */
static PyObject *load(PyObject *module, PyObject *args) {
  ModuleState *state = PyModule_GetState(module);
  PyObject *source, *given, *pool_object, *callback;
  const char *mode;
  int is_path;
  if (!PyArg_ParseTuple(args, "OpzO!OO", &source, &is_path, &mode, &PyDict_Type, &given,
                        &pool_object, &callback))
    return NULL;
  const char *keys[MAX_OPTIONS], *values[MAX_OPTIONS];
  size_t option_count = 0;
  martlet_pool *pool = NULL;
  if (option_texts(given, keys, values, &option_count) < 0) return NULL;
  if (pool_handle(state, pool_object, &pool) < 0) return NULL;
  Py_buffer view = {0};
  char *path = NULL;
  if (is_path && PyBytes_AsStringAndSize(source, &path, NULL) < 0) return NULL;
  if (!is_path && PyObject_GetBuffer(source, &view, PyBUF_SIMPLE) < 0) return NULL;
  LoadProgress progress = {callback == Py_None ? NULL : callback, NULL, 0};
  martlet_model_options options = {.struct_size = sizeof options,
                                   .math_mode = mode,
                                   .progress = load_progress,
                                   .progress_user = &progress,
                                   .keys = keys,
                                   .values = values,
                                   .option_count = option_count,
                                   .pool = pool};
  martlet_model *handle = NULL;
  martlet_status status;
  progress.thread = PyEval_SaveThread();
  if (is_path) status = martlet_model_load(path, &options, &handle);
  else status = martlet_model_load_memory(view.buf, (size_t)view.len, &options, &handle);
  PyEval_RestoreThread(progress.thread);
  PyObject *result = NULL;
  if (progress.failed) {
    martlet_model_release(handle);
  } else if (status != MARTLET_OK) {
    if (is_path) raise_file_status(state, status, path);
    else raise_status(state, status);
  } else {
    ModelObject *self = PyObject_New(ModelObject, state->model_type);
    if (self == NULL) martlet_model_release(handle);
    else self->handle = handle;
    result = (PyObject *)self;
  }
  if (!is_path) PyBuffer_Release(&view);
  return result;
}

PyMethodDef model_methods[] = {{"load", load, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

/* ---- the model */

static void model_dealloc(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  martlet_model_release(((ModelObject *)object)->handle);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

/* (name, dtype or None, shape or None, type); an extent is a number, a symbol or None. */
static PyObject *describe(const martlet_value_info *info) {
  PyObject *shape = info->rank < 0 ? Py_NewRef(Py_None) : PyTuple_New(info->rank);
  for (int32_t axis = 0; shape != NULL && axis < info->rank; axis++) {
    const char *symbol = info->symbols == NULL ? NULL : info->symbols[axis];
    PyObject *extent = info->shape[axis] >= 0 ? PyLong_FromLongLong(info->shape[axis])
                       : symbol != NULL       ? PyUnicode_FromString(symbol)
                                              : Py_NewRef(Py_None);
    if (extent == NULL || PyTuple_SetItem(shape, axis, extent) < 0) Py_CLEAR(shape);
  }
  if (shape == NULL) return NULL;
  const char *dtype = info->dtype == MARTLET_DTYPE_UNKNOWN ? NULL : martlet_dtype_name(info->dtype);
  return Py_BuildValue("(szNs)", info->name, dtype, shape, info->type);
}

typedef martlet_status (*count_function)(const martlet_model *, size_t *);
typedef martlet_status (*info_function)(const martlet_model *, size_t, const martlet_value_info **);

static PyObject *describe_all(PyObject *self, count_function count_of, info_function info_of) {
  const martlet_model *handle = ((ModelObject *)self)->handle;
  size_t count = 0;
  martlet_status status = count_of(handle, &count);
  PyObject *all = PyTuple_New((Py_ssize_t)count);
  for (size_t i = 0; status == MARTLET_OK && all != NULL && i < count; i++) {
    const martlet_value_info *info = NULL;
    status = info_of(handle, i, &info);
    if (status != MARTLET_OK) break;
    PyObject *item = describe(info);
    if (item == NULL || PyTuple_SetItem(all, (Py_ssize_t)i, item) < 0) Py_CLEAR(all);
  }
  if (status == MARTLET_OK) return all;
  Py_XDECREF(all);
  return raise_status(state_of(self), status);
}

static PyObject *model_inputs(PyObject *self, PyObject *unused) {
  (void)unused;
  return describe_all(self, martlet_model_input_count, martlet_model_input);
}

static PyObject *model_outputs(PyObject *self, PyObject *unused) {
  (void)unused;
  return describe_all(self, martlet_model_output_count, martlet_model_output);
}

static PyObject *model_replaceable(PyObject *self, PyObject *unused) {
  (void)unused;
  return describe_all(self, martlet_model_replaceable_count, martlet_model_replaceable);
}

static PyObject *model_metadata(PyObject *self, PyObject *unused) {
  (void)unused;
  const martlet_model *handle = ((ModelObject *)self)->handle;
  size_t count = 0;
  martlet_status status = martlet_model_metadata_count(handle, &count);
  PyObject *all = PyDict_New();
  for (size_t i = 0; status == MARTLET_OK && all != NULL && i < count; i++) {
    const char *key = NULL, *text = NULL;
    status = martlet_model_metadata(handle, i, &key, &text);
    if (status != MARTLET_OK) break;
    PyObject *value = PyUnicode_FromString(text);
    if (value == NULL || PyDict_SetItemString(all, key, value) < 0) Py_CLEAR(all);
    Py_XDECREF(value);
  }
  if (status == MARTLET_OK) return all;
  Py_XDECREF(all);
  return raise_status(state_of(self), status);
}

static PyObject *model_context(PyObject *self, PyObject *unused) {
  (void)unused;
  return context_of(state_of(self), ((ModelObject *)self)->handle);
}

static PyObject *model_memory(PyObject *object, PyObject *unused) {
  (void)unused;
  martlet_memory memory = {.struct_size = sizeof memory};
  martlet_status status = martlet_model_memory(((ModelObject *)object)->handle, &memory);
  if (status != MARTLET_OK) return raise_status(state_of(object), status);
  return Py_BuildValue("{sLsLsLsLsL}", "constants", (long long)memory.constants_bytes, "mapped",
                       (long long)memory.mapped_bytes, "prepared", (long long)memory.prepared_bytes,
                       "arena", (long long)memory.arena_bytes, "peak",
                       (long long)memory.peak_bytes);
}

/* result_bytes(shapes: a tuple of tuples of int) -> int or None */
static PyObject *model_result_bytes(PyObject *object, PyObject *shapes) {
  enum { MOST_INPUTS = 4096, MOST_EXTENTS = 65536 };
  Py_ssize_t count = PyTuple_Size(shapes), used = 0;
  if (count < 0) return NULL;
  if (count > MOST_INPUTS) return PyErr_Format(PyExc_ValueError, "%zd shapes", count);
  PyObject *result = NULL;
  const int64_t **starts = PyMem_Calloc((size_t)count + 1, sizeof *starts);
  int32_t *ranks = PyMem_Calloc((size_t)count + 1, sizeof *ranks);
  int64_t *extents = PyMem_Calloc(MOST_EXTENTS, sizeof *extents);
  if (starts == NULL || ranks == NULL || extents == NULL) {
    PyErr_NoMemory();
    goto done;
  }
  for (Py_ssize_t index = 0; index < count; index++) {
    PyObject *shape = PyTuple_GetItem(shapes, index);
    Py_ssize_t rank = shape == NULL ? -1 : PyTuple_Size(shape);
    if (rank < 0) goto done;
    if (rank > MOST_EXTENTS - used) {
      PyErr_Format(PyExc_ValueError, "a shape of %zd extents", rank);
      goto done;
    }
    starts[index] = extents + used;
    ranks[index] = (int32_t)rank;
    for (Py_ssize_t axis = 0; axis < rank; axis++) {
      PyObject *extent = PyTuple_GetItem(shape, axis);
      if (extent == NULL) goto done;
      extents[used] = PyLong_AsLongLong(extent);
      if (extents[used++] == -1 && PyErr_Occurred()) goto done;
    }
  }
  int64_t bytes = -1;
  martlet_status status = martlet_model_result_bytes(((ModelObject *)object)->handle, starts, ranks,
                                                     (size_t)count, &bytes);
  if (status != MARTLET_OK) raise_status(state_of(object), status);
  else result = bytes < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(bytes);
done:
  PyMem_Free(starts);
  PyMem_Free(ranks);
  PyMem_Free(extents);
  return result;
}

static PyObject *model_trim(PyObject *self, PyObject *unused) {
  (void)unused;
  martlet_status status = martlet_model_trim(((ModelObject *)self)->handle);
  return status == MARTLET_OK ? Py_NewRef(Py_None) : raise_status(state_of(self), status);
}

static PyMethodDef model_type_methods[] = {
  {"trim", model_trim, METH_NOARGS, NULL},
  {"memory", model_memory, METH_NOARGS, NULL},
  {"result_bytes", model_result_bytes, METH_O, NULL},
  {"inputs", model_inputs, METH_NOARGS, NULL},
  {"outputs", model_outputs, METH_NOARGS, NULL},
  {"replaceable", model_replaceable, METH_NOARGS, NULL},
  {"metadata", model_metadata, METH_NOARGS, NULL},
  {"context", model_context, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL},
};

static PyType_Slot model_slots[] = {
  {Py_tp_dealloc, model_dealloc},
  {Py_tp_methods, model_type_methods},
  {0, NULL},
};

PyType_Spec model_spec = {
  .name = "martlet._martlet.LoadedModel",
  .basicsize = sizeof(ModelObject),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
  .slots = model_slots,
};
