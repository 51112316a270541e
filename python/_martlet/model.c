#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "extension.h"

typedef struct {
  PyObject_HEAD
  martlet_model *handle;
} ModelObject;

/* Looks for signals such as Ctrl-C a few times a second during a run. Taking the GIL for every
 * node would make threads wait for each other. */
typedef struct {
  PyThreadState *thread; /* of the running thread, which runs without the GIL; NULL: no run */
  int64_t last_check;
  int failed;         /* an exception is set */
  PyObject *progress; /* the caller's function to tell, or NULL */
} Watch;

typedef struct {
  PyObject_HEAD
  martlet_context *handle;
  Watch watch;
} ContextObject;

enum { CHECK_NANOSECONDS = 50 * 1000 * 1000 };

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Tells a caller's function. Whether to go on; *failed where it has raised. */
static bool tell(PyObject *function, double fraction, const char *stage, int *failed) {
  PyObject *answer = PyObject_CallFunction(function, "ds", fraction, stage);
  bool goes_on = answer != NULL && answer != Py_False; /* None goes on */
  *failed = answer == NULL;
  Py_XDECREF(answer);
  return goes_on;
}

static bool watch_run(void *user, double fraction, const char *stage) {
  Watch *watch = user;
  int64_t time = now();
  if (time - watch->last_check < CHECK_NANOSECONDS) return true;
  watch->last_check = time;
  PyEval_RestoreThread(watch->thread);
  watch->failed = PyErr_CheckSignals() < 0;
  bool goes_on = !watch->failed;
  if (goes_on && watch->progress != NULL)
    goes_on = tell(watch->progress, fraction, stage, &watch->failed);
  watch->thread = PyEval_SaveThread();
  return goes_on;
}

/* Begins to watch a run, which then has no GIL. 0, or -1 with an exception. */
static int begin_run(ModuleState *state, Watch *watch) {
  if (watch->thread != NULL) {
    PyErr_SetString(state->error,
                    "the context is in use, by another thread or by the run that called this");
    return -1;
  }
  watch->last_check = watch->progress == NULL ? now() : 0;
  watch->failed = 0;
  watch->thread = PyEval_SaveThread();
  return 0;
}

static void end_run(Watch *watch) {
  PyEval_RestoreThread(watch->thread);
  watch->thread = NULL;
}

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
    goes_on = tell(progress->callback, fraction, stage, &progress->failed);
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
  ModuleState *state = state_of(self);
  martlet_context *handle = NULL;
  martlet_status status = martlet_context_create(((ModelObject *)self)->handle, &handle);
  if (status != MARTLET_OK) return raise_status(state, status);
  ContextObject *context = PyObject_New(ContextObject, state->context_type);
  if (context == NULL) {
    martlet_context_release(handle);
    return NULL;
  }
  context->handle = handle;
  context->watch = (Watch){0};
  martlet_context_set_progress(handle, watch_run, &context->watch);
  return (PyObject *)context;
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

/* ---- run contexts */

static void context_dealloc(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  martlet_context_release(((ContextObject *)object)->handle);
  Py_XDECREF(((ContextObject *)object)->watch.progress);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
  drain_owners();
}

/* The operands of one run, in arrays of C. */
typedef struct {
  size_t input_count, output_count;
  const char **names;       /* inputs, then outputs; NULL where nobody asks */
  martlet_tensor **handles; /* inputs, then result slots */
  PyObject **objects;       /* Tensors of the inputs, then of the slots that the caller gave */
  Py_buffer *later;         /* by output: see as_output() */
} Run;

static void free_run(Run *run) {
  PyObject *type, *value, *traceback; /* an exporter's code may run, whatever has been raised */
  PyErr_Fetch(&type, &value, &traceback);
  for (size_t i = 0; run->objects != NULL && i < run->input_count + run->output_count; i++)
    Py_XDECREF(run->objects[i]);
  for (size_t i = 0; run->later != NULL && i < run->output_count; i++)
    if (run->later[i].obj != NULL) PyBuffer_Release(&run->later[i]);
  free(run->later);
  free(run->names);
  free(run->handles);
  free(run->objects);
  drain_owners();
  PyErr_Restore(type, value, traceback);
}

