/*
 * Realms, what they take from their parents, and the sip-ports they speak by
 */
#include <errno.h>
#include "config_fixture.h"
#include "realms/realms.h"

static struct realm_config *child_add(struct config *cfg, const char *name,
				      const char *parent)
{
	return config_add(cfg, &element_realm_config, "identifier", name,
			  "parent-realm", parent, NULL);
}

static struct steering_pool *pool_add(struct config *cfg, const char *realm,
				      const char *address, const char *from,
				      const char *to)
{
	return config_add(cfg, &element_steering_pool, "ip-address", address,
			  "start-port", from, "end-port", to, "realm-id", realm,
			  NULL);
}

static const struct realm *at(const struct realms *r, const char *name)
{
	const struct realm *realm = realm_named(r, name);

	assert_non_null(realm);

	return realm;
}

static void a_realm_is_found_by_its_name_letter_by_letter(void **state)
{
	struct config *cfg = config_new();
	struct realms *r = NULL;

	realm_add(cfg, "pbx-a", "127.0.0.2");
	assert_int_equal(realms_alloc(&r, cfg), 0);
	assert_string_equal(at(r, "pbx-a")->config->identifier, "pbx-a");
	assert_null(realm_named(r, "PBX-A"));
	assert_null(realm_named(r, "pbx"));
	assert_null(realm_named(r, ""));
	assert_null(realm_named(r, NULL));
	mem_deref(r);
	config_give(cfg);
	(void)state;
}

static void what_a_realm_lacks_is_its_nearest_parents(void **state)
{
	struct config *cfg = config_new();
	struct realms *r = NULL;

	realm_add(cfg, "top", "127.0.0.1");
	child_add(cfg, "middle", "top");
	child_add(cfg, "low", "middle");
	child_add(cfg, "alone", "");
	pool_add(cfg, "top", "127.0.0.1", "20000", "20009");
	pool_add(cfg, "middle", "127.0.0.1", "21000", "21009");
	pool_add(cfg, "middle", "127.0.0.1", "22000", "22009");
	assert_int_equal(realms_alloc(&r, cfg), 0);
	assert_ptr_equal(at(r, "low")->interface_realm, at(r, "top"));
	assert_ptr_equal(at(r, "low")->endpoints, at(r, "top")->endpoints);
	assert_int_equal(at(r, "low")->endpoints_n, 1);
	assert_ptr_equal(at(r, "low")->pools_realm, at(r, "middle"));
	assert_int_equal(at(r, "low")->pools_n, 2);
	assert_int_equal(at(r, "low")->pools[1]->start_port, 22000);
	assert_int_equal(at(r, "top")->pools_n, 1);
	assert_true(at(r, "top")->has_children_without_interface);
	assert_false(at(r, "middle")->has_children_without_interface);
	assert_null(at(r, "alone")->interface);
	assert_int_equal(at(r, "alone")->endpoints_n, 0);
	assert_true(realm_is_within(at(r, "low"), at(r, "top")));
	assert_true(realm_is_within(at(r, "low"), at(r, "low")));
	assert_false(realm_is_within(at(r, "top"), at(r, "low")));
	mem_deref(r);
	config_give(cfg);
	(void)state;
}

static void parents_in_a_circle_are_refused(void **state)
{
	static const char *const parents[][3] = {
		{ "a", "", "" },   /* a is its own parent */
		{ "b", "a", "" },  /* two */
		{ "b", "c", "a" }, /* three */
		{ "b", "c", "b" }, /* a way into a circle */
	};

	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); ++i) {
		struct config *cfg = config_new();
		struct realms *r = NULL;

		child_add(cfg, "a", parents[i][0]);
		child_add(cfg, "b", parents[i][1]);
		child_add(cfg, "c", parents[i][2]);
		assert_int_equal(realms_alloc(&r, cfg), ELOOP);
		assert_null(r);
		config_give(cfg);
	}
	(void)state;
}

static void no_interface_has_ports_while_sip_is_disabled(void **state)
{
	struct config *cfg = config_new();
	struct realms *r = NULL;

	realm_add(cfg, "top", "127.0.0.2");
	item_set(&element_sip_config,
		 (void *)config_single(cfg, &element_sip_config), "state",
		 "disabled");
	assert_int_equal(realms_alloc(&r, cfg), 0);
	assert_int_equal(at(r, "top")->endpoints_n, 0);
	mem_deref(r);
	config_give(cfg);
	(void)state;
}

