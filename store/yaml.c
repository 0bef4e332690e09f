/*
 * A configuration as YAML, in and out, with the place of each problem
 *
 * libyaml gives events. One object at a time becomes a small tree of nodes, is
 * read by the schema's tables and freed, so that the memory needed does not
 * grow with the file but with the configuration. Key parameters are read
 * first: every finding about an object can then name it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <yaml.h>
#include "store/base.h"
#include "store/elements/elements.h"
#include "store/hash.h"
#include "store/rules.h"
#include "store/outline.h"
#include "store/yaml.h"

enum {
	FILE_MAX = 256 * 1024 * 1024,
	DEPTH_MAX = 16,       /* of nodes inside one object; four are needed */
	KEYS_MAX = 500,       /* of one mapping; the largest element has 60 */
	VALUES_MAX = 2000000, /* of one sequence */
	FINDINGS_MAX = 10000,
	NAMES_NOTED = 64,
};

struct reader {
	yaml_parser_t parser;
	struct config *cfg;
	struct list *findings;
	const char *name;
	const struct pl *bytes;
	size_t found;
	bool problem;
	int err; /* ends the reading: ENOMEM, EINVAL, E2BIG */
	uint32_t folder_lines[4];
	uint32_t element_lines[ELEMENTS_MAX];
	const char *noted[NAMES_NOTED]; /* of the tables below */
	size_t notes;
};

/* An object while it is read */
struct object {
	const struct element *type, *parent;
	void *item, *parent_item;
	const struct node *node;
	/* Name and value in the file, by place of the field */
	const struct node *names[KEYS_MAX], *given[KEYS_MAX];
};

static const char *const folders[] = { "system", "media-manager",
				       "session-router", "security" };

/* configuration.md 2: of our specification, in a later version */
static const char *const unserved[] = {
	"media-policy",
	"session-group",
	"session-agent-group",
	"sip-manipulation",
	"translation-rules",
	"session-translation",
	"session-constraints",
	"access-control",
	"account-config",
	"tls-profile",
	"certificate-record",
	"session-router",
	"sip-recursion-policy",
	"session-timer-profile",
	"media-profile",
	"enum-config",
	"local-routing-config",
	"codec-policy",
	"security-config",
	"media-security",
	"media-sec-policy",
	"sdes-profile",
	"dtls-srtp-profile",
	"auth-plugin",
	"diameter-server",
	"diameter-group",
	"sip-authentication-profile",
	"local-subscriber-table",
	"key-set",
	"federation-config",
	"federation-domain",
	"admin-security",
	"login-config",
	"audit-logging",
	NULL,
};

/* configuration.md 1.5: elements of Oracle's that are not needed */
static const char *const unneeded[] = {
	"phy-interface",
	"network-interface",
	"network-parameters",
	"host-route",
	"redundancy-config",
	"redundancy",
	"snmp-community",
	"trap-receiver",
	"ntp-config",
	"ntp-sync",
	"capture-receiver",
	"static-flow",
	"sip-nat",
	"sip-feature",
	"sip-feature-caps",
	"class-policy",
	"class-profile",
	"enforcement-profile",
	"ext-policy-server",
	"h323",
	"h323-config",
	"h323-stack",
	"mgcp-config",
	"dns-config",
	"realm-group",
	"qos-constraints",
	"lawful-intercept",
	"rph-profile",
	"rph-policy",
	"license-config",
	"system-access-list",
	"web-server-config",
	"network-util",
	"allowed-elements-profile",
	"ims-aka-profile",
	"ipsec",
	"security-association",
	"http-alg",
	"sip-monitoring",
	"fxo-profile",
	"spl-config",
	NULL,
};

/* and parameters, of whatever element */
static const char *const unneeded_parameters[] = {
	"network-interface",
	"network-interfaces",
	"default-gateway",
	"class-profile",
	"enforcement-profile",
	"ext-policy-svr",
	"multi-home-addrs",
	"ims-aka-profile",
	"ims-aka-feature",
	"contact-mode",
	"transcoding-realm",
	"transcoding-agents",
	"sip-ims-feature",
	"ccf-address",
	"ecf-address",
	"charging-vector-mode",
	"charging-function-address-mode",
	"red-max-trans",
	"red-sync-start-time",
	"red-sync-comp-time",
	"sip-profile",
	"sip-isup-profile",
	"sip-nat-mode",
	"home-address",
	"msm-release",
	"generate-UDT-checksum",
	"net-management-control",
	"delay-media-update",
	"monthly-minutes",
	"user-cac-mode",
	"user-cac-bandwidth",
	"user-cac-sessions",
	"icmp-detect-multiplier",
	"icmp-advertisement-interval",
	"icmp-target-ip",
	"hist-to-div-for-cause-380",
	"phy-interfaces",
	"snmp-enabled",
	"enable-snmp-auth-traps",
	"enable-snmp-syslog-notify",
	"enable-snmp-monitor-traps",
	"enable-env-monitor-traps",
	"snmp-syslog-his-table-length",
	"snmp-syslog-level",
	"snmp-agent-mode",
	"source-routing",
	"restart",
	"telnet-timeout",
	"remote-control",
	"link-redundancy-state",
	NULL,
};

/* configuration.md 2.2, 2.9: other names of parameters */
static const char *const renamed[][2] = {
	{ "in-translationid", "in-session-translations" },
	{ "out-translationid", "out-session-translations" },
	{ NULL, NULL },
};

/* configuration.md 2.7, 2.8: words that are read as another */
static const struct {
	const struct element *type;
	const char *parameter, *word, *as;
} reread[] = {
	{ &element_sip_config, "operation-mode", "disabled", "dialog" },
	{ &element_sip_config, "operation-mode", "session", "dialog" },
	{ &element_sip_config, "operation-mode", "transaction", "dialog" },
	{ &element_sip_config, "operation-mode", "stateless", "dialog" },
	{ &element_sip_interface, "proxy-mode", "record-route", "proxy" },
};

