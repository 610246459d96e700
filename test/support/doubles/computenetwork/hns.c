#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PORTS 16
#define MOST_ADDRESSES 4

struct network {
  char id[GUID_LENGTH];
  char16 *name;
  char16 *type;
  /* One subnet of IPv4; 0 = none. */
  uint32_t subnet;
  uint32_t prefix;
  int32_t flags;
  struct network *next;
};

struct port {
  int32_t protocol;
  int32_t external;
};

struct policies {
  /* As HNS was given them. */
  char16 *text;
  struct port ports[MOST_PORTS];
  int count;
};

struct endpoint {
  char id[GUID_LENGTH];
  struct network *network;
  char16 *name;
  char16 *mac;
  uint32_t addresses[MOST_ADDRESSES];
  uint32_t prefixes[MOST_ADDRESSES];
  int count;
  struct policies policies;
  struct endpoint *next;
};

static struct network *networks = NULL;
static struct endpoint *endpoints = NULL;

static struct network *network_of(const char *id) {
  struct network *found = networks;
  while (found != NULL && strcmp(found->id, id) != 0) found = found->next;
  return found;
}

static struct endpoint *endpoint_of(const char *id) {
  struct endpoint *found = endpoints;
  while (found != NULL && strcmp(found->id, id) != 0) found = found->next;
  return found;
}

int network_exists(const char *id) { return network_of(id) != NULL; }
int endpoint_exists(const char *id) { return endpoint_of(id) != NULL; }

void guid_text(const struct guid *guid, char text[GUID_LENGTH]) {
  const uint8_t *last = guid->data4;
  snprintf(text, GUID_LENGTH, "%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", (unsigned)guid->data1, guid->data2,
           guid->data3, last[0], last[1], last[2], last[3], last[4], last[5], last[6], last[7]);
}

/* --- texts ----------------------------------------------------------------------------------------------------------- */

/* The member as ASCII; empty when there is none. */
static void ascii_member(struct json object, const char *name, char *ascii, size_t size) {
  struct json member;
  ascii[0] = 0;
  if (!json_member(object, name, &member)) return;
  size_t length = (size_t)(member.end - member.begin);
  int is_text = *member.begin == '"';
  const char16 *from = member.begin + is_text;
  length -= is_text ? 2 : 0;
  if (length >= size) length = size - 1;
  for (size_t i = 0; i < length; i++) ascii[i] = (char)from[i];
  ascii[length] = 0;
}

static int32_t number_member(struct json object, const char *name) {
  char ascii[16];
  ascii_member(object, name, ascii, sizeof ascii);
  return atoi(ascii);
}

static char16 *text_member(struct json object, const char *name) {
  struct json member;
  char16 *text = json_member(object, name, &member) ? json_string(member) : NULL;
  return text != NULL ? text : text_from("");
}

static char16 *json_copy(struct json value) {
  size_t length = (size_t)(value.end - value.begin);
  char16 *copy = calloc(length + 1, sizeof *copy);
  memcpy(copy, value.begin, length * sizeof *copy);
  return copy;
}

/* 0 for what is no address of IPv4. */
static uint32_t address_of(const char *ascii) {
  unsigned a, b, c, d;
  if (sscanf(ascii, "%u.%u.%u.%u", &a, &b, &c, &d) != 4) return 0;
  return a << 24 | b << 16 | c << 8 | d;
}

static char16 *address_text(uint32_t address) {
  char ascii[16];
  snprintf(ascii, sizeof ascii, "%u.%u.%u.%u", address >> 24, (address >> 16) & 255, (address >> 8) & 255, address & 255);
  return text_from(ascii);
}

/* The list, which is not closed yet, with one item more. Takes both. */
static char16 *with_item(char16 *list, char16 *item) {
  int is_first = list[0] == '[' && list[1] == 0;
  char16 *longer = text_format(is_first ? "%S%S" : "%S,%S", list, item);
  free(list);
  free(item);
  return longer;
}

static char16 *closed_list(char16 *text) {
  char16 *all = text_format("%S]", text);
  free(text);
  return all;
}

