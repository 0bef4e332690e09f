/*
 * Run the rules over a configuration and append what they find
 *
 * The rules themselves are in store/checks: each file appends to one list.
 * Here the list is sorted, what the operator does not want to see is taken
 * out, and the rest counted and printed (acli.md 3.1, 3.2).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "store/checks/checks.h"
#include "store/elements/elements.h"
#include "store/verify.h"

enum {
	SHOWN = 1000, /* findings in a text: acli.md 3.2 */
};

static const char line[] = "--------------------------------------------------"
			   "------------------------------";

static const char *const severity_names[] = { "ERROR", "WARNING", "NOTE" };

/* --- Order --------------------------------------------------------------- */

static int text_order(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int element_order(const struct element *a, const struct element *b)
{
	return text_order(a ? a->name : NULL, b ? b->name : NULL);
}

/* A path is folder, parent, element: that of a parent is a shorter one */
static int path_order(const struct finding *a, const struct finding *b)
{
	const struct element *pa = a->parent ? a->parent : a->element;
	const struct element *pb = b->parent ? b->parent : b->element;
	int n = text_order(pa ? pa->folder : NULL, pb ? pb->folder : NULL);

	if (!n)
		n = element_order(pa, pb);
	if (!n)
		n = element_order(a->parent ? a->element : NULL,
				  b->parent ? b->element : NULL);
	return n;
}

static int finding_order(const void *pa, const void *pb)
{
	const struct finding *a = *(const struct finding *const *)pa;
	const struct finding *b = *(const struct finding *const *)pb;
	int n = (int)a->severity - (int)b->severity;

	if (!n)
		n = path_order(a, b);
	if (!n)
		n = text_order(a->parent_spelled, b->parent_spelled);
	if (!n)
		n = text_order(a->spelled, b->spelled);
	if (!n)
		n = text_order(a->rule->id, b->rule->id);
	if (!n)
		n = text_order(a->message, b->message);
	if (!n)
		n = a->line < b->line ? -1 : a->line > b->line;
	return n;
}

static int findings_sort(struct list *findings)
{
	size_t n = list_count(findings), i = 0;
	struct finding **v = calloc(n ? n : 1, sizeof(*v));

	if (!v)
		return ENOMEM;

	for (struct le *le = findings->head; le; le = le->next)
		v[i++] = le->data;
	qsort(v, n, sizeof(*v), finding_order);
	list_clear(findings);
	for (i = 0; i < n; i++) {
		memset(&v[i]->le, 0, sizeof(v[i]->le));
		list_append(findings, &v[i]->le, v[i]);
	}
	free(v);
	return 0;
}

/* --- verify-ignore ------------------------------------------------------- */

static bool is_key(const char *key, const char *text)
{
	return key && !strcmp(key, text);
}

/* "VC-0205" or "VC-0205:KEY"; the key of a sub-element or of its parent, in
 * full or as findings print it */
static bool is_named_by(const struct finding *f, const char *entry)
{
	size_t n = strlen(f->rule->id);

	if (strncmp(entry, f->rule->id, n))
		return false;
	if (!entry[n])
		return true;
	if (entry[n] != ':')
		return false;
	entry += n + 1;
	return is_key(f->key, entry) || is_key(f->spelled, entry) ||
	       is_key(f->parent_key, entry) || is_key(f->parent_spelled, entry);
}

static void findings_ignore(struct list *findings, const struct names *ignore,
			    bool *used, struct verify_totals *totals)
{
	struct le *le = findings->head;

	while (le) {
		struct finding *f = le->data;
		bool found = false;

		le = le->next;
		for (uint32_t i = 0;
		     f->severity != SEVERITY_ERROR && i < ignore->n; i++) {
			if (!is_named_by(f, ignore->v[i]))
				continue;
			used[i] = true;
			found = true;
		}
		if (found) {
			totals->ignored++;
			mem_deref(f);
		}
	}
}

static int ignored_take_out(const struct config *cfg, struct list *findings,
			    struct verify_totals *totals)
{
	const struct system_config *system =
		config_single(cfg, &element_system_config);
	const struct names *ignore = &system->verify_ignore;
	bool *used;
	int err = 0;

	if (!ignore->n)
		return 0;

	used = calloc(ignore->n, sizeof(*used));
	if (!used)
		return ENOMEM;

	findings_ignore(findings, ignore, used, totals);
	for (uint32_t i = 0; i < ignore->n && !err; i++) {
		const struct item *item =
			config_item_at(cfg, &element_system_config, 0);
		const struct finding_about about = {
			.element = &element_system_config,
			.parameter = "verify-ignore",
			.value = ignore->v[i],
			.line = item->line,
			.column = item->column,
		};

		if (!used[i])
			err = finding_add(findings, "VC-0117", &about,
					  "has verify-ignore [%s] without "
					  "effect",
					  ignore->v[i]);
	}
	free(used);
	return err;
}

/* What is not asked for is neither told nor counted */
static void findings_choose(struct list *findings,
			    const struct verify_setup *setup)
{
	struct le *le = findings->head;

	while (le) {
		struct finding *f = le->data;

		le = le->next;
		if ((setup->rule && f->rule != setup->rule) ||
		    (setup->element && f->element != setup->element &&
		     f->parent != setup->element))
			mem_deref(f);
	}
}

/* --- Printing ------------------------------------------------------------ */

static const char *plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}