static struct pl pl_of(const char *text)
{
	struct pl pl = { text, strlen(text) };

	return pl;
}

static bool pl_is(const struct pl *text, const char *word)
{
	return text->l == strlen(word) && !memcmp(text->p, word, text->l);
}

static const char *word_in(const char *const *words, const struct pl *text)
{
	for (; *words; words++) {
		if (pl_is(text, *words))
			return *words;
	}

	return NULL;
}

/* For "%.*s": the head of a text that may be very long */
static int shown(const struct pl *text)
{
	return text->l > 80 ? 80 : (int)text->l;
}

/* Findings */

#define FOUND(r, id, about, ...)                                               \
	do {                                                                   \
		if (may_find(r, id) &&                                         \
		    finding_add((r)->findings, id, about, __VA_ARGS__))        \
			(r)->err = ENOMEM;                                     \
	} while (0)

/* A file of nothing but problems must not take all memory */
static bool may_find(struct reader *r, const char *id)
{
	if (rule_find(id)->severity == SEVERITY_ERROR)
		r->problem = true;

	return !r->err && r->found++ < FINDINGS_MAX;
}

static struct finding_about at_node(const struct node *node)
{
	struct finding_about about = { .line = node->line,
				       .column = node->column };

	return about;
}

static struct finding_about at_object(const struct object *o,
				      const struct node *node)
{
	struct finding_about about = at_node(node);

	about.element = o->type;
	about.item = o->item;
	about.parent = o->parent;
	about.parent_item = o->parent_item;
	return about;
}

/* The value of a finding: ended by zero, never long */
static const char *value_of(char buf[128], const struct node *node)
{
	(void)snprintf(buf, 128, "%.*s", shown(&node->text), node->text.p);
	return buf;
}

static size_t distance(const char *a, const struct pl *b)
{
	enum {
		LONGEST = 64
	};
	size_t row[LONGEST + 1];
	size_t n = strlen(a);

	if (n > LONGEST || b->l > LONGEST)
		return SIZE_MAX;
	for (size_t i = 0; i <= n; i++)
		row[i] = i;

	for (size_t j = 1; j <= b->l; j++) {
		size_t before = row[0];

		row[0] = j;
		for (size_t i = 1; i <= n; i++) {
			size_t best = before + (a[i - 1] != b->p[j - 1]);

			before = row[i];
			if (row[i] + 1 < best)
				best = row[i] + 1;
			if (row[i - 1] + 1 < best)
				best = row[i - 1] + 1;
			row[i] = best;
		}
	}

	return row[n];
}

struct nearest {
	const char *name;
	size_t distance;
};

static void nearer(struct nearest *best, const char *name,
		   const struct pl *wanted)
{
	size_t d = distance(name, wanted);

	if (d <= wanted->l / 3 + 1 && d < best->distance) {
		best->name = name;
		best->distance = d;
	}
}

static const char *hint_of(char buf[160], const struct nearest *best,
			   const char *type)
{
	if (best->name)
		(void)snprintf(buf, 160, "Did you mean [%s]?", best->name);
	else
		(void)snprintf(buf, 160,
			       "sbcd --manual%s%s lists what there is",
			       *type ? " " : "", type);

	return buf;
}

/* Events */

/* Line and column, from 1, of an offset in the bytes */
static void place_of_offset(const struct pl *bytes, size_t offset,
			    struct finding_about *about)
{
	about->line = about->column = 1;
	for (size_t i = 0; i < offset && i < bytes->l; i++) {
		about->column++;
		if (bytes->p[i] == '\n') {
			about->line++;
			about->column = 1;
		}
	}
}

static void not_yaml(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	struct finding_about about = {
		.line = (uint32_t)p->problem_mark.line + 1,
		.column = (uint32_t)p->problem_mark.column + 1,
	};

	if (p->error == YAML_MEMORY_ERROR) {
		r->err = ENOMEM;
		return;
	}
	if (p->error == YAML_READER_ERROR)
		place_of_offset(r->bytes, p->problem_offset, &about);

	FOUND(r, "VC-0121", &about, "The text is not YAML: %s",
	      p->problem ? p->problem : "unknown problem");
	if (!r->err)
		r->err = EINVAL;
}

static void refuse_extra(struct reader *r, const yaml_event_t *e,
			 const void *anchor, const void *tag)
{
	struct finding_about about = {
		.line = (uint32_t)e->start_mark.line + 1,
		.column = (uint32_t)e->start_mark.column + 1,
		.hint = "Write the value out",
	};

	if (e->type == YAML_ALIAS_EVENT)
		FOUND(r, "VC-0121", &about, "An alias is not allowed");
	if (anchor)
		FOUND(r, "VC-0121", &about, "An anchor is not allowed");
	about.hint = "Leave it out: the parameter decides what a value is";
	if (tag)
		FOUND(r, "VC-0121", &about, "A tag is not allowed");
}

/* The next event; false at an error, which is then reported */
static bool event_next(struct reader *r, yaml_event_t *e)
{
	if (r->err)
		return false;
	if (!yaml_parser_parse(&r->parser, e)) {
		not_yaml(r);
		return false;
	}

	switch (e->type) {
	case YAML_ALIAS_EVENT:
		refuse_extra(r, e, NULL, NULL);
		break;
	case YAML_SCALAR_EVENT:
		refuse_extra(r, e, e->data.scalar.anchor, e->data.scalar.tag);
		break;
	case YAML_SEQUENCE_START_EVENT:
		refuse_extra(r, e, e->data.sequence_start.anchor,
			     e->data.sequence_start.tag);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse_extra(r, e, e->data.mapping_start.anchor,
			     e->data.mapping_start.tag);
		break;
	default: /* libyaml's enum: the rest carries nothing to refuse */
		break;
	}

	return true;
}

