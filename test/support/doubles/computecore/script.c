#include "double.h"

#include <stdlib.h>
#include <string.h>

struct rule {
  char16 *call;
  /* Which call of that name, from 1; 0 = every one. */
  uint32_t number;
  enum action action;
  uint32_t value;
  char16 *text;
  struct rule *next;
};

struct visits {
  char call[48];
  uint32_t count;
};

static struct rule *rules = NULL;
static struct visits visits[32];
int releases = 0;

static struct visits *visits_of(const char *call) {
  for (size_t i = 0; i < sizeof visits / sizeof *visits; i++) {
    if (visits[i].call[0] == 0) strncpy(visits[i].call, call, sizeof visits[i].call - 1);
    if (strcmp(visits[i].call, call) == 0) return &visits[i];
  }
  violation("too many kinds of calls");
}

static void free_rule(struct rule *rule) {
  free(rule->call);
  free(rule->text);
  free(rule);
}

struct scripted script_at(const char *call) {
  uint32_t number = ++visits_of(call)->count;
  for (struct rule **at = &rules; *at != NULL; at = &(*at)->next) {
    struct rule *rule = *at;
    if (!text_is(rule->call, call) || (rule->number != 0 && rule->number != number)) continue;
    struct scripted scripted = {rule->action, rule->value, rule->text != NULL ? text_copy(rule->text) : NULL};
    if (rule->number != 0) {
      *at = rule->next;
      free_rule(rule);
    }
    return scripted;
  }
  return (struct scripted){ACTION_NONE, 0, NULL};
}

/* Holds the lock, but not while the call blocks. */
result_code scripted_call(const char *call, char16 **replaced) {
  struct scripted scripted = script_at(call);
  if (scripted.action == ACTION_BLOCK) {
    monitor_leave(&world);
    sleep_milliseconds(scripted.value);
    monitor_enter(&world);
  }
  if (replaced != NULL && (scripted.action == ACTION_RESULT || scripted.action == ACTION_FAIL_CALL)) {
    *replaced = scripted.text;
    scripted.text = NULL;
  }
  free(scripted.text);
  return scripted.action == ACTION_FAIL_CALL ? (result_code)scripted.value : RESULT_OK;
}

void script_reset(void) {
  while (rules != NULL) {
    struct rule *next = rules->next;
    free_rule(rules);
    rules = next;
  }
  memset(visits, 0, sizeof visits);
}

/* The call of that number from now on does this; 0 = every one. */
EXPORT void DoubleScript(const char16 *call, uint32_t number, uint32_t action, uint32_t value, const char16 *text) {
  monitor_enter(&world);
  char name[48] = {0};
  for (size_t i = 0; call[i] != 0 && i < sizeof name - 1; i++) name[i] = (char)call[i];
  struct rule *rule = malloc(sizeof *rule);
  uint32_t counted = number == 0 ? 0 : visits_of(name)->count + number;
  *rule = (struct rule){text_copy(call), counted, (enum action)action, value, text != NULL ? text_copy(text) : NULL, rules};
  rules = rule;
  monitor_leave(&world);
}

/* What was held goes on. */
EXPORT void DoubleRelease(void) {
  monitor_enter(&world);
  releases++;
  monitor_changed(&world);
  monitor_leave(&world);
}

EXPORT uint32_t DoubleVisits(const char16 *call) {
  monitor_enter(&world);
  char name[48] = {0};
  for (size_t i = 0; call[i] != 0 && i < sizeof name - 1; i++) name[i] = (char)call[i];
  uint32_t count = visits_of(name)->count;
  monitor_leave(&world);
  return count;
}
