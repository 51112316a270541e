// Closes what target_begin.h opened.
#if MK_TARGET_PRESENT && !defined(MK_TARGET_GENERIC)
#pragma clang attribute pop
#endif
