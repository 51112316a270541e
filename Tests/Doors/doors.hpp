// What the programs of the C++ door share: a line per check, a count at the end.
#ifndef DOORS_HPP
#define DOORS_HPP

#include <martlet.hpp>

#include <cstdio>

inline int passed, failed;

inline bool check(bool holds, const char *what) {
  std::printf("%s%s\n", holds ? "ok      " : "not ok  ", what);
  ++(holds ? passed : failed);
  return holds;
}

inline int finish() {
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

#endif
