/*
 * The reference of all elements, printed from schema and rules
 */
#include <string.h>
#include "store/base.h"
#include "store/manual.h"
#include "store/rules.h"

static int marks_print(struct re_printf *pf, const struct field *f)
{
	static const struct {
		unsigned flag;
		const char *text;
	} marks[] = {
		{ KEY, "key" },
		{ REQUIRED, "required" },
		{ SECRET, "secret" },
		{ REOPEN, "a change reopens the port" },
		{ RESTART, "from the next start" },
		{ UNSERVED, "no effect in this version" },
	};
	const char *comma = "";
	int err = 0;

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (!(f->flags & marks[i].flag))
			continue;
		err |= re_hprintf(pf, "%s%s", comma, marks[i].text);
		comma = ", ";
	}

	return err;
}

static int field_write(struct re_printf *pf, const struct field *f)
{
	unsigned marked = KEY | REQUIRED | SECRET | REOPEN | RESTART | UNSERVED;
	int err = re_hprintf(pf, "\n    %s\n", f->name);

	err |= re_hprintf(pf, "        %s.\n", f->help);
	if (f->child)
		return err | re_hprintf(pf, "        Sub-element %s, below.\n",
					f->child->name);

	err |= re_hprintf(pf, "        Kind: %s. Allowed: %H.\n", f->type->name,
			  field_range_print, f);
	if (!(f->flags & REQUIRED))
		err |= re_hprintf(pf, "        Default: %s.\n",
				  f->dflt ? f->dflt : "empty");
	if (f->flags & marked)
		err |= re_hprintf(pf, "        Note: %H.\n", marks_print, f);

	return err | re_hprintf(pf, "        Source: %s.\n", f->source);
}

static int element_write(struct re_printf *pf, const struct element *type,
			 const struct element *parent)
{
	const char *number = type->flags & SINGLE ? "one, always there" : "any";
	int err = 0;

	err |= re_hprintf(pf, "%s%s%s%s%s\n", type->folder, parent ? " > " : "",
			  parent ? parent->name : "", " > ", type->name);
	err |= re_hprintf(pf, "    %s.\n    Number: %s.", type->help, number);
	if (type->alias)
		err |= re_hprintf(pf, " Also read as %s.", type->alias);
	err |= re_hprintf(pf, "\n");

	for (const struct field *f = type->fields; f->name; f++)
		err |= field_write(pf, f);
	err |= re_hprintf(pf, "\n");

	for (const struct field *f = type->fields; f->name; f++) {
		if (f->child)
			err |= element_write(pf, f->child, type);
	}

	return err;
}

static int rules_write(struct re_printf *pf)
{
	static const char *const severities[] = { "ERROR", "WARNING", "NOTE" };
	int err = re_hprintf(pf, "Rules of verify-config\n");

	for (const struct rule_text *r = rules; r->id; r++) {
		err |= re_hprintf(pf, "\n    %s %s\n        When: %s.\n", r->id,
				  severities[r->severity], r->condition);
		err |= re_hprintf(pf, "        Says: %s.\n", r->message);
		if (*r->hint)
			err |= re_hprintf(pf, "        Do: %s.\n", r->hint);
	}

	return err;
}

/* What no element says: who may do what to a version (acli.md 1.7, 1.9) */
static int versions_write(struct re_printf *pf)
{
	return re_hprintf(
		pf,
		"Versions\n"
		"\n"
		"    Editing, saved, running\n"
		"        save-config makes a numbered version of what is "
		"edited, "
		"activate-config runs\n"
		"        the newest one. Both need the lock of the "
		"configuration "
		"free or own.\n"
		"\n"
		"    On trial\n"
		"        activate-config confirm MINUTES runs a version on "
		"trial, 1 to 60 minutes.\n"
		"        Every superuser may end the trial, also while another "
		"holds the lock:\n"
		"        activate-config accept keeps the version, "
		"activate-config rollback lets the\n"
		"        one that ran before return at once. Another "
		"activation "
		"is refused until then.\n"
		"        Where nobody accepts in time the one that ran before "
		"returns by itself, also\n"
		"        after a restart of the daemon; editing and saved stay "
		"as they are.\n"
		"\n");
}

int manual_print(struct re_printf *pf, const struct element *only)
{
	int err = 0;

	if (only)
		return element_write(pf, only, NULL);

	for (const struct element *const *e = elements; *e; e++)
		err |= element_write(pf, *e, NULL);

	return err | versions_write(pf) | rules_write(pf);
}