/* `kind 'name'`, cut at a whole character where the name is long. Without printf, which takes as long
 * as the rest of a small input's way. */
static void write_label(char *text, size_t size, const char *kind, const char *name) {
  size_t start = strlen(kind) + 2, length = strlen(name), room = size - start - 2;
  if (length > room) {
    length = room;
    while (length > 0 && ((unsigned char)name[length] & 0xC0) == 0x80) length--;
  }
  memcpy(text, kind, start - 2);
  memcpy(text + start - 2, " '", 2);
  memcpy(text + start, name, length);
  memcpy(text + start + length, "'", 2);
}

/* Fills names, handles and objects `at` from two tuples; a None among outputs leaves the slot to the
 * library. */
static int fill(ModuleState *state, Run *run, size_t at, PyObject *names, PyObject *values,
                int are_inputs) {
  const char *kind = are_inputs ? "input" : "output";
  for (Py_ssize_t i = 0; i < PyTuple_Size(values); i++, at++) {
    PyObject *name = PyTuple_GetItem(names, i);
    run->names[at] = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    if (run->names[at] == NULL) {
      if (!PyErr_Occurred())
        PyErr_Format(PyExc_TypeError, "names of %ss are str, not %R", kind, name);
      return -1;
    }
    PyObject *value = PyTuple_GetItem(values, i);
    if (value == NULL) return -1;
    if (value == Py_None && !are_inputs) continue;
    char what[160];
    write_label(what, sizeof what, kind, run->names[at]);
    run->objects[at] = are_inputs ? as_tensor(state, value, what)
                                  : as_output(state, value, what, &run->later[i]);
    if (run->objects[at] == NULL) return -1;
    run->handles[at] = ((TensorObject *)run->objects[at])->handle;
  }
  return 0;
}

/* Gives the caller's memory the results that could not be written there. 0, or -1. */
static int deliver(ModuleState *state, Run *run) {
  for (size_t i = 0; i < run->output_count; i++) {
    Py_buffer *view = &run->later[i];
    if (view->obj == NULL || view->len == 0) continue;
    const void *data = NULL;
    martlet_status status = martlet_tensor_data(run->handles[run->input_count + i], &data);
    if (status != MARTLET_OK) {
      raise_status(state, status);
      return -1;
    }
    if (PyBuffer_FromContiguous(view, (void *)data, view->len, 'C') < 0) return -1;
  }
  return 0;
}

static PyObject *results_of(ModuleState *state, Run *run) {
  PyObject *results = PyTuple_New((Py_ssize_t)run->output_count);
  for (size_t i = 0; i < run->output_count; i++) {
    size_t at = run->input_count + i;
    int is_callers = run->objects[at] != NULL;
    if (results == NULL) {
      if (!is_callers) martlet_tensor_release(run->handles[at]);
      continue;
    }
    PyObject *tensor = is_callers ? Py_NewRef(run->objects[at])
                                  : tensor_object(state, run->handles[at]);
    if (tensor == NULL || PyTuple_SetItem(results, (Py_ssize_t)i, tensor) < 0) Py_CLEAR(results);
  }
  return results;
}

/* Runs without the GIL: by name, or all inputs and the first outputs by position. */
static PyObject *run_unlocked(ModuleState *state, ContextObject *context, Run *run, int is_named) {
  Watch *watch = &context->watch;
  if (begin_run(state, watch) < 0) return NULL;
  martlet_tensor **outputs = run->handles + run->input_count;
  martlet_status status =
    is_named
      ? martlet_context_run_named(context->handle, run->names, run->handles, run->input_count,
                                  run->names + run->input_count, outputs, run->output_count)
      : martlet_context_run(context->handle, run->handles, run->input_count, outputs,
                            run->output_count);
  end_run(watch);
  if (status != MARTLET_OK) return watch->failed ? NULL : raise_status(state, status);
  PyObject *results = results_of(state, run);
  if (watch->failed || (results != NULL && deliver(state, run) < 0)) Py_CLEAR(results);
  return results;
}

