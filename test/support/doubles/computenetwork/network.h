/* A double of computenetwork.dll for tests (docs/reference/hns.md), with HNSCall of vmcompute.dll and CoTaskMemFree of
   ole32.dll: synchronous calls with the semantics of HNS, and strict: what would corrupt memory in the real library ends
   the process with a message here. Everything below is guarded by one lock. */
#ifndef NETWORK_H
#define NETWORK_H

#include "../computecore/double.h"

#define HCN_E_NETWORK_NOT_FOUND ((result_code)0x803b0001)
#define HCN_E_ENDPOINT_NOT_FOUND ((result_code)0x803b0002)
#define HCN_E_INVALID_POLICY ((result_code)0x803b000d)
#define HCN_E_INVALID_POLICY_TYPE ((result_code)0x803b000e)
#define HCN_E_PORT_ALREADY_EXISTS ((result_code)0x803b0013)
#define HCN_E_REQUEST_UNSUPPORTED ((result_code)0x803b0015)
#define HCN_E_MAPPING_NOT_SUPPORTED ((result_code)0x803b0016)
#define HCN_E_INVALID_JSON ((result_code)0x803b001b)
#define HCN_E_INVALID_IP ((result_code)0x803b001e)
#define HCN_E_ADDR_INVALID_OR_RESERVED ((result_code)0x803b002f)
#define E_ALREADY_EXISTS ((result_code)0x800700b7)

struct guid {
  uint32_t data1;
  uint16_t data2;
  uint16_t data3;
  uint8_t data4[8];
};

#define GUID_LENGTH 37
void guid_text(const struct guid *guid, char text[GUID_LENGTH]);

/* --- handles.c: what must be closed or freed ------------------------------------------------------------------------- */

enum network_kind { KIND_NETWORK = 3, KIND_ENDPOINT = 4 };

struct open_handle {
  handle_value handle;
  enum network_kind kind;
  char id[GUID_LENGTH];
  /* Calls that run on it. */
  int calls;
  struct open_handle *next;
};

handle_value open_handle(enum network_kind kind, const char *id);
/* Ends the process when the handle is not one of that kind that is open. */
struct open_handle *handle_of(const char *call, handle_value handle, enum network_kind kind);
void close_handle(const char *call, handle_value handle, enum network_kind kind);
/* A counted copy that must come back through CoTaskMemFree. */
char16 *counted_text(const char16 *text);

/* --- hns.c: the networks and endpoints ------------------------------------------------------------------------------- */

#define FLAG_NOT_PERSISTENT 8

int network_exists(const char *id);
int endpoint_exists(const char *id);
/* Every text that is returned is the caller's to free. */
char16 *network_ids(void);
char16 *endpoint_ids(void);
char16 *network_properties(const char *id);
char16 *endpoint_properties(const char *id);
result_code create_endpoint(const char *network, const char *id, const char16 *settings);
result_code modify_endpoint(const char *id, const char16 *change);
void delete_endpoint(const char *id);

#endif
