/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kstitch.h - what a source patch can ask of the livepatch that is made of it
 *
 * Found by #include <kstitch.h> in patched source; the kernel itself has no
 * such file. See docs/patch-authors.md.
 *
 * Each request is a record in a section of its own. The sections are read when
 * the livepatch is built and are not part of it.
 */
#ifndef _KSTITCH_H
#define _KSTITCH_H

#include <linux/compiler.h>
#include <linux/livepatch.h>

/*
 * Callbacks of the object that the file is part of, the kernel or a module; at
 * most one of each kind for an object. They run in process context and may
 * sleep.
 *
 *   static int fn(struct klp_object *obj)	KSTITCH_PRE_PATCH(fn)
 *	before any task runs new code, and before a module that comes later
 *	runs any code at all; another value than 0 keeps the livepatch, or
 *	that module, from being loaded
 *   static void fn(struct klp_object *obj)	KSTITCH_POST_PATCH(fn)
 *	when every task runs new code
 *   static void fn(struct klp_object *obj)	KSTITCH_PRE_UNPATCH(fn)
 *	before any task goes back to old code
 *   static void fn(struct klp_object *obj)	KSTITCH_POST_UNPATCH(fn)
 *	when every task runs old code, and when enabling was given up; only
 *	where pre_patch succeeded or there is none
 *
 * A livepatch that is replaced by another one is not asked: only the new one's
 * callbacks run.
 */
#define KSTITCH_PRE_PATCH(fn)		__KSTITCH_CALLBACK(0, pre_patch, fn)
#define KSTITCH_POST_PATCH(fn)		__KSTITCH_CALLBACK(1, post_patch, fn)
#define KSTITCH_PRE_UNPATCH(fn)		__KSTITCH_CALLBACK(2, pre_unpatch, fn)
#define KSTITCH_POST_UNPATCH(fn)	__KSTITCH_CALLBACK(3, post_unpatch, fn)

/*
 * The livepatch changes system state @id (1 to 0xffffffff), in the way that
 * @version stands for. A livepatch that replaces it has to name the same state
 * with the same version or a higher one, or the kernel does not load it.
 */
#define KSTITCH_STATE(_id, _version)					\
	_Static_assert((_id) > 0 && (_id) <= 0xffffffffUL,		\
		       "the id of a state is a number from 1 to 0xffffffff");	\
	static const struct __kstitch_state __UNIQUE_ID(kstitch_state)	\
	__used __section(".kstitch.states") = {				\
		.id = (_id),						\
		.version = (unsigned int)(_version),			\
	}

/* The livepatch itself, which klp_get_state() asks for. */
extern struct klp_patch kstitch_patch;

/* What follows is between this header and kstitch. */

struct __kstitch_callback {
	unsigned long kind;
	union {
		int (*pre_patch)(struct klp_object *obj);
		void (*post_patch)(struct klp_object *obj);
		void (*pre_unpatch)(struct klp_object *obj);
		void (*post_unpatch)(struct klp_object *obj);
	} function;
};

struct __kstitch_state {
	unsigned long id;
	unsigned long version;
};

#define __KSTITCH_CALLBACK(_number, _kind, _fn)				\
	static const struct __kstitch_callback __kstitch_##_kind##_##_fn	\
	__used __section(".kstitch.callbacks") = {			\
		.kind = (_number),					\
		.function._kind = (_fn),				\
	}

#endif /* _KSTITCH_H */