static bool is_start(const yaml_event_t *e)
{
	return e->type == YAML_SEQUENCE_START_EVENT ||
	       e->type == YAML_MAPPING_START_EVENT;
}

static bool is_end(const yaml_event_t *e)
{
	return e->type == YAML_SEQUENCE_END_EVENT ||
	       e->type == YAML_MAPPING_END_EVENT;
}

/* Read past the value that e begins */
static void skip(struct reader *r, const yaml_event_t *e)
{
	size_t depth = is_start(e) ? 1 : 0;

	while (depth) {
		yaml_event_t next;

		if (!event_next(r, &next))
			return;
		if (is_start(&next))
			depth++;
		else if (is_end(&next))
			depth--;
		yaml_event_delete(&next);
	}
}

static struct node *node_of(const yaml_event_t *e)
{
	enum node_kind kind = e->type == YAML_SEQUENCE_START_EVENT  ? SEQUENCE
			      : e->type == YAML_MAPPING_START_EVENT ? MAPPING
								    : SCALAR;
	struct pl text = { NULL, 0 };
	struct node *node;

	if (e->type == YAML_SCALAR_EVENT) {
		text.p = (const char *)e->data.scalar.value;
		text.l = e->data.scalar.length;
	}
	node = node_alloc(kind, &text, (uint32_t)e->start_mark.line + 1,
			  (uint32_t)e->start_mark.column + 1);
	if (node)
		node->plain = e->type == YAML_SCALAR_EVENT &&
			      e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	return node;
}

/* The tree of the value that e begins; NULL with r->err set */
static struct node *node_read(struct reader *r, const yaml_event_t *e,
			      unsigned depth)
{
	struct node *node = node_of(e);
	size_t most;

	if (!node) {
		r->err = ENOMEM;
		return NULL;
	}
	if (!is_start(e))
		return node;

	most = node->kind == MAPPING ? 2 * KEYS_MAX : VALUES_MAX;
	while (!r->err) {
		struct node *child;
		yaml_event_t next;
		bool end;

		if (!event_next(r, &next))
			break;
		end = is_end(&next);
		if (end) {
			yaml_event_delete(&next);
			break;
		}
		if (depth >= DEPTH_MAX || node->n >= most) {
			struct finding_about about = at_node(node);

			if (node->n == most || depth >= DEPTH_MAX)
				FOUND(r, "VC-0121", &about,
				      "The value has too many parts");
			skip(r, &next);
			yaml_event_delete(&next);
			r->err = r->err ? r->err : E2BIG;
			break;
		}
		child = node_read(r, &next, depth + 1);
		yaml_event_delete(&next);
		if (child && node_append(node, child)) {
			node_free(child);
			r->err = ENOMEM;
		}
	}

	if (r->err) {
		node_free(node);
		return NULL;
	}

	return node;
}

/* "", ~, [] or nothing */
static bool is_empty(const struct node *node)
{
	switch (node->kind) {
	case SCALAR:
		return !node->text.l ||
		       (node->plain && pl_is(&node->text, "~"));
	case SEQUENCE:
	case MAPPING:
		return !node->n;
	}

	return false;
}

/* Values */

static bool noted_before(struct reader *r, const char *name)
{
	for (size_t i = 0; i < r->notes; i++) {
		if (r->noted[i] == name)
			return true;
	}
	if (r->notes < NAMES_NOTED)
		r->noted[r->notes++] = name;

	return false;
}

static void bad_value(struct reader *r, const struct object *o,
		      const struct field *f, const struct node *node,
		      const struct value_fault *fault)
{
	struct finding_about about = at_object(o, node);
	bool hidden = f->type == &type_secret || node->kind != SCALAR;
	char value[128], *range = NULL, *hint = NULL;

	if (re_sdprintf(&range, "%H", field_range_print, f) ||
	    re_sdprintf(&hint, "Allowed: %s", range)) {
		r->err = ENOMEM;
		goto out;
	}

	about.field = f;
	about.value = hidden ? NULL : value_of(value, node);
	about.hint = hint;
	if (hidden)
		FOUND(r, "VC-0105", &about, "has invalid %s, which %s", f->name,
		      fault->why);
	else
		FOUND(r, "VC-0105", &about, "has invalid %s [%s], which %s",
		      f->name, about.value, fault->why);

out:
	mem_deref(range);
	mem_deref(hint);
}

/* configuration.md 1.5: a relative name is taken from the folder of the file */
static int name_absolute(struct reader *r, char **text, const struct pl *name)
{
	const char *slash = strrchr(r->name, '/');
	struct pl folder = { r->name, slash ? (size_t)(slash - r->name) : 0 };
	char *relative = NULL, *absolute;
	int err;

	err = re_sdprintf(&relative, "%r%s", &folder, slash ? "/" : ".");
	if (err)
		return err;

	absolute = realpath(relative, NULL);
	mem_deref(relative);
	if (!absolute)
		return errno == ENOMEM ? ENOMEM : EINVAL;

	err = re_sdprintf(text, "%s%s%r", absolute, absolute[1] ? "/" : "",
			  name);
	free(absolute);
	return err;
}

static int file_read(struct reader *r, struct object *o, const struct field *f,
		     const struct node *node, struct value_fault *fault)
{
	char *text = NULL;
	struct pl name;
	int err;

	if (node->text.l && node->text.p[0] == '/')
		return field_parse(f, o->item, &node->text, fault);

	err = name_absolute(r, &text, &node->text);
	if (err) {
		strcpy(fault->why, "is relative to a folder that is not there");
		return err;
	}
	name = pl_of(text);
	err = field_parse(f, o->item, &name, fault);
	mem_deref(text);
	return err;
}

