/* Preloaded before the C library: refuses allocations that the native module asks for in the thread that says so. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static uintptr_t module_start, module_end;
static __thread long nth, seen;
static __thread int all_after;

void fail_module(uintptr_t start, uintptr_t end) { module_start = start, module_end = end; }

/* Refuse the nth allocation from now on, and with `after` all that follow; 0 refuses none. */
void fail_nth(long n, int after) { nth = n, seen = 0, all_after = after; }

/* How many allocations there were since. */
long fail_seen(void) { return seen; }

static int is_refused(void *caller) {
    uintptr_t from = (uintptr_t)caller;
    if (nth == 0 || from < module_start || from >= module_end) return 0;
    seen++;
    return all_after ? seen >= nth : seen == nth;
}

#define REFUSE_OR(call) \
    if (is_refused(__builtin_return_address(0))) { errno = ENOMEM; return NULL; } \
    return call

void *malloc(size_t size) { REFUSE_OR(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { REFUSE_OR(__libc_calloc(count, size)); }
void *realloc(void *at, size_t size) { REFUSE_OR(__libc_realloc(at, size)); }

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
    if (is_refused(__builtin_return_address(0))) { errno = ENOMEM; return MAP_FAILED; }
    return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}
