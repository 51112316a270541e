// Closes what target_begin.h opened.
#if MK_TARGET_PRESENT && defined(__x86_64__)
#pragma clang attribute pop
#endif