static void value_read(struct reader *r, struct object *o,
		       const struct field *f, const struct node *node)
{
	struct value_fault fault = { "is a list or mapping, not one value" };
	int err = EINVAL;

	if (node->kind == SCALAR)
		err = f->flags & FILE_NAME
			      ? file_read(r, o, f, node, &fault)
			      : field_parse(f, o->item, &node->text, &fault);
	if (err == ENOMEM)
		r->err = err;
	else if (err)
		bad_value(r, o, f, node, &fault);
}

static const struct pl *word_reread(const struct object *o,
				    const struct field *f,
				    const struct node *node, struct pl *as)
{
	for (size_t i = 0; i < sizeof(reread) / sizeof(reread[0]); i++) {
		if (reread[i].type == o->type &&
		    !strcmp(reread[i].parameter, f->name) &&
		    node->kind == SCALAR &&
		    pl_is(&node->text, reread[i].word)) {
			*as = pl_of(reread[i].as);
			return as;
		}
	}

	return NULL;
}

static void empty_read(struct reader *r, struct object *o,
		       const struct field *f, const struct node *node)
{
	struct pl nothing = { "", 0 };
	struct value_fault fault;
	int err;

	/* configuration.md 1.2: an empty part of a key takes its default */
	if ((f->flags & KEY) && f->dflt)
		return;

	field_clear(f, o->item);
	if (f->type->list || (f->flags & REQUIRED))
		return; /* a required one is found missing later */

	err = f->type->parse(field_slot(f, o->item), &nothing, f, &fault);
	if (err == ENOMEM)
		r->err = err;
	else if (err)
		bad_value(r, o, f, node, &fault);
}

static void object_read(struct reader *r, struct object *o);

/* Keys of the sub-elements seen so far */
struct seen {
	struct entry entry;
	char *key;
};

static bool seen_is(const struct entry *e, const void *key)
{
	return !strcmp(((const struct seen *)e)->key, key);
}

static void seen_free(struct entry *e, void *arg)
{
	struct seen *seen = (struct seen *)e;

	(void)arg;
	mem_deref(seen->key);
	free(seen);
}

/* Was there a sub-element with this key? Remembers it */
static int seen_before(struct table *keys, const struct object *o, bool *before)
{
	struct item_ref ref = { o->type, o->item };
	struct seen *seen = calloc(1, sizeof(*seen));
	uint64_t hash;
	int err;

	if (!seen)
		return ENOMEM;

	err = re_sdprintf(&seen->key, "%H", item_key_spell, &ref);
	if (err)
		goto out;
	hash = hash_bytes(seen->key, strlen(seen->key));
	*before = table_find(keys, hash, seen_is, seen->key) != NULL;
	if (!*before)
		err = table_add(keys, &seen->entry, hash);

out:
	if (err || *before)
		seen_free(&seen->entry, NULL);

	return err;
}

static void child_read(struct reader *r, struct object *parent,
		       const struct field *f, const struct node *node,
		       struct table *keys)
{
	struct items *items = field_slot(f, parent->item);
	struct object *o = calloc(1, sizeof(*o)); /* too large for a stack */
	bool before = false;

	if (!o) {
		r->err = ENOMEM;
		return;
	}
	o->type = f->child;
	o->parent = parent->type;
	o->parent_item = parent->item;
	o->node = node;
	r->err = item_alloc(&o->item, o->type);
	if (r->err)
		goto out;

	object_read(r, o);
	if (!r->err && keys)
		r->err = seen_before(keys, o, &before);
	if (before && !r->err) {
		struct finding_about about = at_object(o, node);

		FOUND(r, "VC-0106", &about, "is defined more than once");
	}
	if (!r->err)
		r->err = items_append(items, o->item);
	if (r->err)
		item_free(o->type, o->item);

out:
	free(o);
}

static void children_read(struct reader *r, struct object *o,
			  const struct field *f, const struct node *node)
{
	struct table keys;

	if (is_empty(node))
		return;
	if (f->child->flags & SINGLE)
		field_clear(f, o->item); /* its default was there */
	if (node->kind == MAPPING && (f->child->flags & SINGLE)) {
		child_read(r, o, f, node, NULL);
		return;
	}
	if (node->kind != SEQUENCE) {
		struct finding_about about = at_object(o, node);

		about.field = f;
		about.hint = "Begin each of them with a dash";
		FOUND(r, "VC-0105", &about, "has %s which is not a list",
		      f->name);
		return;
	}

	table_init(&keys);
	for (size_t i = 0; i < node->n && !r->err; i++)
		child_read(r, o, f, node->children[i], &keys);
	(void)table_walk(&keys, 0, SIZE_MAX, seen_free, NULL);
	table_finish(&keys);
}

static void field_take(struct reader *r, struct object *o,
		       const struct field *f, const struct node *node)
{
	struct pl as;

	if (f->child) {
		children_read(r, o, f, node);
		return;
	}
	if (is_empty(node)) {
		empty_read(r, o, f, node);
		return;
	}
	if (word_reread(o, f, node, &as)) {
		struct finding_about about = at_object(o, node);

		about.field = f;
		FOUND(r, "VC-0120", &about, "has %s [%.*s] which is read as %s",
		      f->name, shown(&node->text), node->text.p, as.p);
		return; /* what it is read as is the default */
	}
	if (!f->type->list) {
		value_read(r, o, f, node);
		return;
	}

	field_clear(f, o->item);
	if (node->kind == SCALAR) {
		value_read(r, o, f, node);
		return;
	}
	for (size_t i = 0; i < node->n && !r->err; i++)
		value_read(r, o, f, node->children[i]);
	if (node->kind == MAPPING) {
		struct value_fault fault = { "is a mapping, not a list" };

		field_clear(f, o->item);
		bad_value(r, o, f, node, &fault);
	}
}

