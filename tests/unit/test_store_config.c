/*
 * Versions share what did not change, and keys find their objects
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
#include "store/config.h"
#include "store/elements/elements.h"

static struct pl pl_of(const char *t)
{
	struct pl pl = { t, strlen(t) };

	return pl;
}

static void set(const struct element *type, void *item, const char *name,
		const char *value)
{
	struct pl n = pl_of(name), v = pl_of(value);

	assert_int_equal(field_read(field_find(type, &n), item, &v, NULL), 0);
}

static void *realm(const char *name)
{
	void *item;

	assert_int_equal(item_alloc(&item, &element_realm_config), 0);
	set(&element_realm_config, item, "identifier", name);
	return item;
}

static void *pool(const char *ip, const char *port)
{
	void *item;

	assert_int_equal(item_alloc(&item, &element_steering_pool), 0);
	set(&element_steering_pool, item, "ip-address", ip);
	set(&element_steering_pool, item, "start-port", port);
	set(&element_steering_pool, item, "realm-id", "core");
	return item;
}

static const void *find(const struct config *cfg, const struct element *type,
			const char *key)
{
	struct pl pl = pl_of(key);

	return config_find(cfg, type, &pl);
}

static struct config *many_realms(unsigned n)
{
	struct config *cfg;

	assert_int_equal(config_alloc(&cfg), 0);
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "r%u", i);
		assert_int_equal(config_append(cfg, &element_realm_config,
					       realm(name), 0, 0),
				 0);
	}

	return cfg;
}

static void an_empty_configuration_has_the_single_elements(void **s)
{
	struct config *cfg = many_realms(0);
	const struct sip_config *sip;
	(void)s;

	sip = config_single(cfg, &element_sip_config);
	assert_int_equal(sip->init_timer, 500);
	assert_int_equal(config_count(cfg, &element_realm_config), 0);
	assert_null(config_at(cfg, &element_realm_config, 0));
	assert_null(find(cfg, &element_realm_config, "r0"));
	config_give(cfg);
}

static void each_object_is_found_by_its_key_and_a_second_is_refused(void **s)
{
	struct config *cfg = many_realms(1000);
	void *again = realm("r500");
	(void)s;

	for (unsigned i = 0; i < 1000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "r%u", i);
		assert_ptr_equal(find(cfg, &element_realm_config, name),
				 config_at(cfg, &element_realm_config, i));
	}
	assert_null(find(cfg, &element_realm_config, "R500"));
	assert_int_equal(config_append(cfg, &element_realm_config, again, 0, 0),
			 EEXIST);
	item_free(&element_realm_config, again);
	config_give(cfg);
}

static void the_first_part_of_a_key_is_enough_where_it_is_unique(void **s)
{
	const struct element *e = &element_steering_pool;
	struct config *cfg = many_realms(0);
	(void)s;

	config_append(cfg, e, pool("127.0.0.1", "20000"), 0, 0);
	config_append(cfg, e, pool("127.0.0.1", "30000"), 0, 0);
	config_append(cfg, e, pool("127.0.0.2", "20000"), 0, 0);
	assert_ptr_equal(find(cfg, e, "127.0.0.1 30000 core"),
			 config_at(cfg, e, 1));
	assert_ptr_equal(find(cfg, e, "127.0.0.2"), config_at(cfg, e, 2));
	assert_null(find(cfg, e, "127.0.0.1"));
	assert_null(find(cfg, e, "127.0.0.1 30000"));
	assert_null(find(cfg, e, "127.0.0.1 30000 core "));
	config_give(cfg);
}

static void hosts_are_found_without_case(void **s)
{
	const struct element *e = &element_session_agent;
	struct config *cfg = many_realms(0);
	void *agent, *again;
	(void)s;

	item_alloc(&agent, e);
	item_alloc(&again, e);
	set(e, agent, "hostname", "SW.Test");
	set(e, again, "hostname", "sw.test");
	assert_int_equal(config_append(cfg, e, agent, 0, 0), 0);
	assert_ptr_equal(find(cfg, e, "sw.TEST"), agent);
	assert_int_equal(config_append(cfg, e, again, 0, 0), EEXIST);
	item_free(e, again);
	config_give(cfg);
}

static void a_change_shares_all_that_it_does_not_touch(void **s)
{
	const struct element *e = &element_realm_config;
	struct config *before = many_realms(100), *after;
	void *gone = realm("r7");
	struct change changes[] = {
		{ e, realm("r5"), NULL },
		{ e, NULL, gone },
		{ e, realm("r100"), NULL },
	};
	(void)s;

	set(e, changes[0].item, "description", "changed");
	assert_int_equal(config_change(&after, before, changes, 3), 0);

	assert_int_equal(config_count(before, e), 100);
	assert_int_equal(config_count(after, e), 100);
	assert_ptr_equal(config_at(after, e, 0), config_at(before, e, 0));
	assert_ptr_equal(find(after, e, "r5"), changes[0].item);
	assert_ptr_equal(config_at(after, e, 5), changes[0].item);
	assert_null(find(after, e, "r7"));
	assert_non_null(find(before, e, "r7"));
	assert_ptr_equal(config_at(after, e, 7), config_at(before, e, 8));
	assert_ptr_equal(find(after, e, "r100"), config_at(after, e, 99));
	assert_ptr_equal(find(after, e, "r50"), find(before, e, "r50"));
	assert_ptr_equal(config_single(after, &element_sip_config),
			 config_single(before, &element_sip_config));

	config_give(before);
	assert_string_equal(((const struct realm_config *)find(after, e, "r99"))
				    ->identifier,
			    "r99");
	config_give(after);
	item_free(e, gone);
}

static void one_batch_may_remove_and_add_the_same_key(void **s)
{
	const struct element *e = &element_realm_config;
	struct config *before = many_realms(3), *after;
	void *key = realm("r1");
	struct change changes[] = {
		{ e, NULL, key },
		{ e, realm("r1"), NULL },
		{ e, realm("r1"), NULL },
	};
	(void)s;

	assert_int_equal(config_change(&after, before, changes, 3), 0);
	assert_int_equal(config_count(after, e), 3);
	assert_ptr_equal(find(after, e, "r1"), changes[2].item);
	assert_ptr_equal(config_at(after, e, 2), changes[2].item);
	config_give(before);
	config_give(after);
	item_free(e, key);
}

static void removing_a_single_element_restores_its_defaults(void **s)
{
	const struct element *e = &element_sip_config;
	struct config *first = many_realms(0), *second, *third;
	struct change change = { e, NULL, NULL };
	(void)s;

	item_alloc(&change.item, e);
	set(e, change.item, "init-timer", "200");
	assert_int_equal(config_change(&second, first, &change, 1), 0);
	assert_int_equal(((const struct sip_config *)config_single(second, e))
				 ->init_timer,
			 200);
	change.item = NULL;
	assert_int_equal(config_change(&third, second, &change, 1), 0);
	assert_int_equal(((const struct sip_config *)config_single(third, e))
				 ->init_timer,
			 500);
	config_give(first);
	config_give(second);
	config_give(third);
}

static void references_keep_a_configuration(void **s)
{
	struct config *cfg = many_realms(1);
	const struct config *held = config_take(cfg);
	(void)s;

	config_give(cfg);
	assert_int_equal(config_count(held, &element_realm_config), 1);
	config_give(held);
	config_give(NULL);
}

static void equal_objects_of_two_versions_become_the_same(void **s)
{
	const struct element *type = &element_realm_config;
	struct config *with = many_realms(100), *same = many_realms(100);
	struct config *other = many_realms(99);
	void *changed = realm("r50x"), *last = realm("new");
	(void)s;

	assert_int_equal(config_share(same, with), 0);
	for (size_t i = 0; elements[i]; i++)
		assert_ptr_equal(same->sections[i], with->sections[i]);

	/* one that differs, one that is gone, one that is new */
	set(type, (void *)config_at(other, type, 7), "description", "other");
	assert_int_equal(config_append(other, type, changed, 0, 0), 0);
	assert_int_equal(config_append(other, type, last, 0, 0), 0);
	assert_int_equal(config_share(other, with), 0);
	for (size_t i = 0; i < 99; i++)
		assert_int_equal(config_at(other, type, i) ==
					 config_at(with, type, i),
				 i != 7);
	assert_ptr_equal(config_at(other, type, 99), changed);
	assert_ptr_equal(find(other, type, "new"), last);
	assert_ptr_equal(find(other, type, "r98"), find(with, type, "r98"));

	config_give(with);
	assert_int_equal(config_count(same, type), 100);
	assert_non_null(find(same, type, "r99"));
	config_give(same);
	config_give(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			an_empty_configuration_has_the_single_elements),
		cmocka_unit_test(
			each_object_is_found_by_its_key_and_a_second_is_refused),
		cmocka_unit_test(
			the_first_part_of_a_key_is_enough_where_it_is_unique),
		cmocka_unit_test(hosts_are_found_without_case),
		cmocka_unit_test(a_change_shares_all_that_it_does_not_touch),
		cmocka_unit_test(one_batch_may_remove_and_add_the_same_key),
		cmocka_unit_test(
			removing_a_single_element_restores_its_defaults),
		cmocka_unit_test(equal_objects_of_two_versions_become_the_same),
		cmocka_unit_test(references_keep_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
