/*
 * Every rule of verify-config: id, severity, sentence and hint
 *
 * Text of a finding: acli.md 3.2. Whoever finds something names the rule and
 * writes the sentence; place, prefix and severity are put around it here.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include "store/base.h"
#include "store/schema.h"

enum severity {
	SEVERITY_ERROR,
	SEVERITY_WARNING,
	SEVERITY_NOTE
};

struct rule_text {
	const char *id; /* "VC-0101" */
	enum severity severity;
	const char *condition, *message, *hint;
	bool form; /* about the form of a file: told with place and hint */
};
extern const struct rule_text rules[]; /* ended by a NULL id */

struct finding {
	struct le le;
	const struct rule_text *rule;
	enum severity severity; /* of this case */
	const struct element *element;
	const struct element *parent;   /* of a sub-element, or NULL */
	char *key, *parent_key;         /* as item_key_print writes them */
	char *spelled, *parent_spelled; /* as item_key_spell does */
	char *parameter, *value;        /* or NULL; a secret is never a value */
	char *message;                  /* the whole sentence */
	char *hint;
	uint32_t line, column; /* 0: not from a file */
};

/** What a finding is about; what is not set is not there */
struct finding_about {
	const struct element *element, *parent;
	const void *item, *parent_item; /* for their keys */
	const struct field *field;      /* sets parameter */
	const char *parameter;          /* where there is no field */
	const char *value;              /* never a secret */
	const char *hint;               /* NULL: that of the rule */
	enum severity severity;         /* where severity_set */
	bool severity_set;              /* else that of the rule */
	uint32_t line, column;
};

/** Rule by id; NULL if there is none */
const struct rule_text *rule_find(const char *id);

/**
 * Append a finding
 *
 * @param findings  List of struct finding, freed by list_flush
 * @param id        Id of a rule of the table
 * @param about     What it is about
 * @param fmt       The sentence after element and key: "has invalid p [v]". A
 *                  sentence that begins with a capital stands alone
 *
 * @return 0; ENOMEM
 */
int finding_add(struct list *findings, const char *id,
		const struct finding_about *about, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/** The same with the arguments of the sentence in a list */
int finding_vadd(struct list *findings, const char *id,
		 const struct finding_about *about, const char *fmt, va_list ap)
	__attribute__((format(printf, 4, 0)));