char16 *network_ids(void) {
  char16 *list = text_from("[");
  for (struct network *each = networks; each != NULL; each = each->next)
    list = with_item(list, text_format("\"%s\"", each->id));
  return closed_list(list);
}

char16 *endpoint_ids(void) {
  char16 *list = text_from("[");
  for (struct endpoint *each = endpoints; each != NULL; each = each->next)
    list = with_item(list, text_format("\"%s\"", each->id));
  return closed_list(list);
}

char16 *network_properties(const char *id) {
  struct network *network = network_of(id);
  if (network == NULL) return NULL;
  char16 *subnet = address_text(network->subnet);
  char16 *subnets = network->subnet == 0
                        ? text_from("")
                        : text_format("{\"IpAddressPrefix\":\"%S/%d\",\"Routes\":[]}", subnet, (int32_t)network->prefix);
  char16 *text = text_format(
      "{\"ID\":\"%s\",\"Name\":\"%S\",\"Type\":\"%S\",\"Ipams\":[{\"Type\":\"Static\",\"Subnets\":[%S]}],"
      "\"Flags\":%d,\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}",
      network->id, network->name, network->type, subnets, network->flags);
  free(subnet);
  free(subnets);
  return text;
}

char16 *endpoint_properties(const char *id) {
  struct endpoint *endpoint = endpoint_of(id);
  if (endpoint == NULL) return NULL;
  char16 *addresses = text_from("[");
  for (int i = 0; i < endpoint->count; i++) {
    char16 *address = address_text(endpoint->addresses[i]);
    addresses = with_item(addresses,
                          text_format("{\"IpAddress\":\"%S\",\"PrefixLength\":%d}", address, (int32_t)endpoint->prefixes[i]));
    free(address);
  }
  char16 *text = text_format(
      "{\"ID\":\"%s\",\"Name\":\"%S\",\"HostComputeNetwork\":\"%s\",\"MacAddress\":\"%S\",\"IpConfigurations\":%S],"
      "\"Policies\":%S,\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}",
      endpoint->id, endpoint->name, endpoint->network->id, endpoint->mac, addresses, endpoint->policies.text);
  free(addresses);
  return text;
}

/* --- policies -------------------------------------------------------------------------------------------------------- */

static void free_policies(struct policies *policies) { free(policies->text); }

static int is_taken(struct port port, const struct endpoint *self) {
  for (struct endpoint *each = endpoints; each != NULL; each = each->next) {
    if (each == self) continue;
    for (int i = 0; i < each->policies.count; i++) {
      struct port taken = each->policies.ports[i];
      if (taken.protocol == port.protocol && taken.external == port.external) return 1;
    }
  }
  return 0;
}

static result_code read_policy(struct json policy, const struct network *network, const struct endpoint *self,
                               struct policies *to) {
  char type[32];
  struct json settings;
  if (!json_is_object(policy)) return HCN_E_INVALID_JSON;
  ascii_member(policy, "Type", type, sizeof type);
  if (!json_member(policy, "Settings", &settings) || !json_is_object(settings)) return HCN_E_INVALID_POLICY;
  if (strcmp(type, "QOS") == 0) return RESULT_OK;
  if (strcmp(type, "ACL") == 0) {
    char rule[16];
    ascii_member(settings, "RuleType", rule, sizeof rule);
    return strcmp(rule, "Switch") == 0 || strcmp(rule, "Host") == 0 ? RESULT_OK : HCN_E_INVALID_POLICY;
  }
  if (strcmp(type, "PortMapping") != 0) return HCN_E_INVALID_POLICY_TYPE;
  if (text_is(network->type, "Transparent")) return HCN_E_MAPPING_NOT_SUPPORTED;
  struct port port = {number_member(settings, "Protocol"), number_member(settings, "ExternalPort")};
  if (port.external == 0 || to->count == MOST_PORTS) return HCN_E_INVALID_POLICY;
  if (is_taken(port, self)) return HCN_E_PORT_ALREADY_EXISTS;
  to->ports[to->count++] = port;
  return RESULT_OK;
}

