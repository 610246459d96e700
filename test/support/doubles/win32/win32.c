/* The exports of kernel32.dll and advapi32.dll that the agent calls for files, on Linux: copies are real, access control
   lists are texts by path, and what a call must get is checked. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint16_t char16;

#define ERROR_FILE_NOT_FOUND 2
#define ERROR_ACCESS_DENIED 5
#define ERROR_DISK_FULL 112
#define ERROR_ALREADY_EXISTS 183

static _Noreturn void violation(const char *message) {
  fprintf(stderr, "win32 double: %s\n", message);
  abort();
}

/* --- scripted failures, counted memory ------------------------------------------------------------------------------- */

static char failing_call[64];
static uint32_t failing_code;
static int allocated;

EXPORT void DoubleFail(const char *call, uint32_t code) {
  strncpy(failing_call, call, sizeof failing_call - 1);
  failing_code = code;
}

static uint32_t failure_of(const char *call) {
  if (strcmp(call, failing_call) != 0) return 0;
  failing_call[0] = 0;
  return failing_code;
}

EXPORT int DoubleAllocated(void) { return __atomic_load_n(&allocated, __ATOMIC_SEQ_CST); }

static void *allocate(size_t size) {
  __atomic_add_fetch(&allocated, 1, __ATOMIC_SEQ_CST);
  return calloc(1, size);
}

EXPORT void *LocalFree(void *memory) {
  if (memory == NULL) return NULL;
  __atomic_sub_fetch(&allocated, 1, __ATOMIC_SEQ_CST);
  free(memory);
  return NULL;
}

/* --- the end of the process ------------------------------------------------------------------------------------------- */

typedef int32_t (*control_handler)(uint32_t event);

static control_handler handler;
static int handled = -1;

EXPORT int32_t SetConsoleCtrlHandler(control_handler wanted, int32_t add) {
  if (failure_of("SetConsoleCtrlHandler") != 0) return 0;
  handler = add ? wanted : NULL;
  return 1;
}

static void *control(void *event) {
  int result = handler == NULL ? 0 : handler((uint32_t)(uintptr_t)event);
  __atomic_store_n(&handled, result, __ATOMIC_SEQ_CST);
  return NULL;
}

/* As Windows does it: on a thread of its own. */
EXPORT void DoubleControl(uint32_t event) {
  pthread_t thread;
  __atomic_store_n(&handled, -1, __ATOMIC_SEQ_CST);
  if (pthread_create(&thread, NULL, control, (void *)(uintptr_t)event) != 0) violation("no thread");
  pthread_detach(thread);
}

/* What the handler has returned; -1 while it has not. */
EXPORT int DoubleHandled(void) { return __atomic_load_n(&handled, __ATOMIC_SEQ_CST); }

/* --- files ----------------------------------------------------------------------------------------------------------- */

/* Paths of tests are ASCII, but for one letter. */
static void narrow(const char16 *text, char *to, size_t capacity) {
  size_t at = 0;
  for (; *text != 0 && at + 3 < capacity; text++) {
    if (*text < 0x80) {
      to[at++] = (char)*text;
    } else {
      to[at++] = (char)(0xc0 | (*text >> 6));
      to[at++] = (char)(0x80 | (*text & 0x3f));
    }
  }
  to[at] = 0;
}

static int32_t hresult_of(uint32_t code) { return code == 0 ? 0 : (int32_t)(0x80070000u | code); }

static uint32_t code_of_errno(void) {
  switch (errno) {
    case ENOENT:
      return ERROR_FILE_NOT_FOUND;
    case ENOSPC:
      return ERROR_DISK_FULL;
    case EEXIST:
      return ERROR_ALREADY_EXISTS;
    default:
      return ERROR_ACCESS_DENIED;
  }
}

static uint32_t copy(int from, int to) {
  char bytes[65536];
  ssize_t count;
  while ((count = read(from, bytes, sizeof bytes)) > 0)
    if (write(to, bytes, (size_t)count) != count) return code_of_errno();
  return count < 0 ? code_of_errno() : 0;
}

