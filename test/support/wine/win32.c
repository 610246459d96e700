/* What the agent calls of kernel32.dll and advapi32.dll for files, on a Windows that keeps no entries of foreign groups in
   the access control lists of its files: lists are read, changed and set by the real calls, and what was set last is kept
   here by path. Failures can be scripted, and what is handed out is counted. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <aclapi.h>
#include <sddl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __declspec(dllexport)
#define MOST_ALLOCATED 64
#define MOST_PATHS 64
#define TEXT_BYTES 1024

static SRWLOCK lock = SRWLOCK_INIT;
static char failing_call[32];
static DWORD failing_code;
/* What the caller has to give to LocalFree. */
static void *allocated[MOST_ALLOCATED];

static struct list_of_path {
  WCHAR path[512];
  /* In the language of security descriptors. */
  char text[TEXT_BYTES];
} lists[MOST_PATHS];

EXPORT void DoubleFail(const char *call, uint32_t code) {
  AcquireSRWLockExclusive(&lock);
  failing_code = code;
  snprintf(failing_call, sizeof failing_call, "%s", call);
  ReleaseSRWLockExclusive(&lock);
}

static DWORD failure_of(const char *call) {
  AcquireSRWLockExclusive(&lock);
  DWORD code = strcmp(call, failing_call) == 0 ? failing_code : 0;
  if (code != 0) failing_call[0] = 0;
  ReleaseSRWLockExclusive(&lock);
  return code;
}

/* --- memory ---------------------------------------------------------------------------------------------------------- */

static int replace_allocated(void *from, void *to) {
  AcquireSRWLockExclusive(&lock);
  int at = 0;
  while (at < MOST_ALLOCATED && allocated[at] != from) at++;
  if (at < MOST_ALLOCATED) allocated[at] = to;
  ReleaseSRWLockExclusive(&lock);
  return at < MOST_ALLOCATED;
}

EXPORT int DoubleAllocated(void) {
  AcquireSRWLockExclusive(&lock);
  int count = 0;
  for (int i = 0; i < MOST_ALLOCATED; i++) count += allocated[i] != NULL;
  ReleaseSRWLockExclusive(&lock);
  return count;
}

/* What is not ours is a result document of HCS, which the double of computecore.dll counts. */
EXPORT void *ProxyLocalFree(void *memory) {
  if (memory == NULL) return NULL;
  if (replace_allocated(memory, NULL)) return LocalFree(memory);
  HMODULE computecore = GetModuleHandleA("computecore.dll");
  FARPROC local_free = computecore != NULL ? GetProcAddress(computecore, "LocalFree") : NULL;
  if (local_free != NULL) return ((void *(*)(void *))(void *)local_free)(memory);
  fputs("win32 double: LocalFree of what nobody gave\n", stderr);
  abort();
}

/* Texts and descriptors that are made of each other. */
EXPORT BOOL ProxySidText(PSID sid, WCHAR **text) {
  BOOL result = ConvertSidToStringSidW(sid, text);
  if (result) replace_allocated(NULL, *text);
  return result;
}

EXPORT BOOL ProxyDescriptorOf(const WCHAR *text, DWORD revision, PSECURITY_DESCRIPTOR *descriptor, ULONG *size) {
  BOOL result = ConvertStringSecurityDescriptorToSecurityDescriptorW(text, revision, descriptor, size);
  if (result) replace_allocated(NULL, *descriptor);
  return result;
}

EXPORT BOOL ProxyDescriptorText(PSECURITY_DESCRIPTOR descriptor, DWORD revision, SECURITY_INFORMATION information,
                                WCHAR **text, ULONG *length) {
  BOOL result = ConvertSecurityDescriptorToStringSecurityDescriptorW(descriptor, revision, information, text, length);
  if (result) replace_allocated(NULL, *text);
  return result;
}

/* --- access control -------------------------------------------------------------------------------------------------- */

static struct list_of_path *list_of(const WCHAR *path) {
  for (int i = 0; i < MOST_PATHS; i++) {
    if (lists[i].path[0] == 0) lstrcpynW(lists[i].path, path, 512);
    if (lstrcmpiW(lists[i].path, path) == 0) return &lists[i];
  }
  fputs("win32 double: too many paths\n", stderr);
  abort();
}

/* The list that was set last for the path, e.g. `D:(A;;FA;;;WD)(A;;GA;;;S-1-5-83-0)`; empty when none was. */
EXPORT const char *DoubleAccessOf(const WCHAR *path) {
  AcquireSRWLockExclusive(&lock);
  const char *text = list_of(path)->text;
  ReleaseSRWLockExclusive(&lock);
  return text;
}

/* The paths that were asked for so far, in order; NULL when there are no more. */
EXPORT const WCHAR *DoublePathAt(int index) {
  AcquireSRWLockExclusive(&lock);
  const WCHAR *path = index < MOST_PATHS && lists[index].path[0] != 0 ? lists[index].path : NULL;
  ReleaseSRWLockExclusive(&lock);
  return path;
}

/* The one who owns whatever is asked for next, as a text; all files of a Linux user are wine's. */
static char next_owner[64];