/* Options that became parameters (configuration.md 1.5) */
static void options_move(struct reader *r, struct object *o)
{
	struct surrogate_agent *agent = o->item;
	struct pl name = { "auth-methods", 12 }, rest, method;
	const struct field *f = field_find(o->type, &name);
	uint32_t n = 0;

	for (uint32_t i = 0; i < agent->options.n; i++) {
		char *option = agent->options.v[i];
		bool methods = !strncmp(option, "auth-methods=", 13);

		if (!methods && strcmp(option, "auth-info=refresh")) {
			agent->options.v[n++] = option;
			continue;
		}
		rest = pl_of(methods ? option + 13 : "");
		if (rest.l >= 2 && rest.p[0] == '"') {
			rest.p++;
			rest.l -= 2;
		}
		while (rest.l && !r->err) {
			struct value_fault fault;
			const char *comma = memchr(rest.p, ',', rest.l);

			method = rest;
			if (comma)
				method.l = (size_t)(comma - rest.p);
			rest.p += method.l + (comma ? 1 : 0);
			rest.l -= method.l + (comma ? 1 : 0);
			if (field_parse(f, o->item, &method, &fault)) {
				bad_value(r, o, f, o->node, &fault);
				break;
			}
		}
		free(option);
	}
	agent->options.n = n;
}

/* Objects */

static const struct field *field_named(const struct element *type,
				       const struct pl *name)
{
	const struct field *f = field_find(type, name);

	if (!f)
		f = field_of_child(type, name);
	for (size_t i = 0; !f && renamed[i][0]; i++) {
		struct pl other = pl_of(renamed[i][1]);

		if (pl_is(name, renamed[i][0]))
			f = field_find(type, &other);
	}

	return f;
}

static void unknown_parameter(struct reader *r, const struct object *o,
			      const struct node *key)
{
	struct finding_about about = at_object(o, key);
	struct nearest best = { NULL, SIZE_MAX };
	const char *known = word_in(unneeded_parameters, &key->text);
	char hint[160], value[128];

	about.parameter = value_of(value, key);
	if (known) {
		if (!noted_before(r, known))
			FOUND(r, "VC-0120", &about,
			      "has %s which is not needed and was left out",
			      known);
		return;
	}

	for (const struct field *f = o->type->fields; f->name; f++) {
		if (!(f->flags & READONLY))
			nearer(&best, f->name, &key->text);
	}
	about.hint = hint_of(hint, &best, o->type->name);
	FOUND(r, "VC-0108", &about, "has unknown parameter [%s]",
	      about.parameter);
}

/* Note which value belongs to which row; the first one counts */
static void object_sort(struct object *o)
{
	for (size_t i = 0; i + 1 < o->node->n; i += 2) {
		const struct node *key = o->node->children[i];
		const struct field *f = NULL;
		size_t place;

		if (key->kind == SCALAR)
			f = field_named(o->type, &key->text);
		if (!f)
			continue;

		place = (size_t)(f - o->type->fields);
		if (!o->names[place]) {
			o->names[place] = key;
			o->given[place] = o->node->children[i + 1];
		}
	}
}

/* What belongs to no row, or to one that has its value */
static void object_complain(struct reader *r, const struct object *o)
{
	for (size_t i = 0; i + 1 < o->node->n && !r->err; i += 2) {
		const struct node *key = o->node->children[i], *first;
		struct finding_about about = at_object(o, key);
		const struct field *f;

		if (key->kind != SCALAR) {
			about.hint = "Write NAME: VALUE";
			FOUND(r, "VC-0121", &about,
			      "has a list or mapping where a name belongs");
			continue;
		}
		f = field_named(o->type, &key->text);
		if (!f) {
			unknown_parameter(r, o, key);
			continue;
		}
		first = o->names[f - o->type->fields];
		if (first == key)
			continue;
		about.field = f;
		about.hint = "Remove one of the two";
		FOUND(r, "VC-0106", &about,
		      "has %s in line %u and again in line %u", f->name,
		      first->line, key->line);
	}
}

static void object_take(struct reader *r, struct object *o, bool keys)
{
	const struct field *fields = o->type->fields;

	for (size_t i = 0; fields[i].name && !r->err; i++) {
		bool key = (fields[i].flags & KEY) != 0;

		if (key == keys && o->given[i] && !(fields[i].flags & READONLY))
			field_take(r, o, &fields[i], o->given[i]);
	}
}

static void object_missing(struct reader *r, struct object *o)
{
	for (const struct field *f = o->type->fields; f->name; f++) {
		struct finding_about about = at_object(o, o->node);
		const struct node *given = o->given[f - o->type->fields];
		char hint[96];

		if (!(f->flags & REQUIRED) || !field_is_empty(f, o->item))
			continue;
		if (given && !is_empty(given))
			continue; /* refused, and reported as that */
		(void)snprintf(hint, sizeof(hint), "Set %s", f->name);
		about.field = f;
		about.hint = hint;
		FOUND(r, "VC-0104", &about, "is missing %s entry", f->name);
	}
}

static void object_read(struct reader *r, struct object *o)
{
	if (o->node->kind != MAPPING && !is_empty(o->node)) {
		struct finding_about about = at_node(o->node);

		about.element = o->type;
		about.hint = "Write NAME: VALUE lines";
		FOUND(r, "VC-0121", &about, "is not a mapping");
		return;
	}
	if (o->node->kind == MAPPING) {
		/* Keys first, so that findings can name the object */
		object_sort(o);
		object_take(r, o, true);
		object_complain(r, o);
		object_take(r, o, false);
	}
	if (!r->err && o->type == &element_surrogate_agent)
		options_move(r, o);
	if (!r->err)
		object_missing(r, o);
}