/* run(input_names, inputs, output_names, outs, in_order) -> tuple of Tensors; the first four are tuples.
 * in_order: all inputs are given, and the first outputs wanted, in the model's order, so that the names
 * serve errors alone. */
static PyObject *context_run(PyObject *self, PyObject *args) {
  ModuleState *state = state_of(self);
  ContextObject *context = (ContextObject *)self;
  PyObject *input_names, *inputs, *output_names, *outs;
  int is_in_order;
  if (!PyArg_ParseTuple(args, "O!O!O!O!p", &PyTuple_Type, &input_names, &PyTuple_Type, &inputs,
                        &PyTuple_Type, &output_names, &PyTuple_Type, &outs, &is_in_order))
    return NULL;
  if (PyTuple_Size(input_names) != PyTuple_Size(inputs) ||
      PyTuple_Size(output_names) != PyTuple_Size(outs)) {
    PyErr_SetString(PyExc_TypeError, "names must be tuples as long as what they name");
    return NULL;
  }
  Run run = {.input_count = (size_t)PyTuple_Size(inputs),
             .output_count = (size_t)PyTuple_Size(outs)};
  size_t total = run.input_count + run.output_count + 1;
  run.names = calloc(total, sizeof *run.names);
  run.handles = calloc(total, sizeof *run.handles);
  run.objects = calloc(total, sizeof *run.objects);
  run.later = calloc(run.output_count + 1, sizeof *run.later);
  PyObject *results = NULL;
  if (run.names == NULL || run.handles == NULL || run.objects == NULL || run.later == NULL) {
    PyErr_NoMemory();
  } else if (fill(state, &run, 0, input_names, inputs, 1) == 0 &&
             fill(state, &run, run.input_count, output_names, outs, 0) == 0) {
    results = run_unlocked(state, context, &run, !is_in_order);
  }
  free_run(&run);
  return results;
}

/* set_option(name, value) */
static PyObject *context_set_option(PyObject *self, PyObject *args) {
  const char *name, *value;
  if (!PyArg_ParseTuple(args, "ss", &name, &value)) return NULL;
  martlet_status status = martlet_context_set_option(((ContextObject *)self)->handle, name, value);
  if (status != MARTLET_OK) return raise_status(state_of(self), status);
  Py_RETURN_NONE;
}

/* set_pool(a ThreadPool, or None for the process's) */
static PyObject *context_set_pool(PyObject *self, PyObject *object) {
  martlet_pool *pool = NULL;
  if (pool_handle(state_of(self), object, &pool) < 0) return NULL;
  martlet_status status = martlet_context_set_pool(((ContextObject *)self)->handle, pool);
  if (status != MARTLET_OK) return raise_status(state_of(self), status);
  Py_RETURN_NONE;
}

/* run_values(inputs, output_count) -> tuple of Values; inputs: a tuple of them, in order. */
static PyObject *context_run_values(PyObject *self, PyObject *args) {
  ModuleState *state = state_of(self);
  ContextObject *context = (ContextObject *)self;
  PyObject *inputs;
  Py_ssize_t count;
  if (!PyArg_ParseTuple(args, "O!n", &PyTuple_Type, &inputs, &count)) return NULL;
  Watch *watch = &context->watch;
  martlet_value **handles = value_handles(state, inputs);
  martlet_value **outputs = calloc((size_t)count + 1, sizeof *outputs);
  PyObject *results = NULL;
  if (handles != NULL && outputs == NULL) PyErr_NoMemory();
  if (handles != NULL && outputs != NULL && begin_run(state, watch) == 0) {
    martlet_status status = martlet_context_run_values(
      context->handle, handles, (size_t)PyTuple_Size(inputs), outputs, (size_t)count);
    end_run(watch);
    if (status == MARTLET_OK) results = value_results(state, outputs, (size_t)count);
    else if (!watch->failed) raise_status(state, status);
    if (watch->failed) Py_CLEAR(results);
  }
  free(handles);
  free(outputs);
  drain_owners();
  return results;
}