/* `object` has them as its member; none = no policies. */
static result_code read_policies(struct json object, const struct network *network, const struct endpoint *self,
                                 struct policies *to) {
  struct json list, policy;
  *to = (struct policies){0};
  if (!json_member(object, "Policies", &list)) {
    to->text = text_from("[]");
    return RESULT_OK;
  }
  if (!json_is_list(list)) return HCN_E_INVALID_JSON;
  for (int i = 0; json_item(list, i, &policy); i++) {
    result_code code = read_policy(policy, network, self, to);
    if (code != RESULT_OK) return code;
  }
  to->text = json_copy(list);
  return RESULT_OK;
}

/* --- addresses ------------------------------------------------------------------------------------------------------- */

static uint32_t size_of(const struct network *network) { return 1u << (32 - network->prefix); }

static int is_used(const struct network *network, uint32_t address) {
  for (struct endpoint *each = endpoints; each != NULL; each = each->next)
    for (int i = 0; each->network == network && i < each->count; i++)
      if (each->addresses[i] == address) return 1;
  return 0;
}

static result_code given_addresses(struct json list, const struct network *network, struct endpoint *to) {
  struct json configuration;
  if (!json_is_list(list)) return HCN_E_INVALID_JSON;
  for (int i = 0; i < MOST_ADDRESSES && json_item(list, i, &configuration); i++) {
    char ascii[40];
    ascii_member(configuration, "IpAddress", ascii, sizeof ascii);
    uint32_t address = address_of(ascii);
    uint32_t offset = address - network->subnet;
    if (network->subnet == 0 || offset >= size_of(network)) return HCN_E_INVALID_IP;
    if (offset <= 1 || offset == size_of(network) - 1 || is_used(network, address)) return HCN_E_ADDR_INVALID_OR_RESERVED;
    to->addresses[to->count] = address;
    to->prefixes[to->count++] = (uint32_t)number_member(configuration, "PrefixLength");
  }
  return RESULT_OK;
}

static result_code free_address(const struct network *network, struct endpoint *to) {
  if (network->subnet == 0) return RESULT_OK;
  for (uint32_t offset = 2; offset < size_of(network) - 1; offset++) {
    if (is_used(network, network->subnet + offset)) continue;
    to->addresses[0] = network->subnet + offset;
    to->prefixes[0] = network->prefix;
    to->count = 1;
    return RESULT_OK;
  }
  return HCN_E_ADDR_INVALID_OR_RESERVED;
}

static char16 *new_mac(void) {
  uint8_t bytes[3];
  char ascii[18];
  random_bytes(bytes, sizeof bytes);
  snprintf(ascii, sizeof ascii, "00-15-5D-%02X-%02X-%02X", bytes[0], bytes[1], bytes[2]);
  return text_from(ascii);
}

/* --- endpoints ------------------------------------------------------------------------------------------------------- */

static void free_endpoint(struct endpoint *endpoint) {
  free(endpoint->name);
  free(endpoint->mac);
  free_policies(&endpoint->policies);
  free(endpoint);
}

static result_code fill_endpoint(struct json document, struct endpoint *to) {
  struct json addresses, mac;
  result_code code = read_policies(document, to->network, NULL, &to->policies);
  if (code != RESULT_OK) return code;
  int is_given = json_member(document, "IpConfigurations", &addresses);
  code = is_given ? given_addresses(addresses, to->network, to) : free_address(to->network, to);
  if (code != RESULT_OK) return code;
  to->name = text_member(document, "Name");
  to->mac = json_member(document, "MacAddress", &mac) ? json_string(mac) : new_mac();
  return to->mac != NULL ? RESULT_OK : HCN_E_INVALID_JSON;
}

