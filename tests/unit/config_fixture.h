/*
 * A configuration for tests, object by object, in the words of ACLI
 *
 *	struct config *cfg = config_new();
 *	config_add(cfg, &element_realm_config, "identifier", "pbx-a", NULL);
 *
 * A list is one text with blanks between its values.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include "store/base.h"
#include "store/config.h"
#include "store/elements/elements.h"

static inline struct config *config_new(void)
{
	struct config *cfg = NULL;

	assert_int_equal(config_alloc(&cfg), 0);

	return cfg;
}

static inline void field_set(const struct field *f, void *item,
			     const char *text)
{
	struct value_fault fault = { "" };
	struct pl pl;

	field_clear(f, item);
	while (*text) {
		size_t n = f->type->list ? strcspn(text, " ") : strlen(text);

		pl.p = text;
		pl.l = n;
		if (field_parse(f, item, &pl, &fault))
			fail_msg("%s: %.*s %s", f->name, (int)n, text,
				 fault.why);
		text += n;
		text += strspn(text, " ");
	}
}

static inline void *item_make(const struct element *type, va_list args)
{
	const char *name;
	void *item = NULL;

	assert_int_equal(item_alloc(&item, type), 0);
	while ((name = va_arg(args, const char *))) {
		const struct field *f;
		struct pl pl;

		pl_set_str(&pl, name);
		f = field_find(type, &pl);
		if (!f)
			fail_msg("%s has no %s", type->name, name);
		field_set(f, item, va_arg(args, const char *));
	}

	return item;
}

/* Append an object; it is read back as the configuration holds it */
static inline void *config_add(struct config *cfg, const struct element *type,
			       ...)
{
	va_list args;
	void *item;

	va_start(args, type);
	item = item_make(type, args);
	va_end(args);
	assert_int_equal(config_append(cfg, type, item, 0, 0), 0);

	return item;
}

/* Append a sub-element to the items of its parent */
static inline void *item_add(struct items *items, const struct element *type,
			     ...)
{
	va_list args;
	void *item;

	va_start(args, type);
	item = item_make(type, args);
	va_end(args);
	assert_int_equal(items_append(items, item), 0);

	return item;
}

/* Change a value of an object that was added, keys excepted */
static inline void item_set(const struct element *type, void *item,
			    const char *name, const char *text)
{
	const struct field *f;
	struct pl pl;

	pl_set_str(&pl, name);
	f = field_find(type, &pl);
	assert_non_null(f);
	field_set(f, item, text);
}

/* A realm with a sip-interface and one UDP port at address:5060 */
static inline struct realm_config *realm_add(struct config *cfg,
					     const char *name,
					     const char *address)
{
	struct realm_config *realm = config_add(cfg, &element_realm_config,
						"identifier", name, NULL);
	struct sip_interface *iface =
		config_add(cfg, &element_sip_interface, "realm-id", name, NULL);

	item_add(&iface->sip_ports, &element_sip_port, "address", address,
		 NULL);

	return realm;
}

static inline struct sa sa_of(const char *text)
{
	struct pl pl;
	struct sa sa;

	pl_set_str(&pl, text);
	assert_int_equal(address_parse_text(&sa, &pl), 0);

	return sa;
}

static inline struct pl pl_text(const char *text)
{
	struct pl pl;

	pl_set_str(&pl, text);

	return pl;
}
