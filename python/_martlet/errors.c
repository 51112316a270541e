#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "extension.h"

static const char *const FIELDS[] = {"code", "node", "operator", "input", "expected", "actual"};

/* A class martlet.<name>(Error, builtin) with the status's name as `code`; NULL with an exception. */
static PyObject *new_error(PyObject *module, PyObject *base, PyObject *builtin,
                           martlet_status status, const char *name, const char *doc) {
  char qualified[64];
  PyOS_snprintf(qualified, sizeof qualified, "martlet.%s", name);
  PyObject *bases = builtin == NULL ? PyTuple_Pack(1, base) : PyTuple_Pack(2, base, builtin);
  PyObject *fields = Py_BuildValue("{ss}", "code", martlet_status_name(status));
  PyObject *error = bases == NULL || fields == NULL
                      ? NULL
                      : PyErr_NewExceptionWithDoc(qualified, doc, bases, fields);
  Py_XDECREF(bases);
  Py_XDECREF(fields);
  if (error != NULL && PyModule_AddObjectRef(module, name, error) < 0) Py_CLEAR(error);
  return error;
}

int add_errors(PyObject *module, ModuleState *state) {
  PyObject *fields = PyDict_New();
  if (fields == NULL) return -1;
  for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
    if (PyDict_SetItemString(fields, FIELDS[i], Py_None) < 0) {
      Py_DECREF(fields);
      return -1;
    }
  }
  state->error = PyErr_NewExceptionWithDoc(
    "martlet.Error",
    "A call failed.\n\ncode is the status's name; node, operator, input, expected and actual say "
    "where and why,\nand are None where they do not apply.",
    PyExc_RuntimeError, fields);
  Py_DECREF(fields);
  if (state->error == NULL || PyModule_AddObjectRef(module, "Error", state->error) < 0) return -1;

  const struct {
    martlet_status status;
    PyObject *builtin;
    const char *name, *doc;
  } rows[] = {
    {MARTLET_INVALID_ARGUMENT, PyExc_ValueError, "InvalidArgumentError",
     "An argument is out of range or contradicts another."},
    {MARTLET_INVALID_SHAPE, PyExc_ValueError, "InvalidShapeError",
     "A shape or stride does not fit."},
    {MARTLET_INVALID_DTYPE, PyExc_TypeError, "InvalidDTypeError",
     "A data type that the operation does not take."},
    {MARTLET_NOT_FOUND, PyExc_ValueError, "NotFoundError",
     "A name (operator, input, output, option, mode) that does not exist."},
    {MARTLET_IO, PyExc_OSError, "FileError", "A file could not be read."},
    {MARTLET_INVALID_MODEL, PyExc_ValueError, "InvalidModelError", "A model file is malformed."},
    {MARTLET_UNSUPPORTED, PyExc_NotImplementedError, "UnsupportedError",
     "Valid, but not supported by this build."},
    {MARTLET_OUT_OF_MEMORY, PyExc_MemoryError, "OutOfMemoryError",
     "Memory could not be allocated."},
    {MARTLET_CANCELLED, NULL, "CancelledError", "A progress callback asked to stop."},
    {MARTLET_LIMIT_EXCEEDED, NULL, "LimitExceededError", "A run met a limit that it was given."},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    PyObject *error =
      new_error(module, state->error, rows[i].builtin, rows[i].status, rows[i].name, rows[i].doc);
    if (error == NULL) return -1;
    state->errors[rows[i].status] = error;
  }
  state->file_not_found = new_error(module, state->error, PyExc_FileNotFoundError,
                                    MARTLET_NOT_FOUND, "ModelNotFoundError",
                                    "There is no such model file.");
  return state->file_not_found == NULL ? -1 : 0;
}

/* Sets a field of the exception to a text or None; errors of doing so are dropped. */
static void set_text(PyObject *exception, const char *field, const char *text) {
  if (text == NULL) return; /* the class says None */
  PyObject *value = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
  if (value == NULL || PyObject_SetAttrString(exception, field, value) < 0) PyErr_Clear();
  Py_XDECREF(value);
}

PyObject *raise_message(ModuleState *state, martlet_status status, PyObject *message,
                        const char *expected, const char *actual) {
  PyObject *type = state->errors[status];
  PyObject *exception = message == NULL ? NULL : PyObject_CallFunctionObjArgs(type, message, NULL);
  Py_XDECREF(message);
  if (exception == NULL) return NULL;
  set_text(exception, "expected", expected);
  set_text(exception, "actual", actual);
  PyErr_SetObject(type, exception);
  Py_DECREF(exception);
  return NULL;
}

/* The message without the name of the C function that it begins with: a traceback shows Python's. */
static const char *without_function(const char *message) {
  static const char prefix[] = "martlet_";
  if (strncmp(message, prefix, sizeof prefix - 1) != 0) return message;
  size_t length = strspn(message, "abcdefghijklmnopqrstuvwxyz0123456789_");
  return strncmp(message + length, ": ", 2) == 0 ? message + length + 2 : message;
}

static PyObject *raise_as(PyObject *type, martlet_status status, const char *path) {
  const martlet_error *last = martlet_last_error();
  martlet_error blank = {status, martlet_status_name(status), NULL, NULL, NULL, NULL, NULL};
  if (last->status != status) last = &blank;
  const char *sentence = without_function(last->message);
  PyObject *message = PyUnicode_DecodeUTF8(sentence, (Py_ssize_t)strlen(sentence), "replace");
  if (message == NULL) return NULL;
  PyObject *exception = PyObject_CallFunctionObjArgs(type, message, NULL);
  Py_DECREF(message);
  if (exception == NULL) return NULL;
  set_text(exception, "code", martlet_status_name(status));
  set_text(exception, "node", last->node);
  set_text(exception, "operator", last->operator_name);
  set_text(exception, "input", last->input);
  set_text(exception, "expected", last->expected);
  set_text(exception, "actual", last->actual);
  if (path != NULL) {
    set_text(exception, "filename", path);
    set_text(exception, "strerror", strerror(ENOENT));
    PyObject *number = PyLong_FromLong(ENOENT);
    if (number == NULL || PyObject_SetAttrString(exception, "errno", number) < 0) PyErr_Clear();
    Py_XDECREF(number);
  }
  PyErr_SetObject(type, exception);
  Py_DECREF(exception);
  return NULL;
}

PyObject *raise_status(ModuleState *state, martlet_status status) {
  PyObject *type = status > 0 && status < STATUS_COUNT ? state->errors[status] : NULL;
  return raise_as(type == NULL ? state->error : type, status, NULL);
}

PyObject *raise_file_status(ModuleState *state, martlet_status status, const char *path) {
  if (status == MARTLET_NOT_FOUND && access(path, F_OK) != 0 && errno == ENOENT)
    return raise_as(state->file_not_found, status, path);
  return raise_status(state, status);
}
