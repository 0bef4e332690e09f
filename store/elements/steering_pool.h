/*
 * steering-pool: media ports of a realm
 */
#pragma once

#include "store/schema.h"

struct steering_pool {
	struct sa ip_address; /* port 0 */
	uint32_t start_port;
	uint32_t end_port; /* included */
	char *realm_id;
	struct names options;
	char *last_modified_by;
	stamp last_modified_date;
};

extern const struct element element_steering_pool;
