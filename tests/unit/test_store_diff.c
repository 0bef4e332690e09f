/*
 * A difference names the object and shows both values
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include "store/diff.h"
#include "store/elements/elements.h"
#include "store/yaml.h"

static struct config *config_of(const char *path)
{
	struct list findings = LIST_INIT;
	struct config *cfg = NULL;

	assert_int_equal(yaml_read_file(&cfg, path, &findings), 0);
	list_flush(&findings);
	return cfg;
}

struct told {
	char text[4096];
	size_t used;
	unsigned what[3];
};

static void tell(const struct difference *d, void *arg)
{
	struct told *told = arg;
	int n = re_snprintf(told->text + told->used,
			    sizeof(told->text) - told->used, "%H",
			    difference_print, d);

	assert_true(n > 0);
	told->used += (size_t)n;
	told->what[d->what]++;
}

static void set(const struct element *type, void *item, const char *name,
		const char *value)
{
	struct pl n = { name, strlen(name) }, v = { value, strlen(value) };

	assert_int_equal(field_read(field_find(type, &n), item, &v, NULL), 0);
}

static void a_configuration_does_not_differ_from_itself(void **s)
{
	struct config *a = config_of("configs/multi-tenant.yaml");
	struct config *b = config_of("configs/multi-tenant.yaml");
	struct told told = { .used = 0 };
	(void)s;

	diff_walk(a, a, tell, &told);
	diff_walk(a, b, tell, &told);
	assert_int_equal(told.used, 0);
	config_give(a);
	config_give(b);
}

static void changes_are_shown_as_lines_with_a_sign(void **s)
{
	const struct element *agents = &element_surrogate_agent;
	const struct element *realms = &element_realm_config;
	struct config *a = config_of("configs/multi-tenant.yaml"), *b;
	struct told told = { .used = 0 };
	struct realm_config *trunk;
	struct change changes[4] = {
		{ agents, NULL, NULL },
		{ realms, NULL, NULL },
		{ realms, NULL, config_at(a, realms, 3) },
		{ realms, NULL, NULL },
	};
	(void)s;

	item_copy(&changes[0].item, agents, config_at(a, agents, 0));
	set(agents, changes[0].item, "register-retry-time", "60");
	set(agents, changes[0].item, "password", "another");
	set(agents, changes[0].item, "last-modified-by", "anna@local");
	item_copy(&changes[1].item, realms, config_at(a, realms, 0));
	trunk = changes[1].item;
	set(&element_realm_auth_attribute, trunk->auth_attributes.v[1],
	    "username", "x");
	item_alloc(&changes[3].item, realms);
	set(realms, changes[3].item, "identifier", "new");
	assert_int_equal(config_change(&b, a, changes, 4), 0);

	diff_walk(a, b, tell, &told);
	assert_string_equal(
		told.text,
		"media-manager realm-config [trunk]\n"
		"    auth-attribute [carrier.example tenant-b]\n"
		"    - username                        49302000\n"
		"    + username                        x\n"
		"media-manager realm-config [pbx-c]\n"
		"  - identifier                      pbx-c\n"
		"  - description                     Tenant C, registers with "
		"the carrier through the SBC\n"
		"  - addr-prefix                     198.51.100.128/26\n"
		"media-manager realm-config [new]\n"
		"  + identifier                      new\n"
		"session-router surrogate-agent [carrier.example 49303000 "
		"pbx-c]\n"
		"  - password                        ********\n"
		"  + password                        ******** (changed)\n"
		"  - register-retry-time             300\n"
		"  + register-retry-time             60\n");
	assert_int_equal(told.what[DIFF_ADDED], 1);
	assert_int_equal(told.what[DIFF_REMOVED], 1);
	assert_int_equal(told.what[DIFF_CHANGED], 2);
	config_give(a);
	config_give(b);
}

static void price(const struct difference *d, void *arg)
{
	*(enum diff_cost *)arg = difference_cost(d);
}

/* One parameter of one object of the example is changed */
static void a_change_costs_what_its_dearest_parameter_does(void **s)
{
	static const struct {
		const struct element *type;
		const char *name, *value;
		enum diff_cost cost;
	} rows[] = {
		{ &element_sip_config, "init-timer", "600", COST_LIVE },
		{ &element_sip_config, "sip-workers", "7", COST_RESTART },
		{ &element_sip_interface, "state", "disabled", COST_REOPEN },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *a = config_of("configs/quickstart.yaml");
		struct config *b = config_of("configs/quickstart.yaml");
		enum diff_cost cost = COST_LIVE;

		set(rows[i].type, (void *)config_at(b, rows[i].type, 0),
		    rows[i].name, rows[i].value);
		diff_walk(a, b, price, &cost);
		assert_int_equal(cost, rows[i].cost);
		config_give(a);
		config_give(b);
	}
}

