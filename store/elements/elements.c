/*
 * All elements, in the order of the manual
 */
#include "store/elements/elements.h"

/* clang-format off */
const struct element *const elements[] = {
	&element_system_config,
	&element_realm_config,
	&element_steering_pool,
	&element_media_manager,
	&element_sip_config,
	&element_sip_interface,
	&element_session_agent,
	&element_local_policy,
	&element_surrogate_agent,
	&element_session_router,
	&element_sip_recursion_policy,
	&element_sip_response_map,
	&element_session_constraints,
	&element_session_timer_profile,
	&element_account_config,
	&element_admin_security,
	NULL,
};
/* clang-format on */