static void a_disabled_interface_has_no_ports(void **state)
{
	struct config *cfg = config_new();
	struct sa sa = sa_of("127.0.0.1:5060");
	struct realms *r = NULL;

	realm_add(cfg, "top", "127.0.0.2");
	child_add(cfg, "child", "top");
	item_set(&element_sip_interface,
		 config_add(cfg, &element_sip_interface, "realm-id", "child",
			    NULL),
		 "state", "disabled");
	item_add(&((struct sip_interface *)config_at(cfg,
						     &element_sip_interface, 1))
			  ->sip_ports,
		 &element_sip_port, "address", "127.0.0.1", NULL);
	assert_int_equal(realms_alloc(&r, cfg), 0);
	assert_int_equal(at(r, "child")->endpoints_n, 0);
	assert_false(at(r, "top")->has_children_without_interface);
	assert_false(realms_is_local(r, &sa));
	mem_deref(r);
	config_give(cfg);
	(void)state;
}

static void the_first_port_that_fits_transport_and_family_sends(void **state)
{
	/* clang-format off */
	static const struct {
		const char *dst; enum transport transport; int port;
	} rows[] = {
		{ "192.0.2.1",   TRANSPORT_UDP, 5060 },
		{ "192.0.2.1",   TRANSPORT_TCP, 5070 },
		{ "192.0.2.1",   TRANSPORT_TLS, 0 },
		{ "2001:db8::1", TRANSPORT_UDP, 5080 },
		{ "2001:db8::1", TRANSPORT_TCP, 0 },
	};
	/* clang-format on */
	struct config *cfg = config_new();
	struct sip_interface *iface;
	struct realms *r = NULL;

	realm_add(cfg, "a", "127.0.0.1");
	iface = (struct sip_interface *)config_at(cfg, &element_sip_interface,
						  0);
	item_add(&iface->sip_ports, &element_sip_port, "address", "127.0.0.1",
		 "port", "5062", NULL);
	item_add(&iface->sip_ports, &element_sip_port, "address", "127.0.0.1",
		 "port", "5070", "transport-protocol", "TCP", NULL);
	item_add(&iface->sip_ports, &element_sip_port, "address", "::1", "port",
		 "5080", NULL);
	assert_int_equal(realms_alloc(&r, cfg), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct sa dst = sa_of(rows[i].dst);
		const struct endpoint *ep =
			realm_endpoint(at(r, "a"), &dst, rows[i].transport);

		assert_int_equal(ep ? sa_port(&ep->local) : 0, rows[i].port);
	}
	for (uint32_t i = 0; i < r->endpoints_n; ++i)
		assert_int_equal(r->endpoints[i].number, i);
	mem_deref(r);
	config_give(cfg);
	(void)state;
}

static void our_addresses_are_local_with_port_and_without(void **state)
{
	/* clang-format off */
	static const struct { const char *text; bool local; } rows[] = {
		{ "127.0.0.1", true }, { "127.0.0.1:5060", true },
		{ "127.0.0.1:5061", false }, { "127.0.0.2", false },
		{ "::1", false },
	};
	/* clang-format on */
	struct config *cfg = config_new();
	struct realms *r = NULL;
	struct sa none;

	realm_add(cfg, "a", "127.0.0.1");
	assert_int_equal(realms_alloc(&r, cfg), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
		struct sa sa = sa_of(rows[i].text);

		assert_int_equal(realms_is_local(r, &sa), rows[i].local);
	}
	sa_init(&none, AF_UNSPEC);
	assert_false(realms_is_local(r, &none));
	mem_deref(r);
	config_give(cfg);
	(void)state;
}

static void transports_are_read_without_case(void **state)
{
	struct pl tls = PL("tls"), none = PL("sctp"), empty = PL("");

	assert_int_equal(transport_parse(&tls), TRANSPORT_TLS);
	assert_int_equal(transport_parse(&none), TRANSPORT_NONE);
	assert_int_equal(transport_parse(&empty), TRANSPORT_NONE);
	assert_string_equal(transport_name(TRANSPORT_WSS), "WSS");
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_realm_is_found_by_its_name_letter_by_letter),
		cmocka_unit_test(what_a_realm_lacks_is_its_nearest_parents),
		cmocka_unit_test(parents_in_a_circle_are_refused),
		cmocka_unit_test(no_interface_has_ports_while_sip_is_disabled),
		cmocka_unit_test(a_disabled_interface_has_no_ports),
		cmocka_unit_test(
			the_first_port_that_fits_transport_and_family_sends),
		cmocka_unit_test(our_addresses_are_local_with_port_and_without),
		cmocka_unit_test(transports_are_read_without_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
