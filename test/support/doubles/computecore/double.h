/* A double of computecore.dll for tests (docs/reference/hcs-runtime.md A, B): its exports with the semantics of HCS, on
   threads of its own, and strict: what would corrupt memory in the real library ends the process with a message here.
   Everything below is guarded by one lock; callbacks run without it. */
#ifndef DOUBLE_H
#define DOUBLE_H

#include "platform.h"
#include "text.h"

typedef int32_t result_code;
/* What the caller holds is a number that is never used twice, so a handle that was closed is recognised. */
typedef struct opaque *handle_value;

#define RESULT_OK 0
#define E_NOT_IMPLEMENTED ((result_code)0x80004001)
#define E_OUT_OF_MEMORY ((result_code)0x8007000e)
#define E_INVALID_ARGUMENT ((result_code)0x80070057)
#define HCS_E_INVALID_STATE ((result_code)0x80370105)
#define HCS_E_TERMINATED ((result_code)0x80370107)
#define HCS_E_INVALID_JSON ((result_code)0x8037010d)
#define HCS_E_SYSTEM_NOT_FOUND ((result_code)0x8037010e)
#define HCS_E_SYSTEM_ALREADY_EXISTS ((result_code)0x8037010f)
#define HCS_E_SYSTEM_ALREADY_STOPPED ((result_code)0x80370110)
#define HCS_E_OPERATION_NOT_STARTED ((result_code)0x80370115)
#define HCS_E_OPERATION_ALREADY_STARTED ((result_code)0x80370116)
#define HCS_E_OPERATION_PENDING ((result_code)0x80370117)
#define HCS_E_OPERATION_TIMEOUT ((result_code)0x80370118)

struct event {
  uint32_t type;
  const char16 *data;
  handle_value operation;
};
#define EVENT_SYSTEM_EXITED 1u

typedef void (*event_callback)(struct event *event, void *context);
typedef void (*completion_callback)(handle_value operation, void *context);

/* --- strict.c: the lock, violations, result texts, counters ---------------------------------------------------------- */

extern monitor world;

#if defined(__GNUC__) && !defined(_WIN32)
__attribute__((format(printf, 1, 2)))
#endif
_Noreturn void violation(const char *format, ...);

/* Waits while the lock is held. A wait that takes this long is one for a callback that cannot run. */
#ifndef DEADLOCK_MILLISECONDS
#define DEADLOCK_MILLISECONDS 10000
#endif
void wait_until_zero(const int *count, const char *what);

/* A counted copy that must come back through LocalFree. */
char16 *result_text(const char16 *text);

enum handle_kind { KIND_OPERATION = 1, KIND_SYSTEM = 2 };
handle_value new_handle(enum handle_kind kind);
/* Ends the process when the handle is not one of that kind that is open. `object` is what the list of open ones gave. */
void check_handle(const char *call, handle_value handle, enum handle_kind kind, const void *object);

/* --- script.c: what the test wants to go wrong ----------------------------------------------------------------------- */

enum action {
  ACTION_NONE = 0,
  ACTION_FAIL_CALL = 1,
  ACTION_FAIL_OPERATION = 2,
  ACTION_DELAY = 3,
  ACTION_HOLD = 4,
  ACTION_NO_RESULT = 5,
  ACTION_RESULT = 6,
  ACTION_COMPLETE_TWICE = 7,
  ACTION_BLOCK = 8,
  ACTION_HANG = 9,
};

struct scripted {
  enum action action;
  uint32_t value;
  /* The caller's to free; may be NULL. */
  char16 *text;
};

/* Counts the call; holds the lock. */
struct scripted script_at(const char *call);
result_code scripted_call(const char *call, char16 **replaced);
/* Grows with every DoubleRelease. */
extern int releases;
void script_reset(void);

/* --- operation.c ----------------------------------------------------------------------------------------------------- */

enum operation_state { OPERATION_NEW, OPERATION_RUNNING, OPERATION_COMPLETE };

struct system_handle;

struct operation {
  handle_value handle;
  enum operation_state state;
  completion_callback callback;
  void *context;
  /* What an effect needs of the call; may be NULL. */
  char16 *argument;
  result_code result;
  char16 *document;
  int callbacks;
  /* What it runs on; NULL when that is nothing, or closed. */
  struct system_handle *on;
  int is_cancelled;
  /* Its handle was closed while it ran; it goes when it ends. */
  int is_closed;
  struct operation *next;
};

/* What an operation does when its time has come: returns the result and leaves the result document, if any. */
typedef result_code (*effect)(struct system_handle *on, struct operation *operation);

/* Begins an operation as the script and the caller want it; called with the lock held, on a handle or on none.
   `refusal` is what the call itself would say. */
result_code run_operation(const char *call, struct operation *operation, struct system_handle *on, effect effect,
                          result_code refusal);
struct operation *operation_of(const char *call, handle_value handle);
int operation_count(void);

/* --- system.c -------------------------------------------------------------------------------------------------------- */

enum system_state { SYSTEM_CREATING, SYSTEM_CREATED, SYSTEM_RUNNING, SYSTEM_STOPPED };

struct system {
  char16 *id;
  char16 *owner;
  char runtime_id[37];
  enum system_state state;
  int ends_with_last_handle;
  int handles;
  char16 *exit_document;
  char16 *exit_type;
  struct system *next;
};

struct system_handle {
  handle_value handle;
  /* NULL when its creation failed, or when a service has it (computecore-client). */
  struct system *system;
  /* The service's number for it; 0 = none. */
  int32_t remote;
  event_callback callback;
  void *context;
  /* Callbacks, operations and calls that run on it. */
  int callbacks;
  int operations;
  int calls;
  /* Of operations, also of those that were given up: they still look at it. */
  int effects;
  struct system_handle *next;
};

extern struct system *systems;

struct system *system_of_id(const char16 *id);
struct system *new_system(const char16 *id, struct json document);
struct system_handle *new_system_handle(struct system *system);
struct system_handle *system_handle_of(const char *call, handle_value handle);
/* NULL when there is none. */
struct system_handle *system_handle_of_remote(int32_t remote);
void close_system_handle(struct system_handle *handle);
void remove_if_unused(struct system *system);
/* The system stops; every handle that listens is told, each by a thread of its own. */
void system_exits(struct system *system, const char16 *exit_type, int32_t status);
char16 *properties_of(struct system *system);
int system_count(void);
int system_handle_count(void);

/* Sends one event to one listener; `data` is copied, and poisoned when the callback has returned. */
void send_event(struct system_handle *to, uint32_t type, const char16 *data);
/* The same event without data to every listener. */
void send_event_to_all(uint32_t type);

#endif
