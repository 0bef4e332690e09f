/*
 * Run the rules over a configuration and append what they find
 *
 * Nothing is printed here: one printer serves shell, daemon and JSON.
 */
#pragma once

#include <stdbool.h>
#include "store/base.h"
#include "store/config.h"
#include "store/outside.h"
#include "store/rules.h"

struct verify_setup {
	const struct outside *outside; /* NULL: nobody is asked */
	const char
		*file; /* source, for the place of a finding; NULL: database */
	const struct rule_text *rule;  /* NULL: every rule is told */
	const struct element *element; /* NULL: of every element, and of its
					  sub-elements */
	stamp now; /* local time; 0: what is past is not looked at */
};

struct verify_totals {
	uint32_t errors, warnings, notes, ignored;
	bool host, dns; /* the rules marked so were run */
};

/**
 * Run every rule; findings are appended and sorted as acli.md 3.1 says
 *
 * @param cfg       Configuration
 * @param setup     What the caller can look up, or NULL
 * @param findings  List of struct finding; mem_deref each with list_flush
 * @param totals    Set
 *
 * @return 0; ENOMEM
 */
int verify_run(const struct config *cfg, const struct verify_setup *setup,
	       struct list *findings, struct verify_totals *totals);

/** Sort and count what was found without running a rule: the problems of a file
 *  that could not be read. 0; ENOMEM */
int verify_total(struct list *findings, struct verify_totals *totals);

/** Print findings and total as text; as one JSON document */
struct verify_report {
	const struct list *findings;
	const struct verify_totals *totals;
	const char *source;
	bool detail;
	uint32_t version; /* of the configuration in the database; 0: none */
};
int verify_print(struct re_printf *pf, const struct verify_report *report);
int verify_json(struct re_printf *pf, const struct verify_report *report);
