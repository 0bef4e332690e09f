/*
 * The kinds of value: read, write, compare, clear
 *
 * A kind is a struct type. Each door (YAML, ACLI text, shell, SQLite) reads and
 * writes text through the same parse and print, so a value is legal at all of
 * them or at none. Kinds and forms: configuration.md 1.3.
 *
 * A slot is the member of an element's struct. It is zeroed before the first
 * parse; parse replaces what is there. Text is never NULL once the item was
 * made by the schema: empty is "".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "store/base.h"
#include "store/seal.h"

struct field;
struct element;

/** Why a value was refused, for a person: "is out of range 30-3600" */
struct value_fault {
	char why[256];
};

struct type {
	const char *name;   /* as `?` shows it: "number" */
	const char *column; /* SQLite affinity: "TEXT", "INTEGER" */
	size_t size;        /* of the slot [bytes] */
	int (*parse)(void *slot, const struct pl *text, const struct field *f,
		     struct value_fault *fault);
	int (*print)(struct re_printf *pf, const void *slot,
		     const struct field *f);
	bool (*same)(const void *a, const void *b);
	int (*copy)(void *to, const void *from); /* to is cleared before */
	void (*clear)(void *slot);
	/* A list: parse takes one value and appends it. The slot begins with
	 * the count as uint32_t; print writes "(a b)", this one value. */
	int (*print_at)(struct re_printf *pf, const void *slot, uint32_t i);
	bool list;
	const char *allowed; /* for people, where words and range do not say */
};

/* A parameter of an element. The kinds read their limits from it; the tables
 * of fields are in store/elements (store/schema.h) */
enum field_flag {
	KEY = 1 << 0,
	REQUIRED = 1 << 1,
	SECRET = 1 << 2,  /* masked by field_show; so is each type_secret */
	SOFT = 1 << 3,    /* reference without which it works: VC-0102 */
	REOPEN = 1 << 4,  /* a change reopens the sip-port */
	RESTART = 1 << 5, /* a change counts from the next start */
	READONLY = 1 << 6,
	UNSERVED = 1 << 7, /* read and kept, no effect yet: VC-0119 when set */
	ANY_TOO = 1 << 8,  /* a reference that may also be "*" */
	PORT_TOO = 1 << 9, /* an address may have a port */
	FILE_NAME = 1 << 10, /* text; made absolute on import */
};

struct field {
	const char *name;        /* the one spelling: ACLI, YAML, SQL, manual */
	const struct type *type; /* NULL: a sub-element, see child */
	size_t offset;
	unsigned flags;
	const char *dflt;  /* as text; NULL: empty */
	uint64_t min, max; /* number; max of a text: bytes, of a list: values */
	const char *chars; /* that a text may hold, "A-Z0-9_"; NULL: all */
	const char *unit;  /* "s", "ms", "bytes"; NULL: none */
	const char *const *words;    /* allowed words, ended by NULL; of options
				     the known ones. "" first: may be empty */
	const char *to;              /* element that a name refers to */
	const struct element *child; /* slot is a struct items */
	const char *help, *source;
};

/* Slots. Members of lists are in configuration order, each once. */
struct names {
	uint32_t n;
	char **v;
};
struct prefix {
	struct sa addr; /* AF_UNSPEC: unset */
	uint8_t bits;
	bool any; /* every IPv4 and IPv6 address: "0.0.0.0", "0.0.0.0/0" */
};
struct prefixes {
	uint32_t n;
	struct prefix *v;
};
struct addresses {
	uint32_t n;
	struct sa *v; /* port 0: none was written */
};
struct code_range {
	uint16_t from, to;
};
struct codes {
	uint32_t n;
	struct code_range *v;
};

/** Address pattern of a local-policy, compiled (behaviour.md 2.2) */
enum pattern_kind {
	PATTERN_ANY,       /* "*" */
	PATTERN_DIGITS,    /* head: prefix of the user part */
	PATTERN_AROUND,    /* head and tail: "123*456" */
	PATTERN_HOST,      /* host name, equal without case */
	PATTERN_BELOW,     /* ".example.net": every name below it */
	PATTERN_ADDRESS,   /* host is this address */
	PATTERN_USER_HOST, /* user and host are equal */
};
struct pattern {
	char *text; /* as written; the parts below point into `parts` */
	char *parts;
	struct pl head, tail; /* digits without visual separators; user */
	struct pl host;       /* PATTERN_BELOW: without the leading dot */
	struct sa addr;
	uint16_t length; /* 2.2: digits, labels, UINT16_MAX for the longest */
	uint8_t kind;
};
struct patterns {
	uint32_t n;
	struct pattern *v;
};