/* set_progress(a function of fraction and stage, or None): of the next runs. */
static PyObject *context_set_progress(PyObject *self, PyObject *function) {
  Watch *watch = &((ContextObject *)self)->watch;
  PyObject *before = watch->progress;
  watch->progress = function == Py_None ? NULL : Py_NewRef(function);
  Py_XDECREF(before);
  Py_RETURN_NONE;
}

static PyObject *context_set_profiling(PyObject *self, PyObject *argument) {
  int enabled = PyObject_IsTrue(argument);
  if (enabled < 0) return NULL;
  martlet_status status =
    martlet_context_set_profiling(((ContextObject *)self)->handle, enabled != 0);
  if (status != MARTLET_OK) return raise_status(state_of(self), status);
  Py_RETURN_NONE;
}

/* [(node, operator, precision, kernel, backend, reason, nanoseconds)] of the last run. */
static PyObject *context_nodes(PyObject *self, PyObject *unused) {
  (void)unused;
  const martlet_context *context = ((ContextObject *)self)->handle;
  size_t count = 0;
  martlet_status status = martlet_context_node_count(context, &count);
  PyObject *nodes = PyTuple_New((Py_ssize_t)count);
  for (size_t i = 0; status == MARTLET_OK && nodes != NULL && i < count; i++) {
    const martlet_node_info *info = NULL;
    status = martlet_context_node(context, i, &info);
    if (status != MARTLET_OK) break;
    PyObject *node = Py_BuildValue("(sszzzzL)", info->node, info->operator_name, info->precision,
                                   info->kernel, info->backend, info->reason,
                                   (long long)info->nanoseconds);
    if (node == NULL || PyTuple_SetItem(nodes, (Py_ssize_t)i, node) < 0) Py_CLEAR(nodes);
  }
  if (status == MARTLET_OK) return nodes;
  Py_XDECREF(nodes);
  return raise_status(state_of(self), status);
}

typedef martlet_status (*text_function)(const martlet_context *, const char **);

static PyObject *text_of(PyObject *self, text_function function) {
  const char *text = NULL;
  martlet_status status = function(((ContextObject *)self)->handle, &text);
  return status == MARTLET_OK ? PyUnicode_FromString(text) : raise_status(state_of(self), status);
}

static PyObject *context_precision_report(PyObject *self, PyObject *unused) {
  (void)unused;
  return text_of(self, martlet_context_precision_report);
}

static PyObject *context_profile(PyObject *self, PyObject *unused) {
  (void)unused;
  return text_of(self, martlet_context_profile);
}

static PyMethodDef context_methods[] = {
  {"run", context_run, METH_VARARGS, NULL},
  {"set_option", context_set_option, METH_VARARGS, NULL},
  {"set_pool", context_set_pool, METH_O, NULL},
  {"run_values", context_run_values, METH_VARARGS, NULL},
  {"set_progress", context_set_progress, METH_O, NULL},
  {"set_profiling", context_set_profiling, METH_O, NULL},
  {"nodes", context_nodes, METH_NOARGS, NULL},
  {"precision_report", context_precision_report, METH_NOARGS, NULL},
  {"profile", context_profile, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL},
};

static PyType_Slot context_slots[] = {
  {Py_tp_dealloc, context_dealloc},
  {Py_tp_methods, context_methods},
  {0, NULL},
};

PyType_Spec context_spec = {
  .name = "martlet._martlet.Context",
  .basicsize = sizeof(ContextObject),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
  .slots = context_slots,
};