/* One object of an element at the top */
static void top_take(struct reader *r, const struct element *type,
		     const struct node *node)
{
	struct object *o = calloc(1, sizeof(*o)); /* too large for a stack */

	if (!o) {
		r->err = ENOMEM;
		return;
	}
	o->type = type;
	o->node = node;
	r->err = item_alloc(&o->item, type);
	if (r->err)
		goto out;

	object_read(r, o);
	if (!r->err)
		r->err = config_append(r->cfg, type, o->item, node->line,
				       node->column);
	if (r->err == EEXIST) {
		struct finding_about about = at_object(o, node);

		r->err = 0;
		FOUND(r, "VC-0106", &about, "is defined more than once");
	} else if (!r->err) {
		o->item = NULL; /* the configuration's now */
	}

out:
	item_free(type, o->item);
	free(o);
}

static void top_read(struct reader *r, const struct element *type,
		     const yaml_event_t *e)
{
	struct node *node = node_read(r, e, 0);

	if (node)
		top_take(r, type, node);
	node_free(node);
}

/* Folders and elements */

static bool event_is_empty(const yaml_event_t *e)
{
	return e->type == YAML_SCALAR_EVENT &&
	       (!e->data.scalar.length ||
		(e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		 !strcmp((const char *)e->data.scalar.value, "~")));
}

static struct finding_about at_event(const yaml_event_t *e)
{
	struct finding_about about = {
		.line = (uint32_t)e->start_mark.line + 1,
		.column = (uint32_t)e->start_mark.column + 1,
	};

	return about;
}

static void element_read(struct reader *r, const struct element *type,
			 const yaml_event_t *e)
{
	struct finding_about about = at_event(e);

	if (event_is_empty(e))
		return;
	if (type->flags & SINGLE) {
		top_read(r, type, e);
		return;
	}
	if (e->type != YAML_SEQUENCE_START_EVENT) {
		about.element = type;
		about.hint = "Begin each object with a dash";
		FOUND(r, "VC-0121", &about, "is not a list");
		skip(r, e);
		return;
	}

	for (;;) {
		yaml_event_t next;
		bool end;

		if (!event_next(r, &next))
			return;
		end = next.type == YAML_SEQUENCE_END_EVENT;
		if (!end)
			top_read(r, type, &next);
		yaml_event_delete(&next);
		if (end || r->err)
			return;
	}
}

static void unknown_element(struct reader *r, const struct pl *name,
			    struct finding_about *about)
{
	const char *known = word_in(unneeded, name);
	const char *later = word_in(unserved, name);
	struct nearest best = { NULL, SIZE_MAX };
	char hint[160];

	if (known) {
		if (!noted_before(r, known))
			FOUND(r, "VC-0120", about,
			      "%s is not needed and was left out%s", known,
			      !strcmp(known, "network-interface")
				      ? "; its DNS servers belong into "
					"system-config dns-servers"
				      : "");
		return;
	}
	if (later) {
		about->hint = "Remove it until a version serves it";
		FOUND(r, "VC-0108", about,
		      "Element [%s] is not served by this version", later);
		return;
	}

	for (const struct element *const *e = elements; *e; e++)
		nearer(&best, (*e)->name, name);
	about->hint = hint_of(hint, &best, "");
	FOUND(r, "VC-0108", about, "Unknown element [%.*s]", shown(name),
	      name->p);
}

/* An element by its name in this folder, or a finding */
static const struct element *element_of(struct reader *r, const char *folder,
					const yaml_event_t *key)
{
	struct finding_about about = at_event(key);
	struct pl name = { (const char *)key->data.scalar.value,
			   key->data.scalar.length };
	const struct element *type = element_find(&name);
	char hint[64];
	size_t place = 0;

	if (!type) {
		unknown_element(r, &name, &about);
		return NULL;
	}
	while (elements[place] != type)
		place++;

	about.element = type;
	if (strcmp(type->folder, folder)) {
		(void)snprintf(hint, sizeof(hint), "Move it to %s",
			       type->folder);
		about.hint = hint;
		FOUND(r, "VC-0108", &about, "stands in the wrong folder [%s]",
		      folder);
		return NULL;
	}
	if (r->element_lines[place]) {
		about.hint = "Join the two";
		FOUND(r, "VC-0106", &about,
		      "stands a second time, the first is in line %u",
		      r->element_lines[place]);
		return NULL;
	}

	r->element_lines[place] = about.line;
	return type;
}

typedef void(pair_h)(struct reader *r, const yaml_event_t *key,
		     const yaml_event_t *value, const char *folder);

/* Each key and value of the mapping that has begun */
static void mapping_walk(struct reader *r, pair_h *h, const char *folder)
{
	while (!r->err) {
		yaml_event_t key, value;

		if (!event_next(r, &key))
			return;
		if (key.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&key);
			return;
		}
		if (key.type != YAML_SCALAR_EVENT) {
			struct finding_about about = at_event(&key);

			FOUND(r, "VC-0121", &about,
			      "A name belongs here, not a list or mapping");
			skip(r, &key);
		}
		if (event_next(r, &value)) {
			if (key.type == YAML_SCALAR_EVENT)
				h(r, &key, &value, folder);
			else
				skip(r, &value);
			yaml_event_delete(&value);
		}
		yaml_event_delete(&key);
	}
}

static void element_pair(struct reader *r, const yaml_event_t *key,
			 const yaml_event_t *value, const char *folder)
{
	const struct element *type = element_of(r, folder, key);

	if (type)
		element_read(r, type, value);
	else
		skip(r, value);
}

static void folder_pair(struct reader *r, const yaml_event_t *key,
			const yaml_event_t *value, const char *folder)
{
	struct finding_about about = at_event(key);
	const char *name = (const char *)key->data.scalar.value;
	size_t i = 0;

	(void)folder;
	while (i < 4 && strcmp(folders[i], name))
		i++;
	if (i == 4) {
		about.hint = "Allowed: system, media-manager, session-router, "
			     "security";
		FOUND(r, "VC-0108", &about, "Unknown folder [%.80s]", name);
		skip(r, value);
		return;
	}
	if (r->folder_lines[i]) {
		about.hint = "Join the two";
		FOUND(r, "VC-0106", &about,
		      "Folder [%s] stands a second time, the first is in line "
		      "%u",
		      name, r->folder_lines[i]);
		skip(r, value);
		return;
	}

	r->folder_lines[i] = about.line;
	if (value->type == YAML_MAPPING_START_EVENT) {
		mapping_walk(r, element_pair, folders[i]);
	} else if (!event_is_empty(value)) {
		about.hint = "Indent its elements below it";
		FOUND(r, "VC-0121", &about, "Folder [%s] is not a mapping",
		      name);
		skip(r, value);
	}
}

