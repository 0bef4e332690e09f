/*
 * steering-pool: media ports of a realm
 */
#include "store/elements/steering_pool.h"

/* clang-format off */
static const char *const no_options[] = { NULL };

#define S steering_pool
static const struct field steering_pool_fields[] = {
	ADDRESS(S, ip_address, "ip-address", .flags = KEY | REQUIRED,
		.help = "Local address for media",
		.source = "ACLI"),
	UINT(S, start_port, "start-port", .flags = KEY | REQUIRED, .min = 1024, .max = 65535,
		.help = "First port of the range; even ports carry RTP, the next odd one RTCP",
		.source = "RFC 3550 11"),
	UINT(S, end_port, "end-port", .flags = REQUIRED, .min = 1024, .max = 65535,
		.help = "Last port of the range, included",
		.source = "RFC 3550 11"),
	NAME(S, realm_id, "realm-id", .flags = KEY | REQUIRED, .to = "realm-config",
		.help = "Realm that the pool serves",
		.source = "ACLI"),
	OPTIONS(S, options, "options", .words = no_options,
		.help = "No option is known",
		.source = "ACLI"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_steering_pool = {
	.name = "steering-pool",
	.folder = "media-manager",
	.size = sizeof(struct steering_pool),
	.fields = steering_pool_fields,
	.help = "A range of local media ports of a realm",
};
/* clang-format on */
