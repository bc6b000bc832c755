/** What livepatch calls while it patches or unpatches an object, in the order of `struct klp_callbacks` (include/linux/livepatch.h). */
export const callbackKinds = ['pre_patch', 'post_patch', 'pre_unpatch', 'post_unpatch'] as const;

export type CallbackKind = (typeof callbackKinds)[number];