static void root_read(struct reader *r, const yaml_event_t *e)
{
	struct finding_about about = at_event(e);

	if (e->type == YAML_MAPPING_START_EVENT) {
		mapping_walk(r, folder_pair, NULL);
	} else if (!event_is_empty(e)) {
		about.hint = "Begin with system:, media-manager: or "
			     "session-router:";
		FOUND(r, "VC-0121", &about,
		      "The document is not a mapping of folders");
		skip(r, e);
	}
}

static void stream_read(struct reader *r)
{
	bool document = false, end = false;

	while (!end && !r->err) {
		yaml_event_t e;

		if (!event_next(r, &e))
			return;
		if (e.type == YAML_STREAM_END_EVENT) {
			end = true;
		} else if (e.type == YAML_DOCUMENT_START_EVENT) {
			struct finding_about about = at_event(&e);

			about.hint = "Join the documents, without ---";
			if (document)
				FOUND(r, "VC-0121", &about,
				      "The file has a second document");
		} else if (e.type != YAML_STREAM_START_EVENT &&
			   e.type != YAML_DOCUMENT_END_EVENT) {
			if (document)
				skip(r, &e);
			else
				root_read(r, &e);
			document = true;
		}
		yaml_event_delete(&e);
	}
}

/* ACLI text */

static void outline_problem(uint32_t line, uint32_t column, const char *what,
			    const char *hint, void *arg)
{
	struct finding_about about = { .line = line,
				       .column = column,
				       .hint = hint };
	struct reader *r = arg;

	FOUND(r, "VC-0121", &about, "%s", what);
}

/* A single element may stand once */
static bool is_second(struct reader *r, const struct element *type,
		      const struct node *node)
{
	struct finding_about about = at_node(node);
	size_t place = 0;

	if (!(type->flags & SINGLE))
		return false;
	while (elements[place] != type)
		place++;
	if (!r->element_lines[place]) {
		r->element_lines[place] = node->line;
		return false;
	}
	about.element = type;
	about.hint = "Join the two";
	FOUND(r, "VC-0106", &about,
	      "stands a second time, the first is in line %u",
	      r->element_lines[place]);
	return true;
}

static void outline_take(struct reader *r, const struct node *root)
{
	for (size_t i = 0; i < root->n && !r->err; i++) {
		const struct node *name = root->children[i]->children[0];
		const struct node *value = root->children[i]->children[1];
		struct finding_about about = at_node(name);
		const struct element *type = element_find(&name->text);

		if (!type)
			unknown_element(r, &name->text, &about);
		else if (!is_second(r, type, name))
			top_take(r, type, value);
	}
}

static void text_read(struct reader *r)
{
	struct node *root = NULL;

	r->err = outline_read(&root, r->bytes, outline_problem, r);
	if (!r->err)
		outline_take(r, root);
	node_free(root);
}

static void yaml_text_read(struct reader *r)
{
	if (!yaml_parser_initialize(&r->parser)) {
		r->err = ENOMEM;
		return;
	}
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
		&r->parser, (const unsigned char *)r->bytes->p, r->bytes->l);
	stream_read(r);
	yaml_parser_delete(&r->parser);
}

int yaml_read(struct config **cfgp, const char *name, const struct pl *bytes,
	      struct list *findings)
{
	struct reader *r;
	int err;

	if (bytes->l > FILE_MAX)
		return E2BIG;

	r = calloc(1, sizeof(*r));
	if (!r)
		return ENOMEM;
	r->findings = findings;
	r->name = name;
	r->bytes = bytes;
	err = config_alloc(&r->cfg);
	if (err)
		goto out;

	if (outline_is(bytes))
		text_read(r);
	else
		yaml_text_read(r);
	err = r->err ? r->err : r->problem ? EBADMSG : 0;

out:
	if (err)
		config_give(r->cfg);
	else
		*cfgp = r->cfg;
	free(r);
	return err;
}

int yaml_read_file(struct config **cfgp, const char *path,
		   struct list *findings)
{
	FILE *f = fopen(path, "rbe");
	struct pl bytes = { NULL, 0 };
	struct stat st;
	char *text = NULL;
	int err = 0;

	if (!f)
		return errno;
	if (fstat(fileno(f), &st)) {
		err = errno;
		goto out;
	}
	if (S_ISDIR(st.st_mode)) {
		err = EISDIR;
		goto out;
	}

	/* A pipe has no size: read until the end */
	for (size_t room = 0;;) {
		size_t got;

		if (bytes.l == room) {
			char *more;

			if (room > FILE_MAX) {
				err = E2BIG;
				goto out;
			}
			room = room ? room * 2
				    : (size_t)(st.st_size < FILE_MAX
						       ? st.st_size
						       : FILE_MAX) +
					       4096;
			more = realloc(text, room);
			if (!more) {
				err = ENOMEM;
				goto out;
			}
			text = more;
		}
		got = fread(text + bytes.l, 1, room - bytes.l, f);
		bytes.l += got;
		if (!got)
			break;
	}
	if (ferror(f)) {
		err = EIO;
		goto out;
	}

	bytes.p = text ? text : "";
	err = yaml_read(cfgp, path, &bytes, findings);

out:
	if (text)
		secret_wipe_bytes(text, bytes.l); /* it holds passwords */
	free(text);
	(void)fclose(f); /* only read */
	return err;
}

