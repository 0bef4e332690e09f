/*
 * All elements, in the order of the manual
 *
 * One include for those who read many of them; `elements[]` itself is declared
 * in store/schema.h.
 */
#pragma once

#include "store/elements/account_config.h"
#include "store/elements/admin_security.h"
#include "store/elements/auth_attribute.h"
#include "store/elements/local_policy.h"
#include "store/elements/media_manager.h"
#include "store/elements/realm_config.h"
#include "store/elements/session_agent.h"
#include "store/elements/session_constraints.h"
#include "store/elements/session_router.h"
#include "store/elements/session_timer_profile.h"
#include "store/elements/sip_config.h"
#include "store/elements/sip_interface.h"
#include "store/elements/sip_recursion_policy.h"
#include "store/elements/sip_response_map.h"
#include "store/elements/steering_pool.h"
#include "store/elements/surrogate_agent.h"
#include "store/elements/system_config.h"
