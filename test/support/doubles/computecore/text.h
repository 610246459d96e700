/* UTF-16 texts, and just enough JSON to judge a document and to look into its upper levels. */
#ifndef DOUBLE_TEXT_H
#define DOUBLE_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef uint16_t char16;

size_t text_length(const char16 *text);
int text_equal(const char16 *a, const char16 *b);
int text_is(const char16 *text, const char *ascii);
/* Every text that is returned is the caller's to free. */
char16 *text_copy(const char16 *text);
char16 *text_from(const char *ascii);
/* Formats ASCII; `%S` stands for a UTF-16 text, `%d` for an int32_t, `%s` for ASCII. */
char16 *text_format(const char *format, ...);

/* A value inside of a JSON text. */
struct json {
  const char16 *begin;
  const char16 *end;
};

/* 1 when the whole text is one JSON value. */
int json_parse(const char16 *text, struct json *value);
int json_is_object(struct json value);
/* The member of that name, the last if there are several. */
int json_member(struct json object, const char *name, struct json *value);
/* 1 when every member's name is among those, which end with NULL. */
int json_members_among(struct json object, const char *const *names);
int json_is(struct json value, const char *ascii);
/* The text of a JSON string, escapes left as they are; NULL when it is none. */
char16 *json_string(struct json value);

int json_is_list(struct json value);
/* The item at that place, from 0; 0 when the list has fewer. */
int json_item(struct json list, int place, struct json *value);

#endif