int yaml_problem_print(struct re_printf *pf, const struct yaml_problem *p)
{
	const struct finding *f = p->finding;

	/* What is only a NOTE is not what keeps the file from being taken */
	return re_hprintf(pf, "%s:%u:%u: %s%s%s%s", p->file, f->line, f->column,
			  f->severity == SEVERITY_NOTE ? "NOTE: " : "",
			  f->message, f->hint && *f->hint ? "; " : "",
			  f->hint ? f->hint : "");
}

/* Out */

struct writing {
	struct re_printf *pf;
	bool clear;
};

static bool is_plain(const char *text)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789_/+.";
	size_t n = strlen(text);

	if (!n || !strchr(first, text[0]) || text[n - 1] == ':' ||
	    strchr(text, ' '))
		return false;

	return strspn(text,
		      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		      "abcdefghijklmnopqrstuvwxyz0123456789_/+.-:@=;$") == n &&
	       strcmp(text, "...");
}

static int scalar_write(struct re_printf *pf, const char *text)
{
	int err;

	if (is_plain(text))
		return re_hprintf(pf, "%s", text);

	err = re_hprintf(pf, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			err |= re_hprintf(pf, "\\");
		err |= re_hprintf(pf, "%c", *text);
	}

	return err | re_hprintf(pf, "\"");
}

struct part {
	const struct field *f;
	const void *item;
	uint32_t i;
	bool clear;
};

static int part_print(struct re_printf *pf, const struct part *p)
{
	const void *slot = field_slot_const(p->f, p->item);

	if (p->f->type->list)
		return p->f->type->print_at(pf, slot, p->i);

	return p->clear ? field_print(pf, p->f, p->item)
			: field_show(pf, p->f, p->item);
}

static int part_write(const struct writing *w, const struct part *p)
{
	char *text = NULL;
	int err = re_sdprintf(&text, "%H", part_print, p);

	if (!err)
		err = scalar_write(w->pf, text);
	if (text)
		secret_wipe_bytes(text, strlen(text));
	mem_deref(text);
	return err;
}

static int value_write(const struct writing *w, const struct field *f,
		       const void *item)
{
	struct part p = { f, item, 0, w->clear };
	uint32_t n;
	int err;

	if (!f->type->list)
		return part_write(w, &p);

	n = *(const uint32_t *)field_slot_const(f, item);
	if (n == 1)
		return part_write(w, &p);

	err = re_hprintf(w->pf, "[");
	for (; p.i < n; p.i++) {
		err |= re_hprintf(w->pf, "%s", p.i ? ", " : "");
		err |= part_write(w, &p);
	}

	return err | re_hprintf(w->pf, "]");
}

static bool is_written(const struct element *type, const struct field *f,
		       const void *item)
{
	if (f->flags & READONLY)
		return false;
	if (f->flags & (KEY | REQUIRED))
		return !field_is_empty(f, item) || f->dflt;

	return !field_is_default(type, f, item);
}

static int blanks(const struct writing *w, unsigned n)
{
	int err = 0;

	while (n--)
		err |= re_hprintf(w->pf, " ");

	return err;
}

/* The parameters of an object; the first stands behind the dash, if any */
static int object_write(const struct writing *w, const struct element *type,
			const void *item, unsigned indent, bool dash)
{
	bool begun = !dash;
	int err = 0;

	for (const struct field *f = type->fields; f->name; f++) {
		const struct items *items = field_slot_const(f, item);

		if (!is_written(type, f, item))
			continue;
		if (begun)
			err |= blanks(w, indent);
		begun = true;
		if (!f->child) {
			err |= re_hprintf(w->pf, "%s: ", f->name);
			err |= value_write(w, f, item);
			err |= re_hprintf(w->pf, "\n");
			continue;
		}
		err |= re_hprintf(w->pf, "%s:\n", f->name);
		if (f->child->flags & SINGLE) {
			err |= object_write(w, f->child, items->v[0],
					    indent + 2, false);
			continue;
		}
		for (uint32_t i = 0; i < items->n; i++) {
			err |= blanks(w, indent + 2);
			err |= re_hprintf(w->pf, "- ");
			err |= object_write(w, f->child, items->v[i],
					    indent + 4, true);
		}
	}
	if (!begun)
		err |= re_hprintf(w->pf, "{}\n");

	return err;
}

static bool has_something(const struct config *cfg, const struct element *type)
{
	const void *item;

	if (!(type->flags & SINGLE))
		return config_count(cfg, type) > 0;

	item = config_single(cfg, type);
	for (const struct field *f = type->fields; f->name; f++) {
		if (is_written(type, f, item))
			return true;
	}

	return false;
}

static int element_write(const struct writing *w, const struct config *cfg,
			 const struct element *type)
{
	int err = re_hprintf(w->pf, "  %s:\n", type->name);

	if (type->flags & SINGLE)
		return err | object_write(w, type, config_single(cfg, type), 4,
					  false);

	for (size_t i = 0; i < config_count(cfg, type) && !err; i++) {
		err |= re_hprintf(w->pf, "    - ");
		err |= object_write(w, type, config_at(cfg, type, i), 6, true);
	}

	return err;
}

int yaml_print(struct re_printf *pf, const struct yaml_setup *setup)
{
	struct writing w = { pf, setup->clear };
	int err = 0;

	for (size_t i = 0; i < 4; i++) {
		bool begun = false;

		for (const struct element *const *e = elements; *e; e++) {
			if (strcmp((*e)->folder, folders[i]) ||
			    !has_something(setup->cfg, *e))
				continue;
			if (!begun)
				err |= re_hprintf(pf, "%s:\n", folders[i]);
			begun = true;
			err |= element_write(&w, setup->cfg, *e);
		}
	}

	return err;
}

const char *yaml_library(void)
{
	return yaml_get_version_string();
}