static int path_print(struct re_printf *pf, const struct finding *f)
{
	if (!f->element)
		return 0;
	if (f->parent)
		return re_hprintf(pf, "%s/%s/%s", f->parent->folder,
				  f->parent->name, f->element->name);
	return re_hprintf(pf, "%s/%s", f->element->folder, f->element->name);
}

static int detail_print(struct re_printf *pf, const struct finding *f)
{
	const char *key = f->parent ? f->parent_spelled : f->spelled;
	const struct element *top = f->parent ? f->parent : f->element;
	int err = re_hprintf(pf, "        %s  %H", f->rule->id, path_print, f);

	if (f->key)
		err |= re_hprintf(pf, " [%s]", f->key);
	if (f->parameter)
		err |= re_hprintf(pf, " %s", f->parameter);
	err |= re_hprintf(pf, "\n");
	if (*f->hint)
		err |= re_hprintf(pf, "        hint: %s\n", f->hint);
	if (top)
		err |= re_hprintf(
			pf, "        fix:  configure terminal %s %s%s%s\n",
			top->folder, top->name, key ? " " : "", key ? key : "");
	return err;
}

static int finding_print(struct re_printf *pf, const struct finding *f,
			 const struct verify_report *report)
{
	bool form = f->rule->form && f->line;
	int err = 0;

	if (form)
		err |= re_hprintf(
			pf, "%s:%u:%u: ", report->source ? report->source : "",
			f->line, f->column);
	err |= re_hprintf(pf, "%s: %s", severity_names[f->severity],
			  f->message);
	if (form && *f->hint)
		err |= re_hprintf(pf, "; %s", f->hint);
	err |= re_hprintf(pf, "\n");
	if (report->detail)
		err |= detail_print(pf, f);

	return err;
}

static int total_print(struct re_printf *pf, const struct verify_totals *t)
{
	int err;

	if (t->errors || t->warnings)
		return re_hprintf(pf,
				  "Total: %u error%s, %u warning%s, %u note%s, "
				  "%u ignored\n",
				  t->errors, plural(t->errors), t->warnings,
				  plural(t->warnings), t->notes,
				  plural(t->notes), t->ignored);

	err = re_hprintf(pf, "Verification passed: no errors, no warnings");
	if (t->notes)
		err |= re_hprintf(pf, ", %u note%s", t->notes,
				  plural(t->notes));
	if (t->ignored)
		err |= re_hprintf(pf, ", %u ignored", t->ignored);
	return err | re_hprintf(pf, ".\n");
}

/* --- JSON ---------------------------------------------------------------- */

static int json_bytes(struct re_printf *pf, const char *p, size_t n)
{
	int err = pf->vph("\"", 1, pf->arg);

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '"' || c == '\\')
			err |= re_hprintf(pf, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			err |= re_hprintf(pf, "\\u%04x", c);
		else
			err |= pf->vph(p + i, 1, pf->arg);
	}

	return err | pf->vph("\"", 1, pf->arg);
}

static int json_text(struct re_printf *pf, const char *text)
{
	return text ? json_bytes(pf, text, strlen(text))
		    : re_hprintf(pf, "null");
}

/* Length of the first part of a key: quotes and brackets hold it together */
static size_t part_length(const char *key)
{
	bool quoted = false, listed = false;
	size_t n = 0;

	for (; key[n]; n++) {
		if (quoted && key[n] == '\\' && key[n + 1])
			n++;
		else if (key[n] == '"')
			quoted = !quoted;
		else if (!quoted && !n && key[n] == '(')
			listed = true;
		else if (!quoted && listed && key[n] == ')')
			listed = false;
		else if (!quoted && !listed && key[n] == ' ')
			break;
	}

	return n;
}

/* The parts of the key, as the shell takes them */
static int json_key(struct re_printf *pf, const char *key)
{
	int err = re_hprintf(pf, "[");

	while (key) {
		size_t n = part_length(key);

		err |= json_bytes(pf, key, n);
		key = key[n] ? key + n + 1 : NULL;
		if (key)
			err |= re_hprintf(pf, ",");
	}

	return err | re_hprintf(pf, "]");
}

static int json_parent(struct re_printf *pf, const struct finding *f)
{
	if (!f->parent)
		return re_hprintf(pf, "null");

	return re_hprintf(pf, "{\"element\":\"%s\",\"key\":%H}",
			  f->parent->name, json_key, f->parent_spelled);
}

