/* All that differs between Linux and Windows: exports, one lock with one condition, threads, sleep, random bytes. */
#ifndef DOUBLE_PLATFORM_H
#define DOUBLE_PLATFORM_H

#include <stdint.h>

#ifdef _WIN32
/* rand_s, which must be asked for before any header. */
#define _CRT_RAND_S
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <stdlib.h>

#define EXPORT __declspec(dllexport)
/* kernel32 has the name; a module definition file exports this one under it. */
#define LOCAL_FREE DoubleLocalFree

typedef struct {
  SRWLOCK lock;
  CONDITION_VARIABLE changed;
} monitor;
#define MONITOR_INIT {SRWLOCK_INIT, CONDITION_VARIABLE_INIT}

static inline void monitor_enter(monitor *m) { AcquireSRWLockExclusive(&m->lock); }
static inline void monitor_leave(monitor *m) { ReleaseSRWLockExclusive(&m->lock); }
static inline void monitor_changed(monitor *m) { WakeAllConditionVariable(&m->changed); }
static inline void monitor_wait(monitor *m, uint32_t milliseconds) {
  SleepConditionVariableSRW(&m->changed, &m->lock, milliseconds, 0);
}

static inline uint64_t now_milliseconds(void) { return GetTickCount64(); }
static inline void sleep_milliseconds(uint32_t milliseconds) { Sleep(milliseconds); }

struct thread_start {
  void (*run)(void *);
  void *argument;
};
static DWORD WINAPI thread_main(void *argument) {
  struct thread_start start = *(struct thread_start *)argument;
  free(argument);
  start.run(start.argument);
  return 0;
}
static inline int thread_detached(void (*run)(void *), void *argument) {
  struct thread_start *start = malloc(sizeof *start);
  *start = (struct thread_start){run, argument};
  HANDLE thread = CreateThread(NULL, 128 * 1024, thread_main, start, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
  if (thread != NULL) CloseHandle(thread);
  return thread != NULL;
}

static inline void random_bytes(uint8_t *bytes, int count) {
  for (int i = 0; i < count; i++) {
    unsigned value;
    rand_s(&value);
    bytes[i] = (uint8_t)value;
  }
}
#else
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
#define LOCAL_FREE LocalFree

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
} monitor;
#define MONITOR_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER}

static inline void monitor_enter(monitor *m) { pthread_mutex_lock(&m->lock); }
static inline void monitor_leave(monitor *m) { pthread_mutex_unlock(&m->lock); }
static inline void monitor_changed(monitor *m) { pthread_cond_broadcast(&m->changed); }
static inline void monitor_wait(monitor *m, uint32_t milliseconds) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += milliseconds / 1000;
  until.tv_nsec += (milliseconds % 1000) * 1000000L;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_sec += 1;
    until.tv_nsec -= 1000000000L;
  }
  pthread_cond_timedwait(&m->changed, &m->lock, &until);
}

static inline uint64_t now_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
static inline void sleep_milliseconds(uint32_t milliseconds) {
  struct timespec time = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
  nanosleep(&time, NULL);
}

struct thread_start {
  void (*run)(void *);
  void *argument;
};
static void *thread_main(void *argument) {
  struct thread_start start = *(struct thread_start *)argument;
  free(argument);
  start.run(start.argument);
  return NULL;
}
static inline int thread_detached(void (*run)(void *), void *argument) {
  struct thread_start *start = malloc(sizeof *start);
  *start = (struct thread_start){run, argument};
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  int error = pthread_create(&thread, &attributes, thread_main, start);
  pthread_attr_destroy(&attributes);
  return error == 0;
}

static inline void random_bytes(uint8_t *bytes, int count) {
  if (getrandom(bytes, (size_t)count, 0) != count) abort();
}
#endif

#endif