EXPORT void DoubleOwner(const char *sid) {
  AcquireSRWLockExclusive(&lock);
  snprintf(next_owner, sizeof next_owner, "%s", sid);
  ReleaseSRWLockExclusive(&lock);
}

static void replace_owner(void **owner) {
  /* It has to outlive the call, and is one at most. */
  static PSID foreign = NULL;
  AcquireSRWLockExclusive(&lock);
  if (next_owner[0] != 0) {
    LocalFree(foreign);
    if (ConvertStringSidToSidA(next_owner, &foreign)) *owner = foreign;
    next_owner[0] = 0;
  }
  ReleaseSRWLockExclusive(&lock);
}

EXPORT DWORD ProxyGetNamedSecurityInfo(const WCHAR *path, SE_OBJECT_TYPE type, SECURITY_INFORMATION information, void **owner,
                                       void **group, ACL **dacl, ACL **sacl, void **descriptor) {
  DWORD code = failure_of("GetNamedSecurityInfoW");
  if (code == 0)
    code = GetNamedSecurityInfoW((WCHAR *)path, type, information, owner, group, dacl, sacl, (PSECURITY_DESCRIPTOR *)descriptor);
  if (code == 0 && *descriptor != NULL) replace_allocated(NULL, *descriptor);
  if (code == 0 && owner != NULL) replace_owner(owner);
  return code;
}

EXPORT DWORD ProxySetEntriesInAcl(ULONG count, EXPLICIT_ACCESSW *entries, ACL *old, ACL **changed) {
  DWORD code = failure_of("SetEntriesInAclW");
  if (code == 0) code = SetEntriesInAclW(count, entries, old, changed);
  if (code == 0 && *changed != NULL) replace_allocated(NULL, *changed);
  return code;
}

static void remember(const WCHAR *path, ACL *dacl, int is_protected) {
  SECURITY_DESCRIPTOR descriptor;
  char *text = NULL;
  InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION);
  SetSecurityDescriptorDacl(&descriptor, TRUE, dacl, FALSE);
  if (is_protected) SetSecurityDescriptorControl(&descriptor, SE_DACL_PROTECTED, SE_DACL_PROTECTED);
  if (!ConvertSecurityDescriptorToStringSecurityDescriptorA(&descriptor, SDDL_REVISION_1, DACL_SECURITY_INFORMATION, &text, NULL))
    return;
  AcquireSRWLockExclusive(&lock);
  snprintf(list_of(path)->text, TEXT_BYTES, "%s", text);
  ReleaseSRWLockExclusive(&lock);
  LocalFree(text);
}

EXPORT DWORD ProxySetNamedSecurityInfo(const WCHAR *path, SE_OBJECT_TYPE type, SECURITY_INFORMATION information, void *owner,
                                       void *group, ACL *dacl, ACL *sacl) {
  DWORD code = failure_of("SetNamedSecurityInfoW");
  if (code == 0) code = SetNamedSecurityInfoW((WCHAR *)path, type, information, owner, group, dacl, sacl);
  if (code == 0) remember(path, dacl, (information & PROTECTED_DACL_SECURITY_INFORMATION) != 0);
  return code;
}

/* --- modules --------------------------------------------------------------------------------------------------------- */

/* The double of a library is not where the library would be. */
EXPORT BOOL ProxyGetModuleHandleEx(DWORD flags, const WCHAR *path, HMODULE *module) {
  const WCHAR *name = path;
  for (const WCHAR *at = path; *at != 0; at++)
    if (*at == L'\\') name = at + 1;
  return GetModuleHandleExW(flags, name, module);
}

/* A folder that is made with a list has that list. */
EXPORT BOOL ProxyCreateDirectory(const WCHAR *path, SECURITY_ATTRIBUTES *attributes) {
  DWORD code = failure_of("CreateDirectoryW");
  if (code != 0) SetLastError(code);
  if (code != 0 || !CreateDirectoryW(path, attributes)) return FALSE;
  BOOL present = FALSE, defaulted = FALSE;
  ACL *dacl = NULL;
  SECURITY_DESCRIPTOR_CONTROL control = 0;
  DWORD revision = 0;
  if (attributes != NULL && attributes->lpSecurityDescriptor != NULL &&
      GetSecurityDescriptorDacl(attributes->lpSecurityDescriptor, &present, &dacl, &defaulted) &&
      GetSecurityDescriptorControl(attributes->lpSecurityDescriptor, &control, &revision) && present)
    remember(path, dacl, (control & SE_DACL_PROTECTED) != 0);
  return TRUE;
}

/* --- files ----------------------------------------------------------------------------------------------------------- */

/* Wine 8 has only its elder, which does the same and leaves the cause elsewhere. */
EXPORT HRESULT ProxyCopyFile2(const WCHAR *from, const WCHAR *to, void *parameters) {
  DWORD code = failure_of("CopyFile2");
  if (code == 0 && parameters != NULL) code = ERROR_INVALID_PARAMETER;
  if (code == 0 && !CopyFileW(from, to, FALSE)) code = GetLastError();
  return HRESULT_FROM_WIN32(code);
}