static int json_place(struct re_printf *pf, uint32_t n)
{
	return n ? re_hprintf(pf, "%u", n) : re_hprintf(pf, "null");
}

static int json_finding(struct re_printf *pf, const struct finding *f)
{
	int err;

	err = re_hprintf(pf, "{\"id\":\"%s\",\"severity\":\"%s\",\"element\":",
			 f->rule->id, severity_names[f->severity]);
	err |= json_text(pf, f->element ? f->element->name : NULL);
	err |= re_hprintf(pf, ",\"path\":\"%H\",\"key\":%H,\"parent\":%H,",
			  path_print, f, json_key, f->spelled, json_parent, f);
	err |= re_hprintf(pf, "\"parameter\":%H,\"value\":%H,\"message\":%H,",
			  json_text, f->parameter, json_text, f->value,
			  json_text, f->message);
	err |= re_hprintf(pf, "\"hint\":%H,\"line\":", json_text, f->hint);
	err |= json_place(pf, f->line);
	err |= re_hprintf(pf, ",\"column\":");
	err |= json_place(pf, f->column);

	return err | re_hprintf(pf, "}");
}

/* --- Doors --------------------------------------------------------------- */

static void count(const struct list *findings, struct verify_totals *totals)
{
	for (struct le *le = list_head(findings); le; le = le->next) {
		const struct finding *f = le->data;

		switch (f->severity) {
		case SEVERITY_ERROR:
			totals->errors++;
			break;
		case SEVERITY_WARNING:
			totals->warnings++;
			break;
		case SEVERITY_NOTE:
			totals->notes++;
			break;
		}
	}
}

static int checks_run(const struct config *cfg,
		      const struct verify_setup *setup, struct list *findings)
{
	static void (*const checks[])(struct survey * s) = {
		check_values, check_realms,     check_agents,
		check_routes, check_surrogates, check_credentials,
		check_rows,   check_profiles,   check_media,
		check_access, check_flows,      check_account,
		check_host,   check_dns,
	};
	static const struct outside nobody = { 0 };
	struct survey s = {
		.cfg = cfg,
		.outside = setup->outside ? setup->outside : &nobody,
		.now = setup->now,
		.findings = findings,
	};

	s.err = survey_init(&s);
	for (size_t i = 0; i < ARRAY_SIZE(checks) && !s.err; i++)
		checks[i](&s);
	survey_finish(&s);

	return s.err;
}

int verify_total(struct list *findings, struct verify_totals *totals)
{
	int err = findings_sort(findings);

	memset(totals, 0, sizeof(*totals));
	if (!err)
		count(findings, totals);

	return err;
}

int verify_run(const struct config *cfg, const struct verify_setup *setup,
	       struct list *findings, struct verify_totals *totals)
{
	static const struct verify_setup nobody = { 0 };
	int err;

	memset(totals, 0, sizeof(*totals));
	if (!setup)
		setup = &nobody;
	totals->host = setup->outside && setup->outside->host;
	totals->dns = setup->outside && setup->outside->resolve;

	err = checks_run(cfg, setup, findings);
	if (!err)
		err = ignored_take_out(cfg, findings, totals);
	if (!err)
		findings_choose(findings, setup);
	if (!err)
		err = findings_sort(findings);
	if (!err)
		count(findings, totals);

	return err;
}

int verify_print(struct re_printf *pf, const struct verify_report *report)
{
	size_t n = list_count(report->findings), i = 0;
	int err = 0;

	if (n)
		err |= re_hprintf(pf, "%s\n", line);
	for (struct le *le = list_head(report->findings); le && i < SHOWN;
	     le = le->next, i++)
		err |= finding_print(pf, le->data, report);
	if (n > SHOWN)
		err |= re_hprintf(pf, "... and %zu more\n", n - SHOWN);
	if (n)
		err |= re_hprintf(pf, "%s\n", line);

	return err | total_print(pf, report->totals);
}

int verify_json(struct re_printf *pf, const struct verify_report *report)
{
	const struct verify_totals *t = report->totals;
	int err;

	err = re_hprintf(pf, "{\"v\":1,\"source\":%H,\"version\":", json_text,
			 report->source);
	err |= json_place(pf, report->version);
	err |= re_hprintf(pf,
			  ",\"errors\":%u,\"warnings\":%u,\"notes\":%u,"
			  "\"ignored\":%u,\"skipped\":[%s%s%s],"
			  "\"findings\":[",
			  t->errors, t->warnings, t->notes, t->ignored,
			  t->host ? "" : "\"host\"",
			  t->host || t->dns ? "" : ",",
			  t->dns ? "" : "\"dns\"");
	/* A finding a line: none gets too long for a reader of lines */
	for (struct le *le = list_head(report->findings); le; le = le->next)
		err |= re_hprintf(pf, "\n %H%s", json_finding, le->data,
				  le->next ? "," : "");

	return err | re_hprintf(pf, "]}\n");
}