result_code create_endpoint(const char *network, const char *id, const char16 *settings) {
  static const char *const members[] = {"SchemaVersion", "HostComputeNetwork", "ID",  "Name",     "MacAddress",
                                        "IpConfigurations", "Routes",          "Dns", "Policies", NULL};
  struct json document;
  if (network_of(network) == NULL) return HCN_E_NETWORK_NOT_FOUND;
  if (endpoint_of(id) != NULL) return E_ALREADY_EXISTS;
  if (!json_parse(settings, &document) || !json_is_object(document)) return HCN_E_INVALID_JSON;
  if (!json_members_among(document, members)) return HCN_E_INVALID_JSON;
  struct endpoint *endpoint = calloc(1, sizeof *endpoint);
  memcpy(endpoint->id, id, GUID_LENGTH);
  endpoint->network = network_of(network);
  result_code code = fill_endpoint(document, endpoint);
  if (code != RESULT_OK) {
    free_endpoint(endpoint);
    return code;
  }
  endpoint->next = endpoints;
  endpoints = endpoint;
  return RESULT_OK;
}

result_code modify_endpoint(const char *id, const char16 *change) {
  struct endpoint *endpoint = endpoint_of(id);
  struct json request, settings;
  char type[16];
  if (endpoint == NULL) return HCN_E_ENDPOINT_NOT_FOUND;
  if (!json_parse(change, &request) || !json_is_object(request)) return HCN_E_INVALID_JSON;
  if (!json_member(request, "Settings", &settings) || !json_is_object(settings)) return HCN_E_INVALID_JSON;
  ascii_member(request, "RequestType", type, sizeof type);
  if (strcmp(type, "Update") != 0) return HCN_E_REQUEST_UNSUPPORTED;
  struct policies policies;
  result_code code = read_policies(settings, endpoint->network, endpoint, &policies);
  if (code != RESULT_OK) {
    free_policies(&policies);
    return code;
  }
  free_policies(&endpoint->policies);
  endpoint->policies = policies;
  return RESULT_OK;
}

void delete_endpoint(const char *id) {
  struct endpoint **at = &endpoints;
  while (strcmp((*at)->id, id) != 0) at = &(*at)->next;
  struct endpoint *gone = *at;
  *at = gone->next;
  free_endpoint(gone);
}

/* --- what an administrator, or Windows, does -------------------------------------------------------------------------- */

static void drop_endpoints(const struct network *of) {
  struct endpoint **at = &endpoints;
  while (*at != NULL) {
    struct endpoint *each = *at;
    if (of != NULL && each->network != of) {
      at = &each->next;
      continue;
    }
    *at = each->next;
    free_endpoint(each);
  }
}

static void drop_networks(int also_persistent) {
  struct network **at = &networks;
  while (*at != NULL) {
    struct network *each = *at;
    if (!also_persistent && (each->flags & FLAG_NOT_PERSISTENT) == 0) {
      at = &each->next;
      continue;
    }
    drop_endpoints(each);
    *at = each->next;
    free(each->name);
    free(each->type);
    free(each);
  }
}

/* `subnet` is `address/length`, or empty. */
EXPORT void DoubleNetwork(const struct guid *id, const char16 *name, const char16 *type, const char16 *subnet,
                          int32_t flags) {
  monitor_enter(&world);
  char ascii[32] = {0};
  for (size_t i = 0; subnet[i] != 0 && i < sizeof ascii - 1; i++) ascii[i] = (char)subnet[i];
  const char *length = strchr(ascii, '/');
  struct network *network = calloc(1, sizeof *network);
  guid_text(id, network->id);
  network->name = text_copy(name);
  network->type = text_copy(type);
  network->subnet = address_of(ascii);
  network->prefix = length != NULL ? (uint32_t)atoi(length + 1) : 0;
  network->flags = flags;
  network->next = networks;
  networks = network;
  monitor_leave(&world);
}

EXPORT void DoubleRestart(void) {
  monitor_enter(&world);
  drop_endpoints(NULL);
  drop_networks(0);
  monitor_leave(&world);
}

EXPORT void DoubleReboot(void) {
  monitor_enter(&world);
  drop_networks(0);
  monitor_leave(&world);
}

/* Removes rules, networks and endpoints. */
EXPORT void DoubleReset(void) {
  monitor_enter(&world);
  drop_networks(1);
  script_reset();
  monitor_leave(&world);
}