static void a_sip_port_that_moves_or_goes_is_opened_or_closed(void **s)
{
	struct config *a = config_of("configs/quickstart.yaml");
	struct config *b = config_of("configs/quickstart.yaml");
	struct sip_interface *iface =
		(struct sip_interface *)config_at(b, &element_sip_interface, 0);
	enum diff_cost cost = COST_LIVE;
	(void)s;

	set(&element_sip_port, iface->sip_ports.v[0], "allow-anonymous", "all");
	diff_walk(a, b, price, &cost);
	assert_int_equal(cost, COST_LIVE);
	set(&element_sip_port, iface->sip_ports.v[0], "port", "5099");
	diff_walk(a, b, price, &cost);
	assert_int_equal(cost, COST_REOPEN);
	config_give(a);
	config_give(b);
}

static void a_change_is_one_line_without_its_secrets(void **s)
{
	struct config *a = config_of("configs/multi-tenant.yaml");
	struct config *b = config_of("configs/multi-tenant.yaml");
	const struct element *type = &element_surrogate_agent;
	void *agent = (void *)config_at(b, type, 0);
	struct difference d = { DIFF_CHANGED, type, config_at(a, type, 0),
				agent };
	char *text, *title;
	struct item_ref ref = { type, agent };
	char wanted[512];
	(void)s;

	set(type, agent, "register-retry-time", "61");
	set(type, agent, "password", "s3cr3t-new");
	set(type, agent, "description", "");
	assert_int_equal(re_sdprintf(&text, "%H", difference_line_print, &d),
			 0);
	assert_int_equal(re_sdprintf(&title, "%H", item_key_print, &ref), 0);
	snprintf(wanted, sizeof(wanted), "surrogate-agent [%s] ", title);
	assert_int_equal(strncmp(text, wanted, strlen(wanted)), 0);
	assert_non_null(strstr(text, "register-retry-time 300 -> 61"));
	assert_non_null(strstr(text, "password changed"));
	assert_null(strstr(text, "s3cr3t"));
	assert_null(strchr(text, '\n'));
	mem_deref(text);

	d.what = DIFF_ADDED;
	assert_int_equal(re_sdprintf(&text, "%H", difference_line_print, &d),
			 0);
	snprintf(wanted, sizeof(wanted), "surrogate-agent [%s] added", title);
	assert_string_equal(text, wanted);
	mem_deref(text);
	mem_deref(title);
	config_give(a);
	config_give(b);
}

/* What was removed, added and changed is the same however it is looked for */
static void objects_that_moved_are_found_again(void **s)
{
	struct config *a = config_of("configs/multi-tenant.yaml"), *b = NULL;
	const struct element *type = &element_realm_config;
	struct change changes[3] = { { .type = type }, { .type = type } };
	struct told told = { .used = 0 };
	size_t n = config_count(a, type);
	(void)s;

	assert_true(n >= 3);
	/* The first goes to the end, the second goes */
	changes[0].key_of = config_at(a, type, 0);
	changes[1].key_of = config_at(a, type, 1);
	assert_int_equal(config_change(&b, a, changes, 2), 0);
	diff_walk(a, b, tell, &told);
	assert_int_equal(told.what[DIFF_REMOVED], 2);
	assert_int_equal(told.what[DIFF_ADDED], 0);
	assert_int_equal(told.what[DIFF_CHANGED], 0);
	memset(&told, 0, sizeof(told));
	diff_walk(b, a, tell, &told);
	assert_int_equal(told.what[DIFF_ADDED], 2);
	assert_int_equal(told.what[DIFF_REMOVED], 0);

	memset(changes, 0, sizeof(changes));
	changes[0].type = type;
	assert_int_equal(
		item_copy(&changes[0].item, type, config_at(a, type, 0)), 0);
	{
		struct config *c = NULL;

		assert_int_equal(config_change(&c, b, changes, 1), 0);
		config_give(b);
		b = c;
	}
	memset(&told, 0, sizeof(told));
	diff_walk(a, b, tell, &told);
	assert_int_equal(told.what[DIFF_REMOVED], 1);
	assert_int_equal(told.what[DIFF_ADDED] + told.what[DIFF_CHANGED], 0);
	config_give(a);
	config_give(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_does_not_differ_from_itself),
		cmocka_unit_test(changes_are_shown_as_lines_with_a_sign),
		cmocka_unit_test(
			a_change_costs_what_its_dearest_parameter_does),
		cmocka_unit_test(
			a_sip_port_that_moves_or_goes_is_opened_or_closed),
		cmocka_unit_test(a_change_is_one_line_without_its_secrets),
		cmocka_unit_test(objects_that_moved_are_found_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
