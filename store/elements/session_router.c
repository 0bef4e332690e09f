/*
 * session-router: look-ups in several stages, parent realms, holidays
 */
#include "store/elements/session_router.h"

/* clang-format off */
#define S holiday
static const struct field holiday_fields[] = {
	DATE(S, date, "date", .flags = KEY | REQUIRED,
		.help = "A day that H of days-of-week means",
		.source = "RFC 3339 5.6"),
	TEXT(S, description, "description",
		.help = "Text shown to operators",
		.source = "ACLI"),
	END_OF_FIELDS,
};
#undef S

const struct element element_holiday = {
	.name = "holidays",
	.alias = "holiday",
	.folder = "session-router",
	.size = sizeof(struct holiday),
	.fields = holiday_fields,
	.help = "A day that days-of-week H means",
};

#define S session_router
static const struct field session_router_fields[] = {
	FLAG(S, match_lp_src_parent_realms, "match-lp-src-parent-realms", .dflt = "disabled",
		.help = "Policies of a parent realm serve its children too",
		.source = "ACLI"),
	UINT(S, additional_lp_lookups, "additional-lp-lookups", .dflt = "0", .min = 0, .max = 5,
		.help = "Further stages for routes with lookup multi; 0 means that lookup is ignored",
		.source = "ACLI"),
	UINT(S, max_lp_lookups_routes_per_lookup, "max-lp-lookups-routes-per-lookup", .dflt = "0", .min = 0, .max = 1000,
		.help = "Routes that one look-up may give; 0 is no limit",
		.source = "ACLI"),
	UINT(S, total_lp_routes, "total-lp-routes", .dflt = "0", .min = 0, .max = 1000,
		.help = "Routes of all stages together; 0 is no limit",
		.source = "ACLI"),
	FLAG(S, multi_stage_src_realm_override, "multi-stage-src-realm-override", .dflt = "disabled",
		.help = "A further stage asks with the realm of the route as source-realm",
		.source = "ACLI"),
	CHILD(S, holidays, "holidays", element_holiday,
		.help = "Days that days-of-week H means",
		.source = "ACLI"),
	MODIFIED(S),
	END_OF_FIELDS,
};
#undef S

const struct element element_session_router = {
	.name = "session-router",
	.folder = "session-router",
	.flags = SINGLE,
	.size = sizeof(struct session_router),
	.fields = session_router_fields,
	.help = "Routing as a whole: stages of look-up, parent realms, holidays",
};
/* clang-format on */