EXPORT int32_t CopyFile2(const char16 *from_path, const char16 *to_path, void *parameters) {
  char from_name[4096], to_name[4096];
  if (parameters != NULL) violation("CopyFile2: unexpected parameters");
  uint32_t scripted = failure_of("CopyFile2");
  if (scripted != 0) return hresult_of(scripted);
  narrow(from_path, from_name, sizeof from_name);
  narrow(to_path, to_name, sizeof to_name);
  int from = open(from_name, O_RDONLY | O_CLOEXEC);
  if (from < 0) return hresult_of(code_of_errno());
  int to = open(to_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  uint32_t code = to < 0 ? code_of_errno() : copy(from, to);
  close(from);
  if (to >= 0) close(to);
  return hresult_of(code);
}

static const struct {
  uint32_t code;
  uint32_t language;
  const char *text;
} messages[] = {
    {ERROR_FILE_NOT_FOUND, 0x409, "The system cannot find the file specified.\r\n"},
    {ERROR_ACCESS_DENIED, 0x409, "Access is denied.\r\n"},
    {ERROR_DISK_FULL, 0x409, "There is not enough space on the disk.\r\n"},
    {1314, 0, "Dem Client fehlt ein erforderliches Recht.\r\n"},
};

EXPORT uint32_t FormatMessageW(uint32_t flags, const void *source, uint32_t code, uint32_t language, char16 *to,
                               uint32_t capacity, void *arguments) {
  if (flags != 0x1200 || source != NULL || arguments != NULL) violation("FormatMessageW: unexpected arguments");
  for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
    if (messages[i].code != code || messages[i].language != language) continue;
    uint32_t length = (uint32_t)strlen(messages[i].text);
    if (length >= capacity) return 0;
    for (uint32_t at = 0; at <= length; at++) to[at] = (char16)messages[i].text[at];
    return length;
  }
  return 0;
}

/* --- access control -------------------------------------------------------------------------------------------------- */

#define LIST_BYTES 1024
#define FILE_OBJECT 1
#define OWNER_INFORMATION 1u
#define DACL_INFORMATION 4u
#define PROTECTED_DACL_INFORMATION 0x80000000u

/* Accounts are their texts. */
static const char own_account[] = "S-1-5-21-1-2-3-1000";

struct list_of_path {
  char path[512];
  char list[LIST_BYTES];
  char owner[64];
};
static struct list_of_path lists[64];

static struct list_of_path *list_of(const char16 *path) {
  char name[512];
  narrow(path, name, sizeof name);
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    if (lists[i].path[0] == 0) {
      strcpy(lists[i].path, name);
      strcpy(lists[i].list, "(owner)");
      strcpy(lists[i].owner, own_account);
    }
    if (strcmp(lists[i].path, name) == 0) return &lists[i];
  }
  violation("too many paths");
}

EXPORT const char *DoubleAccessOf(const char16 *path) { return list_of(path)->list; }

EXPORT void DoubleSetOwner(const char16 *path, const char *account) {
  snprintf(list_of(path)->owner, sizeof list_of(path)->owner, "%s", account);
}

EXPORT uint32_t GetNamedSecurityInfoW(const char16 *path, int32_t type, uint32_t information, void **owner, void **group,
                                      void **dacl, void **sacl, void **descriptor) {
  if (type != FILE_OBJECT || (information != DACL_INFORMATION && information != OWNER_INFORMATION) || group != NULL ||
      sacl != NULL || (owner != NULL) != (information == OWNER_INFORMATION))
    violation("GetNamedSecurityInfoW: unexpected arguments");
  uint32_t code = failure_of("GetNamedSecurityInfoW");
  if (code != 0) return code;
  char *copied = allocate(LIST_BYTES);
  strcpy(copied, owner != NULL ? list_of(path)->owner : list_of(path)->list);
  *descriptor = copied;
  *(owner != NULL ? owner : dacl) = copied;
  return 0;
}

struct trustee {
  void *multiple;
  int32_t operation;
  int32_t form;
  int32_t type;
  const uint8_t *sid;
};

struct entry {
  uint32_t permissions;
  int32_t mode;
  uint32_t inheritance;
  struct trustee trustee;
};

EXPORT uint32_t SetEntriesInAclW(uint32_t count, const struct entry *entry, const char *old, void **changed) {
  static const uint8_t group[] = {1, 2, 0, 0, 0, 0, 0, 5, 83, 0, 0, 0, 0, 0, 0, 0};
  const struct trustee *trustee = &entry->trustee;
  uint32_t code = failure_of("SetEntriesInAclW");
  if (code != 0) return code;
  if (count != 1 || entry->mode != 1 || trustee->multiple != NULL || trustee->operation != 0 || trustee->form != 0 ||
      trustee->type != 5 || memcmp(trustee->sid, group, sizeof group) != 0)
    violation("SetEntriesInAclW: unexpected entry");
  char *list = allocate(LIST_BYTES);
  snprintf(list, LIST_BYTES, "%s(%08x,%u,S-1-5-83-0)", old, entry->permissions, entry->inheritance);
  *changed = list;
  return 0;
}

