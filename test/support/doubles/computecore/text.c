#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t text_length(const char16 *text) {
  size_t length = 0;
  while (text[length] != 0) length++;
  return length;
}

int text_equal(const char16 *a, const char16 *b) {
  while (*a != 0 && *a == *b) a++, b++;
  return *a == *b;
}

int text_is(const char16 *text, const char *ascii) {
  while (*text != 0 && *text == (char16)*ascii) text++, ascii++;
  return *text == (char16)*ascii;
}

static char16 *text_slice(const char16 *begin, const char16 *end) {
  size_t length = (size_t)(end - begin);
  char16 *copy = malloc((length + 1) * sizeof *copy);
  memcpy(copy, begin, length * sizeof *copy);
  copy[length] = 0;
  return copy;
}

char16 *text_copy(const char16 *text) { return text_slice(text, text + text_length(text)); }

struct builder {
  char16 *text;
  size_t length;
  size_t capacity;
};

static void append(struct builder *to, char16 unit) {
  if (to->length + 1 >= to->capacity) {
    to->capacity = to->capacity * 2 + 64;
    to->text = realloc(to->text, to->capacity * sizeof *to->text);
  }
  to->text[to->length++] = unit;
  to->text[to->length] = 0;
}

static void append_ascii(struct builder *to, const char *ascii) {
  for (; *ascii != 0; ascii++) append(to, (char16)*ascii);
}

char16 *text_from(const char *ascii) {
  struct builder built = {0};
  append_ascii(&built, ascii);
  return built.text != NULL ? built.text : calloc(1, sizeof(char16));
}

char16 *text_format(const char *format, ...) {
  struct builder built = {0};
  va_list values;
  va_start(values, format);
  for (; *format != 0; format++) {
    char number[16];
    if (*format != '%') {
      append(&built, (char16)*format);
      continue;
    }
    switch (*++format) {
      case 'S':
        for (const char16 *text = va_arg(values, const char16 *); *text != 0; text++) append(&built, *text);
        break;
      case 's':
        append_ascii(&built, va_arg(values, const char *));
        break;
      case 'd':
        snprintf(number, sizeof number, "%d", va_arg(values, int32_t));
        append_ascii(&built, number);
        break;
      default:
        abort();
    }
  }
  va_end(values);
  return built.text != NULL ? built.text : calloc(1, sizeof(char16));
}

/* --- JSON (RFC 8259): each `skip_` function returns the first unit behind what it read, or NULL ---------------------- */

static const char16 *skip_space(const char16 *at) {
  while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') at++;
  return at;
}

static int is_digit(char16 unit) { return unit >= '0' && unit <= '9'; }

static int is_hex_digit(char16 unit) {
  return is_digit(unit) || (unit >= 'a' && unit <= 'f') || (unit >= 'A' && unit <= 'F');
}

static const char16 *skip_string(const char16 *at) {
  if (*at++ != '"') return NULL;
  for (; *at != '"'; at++) {
    if (*at < 0x20) return NULL;
    if (*at != '\\') continue;
    at++;
    if (*at == 'u') {
      for (int i = 0; i < 4; i++)
        if (!is_hex_digit(*++at)) return NULL;
    } else if (*at == 0 || *at > 0x7f || strchr("\"\\/bfnrt", *at) == NULL) {
      return NULL;
    }
  }
  return at + 1;
}

static const char16 *skip_digits(const char16 *at) {
  if (!is_digit(*at)) return NULL;
  while (is_digit(*at)) at++;
  return at;
}

static const char16 *skip_number(const char16 *at) {
  if (*at == '-') at++;
  if (*at == '0') at++;
  else if ((at = skip_digits(at)) == NULL) return NULL;
  if (*at == '.' && (at = skip_digits(at + 1)) == NULL) return NULL;
  if (*at != 'e' && *at != 'E') return at;
  at++;
  if (*at == '+' || *at == '-') at++;
  return skip_digits(at);
}

