/* Run contexts: one run at a time, without the GIL. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "extension.h"

/* Looks for signals such as Ctrl-C a few times a second during a run. Taking the GIL for every
 * node would make threads wait for each other. */
typedef struct {
  atomic_flag is_busy;
  PyThreadState *thread; /* of the running thread, which runs without the GIL */
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

bool tell_progress(PyObject *function, double fraction, const char *stage, int *failed) {
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
    goes_on = tell_progress(watch->progress, fraction, stage, &watch->failed);
  watch->thread = PyEval_SaveThread();
  return goes_on;
}

/* Has the context for this thread's call alone. 0, or -1 with an exception. */
static int claim(ModuleState *state, Watch *watch) {
  if (!atomic_flag_test_and_set(&watch->is_busy)) return 0;
  PyErr_SetString(state->error,
                  "the context is in use, by another thread or by the run that called this");
  return -1;
}

/* Begins to watch a run, which then has no GIL. 0, or -1 with an exception. */
static int begin_run(ModuleState *state, Watch *watch) {
  if (claim(state, watch) < 0) return -1;
  watch->last_check = watch->progress == NULL ? now() : 0;
  watch->failed = 0;
  watch->thread = PyEval_SaveThread();
  return 0;
}

static void end_run(Watch *watch) {
  PyEval_RestoreThread(watch->thread);
  atomic_flag_clear(&watch->is_busy);
}

/* ---- contexts */

PyObject *context_of(ModuleState *state, martlet_model *model) {
  martlet_context *handle = NULL;
  martlet_status status = martlet_context_create(model, &handle);
  if (status != MARTLET_OK) return raise_status(state, status);
  ContextObject *context = PyObject_New(ContextObject, state->context_type);
  if (context == NULL) {
    martlet_context_release(handle);
    return NULL;
  }
  context->handle = handle;
  context->watch = (Watch){.is_busy = ATOMIC_FLAG_INIT};
  martlet_context_set_progress(handle, watch_run, &context->watch);
  return (PyObject *)context;
}

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
  if (claim(state_of(self), watch) < 0) return NULL;
  PyObject *before = watch->progress;
  watch->progress = function == Py_None ? NULL : Py_NewRef(function);
  atomic_flag_clear(&watch->is_busy);
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
