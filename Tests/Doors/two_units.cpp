// One program of two units: this file without exceptions (MARTLET_NO_EXCEPTIONS), and with them.
#include "doors.hpp"

#ifdef MARTLET_NO_EXCEPTIONS
bool fails_without_exceptions() {
  const auto model = martlet::model::load("nowhere.onnx");
  return !model && model.error().status() == martlet::status::not_found;
}
#else
bool fails_without_exceptions();

static bool throws() {
  try {
    martlet::model::load("nowhere.onnx");
    return false;
  } catch (const martlet::error &error) {
    return error.status() == martlet::status::not_found;
  }
}

int main() {
  check(throws() && fails_without_exceptions() && throws(), "both ways in one program");
  return finish();
}
#endif