static const char16 *skip_word(const char16 *at, const char *word) {
  for (; *word != 0; word++, at++)
    if (*at != (char16)*word) return NULL;
  return at;
}

static const char16 *skip_value(const char16 *at, int depth);

/* From behind the opening bracket. */
static const char16 *skip_list(const char16 *at, char16 close, int depth) {
  at = skip_space(at);
  if (*at == close) return at + 1;
  for (;;) {
    if (close == '}') {
      if ((at = skip_string(skip_space(at))) == NULL) return NULL;
      at = skip_space(at);
      if (*at++ != ':') return NULL;
    }
    if ((at = skip_value(skip_space(at), depth)) == NULL) return NULL;
    at = skip_space(at);
    if (*at == close) return at + 1;
    if (*at++ != ',') return NULL;
  }
}

static const char16 *skip_value(const char16 *at, int depth) {
  if (depth > 64) return NULL;
  switch (*at) {
    case '{':
      return skip_list(at + 1, '}', depth + 1);
    case '[':
      return skip_list(at + 1, ']', depth + 1);
    case '"':
      return skip_string(at);
    case 't':
      return skip_word(at, "true");
    case 'f':
      return skip_word(at, "false");
    case 'n':
      return skip_word(at, "null");
    default:
      return skip_number(at);
  }
}

int json_parse(const char16 *text, struct json *value) {
  value->begin = skip_space(text);
  value->end = skip_value(value->begin, 0);
  return value->end != NULL && *skip_space(value->end) == 0;
}

int json_is_object(struct json value) { return *value.begin == '{'; }

/* Calls once per member; the text was parsed before. */
static void each_member(struct json object, void (*visit)(struct json name, struct json value, void *), void *context) {
  const char16 *at = skip_space(object.begin + 1);
  while (*at != '}') {
    struct json name = {at, skip_string(at)};
    struct json value = {skip_space(skip_space(name.end) + 1), NULL};
    value.end = skip_value(value.begin, 0);
    visit(name, value, context);
    at = skip_space(value.end);
    if (*at == ',') at = skip_space(at + 1);
  }
}

int json_is(struct json value, const char *ascii) {
  size_t length = strlen(ascii);
  if ((size_t)(value.end - value.begin) != length) return 0;
  return skip_word(value.begin, ascii) != NULL;
}

static int name_is(struct json name, const char *ascii) {
  return json_is((struct json){name.begin + 1, name.end - 1}, ascii);
}

struct search {
  const char *name;
  struct json *value;
  int found;
};

static void match_member(struct json name, struct json value, void *context) {
  struct search *search = context;
  if (!name_is(name, search->name)) return;
  *search->value = value;
  search->found = 1;
}

int json_member(struct json object, const char *name, struct json *value) {
  struct search search = {name, value, 0};
  if (json_is_object(object)) each_member(object, match_member, &search);
  return search.found;
}

struct allowed {
  const char *const *names;
  int ok;
};

static void check_member(struct json name, struct json value, void *context) {
  struct allowed *allowed = context;
  (void)value;
  for (const char *const *each = allowed->names; *each != NULL; each++)
    if (name_is(name, *each)) return;
  allowed->ok = 0;
}

int json_members_among(struct json object, const char *const *names) {
  struct allowed allowed = {names, 1};
  each_member(object, check_member, &allowed);
  return allowed.ok;
}

char16 *json_string(struct json value) {
  return *value.begin == '"' ? text_slice(value.begin + 1, value.end - 1) : NULL;
}

int json_is_list(struct json value) { return *value.begin == '['; }

int json_item(struct json list, int place, struct json *value) {
  const char16 *at = skip_space(list.begin + 1);
  while (*at != ']') {
    *value = (struct json){at, skip_value(at, 0)};
    if (place-- == 0) return 1;
    at = skip_space(value->end);
    if (*at == ',') at = skip_space(at + 1);
  }
  return 0;
}