EXPORT uint32_t SetNamedSecurityInfoW(const char16 *path, int32_t type, uint32_t information, void *owner, void *group,
                                      const char *dacl, void *sacl) {
  if (type != FILE_OBJECT || (information & ~PROTECTED_DACL_INFORMATION) != DACL_INFORMATION || owner != NULL ||
      group != NULL || sacl != NULL)
    violation("SetNamedSecurityInfoW: unexpected arguments");
  uint32_t code = failure_of("SetNamedSecurityInfoW");
  if (code == 0) strcpy(list_of(path)->list, dacl);
  return code;
}

/* --- private folders ------------------------------------------------------------------------------------------------- */

static __thread uint32_t last_error;

static int32_t outcome(uint32_t code) {
  if (code != 0) last_error = code;
  return code == 0;
}

EXPORT uint32_t GetLastError(void) { return last_error; }

struct security_attributes {
  uint32_t length;
  const char *descriptor;
  int32_t inherits;
};

EXPORT int32_t CreateDirectoryW(const char16 *path, const struct security_attributes *attributes) {
  char name[4096];
  uint32_t code = failure_of("CreateDirectoryW");
  if (code != 0) return outcome(code);
  if (attributes == NULL || attributes->length != sizeof *attributes || attributes->inherits != 0)
    violation("CreateDirectoryW: unexpected attributes");
  narrow(path, name, sizeof name);
  if (mkdir(name, 0700) != 0) return outcome(code_of_errno());
  strcpy(list_of(path)->list, attributes->descriptor);
  return 1;
}

#define TOKEN ((intptr_t)0x70ce)
static int open_tokens;

EXPORT int DoubleOpenTokens(void) { return open_tokens; }

EXPORT int32_t OpenProcessToken(intptr_t process, uint32_t access, intptr_t *token) {
  if (process != -1 || access != 8) violation("OpenProcessToken: unexpected arguments");
  uint32_t code = failure_of("OpenProcessToken");
  if (code != 0) return outcome(code);
  open_tokens++;
  *token = TOKEN;
  return 1;
}

EXPORT int32_t CloseHandle(intptr_t handle) {
  if (handle != TOKEN || open_tokens == 0) violation("CloseHandle: no such handle");
  open_tokens--;
  return 1;
}

EXPORT int32_t GetTokenInformation(intptr_t token, int32_t what, const char **answer, uint32_t length, int32_t *needed) {
  if (token != TOKEN || what != 1 || length < sizeof *answer) violation("GetTokenInformation: unexpected arguments");
  uint32_t code = failure_of("GetTokenInformation");
  if (code != 0) return outcome(code);
  *answer = own_account;
  *needed = (int32_t)length;
  return 1;
}

static char16 *widened(const char *text) {
  size_t length = strlen(text);
  char16 *wide = allocate((length + 1) * sizeof *wide);
  for (size_t i = 0; i < length; i++) wide[i] = (char16)text[i];
  return wide;
}

EXPORT int32_t ConvertSidToStringSidW(const char *sid, char16 **text) {
  uint32_t code = failure_of("ConvertSidToStringSidW");
  if (code != 0) return outcome(code);
  *text = widened(sid);
  return 1;
}

EXPORT int32_t ConvertSecurityDescriptorToStringSecurityDescriptorW(const char *descriptor, uint32_t revision,
                                                                    uint32_t information, char16 **text, void *length) {
  if (descriptor == NULL || revision != 1 || information != DACL_INFORMATION || length != NULL)
    violation("ConvertSecurityDescriptorToString…: unexpected arguments");
  uint32_t code = failure_of("ConvertSecurityDescriptorToStringSecurityDescriptorW");
  if (code != 0) return outcome(code);
  *text = widened(descriptor);
  return 1;
}

EXPORT int32_t ConvertStringSecurityDescriptorToSecurityDescriptorW(const char16 *text, uint32_t revision, char **descriptor,
                                                                    void *size) {
  if (revision != 1 || size != NULL) violation("ConvertStringSecurityDescriptor…: unexpected arguments");
  uint32_t code = failure_of("ConvertStringSecurityDescriptorToSecurityDescriptorW");
  if (code != 0) return outcome(code);
  *descriptor = allocate(LIST_BYTES);
  narrow(text, *descriptor, LIST_BYTES);
  return 1;
}

EXPORT int32_t GetSecurityDescriptorDacl(char *descriptor, int32_t *present, char **dacl, int32_t *defaulted) {
  uint32_t code = failure_of("GetSecurityDescriptorDacl");
  if (code != 0) return outcome(code);
  *present = 1;
  *dacl = descriptor;
  *defaulted = 0;
  return 1;
}