typedef uint64_t stamp;   /* YYYYMMDDhhmmss in local time; 0: unset */
typedef uint16_t hhmm;    /* 0000 - 2400 */
typedef uint8_t weekdays; /* bit 0 Sunday ... 6 Saturday, 7 holidays */

/* The kinds. C type of the slot in the comment. */
extern const struct type type_flag;     /* bool */
extern const struct type type_word;     /* uint8_t, index into field words */
extern const struct type type_number;   /* uint32_t */
extern const struct type type_text;     /* char * */
extern const struct type type_name;     /* char * */
extern const struct type type_host;     /* char * */
extern const struct type type_target;   /* char *, configuration.md 3.1 */
extern const struct type type_level;    /* uint8_t, log level: word or number */
extern const struct type type_address;  /* struct sa, port 0 if not written */
extern const struct type type_prefix;   /* struct prefix */
extern const struct type type_stamp;    /* stamp */
extern const struct type type_date;     /* char *, see date_read */
extern const struct type type_hhmm;     /* hhmm */
extern const struct type type_weekdays; /* weekdays */
extern const struct type type_secret;   /* struct secret */
extern const struct type type_names;    /* struct names: texts or names */
extern const struct type type_methods;  /* struct names: methods */
extern const struct type type_options;  /* struct names: name or name=value */
extern const struct type type_words;    /* struct names: words of the field */
extern const struct type type_levels;   /* struct names: component=LEVEL */
extern const struct type type_prefixes; /* struct prefixes */
extern const struct type type_addresses; /* struct addresses */
extern const struct type type_codes;     /* struct codes */
extern const struct type type_patterns;  /* struct patterns */

/** Text of a secret that stands for the stored one: "********" */
extern const char secret_mask[];

/** Is this the mask, as read from a file or the shell? */
bool secret_is_mask(const struct secret *secret);

/** Is the text a name (configuration.md 1.2); a host name or an address */
bool name_is_valid(const struct pl *text);
bool host_is_valid(const struct pl *text);

/** Is it UTF-8 without control characters, as every value of a configuration? */
bool text_is_clean(const struct pl *text);

/** Print one value of a list, in quotes where it needs them */
int value_quote(struct re_printf *pf, const struct pl *text);

/**
 * Take the next value off the text of a list, "(a \"b c\")" or "a"
 *
 * @param rest  The text; what is left of it afterwards
 * @param buf   Set to a new text, quotes undone; mem_deref
 *
 * @return 0; ENOENT at the end; EINVAL not a list; ENOMEM
 */
int value_next(struct pl *rest, char **buf);

/**
 * Read an address with or without port: "1.2.3.4", "[::1]:5060", "::1"
 *
 * @return 0; EINVAL
 */
int address_parse_text(struct sa *sa, const struct pl *text);

enum {
	ADDRESS_TEXT = 64 /* room for an address with port [bytes] */
};

/**
 * Write an address in digits: "192.0.2.1", "2001:db8::1"; with its port
 * "192.0.2.1:5060", "[2001:db8::1]:5060" (RFC 5952)
 *
 * @param buf   ADDRESS_TEXT bytes; ended by zero
 * @param sa    IPv4 or IPv6
 * @param port  With the port, and an IPv6 address in brackets
 *
 * @return Length; 0 another family
 */
size_t address_write(char *buf, const struct sa *sa, bool port);

/** Is the address inside the prefix? An unset prefix holds nothing */
bool prefix_holds(const struct prefix *p, const struct sa *sa);
bool prefixes_hold(const struct prefixes *list, const struct sa *sa);

/** Is the text in the list, letter by letter; without case */
bool names_have(const struct names *list, const struct pl *text);
bool names_have_nocase(const struct names *list, const struct pl *text);

/**
 * Value of an option: "max-routes=3" gives "3", "strip" gives ""
 *
 * @return 0; ENOENT if the option is not there
 */
int option_get(const struct names *options, const char *name, struct pl *value);

/** Is the status code in the list? */
bool codes_have(const struct codes *list, uint16_t code);

/** "2027-12-25" as 20271225, "12-25" (every year) as 1225; 0: no date */
uint32_t date_read(const struct pl *text);
